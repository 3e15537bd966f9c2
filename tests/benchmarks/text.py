"""Many texts side by side beside one stream, and the index that copies are found by.

    python -m tests.benchmarks.text [--seconds 5] [--corpus FOLDER]

One stream and a batch of 32 alternate, at 10,000 words; each writes from the whole distribution.
With a corpus (a folder with train.txt): how long its index takes to build, how large it is, and how
long 200 words are looked up, of its own text and of words drawn by their frequency.
"""

import argparse
import statistics
import time
from itertools import islice

import numpy as np
import torch

from engine.bench.machine import this_machine
from engine.config import CorpusConfig, Sampling, preset
from engine.generation.many import SIDE_BY_SIDE, generate_many
from engine.generation.sampling import generate
from engine.model.lstm import LSTMLanguageModel
from engine.text.corpus import open_corpus
from engine.text.suffixes import open_suffixes
from tests.benchmarks.machine import as_an_engine

VOCABULARY = 10_000
TOKENS = 40
WORDS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--corpus", help="a folder with train.txt")
    options = parser.parse_args()
    as_an_engine("tests.benchmarks.text")
    print(this_machine())
    measure_many(options.seconds)
    if options.corpus:
        measure_copies(options.corpus)


def measure_many(seconds: float) -> None:
    torch.manual_seed(1)
    model = LSTMLanguageModel(VOCABULARY, preset("ptb-small").model)
    # Untrained, all words are alike: as far apart as in a trained one is nearer to the truth.
    torch.nn.init.normal_(model.output.bias, std=2.0)
    ratios: list[float] = []
    for number in range(5):
        began, alone = time.perf_counter(), 0
        stream = generate(model, [0], random=torch.Generator().manual_seed(number), banned=1)
        while time.perf_counter() - began < seconds / 5:
            alone += len(list(islice(stream, TOKENS)))
        one = alone / (time.perf_counter() - began)
        began, together = time.perf_counter(), 0
        while time.perf_counter() - began < seconds / 5:
            seeds = [together + each for each in range(SIDE_BY_SIDE)]
            *_, done = generate_many(model, [0], TOKENS, Sampling(), seeds, banned=1)
            together += done or 0
        many = together / (time.perf_counter() - began)
        ratios.append(many / one)
        print(f"one stream {one:,.0f} tokens/s, {SIDE_BY_SIDE} side by side {many:,.0f}")
    print(
        f"{statistics.median(ratios):.2f} times, {min(ratios):.2f} to {max(ratios):.2f} (aim: 6), "
        f"{torch.get_num_threads()} threads"
    )


def measure_copies(folder: str) -> None:
    corpus = open_corpus(CorpusConfig(source=folder, tokenizer="whitespace", max_vocabulary=50_000))
    training = corpus.splits["train"]
    path = corpus.folder / "train.suffixes"
    path.unlink(missing_ok=True)
    began = time.perf_counter()
    index = open_suffixes(corpus, lambda _: None)
    built = time.perf_counter() - began
    size = (path.stat().st_size + training.nbytes) / len(training)
    print(
        f"{len(training):,} tokens: index built in {built:.2f} s, {size:.1f} bytes a token mapped"
    )
    random = np.random.default_rng(1)
    own = training[1000 : 1000 + WORDS].tolist()
    drawn = random.choice(training, WORDS).tolist()
    for name, text in (("its own text", own), ("words by frequency", drawn)):
        times: list[float] = []
        for _ in range(10):
            began = time.perf_counter()
            for at in range(len(text)):
                index.longest(text, at)
            times.append(time.perf_counter() - began)
        print(f"{WORDS} words of {name}: {1e3 * statistics.median(times):.1f} ms (aim: 100)")


if __name__ == "__main__":
    main()
