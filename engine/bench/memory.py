"""Peak memory of the training step: `python -m engine.bench.memory ours|reference VOCABULARY`.

A peak never falls, so each loop is measured in a fresh process, and that must be started from a
small one: on Linux a process begins with the peak of the one it was started from.
"""

import resource
import subprocess
import sys

from engine.bench.results import Memory

STEPS = 3


def measure(vocabulary: int) -> Memory:
    """The most memory that our training and the plain loop take, each in a process of its own."""
    return Memory(
        vocabulary, *(_in_a_process(which, vocabulary) for which in ("ours", "reference"))
    )


def _in_a_process(which: str, vocabulary: int) -> int:
    command = [sys.executable, "-P", "-m", "engine.bench.memory", which, str(vocabulary)]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def raised_by(which: str, vocabulary: int) -> int:
    """Bytes by which the first steps of a loop raise the peak of this process."""
    import torch

    from engine.bench import training
    from engine.bench.synthetic import synthetic_corpus

    corpus, device = synthetic_corpus(vocabulary), torch.device("cpu")
    if which == "ours":
        turns = training.our_turns(training.make_trainer(corpus, device))
    else:
        turns = training.reference_turns(training.make_reference(corpus, device))
    before = _peak()
    for _ in range(STEPS):
        next(turns)
    return _peak() - before


def _peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    print(raised_by(sys.argv[1], int(sys.argv[2])))  # noqa: T201
