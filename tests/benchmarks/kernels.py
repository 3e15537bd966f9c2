"""What torch's private kernels save beside the public calls that do the same, in turns.

    python -m tests.benchmarks.kernels [--rounds 100] [--threads 1]

The weights are those of ptb-small, 2 x 200 units and 10,000 words; an evaluated window has 35 x 20
tokens. The first update of a process is timed in processes of their own.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch.nn import functional

from engine.config import OptimiserConfig, preset
from engine.model.lstm import LSTMLanguageModel
from engine.model.output import linear
from engine.training.optimisers import build_optimiser
from tests.benchmarks.machine import tell_machine

FIRST = """
import time
import torch
from engine.config import OptimiserConfig
from engine.training.optimisers import SGD
weight = torch.nn.Parameter(torch.ones(9))
weight.grad = torch.ones(9)
began = time.perf_counter()
{update}
print(time.perf_counter() - began)
"""


def pairs() -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """By what they do: with the private kernel, and with public calls."""
    config = preset("ptb-small").model
    models = [LSTMLanguageModel(10_000, config) for _ in range(2)]
    for model in models:
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
    weights = list(models[1].parameters())
    sgd = build_optimiser(OptimiserConfig(name="sgd"), models[0])
    adamw = build_optimiser(OptimiserConfig(name="adamw", learning_rate=1e-3), models[0])
    public_sgd = torch.optim.SGD(weights, lr=1e-3, foreach=True)
    public_adamw = torch.optim.AdamW(weights, lr=1e-3, foreach=True)
    features = torch.randn(700, config.embedding_size)
    output = torch.randn(10_000, config.embedding_size)

    return {
        "output layer, no gradient": (
            lambda: linear(features, output),
            lambda: functional.linear(features, output),
        ),
        "sgd, an update": (lambda: sgd.step(1e-3), public_sgd.step),
        "adamw, an update": (lambda: adamw.step(1e-3), public_adamw.step),
    }


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def first_update(update: str) -> float:
    """Seconds that it takes in a fresh process."""
    told = subprocess.run(
        [sys.executable, "-c", FIRST.format(update=update)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(told.stdout)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tell_machine()
    for name, (private, public) in pairs().items():
        private(), public()
        times = [(seconds(private), seconds(public)) for _ in range(arguments.rounds)]
        ours, theirs = (1000 * statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(one / other for one, other in times)
        print(f"{name:28} {ours:8.3f} ms  public {theirs:8.3f} ms  ratio {ratio:.2f}")
    ours = first_update("SGD({'w': weight}, 0.0, 0.0).step(1.0)")
    theirs = first_update("torch.optim.SGD([weight], lr=1.0).step()")
    print(f"{'first update of a process':28} {1000 * ours:8.1f} ms  public {1000 * theirs:8.1f} ms")


if __name__ == "__main__":
    main()
