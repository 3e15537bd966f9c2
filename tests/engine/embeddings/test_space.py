"""Questions to word vectors mean what they mean to gensim's KeyedVectors, which is asked too."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gensim.models import KeyedVectors
from numpy.typing import NDArray

from engine.embeddings import transformations
from engine.embeddings.space import Meant, Space
from engine.embeddings.transformations import transformed
from engine.errors import UserError
from engine.training.trainer import Trainer

QUERIES = 240
"""Of each kind to each table."""
CLOSE = 1e-6
Table = NDArray[np.float32]


def _random(words: int, size: int) -> Callable[[Any], Table]:
    return lambda _: np.random.default_rng(words).normal(size=(words, size)).astype(np.float32)


def _degenerate(_: Any) -> Table:
    """Rows of zeros, the same rows twice, opposite ones, scaled ones, tiny and huge ones."""
    random = np.random.default_rng(7)
    vectors = random.normal(size=(120, 6)).astype(np.float32)
    vectors[[3, 40, 77]] = 0
    vectors[50:60] = vectors[10:20]
    vectors[60:65] = -vectors[20:25]
    vectors[70:75] = 3 * vectors[25:30]
    vectors[90] *= 1e-6
    vectors[91] *= 1e6
    return vectors


def _whole(_: Any) -> Table:
    """Many ties: corners of a cube."""
    return np.random.default_rng(3).integers(-1, 2, (200, 4)).astype(np.float32)


def _trained(make_trainer: Any) -> Table:
    trainer: Trainer = make_trainer()
    for _ in range(60):
        trainer.take_step()
    table: Table = trainer.model.embedding.weight.detach().numpy().copy()
    return table


TABLES = {
    "small": _random(12, 3),
    "wide": _random(150, 60),
    "more than a block": _random(3000, 100),
    "degenerate": _degenerate,
    "ties": _whole,
    "trained": _trained,
}


@pytest.fixture(params=list(TABLES))
def table(request: pytest.FixtureRequest, make_trainer: Any) -> Table:
    return TABLES[request.param](make_trainer)


class Both:
    """The same vectors, ours and gensim's, and words to ask about."""

    def __init__(self, table: Table) -> None:
        self.names = [f"w{index:04}" for index in range(len(table))]
        self.space = Space(self.names, table)
        self.gensim = KeyedVectors(table.shape[1])
        self.gensim.add_vectors(self.names, table)
        self.random = np.random.default_rng(len(table))
        self.sound = np.flatnonzero(np.linalg.norm(table, axis=1) > 0)

    def draw(self, least: int, most: int, *, different: bool = False) -> list[int]:
        count = int(self.random.integers(least, most + 1))
        drawn: list[int] = self.random.choice(self.sound, count, replace=not different).tolist()
        return drawn

    def meant(self, ids: list[int]) -> list[Meant]:
        return [self.space.meant(index) for index in ids]

    def named(self, ids: list[int]) -> list[str]:
        return [self.names[index] for index in ids]

    def check(
        self,
        found: list[tuple[int, float]],
        theirs: Any,
        scores: Any,
        asked: Any,
        strength: Any = None,
    ) -> None:
        """The same list: where two scores are as good as equal, either may stand first. `strength`
        says how many times a cosine's rounding grows in each score."""
        theirs = [(name, score) for name, score in theirs if np.isfinite(score)]
        assert len(found) == len(theirs)
        assert not {index for index, _ in found} & set(asked)
        assert len({index for index, _ in found}) == len(found)
        ours = [index for index, _ in found]
        others = np.array([score for _, score in theirs])
        grows = np.ones(len(ours))
        if strength is not None:
            their = [self.gensim.key_to_index[name] for name, _ in theirs]
            grows = np.maximum(strength[ours], strength[their]).clip(1)
        limit = CLOSE * np.abs(others).clip(1) * grows
        assert (np.abs([score for _, score in found] - others) <= limit).all()
        assert (np.abs(scores[ours] - others) <= limit).all()


