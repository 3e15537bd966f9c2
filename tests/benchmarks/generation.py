"""Generation beside the plain PyTorch loop, also where top-k or top-p limit ours.

    python -m tests.benchmarks.generation [--seconds 10]

Blocks alternate. The plain loop always draws from the whole distribution, and has one thread or
torch's own choice, whichever is faster.
"""

import argparse

from engine.bench.looking import measure_generation
from engine.bench.machine import this_machine
from engine.bench.results import Race
from tests.benchmarks.machine import as_an_engine

VOCABULARIES = (10_000, 33_278)
LIMITS: dict[str, dict[str, float]] = {
    "whole distribution": {},
    "top-k 50": {"top_k": 50},
    "top-p 0.9": {"top_p": 0.9},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement")
    options = parser.parse_args()
    as_an_engine("tests.benchmarks.generation")
    print(this_machine())
    for vocabulary in VOCABULARIES:
        for name, limit in LIMITS.items():
            *_, result = measure_generation(vocabulary, options.seconds, **limit)  # type: ignore[arg-type]
            assert isinstance(result, Race)
            print(
                f"{vocabulary:,} words, {name}: {result.ours:,.0f} tokens/s, plain "
                f"{result.reference:,.0f} ({result.reference_threads} threads): "
                f"{result.ratio:.2f} times, {result.least:.2f} to {result.greatest:.2f} "
                f"(aim: 3)",
                flush=True,
            )


if __name__ == "__main__":
    main()
