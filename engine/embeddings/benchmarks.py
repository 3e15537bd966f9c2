"""How good word vectors are: similarities that people gave, and analogies.

The sums are those of gensim's `evaluate_word_pairs` and `evaluate_word_analogies`, case folded and
among the first 300,000 words as there.
"""

import errno
import io
import math
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.embeddings.space import SMALLEST_NORM, Vectors
from engine.errors import UserError
from engine.files import open_plain
from engine.visible import shortened, visible

MAX_FILE = 1 << 26
"""Bytes of a file of pairs or questions."""
AMONG = 300_000
"""Words, the most frequent, that count as known."""
TOGETHER = 64
"""Pairs that are compared, and analogies that are solved, at once."""
_TRIED = 5
"""Answers to an analogy of which the first that is no word of the question counts."""


class WordPair(NamedTuple):
    """Two words, and how alike people find them."""

    one: str
    other: str
    score: float


class Correlation(NamedTuple):
    """How a model's cosines agree with people's scores."""

    spearman: float | None
    """Of ranks; None where all are alike."""
    pearson: float | None
    used: int
    """Pairs of which both words are known."""
    unknown: int
    """Pairs left out because one is not."""
    bad: int
    """Lines that are no pair."""


class Analogy(NamedTuple):
    """A question of the form: as `a` is to `b`, so is `c` to what? In upper case."""

    a: str
    b: str
    c: str
    expected: str


class Section(NamedTuple):
    """Analogies of a kind, and how many of those whose words are known were solved."""

    name: str
    correct: int
    asked: int
    unknown: int
    """Questions left out because a word of theirs is not known."""


def read_pairs(path: Path) -> Iterator[WordPair | None]:
    """The pairs of a file as they are read, and None for a line that is none: word, word, score,
    with tabs, commas or blanks between them. A header and lines that begin with # are passed over.
    Raises UserError, at the end too where there is no pair.
    """
    pairs = 0
    for number, line in enumerate(_lines(path)):
        if not line.strip() or line.startswith("#"):
            continue
        separator = next((each for each in "\t,;" if each in line), None)
        fields = [field.strip() for field in line.split(separator)]
        try:
            one, other, text = fields
            score = float(text)
        except ValueError:
            if number > 0:
                yield None
            continue
        found = WordPair(one, other, score) if math.isfinite(score) else None
        pairs += found is not None
        yield found
    if not pairs:
        raise UserError(f"{_named(path)} holds no pair: a line is two words and a score.")


def read_analogies(path: Path) -> tuple[list[tuple[str, list[Analogy]]], int]:
    """The sections of a file in the format of word2vec's questions-words.txt, and how many of its
    lines are no question. Raises UserError."""
    sections: list[tuple[str, list[Analogy]]] = []
    bad = 0
    for number, line in enumerate(_lines(path), 1):
        if line.startswith(": "):
            sections.append((line.lstrip(": ").strip(), []))
        elif not sections:
            raise UserError(
                f"Line {number:,} of {_named(path)} stands before any section: a line `: name` "
                "begins one."
            )
        elif len(words := line.split()) == 4:
            sections[-1][1].append(Analogy(*(word.upper() for word in words)))
        else:
            bad += bool(words)
    if not any(questions for _, questions in sections):
        raise UserError(f"{_named(path)} holds no analogy: a line is four words.")
    return sections, bad


def _lines(path: Path) -> Iterator[str]:
    try:
        with open_plain(path.resolve()) as file:
            if os.fstat(file.fileno()).st_size > MAX_FILE:
                raise OSError(errno.EFBIG, f"it is larger than {MAX_FILE:,} bytes")
            for line in io.TextIOWrapper(file, "utf-8-sig", newline="\n"):
                yield line.removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise UserError(f"Can't read {_named(path)}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{_named(path)} isn't text in UTF-8.") from None


def _named(path: Path) -> str:
    return shortened(visible(str(path)), 200)


def known_words(tokens: Sequence[str]) -> dict[str, int]:
    """Ids by words in upper case; of several the most frequent."""
    known: dict[str, int] = {}
    for index, token in enumerate(tokens[:AMONG]):
        known.setdefault(token.upper(), index)
    return known


