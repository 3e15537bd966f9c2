"""The same questions to word vectors here and to gensim's KeyedVectors: each check raises
AssertionError where the answers differ by more than rounding."""

from typing import Any

import numpy as np
import pytest
from gensim.models import KeyedVectors
from numpy.typing import NDArray

from engine.embeddings.space import Meant, Space

CLOSE = 1e-6
"""Of scores."""
Table = NDArray[np.float32]
Ids = list[int]


def degenerate(table: Table, random: np.random.Generator) -> Table:
    """With rows of zeros, the same rows twice, opposite ones, scaled ones, tiny and huge ones."""
    table = table.copy()
    parts = np.array_split(random.permutation(len(table)), 8)
    zero, twice, opposite, scaled, tiny, huge, *_ = (part[: len(table) // 12] for part in parts)
    table[zero] = 0
    table[twice] = table[parts[6][: len(twice)]]
    table[opposite] = -table[parts[7][: len(opposite)]]
    table[scaled] = 3 * table[parts[6][: len(scaled)]]
    table[tiny] *= 1e-6
    table[huge] *= 1e6
    return table


class Both:
    """The same vectors (words, size), ours and gensim's, and words to ask about."""

    def __init__(self, table: Table, seed: int) -> None:
        self.words = len(table)
        self.names = [f"w{index:04}" for index in range(len(table))]
        self.space = Space(self.names, table)
        self.gensim = KeyedVectors(table.shape[1])
        self.gensim.add_vectors(self.names, table)
        self.random = np.random.default_rng(seed)
        self._sound = np.flatnonzero(np.linalg.norm(table, axis=1) > 0)

    def draw(self, least: int, most: int, *, different: bool = False) -> Ids:
        """Words that have a direction."""
        count = int(self.random.integers(least, most + 1))
        drawn: Ids = self.random.choice(self._sound, count, replace=not different).tolist()
        return drawn

    def draw_top(self) -> int:
        """How many answers; more than there are, too."""
        return int(self.random.integers(1, self.words + 5))

    def meant(self, ids: Ids) -> list[Meant]:
        return [self.space.meant(index) for index in ids]

    def named(self, ids: Ids) -> list[str]:
        return [self.names[index] for index in ids]

    def cancels(self, positive: Ids, negative: Ids) -> bool:
        """Whether so little is left of their sum that rounding decides."""
        units = self.gensim.get_normed_vectors()
        total = units[positive].sum(axis=0) - units[negative].sum(axis=0)
        return bool(np.linalg.norm(total) < 1e-3)

    # --- the questions ------------------------------------------------------------------------

    def most_similar(self, positive: Ids, negative: Ids) -> None:
        """Neighbours, a centroid or an analogy by 3CosAdd."""
        if self.cancels(positive, negative):
            return
        top = self.draw_top()
        found = self.space.most_similar(self.meant(positive), self.meant(negative), top)
        asked = {"positive": self.named(positive), "negative": self.named(negative)}
        theirs = self.gensim.most_similar(**asked, topn=top)
        scores = self.gensim.most_similar(**asked, topn=None)
        self._check(found, theirs, scores, {*positive, *negative}, np.ones(self.words))

    def most_similar_cosmul(self, positive: Ids, negative: Ids) -> None:
        """An analogy by 3CosMul."""
        top = self.draw_top()
        found = self.space.most_similar_cosmul(self.meant(positive), self.meant(negative), top)
        asked = {"positive": self.named(positive), "negative": self.named(negative)}
        theirs = self.gensim.most_similar_cosmul(**asked, topn=top)
        scores = self.gensim.most_similar_cosmul(**asked, topn=None)
        units = self.gensim.get_normed_vectors()
        below = np.prod((1 + units[negative] @ units.T) / 2, axis=0) + 1e-6
        self._check(found, theirs, scores, {*positive, *negative}, 1 / below)

    def _check(
        self, found: list[tuple[int, float]], theirs: Any, scores: Any, asked: set[int], grows: Any
    ) -> None:
        """The same list: where two scores are as good as equal, either may stand first. `grows`
        says how many times a cosine's rounding grows in each score."""
        ids, given = [index for index, _ in found], np.array([score for _, score in found])
        theirs = [(name, score) for name, score in theirs if np.isfinite(score)]
        others, wanted = [int(name[1:]) for name, _ in theirs], np.array([s for _, s in theirs])
        assert len(ids) == len(set(ids)) == len(others)
        assert not set(ids) & asked
        limits = CLOSE * np.maximum(1, np.abs(wanted))
        limits *= np.maximum(1, np.maximum(grows[ids], grows[others]))
        assert (np.abs(given - wanted) <= limits).all()
        assert (np.abs(scores[ids] - wanted) <= limits).all()

    def doesnt_match(self, words: Ids) -> None:
        """The odd one out, and how central each is."""
        if self.cancels(words, []):
            return
        ranked = self.space.by_centrality(self.meant(words))
        theirs = self.gensim.rank_by_centrality(self.named(words))
        assert [cosine for _, cosine in ranked] == pytest.approx(
            [float(cosine) for cosine, _ in theirs], abs=CLOSE
        )
        last, before = theirs[-1], theirs[-2]
        if before[0] - last[0] > 2 * CLOSE:
            odd = self.gensim.doesnt_match(self.named(words))
            assert self.names[words[ranked[-1][0]]] == odd

    def pair(self, first: int, second: int) -> None:
        """How near two words are, each one's rank near the other, and what is nearer."""
        one, other = self.meant([first, second])
        assert self.space.cosine(one, other) == pytest.approx(
            float(self.gensim.similarity(self.names[first], self.names[second])), abs=CLOSE
        )
        for (here, there), rank in zip(
            ((first, second), (second, first)), self.space.ranks(one, other), strict=True
        ):
            distances = self.gensim.distances(self.names[here])
            with np.errstate(invalid="ignore"):
                surely = np.flatnonzero(distances < distances[there] - CLOSE)
                perhaps = np.flatnonzero(np.abs(distances - distances[there]) <= CLOSE)
            theirs = self.gensim.rank(self.names[here], self.names[there])
            assert abs(rank - theirs) <= len(set(perhaps.tolist()) - {here, there})
            if here == first:
                found, count = self.space.closer_than(one, other, self.words)
                ids = {index for index, _ in found}
                assert len(found) == count == rank - 1
                assert set(surely.tolist()) - {here} <= ids
                assert ids <= set(surely.tolist()) | set(perhaps.tolist())
                assert not ids & {first, second}
                scores = [score for _, score in found]
                assert scores == sorted(scores, reverse=True)
