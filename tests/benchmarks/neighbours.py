"""How long a word's neighbours take, alone and between two training steps.

    python -m tests.benchmarks.neighbours [--queries 300]

Nothing is kept of an embedding, so a query costs the same whether or not its weights have changed;
a step in between empties the caches.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from engine.bench.machine import this_machine
from engine.bench.synthetic import synthetic_corpus
from engine.bench.training import make_trainer, our_turns
from engine.embeddings.space import Space
from engine.training.device import pick_threads
from tests.benchmarks.machine import as_an_engine

SIZES = ((33_278, 200, 10), (400_000, 300, 60))
"""Vocabulary, size of a vector, and the milliseconds that 99 of 100 queries should stay below."""
TRAINED = 10_000
TOP = 10


def milliseconds(weight: torch.Tensor, queries: int, before_each: Callable[[], object]) -> str:
    times = []
    space = Space([""] * len(weight), weight.numpy())
    for token in range(queries):
        before_each()
        began = time.perf_counter()
        space.most_similar([space.meant(token)], top=TOP)
        times.append(1000 * (time.perf_counter() - began))
    percentile = statistics.quantiles(times, n=100)[98]
    return f"median {statistics.median(times):.1f}, 99th percentile {percentile:.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--queries", type=int, default=300)
    options = parser.parse_args()
    as_an_engine("tests.benchmarks.neighbours")
    print(this_machine())
    trainer = make_trainer(synthetic_corpus(TRAINED), torch.device("cpu"))
    torch.set_num_threads(pick_threads(trainer))
    steps = our_turns(trainer)
    for vocabulary, size, aim in SIZES:
        weight = torch.randn(vocabulary, size)
        alone = milliseconds(weight, options.queries, lambda: None)
        training = milliseconds(weight, options.queries, lambda: next(steps))
        print(f"{vocabulary:,} x {size}: {alone} (aim: {aim})")
        print(f"{vocabulary:,} x {size}, while training: {training} (aim: {aim})", flush=True)


if __name__ == "__main__":
    main()