def cancels(both: Both, positive: list[int], negative: list[int]) -> bool:
    units = both.gensim.get_normed_vectors()
    total = units[positive].sum(axis=0) - units[negative].sum(axis=0)
    return bool(np.linalg.norm(total) < 1e-3)


@pytest.mark.filterwarnings("ignore")
def test_neighbours_centroids_and_analogies_are_gensims(table: Table) -> None:
    both = Both(table)
    for number in range(QUERIES):
        positive = both.draw(1, 1 if number % 3 == 0 else 4)
        negative = both.draw(0, 2) if number % 2 else []
        if cancels(both, positive, negative):
            continue
        top = int(both.random.integers(1, len(table) + 5))
        found = both.space.most_similar(both.meant(positive), both.meant(negative), top)
        names = {"positive": both.named(positive), "negative": both.named(negative)}
        theirs = both.gensim.most_similar(**names, topn=top)
        scores = both.gensim.most_similar(**names, topn=None)
        both.check(found, theirs, scores, [*positive, *negative])


@pytest.mark.filterwarnings("ignore")
def test_multiplied_analogies_are_gensims(table: Table) -> None:
    both = Both(table)
    for _ in range(QUERIES):
        positive, negative = both.draw(1, 3), both.draw(0, 2)
        top = int(both.random.integers(1, len(table) + 5))
        found = both.space.most_similar_cosmul(both.meant(positive), both.meant(negative), top)
        names = {"positive": both.named(positive), "negative": both.named(negative)}
        theirs = both.gensim.most_similar_cosmul(**names, topn=top)
        scores = both.gensim.most_similar_cosmul(**names, topn=None)
        units = both.gensim.get_normed_vectors()
        below = np.prod((1 + units[negative] @ units.T) / 2, axis=0) + 1e-6
        both.check(found, theirs, scores, [*positive, *negative], 1 / below)


@pytest.mark.filterwarnings("ignore")
def test_the_odd_one_out_is_gensims(table: Table) -> None:
    both = Both(table)
    for _ in range(QUERIES):
        words = both.draw(3, 6)
        if cancels(both, words, []):
            continue
        ranked = both.space.by_centrality(both.meant(words))
        theirs = both.gensim.rank_by_centrality(both.named(words))
        assert [cosine for _, cosine in ranked] == pytest.approx(
            [float(cosine) for cosine, _ in theirs], abs=CLOSE
        )
        last, before = theirs[-1], theirs[-2]
        if before[0] - last[0] > 2 * CLOSE:
            odd = both.gensim.doesnt_match(both.named(words))
            assert both.names[words[ranked[-1][0]]] == odd


@pytest.mark.filterwarnings("ignore")
def test_ranks_and_what_is_closer_are_gensims(table: Table) -> None:
    both = Both(table)
    for _ in range(QUERIES):
        first, second = both.draw(2, 2, different=True)
        one, other = both.meant([first, second])
        assert both.space.cosine(one, other) == pytest.approx(
            float(both.gensim.similarity(both.names[first], both.names[second])), abs=CLOSE
        )
        for (here, there), rank in zip(
            ((first, second), (second, first)), both.space.ranks(one, other), strict=True
        ):
            distances = both.gensim.distances(both.names[here])
            with np.errstate(invalid="ignore"):
                surely = np.flatnonzero(distances < distances[there] - CLOSE)
                perhaps = np.flatnonzero(np.abs(distances - distances[there]) <= CLOSE)
            theirs = both.gensim.rank(both.names[here], both.names[there])
            assert abs(rank - theirs) <= len(set(perhaps.tolist()) - {here, there})
            if here == first:
                found, count = both.space.closer_than(one, other, len(table))
                ids = {index for index, _ in found}
                assert len(found) == count == rank - 1
                assert set(surely.tolist()) - {here} <= ids
                assert ids <= set(surely.tolist()) | set(perhaps.tolist())
                assert not ids & {first, second}
                scores = [score for _, score in found]
                assert scores == sorted(scores, reverse=True)


