"""Whether a step does what the reference loop's does.

    python -m tests.benchmarks.same CORPUS [--steps 200]

The same weights and the same windows, no dropout: the greatest difference of the losses.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch

from engine.bench.reference_loop import ReferenceLoop
from engine.config import preset, replace
from engine.events import Stepped
from engine.text.corpus import open_corpus
from engine.training.trainer import Trainer

RATE = 1.0
"""At the 20 of ptb-small rounding grows without bound, in any two loops."""


def ours(corpus: Path) -> Trainer:
    changes = {
        "corpus.source": str(corpus.absolute()),
        "schedule.name": "constant",
        "optimiser.learning_rate": RATE,
    }
    dropouts = ("input_dropout", "layer_dropout", "output_dropout")
    changes |= {f"regularisation.{name}": "0" for name in dropouts}
    config = replace(preset("ptb-small"), changes)
    return Trainer(config, open_corpus(config.corpus), torch.device("cpu"))


def reference(trainer: Trainer) -> ReferenceLoop:
    """The reference loop with the weights of a trainer."""
    tokens, vocabulary = trainer.corpus.splits["train"], trainer.corpus.tokenizer.vocabulary
    loop = ReferenceLoop(tokens, len(vocabulary), dropout=0.0, rate=RATE)
    theirs = loop.model
    with torch.no_grad():
        theirs.encoder.weight.copy_(trainer.model.embedding.weight)
        for index, layer in enumerate(trainer.model.lstm):
            for name, weight in layer.named_parameters():
                getattr(theirs.rnn, name.replace("_l0", f"_l{index}")).copy_(weight)
    return loop


def losses(trainer: Trainer) -> Iterator[float]:
    for event in trainer.train():
        if isinstance(event, Stepped):
            assert event.loss is not None
            yield event.loss


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    trainer = ours(options.corpus)
    pairs = zip(losses(trainer), reference(trainer).steps(), range(options.steps), strict=False)
    difference = max(abs(one - other) for one, other, _ in pairs)
    print(f"{len(trainer.corpus.tokenizer.vocabulary):,} words, {options.steps} steps")
    print(f"greatest difference of the losses: {difference:.1e} nats")


if __name__ == "__main__":
    main()
