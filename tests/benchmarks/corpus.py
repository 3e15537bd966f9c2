"""What opening a corpus costs, beside a plain loop over its words.

    python -m tests.benchmarks.corpus TEXT [--tokenizer whitespace] [--rounds 9]
    python -m tests.benchmarks.corpus TEXT --memory [--repeat 93]

The plain loop splits each line, counts each word in a dictionary, gives it an id, and makes an
array of the ids; an opening reads, checks, fingerprints, tokenises, counts, encodes and writes.
The two alternate, each opening into an empty cache; the ratio of their times is given in the median
of the pairs. `--memory` opens the text, or so many copies of it in a row, in a process like an
engine's, trains `large-vocabulary` on it and touches all its ids as an epoch would; it gives the
most memory that was resident, pages of mapped files too, beside that of `import torch`.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np

from engine.config import CorpusConfig, TokenizerName, preset
from engine.service.process import ENVIRONMENT
from engine.text.corpus import Corpus, open_corpus

VOCABULARY = 50_000
STEPS = 50
IMPORT_TORCH = """
import resource, sys, torch
unit = 1 if sys.platform == "darwin" else 1024
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""


def plain(path: Path) -> np.ndarray:
    """The ids of all words, numbered as they come."""
    counts: dict[str, int] = {}
    ids: dict[str, int] = {}
    encoded: list[int] = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            for word in [*line.split(), "<eos>"]:
                counts[word] = counts.get(word, 0) + 1
                if word not in ids:
                    ids[word] = len(ids)
                encoded.append(ids[word])
    return np.array(encoded)


def seconds(action: Callable[[], object]) -> tuple[float, float]:
    """Of wall clock and of processor."""
    wall, processor = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - processor


def compare(config: CorpusConfig, rounds: int) -> None:
    pairs, again = [], []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as cache:

            def opened(folder: Path = Path(cache)) -> object:
                return open_corpus(config, cache=folder)

            def looped() -> object:
                return plain(Path(config.source))

            first, second = (opened, looped) if number % 2 else (looped, opened)
            times = {first: seconds(first), second: seconds(second)}
            pairs.append((times[looped], times[opened]))
            again.append(seconds(opened)[0])
    for index, clock in enumerate(("wall clock", "processor time")):
        loops, opens = ([pair[side][index] for pair in pairs] for side in (0, 1))
        ratios = [loop / open_ for loop, open_ in zip(loops, opens, strict=True)]
        print(
            f"{clock}: loop {1000 * statistics.median(loops):.0f} ms, opening "
            f"{1000 * statistics.median(opens):.0f} ms: {statistics.median(ratios):.2f} times as "
            f"fast in the median, {min(ratios):.2f} to {max(ratios):.2f}"
        )
    print(f"opened again: {1000 * statistics.median(again):.1f} ms")


def peak() -> int:
    """The most memory that was resident in this process, with the pages of mapped files, bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure(config: CorpusConfig) -> None:
    """Open the corpus, train on it, and print the most memory resident after each."""
    # First, because on Linux a process begins with the peak of the one it was started from.
    bare = int(subprocess.check_output([sys.executable, "-c", IMPORT_TORCH]))
    print(f"import torch: {bare / 1e6:.0f} MB")
    with tempfile.TemporaryDirectory() as cache:
        first = seconds(lambda: open_corpus(config, cache=Path(cache)))[0]
        again = seconds(lambda: open_corpus(config, cache=Path(cache)))[0]
        print(f"opened in {first:.1f} s, again in {again:.2f} s, at most {peak() / 1e6:.0f} MB")
        corpus = open_corpus(config, cache=Path(cache))
        train(corpus)
        print(f"trained {STEPS} steps and all ids touched: at most {peak() / 1e6:.0f} MB")


def train(corpus: Corpus) -> None:
    import torch

    from engine.training.trainer import Trainer

    trainer = Trainer(preset("large-vocabulary"), corpus, torch.device("cpu"))
    for _ in range(STEPS):
        list(trainer.take_step())
    for ids in corpus.splits.values():
        ids.max()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--tokenizer", choices=get_args(TokenizerName), default="whitespace")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    config = CorpusConfig(
        source=str(options.text), tokenizer=options.tokenizer, max_vocabulary=VOCABULARY
    )
    if options.measure:
        return measure(config)
    print(f"{platform.machine()}, {os.cpu_count()} cores, {options.tokenizer}")
    if not options.memory:
        return compare(config, options.rounds)
    with tempfile.NamedTemporaryFile(suffix=".txt") as copies:
        text = options.text.read_bytes()
        for _ in range(options.repeat):
            copies.write(text)
        copies.flush()
        print(f"{copies.tell() / 1e6:.0f} MB of text")
        command = [sys.executable, "-m", "tests.benchmarks.corpus", copies.name, "--measure"]
        environment = ENVIRONMENT | os.environ
        subprocess.run([*command, "--tokenizer", options.tokenizer], env=environment, check=True)
    return None


if __name__ == "__main__":
    main()
