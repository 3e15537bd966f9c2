"""How long OpenMP's threads should spin before they sleep: training while the machine is idle,
beside an endless loop, and beside a second engine.

    python -m tests.benchmarks.busy [--seconds 10] [--rounds 2] [--spins default 1000 5000 20000]

Each round measures every setting of GOMP_SPINCOUNT in turn, in a process of its own with two
threads: `ptb-small`'s model on text of 10,000 words. `ours` is what engines are started with.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager

from engine.service.process import ENVIRONMENT
from tests.benchmarks.machine import tell_machine

_LOOP = [sys.executable, "-c", "while True: pass"]
_STEP = ("quiet", "beside a loop", "two at once")


def main() -> None:
    """Print the median step of each setting in each condition."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--spins", nargs="+", default=["ours", "default", "1000", "5000", "20000"])
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(train(options.seconds))
        return
    tell_machine("torch")
    print("median milliseconds a step:", *_STEP, sep="  ")
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for spin in options.spins:
            for condition, measure in CONDITIONS.items():
                found.setdefault((spin, condition), []).append(measure(spin, options.seconds))
    for spin in options.spins:
        medians = [statistics.median(found[spin, condition]) for condition in CONDITIONS]
        print(f"{spin:>8}", *(f"{median:8.1f}" for median in medians), sep="  ")


def train(seconds: float) -> float:
    """Milliseconds of the median step, over so many seconds of training."""
    import torch

    from engine.bench.synthetic import synthetic_corpus
    from engine.config import preset, replace
    from engine.events import Stepped
    from engine.training.trainer import Trainer

    torch.set_flush_denormal(True)
    torch.set_num_threads(2)
    config = replace(preset("ptb-small"), {"training.epochs": 1000})
    trainer = Trainer(config, synthetic_corpus(10_000), torch.device("cpu"))
    times: list[float] = []
    last = time.perf_counter()
    ends = last + seconds
    for event in trainer.train():
        if isinstance(event, Stepped):
            now = time.perf_counter()
            times.append(1000 * (now - last))
            last = now
            if now > ends:
                break
    return statistics.median(times[min(5, len(times) - 1) :])


def start(spin: str, seconds: float) -> "subprocess.Popen[bytes]":
    own = {name: value for name, value in os.environ.items() if not name.startswith("GOMP_")}
    environment = ENVIRONMENT | own
    if spin != "ours":
        environment.pop("GOMP_SPINCOUNT", None)
        environment |= {} if spin == "default" else {"GOMP_SPINCOUNT": spin}
    command = [sys.executable, "-m", "tests.benchmarks.busy", "--child", "--seconds", f"{seconds}"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)


def result(process: "subprocess.Popen[bytes]") -> float:
    output, _ = process.communicate()
    return float(output)


def quiet(spin: str, seconds: float) -> float:
    return result(start(spin, seconds))


def beside_a_loop(spin: str, seconds: float) -> float:
    with endless():
        return result(start(spin, seconds))


def two_at_once(spin: str, seconds: float) -> float:
    return max(map(result, [start(spin, seconds), start(spin, seconds)]))


@contextmanager
def endless():
    """A process that never rests."""
    process = subprocess.Popen(_LOOP)
    try:
        yield
    finally:
        process.kill()
        process.wait()


CONDITIONS: dict[str, Callable[[str, float], float]] = {
    "quiet": quiet,
    "beside a loop": beside_a_loop,
    "two at once": two_at_once,
}


if __name__ == "__main__":
    main()
