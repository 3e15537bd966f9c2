"""How long a word's neighbours take, alone and between two training steps, and an engine's answer.

    python -m tests.benchmarks.neighbours [--queries 300] [--answers-alone]

Nothing is kept of an embedding, so a query costs the same whether or not its weights have changed;
a step in between empties the caches. An answer is that of an engine, of which one each second may
take 3% of training: its processor time tells that on a busy machine too.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import get_args

import torch

from engine import messages as p
from engine.bench.machine import this_machine
from engine.bench.synthetic import synthetic_corpus
from engine.bench.training import make_trainer, our_turns
from engine.embeddings.space import Space
from engine.embeddings.transformations import Transformation
from engine.training.device import pick_threads
from engine.training.trainer import Trainer
from tests.benchmarks.machine import as_an_engine
from tests.conducted import ask, trained

SIZES = ((33_278, 200, 10), (400_000, 300, 60))
"""Vocabulary, size of a vector, and the milliseconds that 99 of 100 queries should stay below."""
TRAINED = 10_000
TOP = 10
ANSWERS = 20
TRANSFORMATIONS: tuple[Transformation, ...] = get_args(Transformation)


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


def answers(trainer: Trainer, queries: int) -> None:
    """Processor time of an answer of each kind, each behind a step."""
    run, steps = trained(trainer), our_turns(trainer)
    for how in TRANSFORMATIONS:
        query = p.WordQuery(query="w7", view=p.View(transformation=how), top=60)
        times = []
        for _ in range(queries):
            next(steps)
            began = time.process_time()
            ask(query, run)
            times.append(1000 * (time.process_time() - began))
        cost = statistics.median(times)
        words = len(trainer.corpus.tokenizer.vocabulary)
        print(f"answer, {how}, {words:,} words: {cost:.1f} ms, {cost / 1000:.2%} of a second")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--answers-alone", action="store_true")
    options = parser.parse_args()
    as_an_engine("tests.benchmarks.neighbours")
    print(this_machine())
    trainer = make_trainer(synthetic_corpus(TRAINED), torch.device("cpu"))
    torch.set_num_threads(pick_threads(trainer))
    answers(trainer, min(ANSWERS, options.queries))
    if options.answers_alone:
        return
    steps = our_turns(trainer)
    for vocabulary, size, aim in SIZES:
        weight = torch.randn(vocabulary, size)
        alone = milliseconds(weight, options.queries, lambda: None)
        training = milliseconds(weight, options.queries, lambda: next(steps))
        print(f"{vocabulary:,} x {size}: {alone} (aim: {aim})")
        print(f"{vocabulary:,} x {size}, while training: {training} (aim: {aim})", flush=True)


if __name__ == "__main__":
    main()
