"""Two loops measured side by side."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from engine.bench.results import Race
from engine.events import Progress

BLOCK = 0.4
"""Seconds of a block, at least."""
LEAST_PAIRS = 3


@dataclass(frozen=True)
class Runner:
    """A loop without end."""

    tokens: Iterator[int]
    """How many each of its turns worked through."""
    threads: int

    def speed(self) -> float:
        """Tokens a second of one block."""
        torch.set_num_threads(self.threads)
        began, tokens, spent = time.perf_counter(), 0, 0.0
        while spent < BLOCK:
            tokens += next(self.tokens)
            spent = time.perf_counter() - began
        return tokens / spent


def quickest(tokens: Iterator[int]) -> Runner:
    """The loop with one thread or with torch's own choice, whichever a trial shows to be faster."""
    runners = [Runner(tokens, threads) for threads in sorted({1, torch.get_num_threads()})]
    return max(runners, key=Runner.speed)


def race(
    what: str, vocabulary: int, device: str, ours: Runner, reference: Runner, seconds: float
) -> Iterator[Progress | Race]:
    """Blocks of both in turns for so many seconds, of which it tells, then the result."""
    began = time.perf_counter()
    ours.speed()  # to fill the caches
    pairs: list[tuple[float, float]] = []
    while (spent := time.perf_counter() - began) < seconds or len(pairs) < LEAST_PAIRS:
        yield Progress(
            task=f"{what}, {vocabulary:,} words",
            done=min(round(spent), round(seconds)),
            total=round(seconds),
            unit="s",
        )
        if len(pairs) % 2:
            own, other = ours.speed(), reference.speed()
        else:
            other, own = reference.speed(), ours.speed()
        pairs.append((own, other))
    ratios = [own / other for own, other in pairs]
    yield Race(
        what=what,
        vocabulary=vocabulary,
        device=device,
        threads=ours.threads,
        reference_threads=reference.threads,
        ours=statistics.median(own for own, _ in pairs),
        reference=statistics.median(other for _, other in pairs),
        ratio=statistics.median(ratios),
        least=min(ratios),
        greatest=max(ratios),
        pairs=len(pairs),
    )
