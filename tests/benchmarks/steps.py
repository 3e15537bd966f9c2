"""What a training step costs: this trainer, everything of each step measured and written, beside

- `bare`: the same steps with nothing recorded but the loss;
- `reference`: the plain PyTorch loop of engine.bench.reference_loop, in the same sizes.

    python -m tests.benchmarks.steps [CORPUS] [--preset ptb-small] [--against bare] [--blocks 15]
                                     [--steps 20] [--candidates N] [--vocabulary 10000]

Without a corpus the text is synthetic, of that vocabulary. Without candidates all do the same
mathematics. Blocks of steps alternate; the ratio of their times is given in the median of the
pairs, with the least and the greatest.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from engine.bench.machine import this_machine
from engine.bench.reference_loop import ReferenceLoop
from engine.bench.synthetic import synthetic_corpus
from engine.config import RunConfig, preset, replace
from engine.events import Stepped
from engine.model.lstm import detached
from engine.service.record import Record
from engine.text.corpus import Corpus, open_corpus
from engine.training.device import pick_device, pick_threads
from engine.training.trainer import Trainer
from tests.benchmarks.machine import as_an_engine


def recorded(trainer: Trainer, record: Record) -> Iterator[float | None]:
    """Losses of the steps of the trainer itself, every event written as the engine does."""
    for event in trainer.train():
        record.add(event)
        record.flush_if_due()
        if isinstance(event, Stepped):
            yield event.loss


def bare(trainer: Trainer) -> Iterator[float]:
    """Losses of the same steps, written out: forward, backward, clip by norm, update."""
    model, optimiser, cursor = trainer.model, trainer.optimiser, trainer.cursor
    parameters = list(model.parameters())
    state = model.initial_state(cursor.batch_size)
    model.train()
    while True:
        inputs, targets = cursor.next()
        optimiser.zero_grad()
        drawn = None if trainer.candidates is None else trainer.candidates.draw()
        loss, _, state, _ = model.loss(inputs, targets, state, drawn)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, trainer.clip_threshold)
        optimiser.step(trainer.learning_rate)
        state = detached(state)
        yield loss.item()


def seconds(steps: Iterator[float | None], count: int) -> tuple[float, float]:
    """Seconds of wall clock and the last loss."""
    began = time.perf_counter()
    loss = None
    for _ in range(count):
        loss = next(steps)
    assert loss is not None
    return time.perf_counter() - began, loss


def reference(config: RunConfig, corpus: Corpus) -> Iterator[float]:
    """Losses of the plain loop's steps in the sizes of a configuration."""
    model, training = config.model, config.training
    if not model.tied or model.embedding_size != (model.last_size or model.hidden_size):
        raise SystemExit(f"The plain loop has no model of the shape of {config.preset}.")
    return ReferenceLoop(
        corpus.splits["train"],
        len(corpus.tokenizer.vocabulary),
        size=model.hidden_size,
        layers=model.layers,
        dropout=config.regularisation.output_dropout,
        batch_size=training.batch_size,
        bptt=training.bptt,
        rate=config.optimiser.learning_rate,
        clip=config.clipping.threshold,
        device=pick_device(),
    ).steps()


def trainer(config: RunConfig, corpus: Corpus) -> Trainer:
    made = Trainer(config, corpus, pick_device())
    torch.set_num_threads(pick_threads(made))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--preset", default="ptb-small")
    parser.add_argument("--vocabulary", type=int, default=10_000, help="of a synthetic text")
    parser.add_argument("--against", choices=("bare", "reference"), default="bare")
    parser.add_argument("--candidates", type=int)
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    as_an_engine("tests.benchmarks.steps")
    torch.set_flush_denormal(True)
    config = replace(preset(options.preset), {"training.candidates": options.candidates})
    if options.corpus:
        config = replace(config, {"corpus.source": str(options.corpus.absolute())})
        corpus = open_corpus(config.corpus)
    else:
        corpus = synthetic_corpus(options.vocabulary)
    with tempfile.TemporaryDirectory() as folder:
        record = Record(Path(folder), lambda events: None)
        full = recorded(trainer(config, corpus), record)
        plain: Iterator[float | None]
        if options.against == "bare":
            plain = bare(trainer(config, corpus))
        else:
            plain = reference(config, corpus)
        _, loss = seconds(full, 3)
        _, bare_loss = seconds(plain, 3)
        if options.against == "bare":
            assert abs(loss - bare_loss) < 1e-3, "the two loops do not do the same"
        pairs = []
        for block in range(options.blocks):
            first, second = (full, plain) if block % 2 else (plain, full)
            times = {first: seconds(first, options.steps)[0]}
            times[second] = seconds(second, options.steps)[0]
            pairs.append((times[full], times[plain]))
        record.close()
    ratios = [spent / alone for spent, alone in pairs]
    beside = 1000 * statistics.median(alone for _, alone in pairs) / options.steps
    words = f"{len(corpus.tokenizer.vocabulary):,} tokens"
    threads = f"{torch.get_num_threads()} threads"
    print(this_machine())
    print(f"{config.preset}, vocabulary of {words}, {threads}, candidates: {options.candidates}")
    print(f"{options.against}: {beside:.1f} ms a step")
    print(
        f"everything recorded: {statistics.median(ratios):.3f} of that in the median, "
        f"{min(ratios):.3f} to {max(ratios):.3f}"
    )


if __name__ == "__main__":
    main()
