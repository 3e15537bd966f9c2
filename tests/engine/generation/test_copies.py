"""What of a text stands verbatim in another, against a search by brute force."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import messages as p
from engine.errors import UserError
from engine.events import Progress
from engine.generation.copies import copied_share, distinct, maximal, repetition
from engine.generation.decoder import at_once
from engine.text import suffixes
from engine.text.corpus import Corpus
from engine.text.suffixes import SuffixArray, open_suffixes, suffix_array
from tests.conducted import ask, model_of, parts, trained

tokens = st.integers(0, 3) | st.sampled_from([0, 255, 256, 65535, 70000])
texts = st.lists(tokens, min_size=1, max_size=60)
TYPES = st.sampled_from(["uint16", "uint32"])


def indexed(text: list[int], dtype: str) -> SuffixArray:
    encoded = np.array(text).astype(dtype)
    return SuffixArray(encoded, suffix_array(encoded))


def stands_in(stretch: list[int], text: list[int]) -> list[int]:
    """Where, by looking everywhere."""
    size = len(stretch)
    return [at for at in range(len(text) - size + 1) if text[at : at + size] == stretch]


@given(text=texts, dtype=TYPES)
def test_suffixes_are_in_their_order(text: list[int], dtype: str) -> None:
    index = indexed(text, dtype)
    plain = index.tokens.tolist()
    assert index.order.tolist() == sorted(range(len(plain)), key=lambda at: plain[at:])


@given(text=texts, asked=st.lists(tokens | st.just(-1), max_size=30), dtype=TYPES)
def test_the_longest_stretch_is_that_of_brute_force(
    text: list[int], asked: list[int], dtype: str
) -> None:
    index = indexed(text, dtype)
    plain = index.tokens.tolist()
    lengths = at_once(index.longest_of_all(np.array(asked, np.int64)))
    assert len(lengths) == len(asked)
    for begin in range(len(asked)):
        found = [
            length
            for length in range(1, len(asked) - begin + 1)
            if stands_in(asked[begin : begin + length], plain)
        ]
        length, place = index.longest(np.array(asked), begin)
        assert length == lengths[begin] == max(found, default=0)
        assert asked[begin : begin + length] == plain[place : place + length]
        if length:
            first, last = index.span(np.array(asked[begin : begin + length]))
            places = sorted(index.order[first:last].tolist())
            assert places == stands_in(asked[begin : begin + length], plain)


def test_stretches_of_more_than_a_comparison_are_found_whole() -> None:
    text = np.random.default_rng(1).integers(0, 3, 2000)
    index = indexed(text.tolist(), "uint16")
    assert index.longest(text, 100)[0] == 1900
    assert index.longest(np.array([*text[100:700], 9]), 0) == (600, 100)


def test_a_copied_text_takes_a_few_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passages of another, however long they are, and some that are not."""
    text = np.random.default_rng(1).integers(0, 1000, 20_000)
    index = indexed(text.tolist(), "uint16")
    asked = np.concatenate([text[5_000:14_000], [1001], text[:3_000], [1002, 1003], text[9_000:]])
    expected = [index.longest(asked, begin)[0] for begin in range(0, len(asked), 97)]
    searches, longest = [], SuffixArray.longest

    def counted(index: SuffixArray, text: np.ndarray, begin: int) -> tuple[int, int]:
        searches.append(begin)
        return longest(index, text, begin)

    monkeypatch.setattr(SuffixArray, "longest", counted)
    assert at_once(index.longest_of_all(asked))[::97] == expected
    assert len(searches) < 150


def test_the_share_copied_takes_as_long_as_the_text() -> None:
    """Not as its stretches together: of a text that repeats itself each token is in many."""
    size = 100_000
    assert copied_share([(begin, size) for begin in range(size)], 2 * size) == (2 * size - 1) / (
        2 * size
    )


