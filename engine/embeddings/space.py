"""Word vectors that can be asked: neighbours, analogies, the odd one out, ranks, by the cosine.

Meaning, exclusions, ties and scores are those of gensim's KeyedVectors (`most_similar`,
`most_similar_cosmul`, `doesnt_match`, `rank`, `closer_than`), but where a vector has no direction:
asked about, it is refused, and it is never an answer.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from engine.visible import shortened, token

BLOCK = 1 << 17
"""Numbers of a table that are read at once: what a core's own cache holds."""
SMALLEST_NORM = 1e-12
"""A vector shorter than this has no direction."""
_CANCELLED = 1e-6
"""Of unit vectors: a sum shorter than this is what rounding left."""
_EPSILON = 1e-6
"""Keeps 3CosMul's denominator from zero, as in gensim."""

Vectors = NDArray[np.float32]
Found = list[tuple[int, float]]
"""Ids with their scores, the best first; of equal scores the lower id, which is more frequent."""


class Meant(NamedTuple):
    """One word of a question."""

    ids: tuple[int, ...]
    """The token it is, or the pieces it is composed of."""
    unit: Vectors
    """Its direction, (size,)."""


class Space:
    """A table of word vectors (vocabulary, size), read as it stands now; nothing is kept of it."""

    def __init__(
        self, tokens: Sequence[str], vectors: Vectors, answerable: NDArray[np.bool_] | None = None
    ) -> None:
        """`answerable` says which tokens may be answered (vocabulary,); None for all."""
        self.tokens = tokens
        self.vectors = vectors
        self.answerable = np.ones(len(vectors), np.bool_) if answerable is None else answerable

    def meant(self, *ids: int) -> Meant:
        """A word: a token, or composed of several as the mean of their unit vectors. Raises
        UserError where it has no direction."""
        units = [self._unit(index) for index in ids]
        if len(units) == 1:
            return Meant(ids, units[0])
        return Meant(ids, self._direction(np.mean(units, axis=0, dtype=np.float32)))

    def _unit(self, index: int) -> Vectors:
        vector = self.vectors[index]
        with np.errstate(all="ignore"):
            norm = np.sqrt(np.dot(vector, vector))
        name = f"'{shortened(token(self.tokens[index]))}'"
        if not np.isfinite(norm):
            raise UserError(f"The vector of {name} is no longer finite: nothing is near it.")
        if norm < SMALLEST_NORM:
            raise UserError(f"The vector of {name} is all zeros: it points nowhere.")
        unit: Vectors = vector / norm
        return unit

    def _direction(self, vector: Vectors) -> Vectors:
        norm = np.sqrt(np.dot(vector, vector))
        if norm < _CANCELLED:
            raise UserError("The vectors cancel out: nothing is left to be near to.")
        unit: Vectors = vector / norm
        return unit

    def centroid(self, positive: Sequence[Meant], negative: Sequence[Meant] = ()) -> Vectors:
        """The direction of the mean of unit vectors, those to be taken away with a minus. Raises
        UserError where nothing is left of it."""
        total = np.zeros(self.vectors.shape[1], np.float32)
        for meant in positive:
            total += meant.unit
        for meant in negative:
            total -= meant.unit
        return self._direction(total / np.float32(len(positive) + len(negative)))

    def cosines(self, *units: Vectors) -> Vectors:
        """Of every token with each unit vector: (units, vocabulary), NaN where a token's vector has
        no direction. On a CPU the time is that of reading the table once."""
        vectors = self.vectors
        scores = np.empty((len(units), len(vectors)), np.float32)
        squares = np.empty(len(vectors), np.float32)
        rows = max(1, BLOCK // max(1, vectors.shape[1]))
        with np.errstate(all="ignore"):
            for begin in range(0, len(vectors), rows):
                block = slice(begin, begin + rows)
                np.vecdot(vectors[block], vectors[block], out=squares[block])
                for unit, found in zip(units, scores, strict=True):
                    np.vecdot(vectors[block], unit, out=found[block])
            norms = np.sqrt(squares)
            norms[~((norms >= SMALLEST_NORM) & (norms < np.inf))] = np.nan
            scores /= norms
        return scores

    def most_similar(
        self, positive: Sequence[Meant], negative: Sequence[Meant] = (), top: int = 10
    ) -> Found:
        """The tokens nearest to the mean of some words, others taken away (3CosAdd: Mikolov et al.
        2013), with their cosines; never the words themselves."""
        (scores,) = self.cosines(self.centroid(positive, negative))
        return self._best(scores, (*positive, *negative), top)

    def most_similar_cosmul(
        self, positive: Sequence[Meant], negative: Sequence[Meant] = (), top: int = 10
    ) -> Found:
        """The same by 3CosMul (Levy & Goldberg 2014): cosines, shifted to [0, 1], are multiplied
        and divided instead of added up."""
        shifted = (1 + self.cosines(*(each.unit for each in (*positive, *negative)))) / 2
        above = np.prod(shifted[: len(positive)], axis=0)
        below = np.prod(shifted[len(positive) :], axis=0)
        return self._best(above / (below + np.float32(_EPSILON)), (*positive, *negative), top)

    def by_centrality(self, words: Sequence[Meant]) -> list[tuple[int, float]]:
        """The words by their cosine with the mean of all, the most central first: their places in
        `words`. The last doesn't belong. Equal ones stand the later in the alphabet the earlier."""
        mean = self.centroid(words)
        found = [(place, float(np.dot(each.unit, mean))) for place, each in enumerate(words)]
        return sorted(found, key=lambda each: (each[1], self._name(words[each[0]])), reverse=True)

    def _name(self, meant: Meant) -> str:
        return "".join(self.tokens[index] for index in meant.ids)

    def cosine(self, one: Meant, other: Meant) -> float:
        """Of two words."""
        return float(np.dot(one.unit, other.unit))

    def ranks(self, one: Meant, other: Meant) -> tuple[int, int]:
        """The place of each in the other's list: of `other` among the neighbours of `one`, and the
        reverse. 1 for the nearest; those as near don't count."""
        ahead, back = self.cosines(one.unit, other.unit)
        return self._rank(ahead, one, other), self._rank(back, other, one)

    def _rank(self, scores: Vectors, one: Meant, other: Meant) -> int:
        return 1 + int(self._nearer(scores, one, other).sum())

    def closer_than(self, one: Meant, other: Meant, top: int = 10) -> tuple[Found, int]:
        """The tokens nearer to `one` than `other` is, the nearest first, and how many there are."""
        (scores,) = self.cosines(one.unit)
        nearer = self._nearer(scores, one, other)
        return _best(scores, nearer, top), int(nearer.sum())

    def _nearer(self, scores: Vectors, one: Meant, other: Meant) -> NDArray[np.bool_]:
        """A token as far as `other`, and `other` itself, isn't nearer."""
        at = scores[other.ids[0]] if len(other.ids) == 1 else np.dot(one.unit, other.unit)
        with np.errstate(invalid="ignore"):
            nearer: NDArray[np.bool_] = self.answerable & (scores > at)
        nearer[[*one.ids, *other.ids]] = False
        return nearer

    def _best(self, scores: Vectors, asked: Sequence[Meant], top: int) -> Found:
        may = self.answerable & np.isfinite(scores)
        may[[index for each in asked for index in each.ids]] = False
        return _best(scores, may, top)


def _best(scores: Vectors, among: NDArray[np.bool_], top: int) -> Found:
    ids = np.flatnonzero(among)
    values = scores[ids]
    if top < len(ids):
        least = np.partition(values, len(values) - top)[len(values) - top]
        ids = ids[values >= least]
        values = scores[ids]
    order = np.lexsort((ids, -values))[:top]
    return list(zip(ids[order].tolist(), values[order].tolist(), strict=True))
