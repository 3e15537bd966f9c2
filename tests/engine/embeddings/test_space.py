"""Questions to word vectors mean what they mean to gensim's KeyedVectors, which is asked too."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.embeddings import transformations
from engine.embeddings.space import Space
from engine.embeddings.transformations import transformed
from engine.errors import UserError
from engine.training.trainer import Trainer
from tests.beside_gensim import Both, Table, degenerate

QUERIES = 30
"""Of each kind to each table; thousands by `python -m tests.faults.fuzz words`."""


def _random(words: int, size: int) -> Callable[[Any], Table]:
    return lambda _: np.random.default_rng(words).normal(size=(words, size)).astype(np.float32)


def _degenerate(_: Any) -> Table:
    random = np.random.default_rng(7)
    return degenerate(random.normal(size=(120, 6)).astype(np.float32), random)


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
    "more than a block": _random(3000, 100),
    "degenerate": _degenerate,
    "ties": _whole,
    "trained": _trained,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(TABLES))
def test_all_questions_mean_what_they_mean_to_gensim(name: str, make_trainer: Any) -> None:
    table = TABLES[name](make_trainer)
    both = Both(table, len(table))
    for number in range(QUERIES):
        positive = both.draw(1, 1 if number % 3 == 0 else 4)
        both.most_similar(positive, both.draw(0, 2) if number % 2 else [])
        both.most_similar_cosmul(both.draw(1, 3), both.draw(0, 2))
        both.doesnt_match(both.draw(3, 6))
        both.pair(*both.draw(2, 2, different=True))


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
    both = Both(np.random.default_rng(5).normal(size=(40, 9)).astype(np.float32), 5)
    found = both.space.most_similar([both.space.meant(3, 8, 21)], top=50)
    theirs = both.gensim.most_similar(positive=both.named([3, 8, 21]), topn=50)
    assert both.named([index for index, _ in found]) == [name for name, _ in theirs]
    assert [score for _, score in found] == pytest.approx([score for _, score in theirs], abs=1e-6)


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
