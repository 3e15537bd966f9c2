"""How much memory and time a large file of word vectors takes to be asked, and to start from.

    python -m tests.benchmarks.vectors [--words 400000] [--size 300]

A file in GloVe's format is made first. Memory is what the process had at its peak beyond what it
had before, beside the bytes of the numbers that are held: of all words, or of a vocabulary's.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from engine.bench.machine import this_machine
from engine.embeddings.files import load_vectors, starting_vectors
from engine.text.vocabulary import UNKNOWN, Vocabulary

VOCABULARY = 33_278
"""Words that a model would start with: WikiText-2's."""
LINES = 1000
"""Different lines of numbers in the file."""


def make(path: Path, words: int, size: int) -> None:
    random = np.random.default_rng(1)
    rows = [" ".join(f"{number:.6g}" for number in random.normal(size=size)) for _ in range(LINES)]
    with path.open("w") as file:
        file.writelines(f"word{index} {rows[index % LINES]}\n" for index in range(words))


def peak() -> int:
    """Bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(what: str, path: Path, words: int, size: int) -> None:
    tokens = [UNKNOWN, *(f"word{index}" for index in range(0, words, words // VOCABULARY))]
    vocabulary = Vocabulary(tokens, [1] * len(tokens))
    before, began = peak(), time.perf_counter()
    if what == "asked":
        held = load_vectors(path)[1].nbytes
    else:
        held = starting_vectors(path, vocabulary, size).vectors.nbytes
    seconds, taken = time.perf_counter() - began, peak() - before
    print(
        f"{what}: {seconds:.1f} s, {taken / 2**20:,.0f} MiB at the peak for {held / 2**20:,.0f} "
        f"MiB of numbers: {taken / held:.2f} times",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--words", type=int, default=400_000)
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        what, file = options.measure
        measure(what, Path(file), options.words, options.size)
        return
    print(this_machine())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.txt"
        make(path, options.words, options.size)
        print(f"{options.words:,} x {options.size}, {path.stat().st_size / 2**20:,.0f} MiB of text")
        for what in ("asked", "started from"):
            arguments = ["--words", str(options.words), "--size", str(options.size)]
            command = [sys.executable, "-m", "tests.benchmarks.vectors", *arguments]
            subprocess.run([*command, "--measure", what, str(path)], check=True)


if __name__ == "__main__":
    main()
