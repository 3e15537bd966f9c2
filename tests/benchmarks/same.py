"""Whether a step does what the reference loop's does, and in how much memory.

    python -m tests.benchmarks.same CORPUS [--steps 200]

The same weights and the same windows, no dropout: the greatest difference of the losses, and how
far each loop, in a process of its own, raised its peak memory above that before its first step.
"""

import argparse
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from engine.config import preset, replace
from engine.events import Stepped
from engine.text.corpus import open_corpus
from engine.training.trainer import Trainer
from engine.bench.reference_loop import ReferenceLoop

MEASURED_STEPS = 10


def ours(corpus: Path) -> Trainer:
    changes = {"corpus.source": str(corpus.absolute()), "schedule.name": "constant"}
    dropouts = ("input_dropout", "layer_dropout", "output_dropout")
    changes |= {f"regularisation.{name}": "0" for name in dropouts}
    config = replace(preset("ptb-small"), changes)
    return Trainer(config, open_corpus(config.corpus), torch.device("cpu"))


def reference(trainer: Trainer) -> ReferenceLoop:
    """The reference loop with the weights of a trainer."""
    tokens, vocabulary = trainer.corpus.splits["train"], trainer.corpus.tokenizer.vocabulary
    loop = ReferenceLoop(tokens, len(vocabulary), dropout=0.0)
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


def peak() -> float:
    """MiB that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def raise_peak(corpus: Path, which: str) -> float:
    """MiB that the first steps of one of the loops add to the peak."""
    trainer = ours(corpus)
    steps = losses(trainer) if which == "ours" else reference(trainer).steps()
    before = peak()
    for _ in range(MEASURED_STEPS):
        next(steps)
    return peak() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--memory-of", choices=("ours", "reference"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        print(raise_peak(options.corpus, options.memory_of))
        return
    trainer = ours(options.corpus)
    pairs = zip(losses(trainer), reference(trainer).steps(), range(options.steps), strict=False)
    difference = max(abs(one - other) for one, other, _ in pairs)
    print(f"{len(trainer.corpus.tokenizer.vocabulary):,} words, {options.steps} steps")
    print(f"greatest difference of the losses: {difference:.1e} nats")
    command = [sys.executable, "-m", "tests.benchmarks.same", str(options.corpus), "--memory-of"]
    ours_, theirs = (
        float(subprocess.run([*command, which], check=True, capture_output=True, text=True).stdout)
        for which in ("ours", "reference")
    )
    print(f"peak memory: ours {ours_:.0f} MiB, reference {theirs:.0f} MiB: {ours_ / theirs:.2f}")


if __name__ == "__main__":
    main()