@given(longest=st.lists(st.integers(0, 8), max_size=20), least=st.integers(2, 4))
def test_stretches_that_are_told_are_in_no_longer_one(longest: list[int], least: int) -> None:
    """From one token on to the next, what is copied ends no earlier."""
    lengths: list[int] = []
    for at, length in enumerate(longest):
        before = lengths[-1] - 1 if lengths else 0
        lengths.append(min(len(longest) - at, max(length, before)))
    everything = [(at, n) for at, n in enumerate(lengths) if n >= least]
    within = [
        (at, n)
        for at, n in everything
        if not any(a <= at and at + n <= a + m for a, m in everything if (a, m) != (at, n))
    ]
    assert list(maximal(lengths, least)) == within
    covered = {at for begin, n in everything for at in range(begin, begin + n)}
    assert copied_share(within, len(lengths)) == len(covered) / max(1, len(lengths))


def test_repetition_by_hand() -> None:
    text = [1, 2, 3, 1, 2, 3, 1]
    assert distinct(text, 1) == 3 / 7
    assert distinct(text, 2) == 3 / 6
    assert repetition(text, 4) == 1 / 4
    assert distinct(text, 8) is repetition([1], 2) is None


# --- the question -------------------------------------------------------------------------------


def test_what_stands_in_the_training_text_is_found_there(
    make_trainer: Callable[..., Any],
) -> None:
    run = trained(make_trainer())
    text = "The dog xyzzy line 3 of the cat sat 3 times\nplugh owl"
    found = ask(p.FindCopies(text=text), run)
    assert "".join(found.texts) == text
    (copy,) = found.copies
    assert (copy.begin, copy.length) == (3, 9)
    assert copy.text == "line 3 of the cat sat 3 times"
    training = run.corpus.splits["train"]  # type: ignore[union-attr]
    ids = run.corpus.tokenizer.encode(text)[3:12].tolist()  # type: ignore[union-attr]
    assert training[copy.place : copy.place + 9].tolist() == ids
    assert copy.places == len(stands_in(ids, training.tolist()))
    assert found.copied == pytest.approx(9 / found.tokens)
    assert found.longest[:4] == [2, 1, 0, 9]
    with pytest.raises(UserError, match="at least two tokens"):
        ask(p.FindCopies(text=text, least=1), run)


def test_without_the_training_text_nothing_can_be_looked_for(
    make_trainer: Callable[..., Any],
) -> None:
    trainer = make_trainer()
    with pytest.raises(UserError, match="put the text back"):
        ask(p.FindCopies(text="the"), model_of(trainer.corpus.tokenizer, trainer.model))


def test_the_index_is_built_once_and_takes_four_bytes_a_token(
    small_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_corpus.folder / "train.suffixes"
    path.unlink(missing_ok=True)
    told: list[Progress] = []
    built = open_suffixes(small_corpus, told.append)
    assert [each.task for each in told] == ["indexing"]
    assert path.stat().st_size == 4 * len(small_corpus.splits["train"])
    assert isinstance(built.order, np.memmap)
    monkeypatch.setattr(suffixes, "suffix_array", lambda _: 1 / 0)
    assert (open_suffixes(small_corpus, told.append).order == built.order).all()
    assert len(told) == 1


@pytest.mark.parametrize("damage", [b"", b"\xff" * 40, None])
def test_a_damaged_index_is_built_anew(small_corpus: Corpus, damage: bytes | None) -> None:
    path: Path = small_corpus.folder / "train.suffixes"
    expected = open_suffixes(small_corpus, lambda _: None).order.tolist()
    data = path.read_bytes()
    path.write_bytes(b"\xff" * len(data) if damage is None else damage)
    assert open_suffixes(small_corpus, lambda _: None).order.tolist() == expected


def test_training_goes_on_while_the_index_is_built(make_trainer: Callable[..., Any]) -> None:
    run = trained(make_trainer())
    (run.corpus.folder / "train.suffixes").unlink(missing_ok=True)  # type: ignore[union-attr]
    answers = list(parts(p.FindCopies(text="line 3 of the cat"), run))
    assert None in answers[:-1]
    assert isinstance(answers[-1], p.Copies)