# --- similarity -----------------------------------------------------------------------------------


def correlate(
    pairs: Iterable[WordPair | None], find: Callable[[str], Vectors | None]
) -> Iterator[int | Correlation]:
    """How the cosines of words agree with the pairs' scores; None is a line that is no pair. `find`
    gives a word's unit vector (of zeros where it has no direction), or None where it isn't known.
    Yields now and then how many lines are read, and in the end what came out. Raises UserError
    where fewer than two pairs are known."""
    scores, cosines = array("d"), array("d")
    lines = bad = 0
    for lines, pair in enumerate(pairs, 1):
        if pair is None:
            bad += 1
        elif (one := find(pair.one)) is not None and (other := find(pair.other)) is not None:
            scores.append(pair.score)
            cosines.append(float(np.dot(one, other)))
        if lines % TOGETHER == 0:
            yield lines
    if len(scores) < 2:
        raise UserError(
            f"Of {lines - bad:,} pairs the model knows both words of {len(scores)}: too few to "
            "compare."
        )
    given, found = np.array(scores), np.array(cosines)
    yield Correlation(
        spearman=_pearson(_ranks(given), _ranks(found)),
        pearson=_pearson(given, found),
        used=len(scores),
        unknown=lines - bad - len(scores),
        bad=bad,
    )


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places from 1; of equal values their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse]
    return means


def _pearson(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    if np.ptp(one) == 0 or np.ptp(other) == 0:  # what rounding leaves of a mean is no difference
        return None
    with np.errstate(all="ignore"):
        one, other = one - one.mean(), other - other.mean()
        found = np.dot(one, other) / np.sqrt(np.dot(one, one) * np.dot(other, other))
    return float(found) if np.isfinite(found) else None


# --- analogies ------------------------------------------------------------------------------------


def solve_analogies(
    sections: Sequence[tuple[str, list[Analogy]]], tokens: Sequence[str], vectors: Vectors
) -> Iterator[int | list[Section]]:
    """Solve analogies by 3CosAdd: right is the first answer that is no word of the question.
    Yields how many are solved so far, and in the end the sections with what came out."""
    known = known_words(tokens)
    upper = [token.upper() for token in tokens[:AMONG]]
    vectors = vectors[:AMONG]
    with np.errstate(all="ignore"):
        norms = np.linalg.norm(vectors, axis=1)
    norms[~((norms >= SMALLEST_NORM) & (norms < np.inf))] = np.nan
    done, found = 0, []
    for name, questions in sections:
        asked = [each for each in questions if all(word in known for word in each)]
        correct = 0
        for begin in range(0, len(asked), TOGETHER):
            some = asked[begin : begin + TOGETHER]
            ids = np.array([[known[word] for word in each] for each in some])
            for question, best in zip(some, _best(ids, vectors, norms), strict=True):
                correct += _answer(question, [upper[index] for index in best]) == question.expected
            done += len(some)
            yield done
        found.append(Section(name, correct, len(asked), len(questions) - len(asked)))
    yield found


def _best(ids: NDArray[np.int64], vectors: Vectors, norms: Vectors) -> Iterator[list[int]]:
    """The nearest words to each question (questions, 4), none of which is one of its first three;
    none at all where one of these has no direction."""
    with np.errstate(all="ignore"):
        units = vectors[ids[:, :3]] / norms[ids[:, :3], np.newaxis]
        means = units[:, 1] + units[:, 2] - units[:, 0]
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        scores = (means @ vectors.T) / norms
    np.nan_to_num(scores, copy=False, nan=-np.inf)
    np.put_along_axis(scores, ids[:, :3], -np.inf, axis=1)
    tried = min(_TRIED, scores.shape[1])
    top = np.argpartition(-scores, tried - 1, axis=1)[:, :tried]
    for row, candidates in zip(scores, top, strict=True):
        ordered = candidates[np.argsort(-row[candidates], kind="stable")]
        yield [index for index in ordered.tolist() if row[index] > -np.inf]


def _answer(question: Analogy, best: list[str]) -> str:
    """The first that is no word of the question; the last where all are."""
    words = {question.a, question.b, question.c}
    return next((word for word in best if word not in words), best[-1] if best else "")
