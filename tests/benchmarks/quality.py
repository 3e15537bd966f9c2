"""Validation perplexity against seconds of training, beside the plain PyTorch loop in its recipe.

    python -m tests.benchmarks.quality CORPUS [--epochs 2] [--ours 1.65 ...] [--set SETTING=VALUE]

All train in turns on one machine, each on a clock of its own that stands still while another
trains and while any is evaluated: the plain loop for `--epochs` at rate 20, clip 0.25, evaluated
after each; ours, the preset large-vocabulary with what `--set` changes, a run for each length that
`--ours` names, in epochs, evaluated at its end, as its schedule ends there.
"""

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.nn import functional

from engine.bench.machine import this_machine
from engine.bench.reference_loop import ReferenceLoop, ReferenceModel
from engine.config import preset, replace
from engine.events import Evaluated
from engine.text.corpus import open_corpus
from engine.training.device import pick_threads
from engine.training.trainer import Trainer
from tests.benchmarks.machine import as_an_engine

WINDOW = 512
"""Tokens of text evaluated at a time."""
Found = tuple[float, float]
"""The epoch and the perplexity of a validation."""


@dataclass
class Racer:
    """A loop that yields None after each step, and now and then a validation."""

    name: str
    threads: int
    turns: Iterator[Found | None]
    clock: float = 0.0
    """Seconds of training."""
    validations: list[tuple[float, float]] = field(default_factory=list)
    """Seconds and perplexity."""

    def go(self) -> None:
        """Take a step. Raises StopIteration at the end."""
        torch.set_num_threads(self.threads)
        began = time.perf_counter()
        found = next(self.turns)
        if found is None:
            self.clock += time.perf_counter() - began
            return
        epoch, perplexity = found
        self.validations.append((self.clock, perplexity))
        print(f"{self.name}, epoch {epoch:g}: {self.clock:.0f} s, {perplexity:.2f}", flush=True)


@torch.no_grad()
def perplexity(model: ReferenceModel, tokens: torch.Tensor) -> float:
    """Exact, over one unbroken text (tokens,)."""
    model.eval()
    total, state = 0.0, None
    for begin in range(0, len(tokens) - 1, WINDOW):
        targets = tokens[begin + 1 : begin + WINDOW + 1]
        logits, state = model(tokens[begin : begin + len(targets)].view(-1, 1), state)
        total += functional.cross_entropy(logits[:, 0], targets, reduction="sum").item()
    model.train()
    return math.exp(total / (len(tokens) - 1))


def reference(loop: ReferenceLoop, valid: torch.Tensor, epochs: int) -> Iterator[Found | None]:
    steps = loop.steps()
    for epoch in range(1, epochs + 1):
        for _ in range(0, len(loop.inputs), loop.bptt):
            next(steps)
            yield None
        yield epoch, perplexity(loop.model, valid)


def ours(trainer: Trainer, epochs: float) -> Iterator[Found | None]:
    last = round(epochs * trainer.cursor.windows)
    while trainer.step < last:
        for _ in trainer.take_step():
            pass
        yield None
    *_, evaluated = trainer.evaluate("valid")
    assert isinstance(evaluated, Evaluated)
    assert evaluated.perplexity is not None
    yield epochs, evaluated.perplexity


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--epochs", type=int, default=2, help="of the plain loop")
    parser.add_argument("--ours", type=float, nargs="+", default=[1.65], help="epochs of ours")
    parser.add_argument("--set", action="append", default=[], dest="changes")
    options = parser.parse_args()
    as_an_engine("tests.benchmarks.quality")
    torch.set_flush_denormal(True)
    every_core = torch.get_num_threads()
    changes = dict(change.split("=", 1) for change in options.changes)
    settings = changes | {"corpus.source": str(options.corpus.absolute())}
    corpus = open_corpus(replace(preset("large-vocabulary"), settings).corpus)
    runs = []
    for epochs in options.ours:
        config = replace(preset("large-vocabulary"), settings | {"training.epochs": epochs})
        trainer = Trainer(config, corpus, torch.device("cpu"))
        runs.append(Racer("ours", pick_threads(trainer), ours(trainer, epochs)))
    loop = ReferenceLoop(corpus.splits["train"], len(corpus.tokenizer.vocabulary))
    valid = torch.from_numpy(corpus.splits["valid"].astype("int64"))
    plain = Racer("plain PyTorch", every_core, reference(loop, valid, options.epochs))
    print(this_machine())
    print(f"threads: ours {runs[0].threads}, plain PyTorch {plain.threads}; {options.changes}")
    racing = [*runs, plain]
    while racing:
        behind = min(racing, key=lambda racer: racer.clock)
        try:
            behind.go()
        except StopIteration:
            racing.remove(behind)
    for number, (seconds, aim) in enumerate(plain.validations, 1):
        reached = [spent for run in runs for spent, found in run.validations if found <= aim]
        share = f"{min(reached) / seconds:.3f} of the time" if reached else "not reached"
        print(f"{aim:.2f}, plain PyTorch's after epoch {number}: {share}")


if __name__ == "__main__":
    main()