def test_what_has_no_direction_is_refused_and_never_answered() -> None:
    table = np.array([[0, 0], [1, 2], [np.nan, 1], [1e30, 1], [2, 1], [-1, -2]], np.float32)
    space = Space(["zero", "one", "nan", "huge", "two", "minus"], table)
    for index, why in (
        (0, "'zero' is all zeros"),
        (2, "'nan' is no longer"),
        (3, "'huge' is no longer"),
    ):
        with pytest.raises(UserError, match=why):
            space.meant(index)
    one, two, minus = space.meant(1), space.meant(4), space.meant(5)
    assert [index for index, _ in space.most_similar([one])] == [4, 5]
    assert [index for index, _ in space.most_similar_cosmul([one], [two])] == [5]
    for opposite in ([one, minus], [one, one, minus, minus]):
        with pytest.raises(UserError, match="cancel out"):
            space.most_similar(opposite)


def test_ties_stand_in_the_order_of_the_vocabulary() -> None:
    table = np.array([[1, 0], [2, 1], [2, 1], [4, 2], [1, 0], [2, 1]], np.float32)
    space = Space(list("abcdef"), table)
    assert [index for index, _ in space.most_similar([space.meant(0)], top=3)] == [4, 1, 2]


def test_a_composed_word_is_the_mean_of_its_pieces_and_none_of_them_is_its_neighbour() -> None:
    both = Both(np.random.default_rng(5).normal(size=(40, 9)).astype(np.float32))
    composed = both.space.meant(3, 8, 21)
    found = both.space.most_similar([composed], top=10)
    both.check(
        found,
        both.gensim.most_similar(positive=both.named([3, 8, 21]), topn=10),
        both.gensim.most_similar(positive=both.named([3, 8, 21]), topn=None),
        [3, 8, 21],
    )


def test_transformations_take_away_what_all_have_in_common() -> None:
    random = np.random.default_rng(2)
    table = (random.normal(size=(300, 20)) + 5 * random.normal(size=20)).astype(np.float32)
    among = random.random(300) < 0.7
    assert transformed(table, "raw", 0, among) is table
    centred = transformed(table, "mean-removed", 0, among)
    assert centred[among].mean(axis=0) == pytest.approx(np.zeros(20), abs=1e-5)
    assert centred == pytest.approx(table - table[among].mean(axis=0), abs=1e-5)
    for components in (1, 3, 19):
        left = transformed(table, "all-but-the-top", components, among)
        _, _, directions = np.linalg.svd(centred[among].astype(np.float64), full_matrices=False)
        top = directions[:components]
        assert left == pytest.approx(centred - centred @ top.T @ top, abs=1e-4)
    for components in (0, 20):
        with pytest.raises(UserError, match="can take 1 to 19 directions"):
            transformed(table, "all-but-the-top", components, among)
    table[4] = np.inf
    with pytest.raises(UserError, match="no longer finite"):
        transformed(table, "mean-removed", 0, np.ones(300, np.bool_))


def test_directions_of_a_large_vocabulary_are_those_of_a_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(4)
    table = (random.normal(size=(2_000, 12)) * [*[9, 5], *[1] * 10]).astype(np.float32)
    among = np.ones(2_000, np.bool_)
    whole = transformed(table, "all-but-the-top", 2, among)
    monkeypatch.setattr(transformations, "SAMPLE", 500)
    sampled = transformed(table, "all-but-the-top", 2, among)
    assert np.abs(whole - sampled).mean() < 0.3 < np.abs(whole - table).mean()


def test_a_rank_by_hand() -> None:
    """One more than there are vectors nearer, which those alike are not."""
    table = np.array([[1, 0], [0.9, 0.1], [0.5, 0.5], [1, 1], [0, -1], [9, 0]], np.float32)
    space = Space(list("abcdef"), table)
    first, *others = (space.meant(index) for index in range(6))
    assert [space.ranks(first, other)[0] for other in others] == [2, 3, 3, 5, 1]
    some = Space(list("abcdef"), table, np.array([True, False, True, True, True, True]))
    assert [some.ranks(first, others[index - 1])[0] for index in (2, 4, 5)] == [2, 4, 1]
    assert space.cosine(first, others[3]) == pytest.approx(0.0, abs=1e-6)
