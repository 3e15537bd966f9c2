"""Text that needs no corpus: words as often as Zipf's law has it, the same every time."""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.config import CorpusConfig
from engine.text.corpus import Corpus, open_corpus

LINE = 20
"""Words of a line."""
SPECIALS = 2
"""<unk> and <eos>, which are in the vocabulary too."""


def zipf(words: int, count: int, seed: int = 1) -> NDArray[np.int64]:
    """Word numbers (count,), drawn with probability proportional to 1 / (number + 1)."""
    reached = np.cumsum(1 / np.arange(1, words + 1))
    drawn = np.random.default_rng(seed).random(count) * reached[-1]
    numbers: NDArray[np.int64] = reached.searchsorted(drawn, side="right")
    return numbers


def write_text(path: Path, vocabulary: int, count: int) -> None:
    """About `count` words, of which the whitespace tokenizer makes `vocabulary` tokens."""
    words = vocabulary - SPECIALS
    numbers = np.concatenate([zipf(words, count), np.arange(words)])
    np.random.default_rng(2).shuffle(numbers)
    with path.open("w", encoding="utf-8") as file:
        for begin in range(0, len(numbers), LINE):
            file.write(" ".join(f"w{number}" for number in numbers[begin : begin + LINE]) + "\n")


def synthetic_corpus(vocabulary: int, count: int = 100_000) -> Corpus:
    """All of it to train on. Leaves nothing behind in the user's cache."""
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as folder:
        path = Path(folder, "zipf.txt")
        write_text(path, vocabulary, count)
        config = CorpusConfig(
            source=str(path),
            tokenizer="whitespace",
            max_vocabulary=vocabulary,
            valid_fraction=0,
            test_fraction=0,
        )
        corpus = open_corpus(config, cache=Path(folder))
        assert len(corpus.tokenizer.vocabulary) == vocabulary
        return corpus
