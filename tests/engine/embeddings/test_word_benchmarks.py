"""Similarities and analogies come out as gensim says."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gensim.models import KeyedVectors

from engine.embeddings.benchmarks import (
    Correlation,
    WordPair,
    correlate,
    known_words,
    read_analogies,
    read_pairs,
    solve_analogies,
)
from engine.embeddings.space import Space
from engine.errors import UserError

WORDS = [*(f"word{index}" for index in range(80)), "Word3", "WORD5", "zero"]


def both(seed: int) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(len(WORDS), 4)).astype(np.float32)
    vectors[-1] = 0
    theirs = KeyedVectors(4)
    theirs.add_vectors(WORDS, vectors)
    return vectors, theirs


def finder(vectors: Any) -> Any:
    space, known = Space(WORDS, vectors), known_words(WORDS)

    def find(word: str) -> Any:
        index = known.get(word.upper())
        if index is None:
            return None
        return space.meant(index).unit if vectors[index].any() else np.zeros(4, np.float32)

    return find


def correlation(pairs: Iterable[WordPair | None], find: Any) -> Correlation:
    *_, found = correlate(pairs, find)
    assert isinstance(found, Correlation)
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(5))
def test_correlations_are_gensims(tmp_path: Path, seed: int) -> None:
    vectors, theirs = both(seed)
    random = np.random.default_rng(seed)
    path = tmp_path / "pairs.tsv"
    lines = ["# a comment"]
    for _ in range(200):
        one, other = random.choice([*WORDS[:3], *WORDS[6:], "unknown", "WORD4"], 2, replace=False)
        lines.append(f"{one}\t{other}\t{random.integers(0, 11) / 2}")
    path.write_text("\n".join([*lines, "a line\tof two"]) + "\n")
    ours = correlation(read_pairs(path), finder(vectors))
    assert (ours.used + ours.unknown, ours.bad) == (200, 1)
    pearson, spearman, unknown = theirs.evaluate_word_pairs(str(path))
    assert ours.pearson == pytest.approx(pearson[0], abs=1e-6)
    assert ours.spearman == pytest.approx(spearman[0], abs=1e-6)
    assert 100 * ours.unknown / (ours.used + ours.unknown) == pytest.approx(unknown)


@pytest.mark.parametrize("separator", ["\t", ",", " ", " ,  ", "   "])
@pytest.mark.parametrize("header", ["", "word1{0}word2{0}score\n"])
def test_pairs_may_be_parted_in_any_way_and_have_a_header(
    tmp_path: Path, separator: str, header: str
) -> None:
    path = tmp_path / "pairs.txt"
    lines = [f"cat{separator}dog{separator}3.5", "", f"cat{separator}car{separator}1"]
    path.write_bytes((header.format(separator) + "\r\n".join(lines) + "\r\n").encode())
    assert list(read_pairs(path)) == [WordPair("cat", "dog", 3.5), WordPair("cat", "car", 1.0)]


def test_pairs_are_compared_while_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text("word1 word2 3.5\n" * 1000 + "word1 word3 1\nno pair\n")
    read = 0

    def counted() -> Iterator[WordPair | None]:
        nonlocal read
        for pair in read_pairs(path):
            read += 1
            yield pair

    told = correlate(counted(), finder(both(1)[0]))
    assert next(told) == read < 1000
    *_, found = told
    assert isinstance(found, Correlation)
    assert (found.used, found.unknown, found.bad) == (1001, 0, 1)


def test_a_byte_order_mark_is_no_part_of_a_word(tmp_path: Path) -> None:
    path = tmp_path / "marked.txt"
    path.write_text("cat\tdog\t3.5\n", encoding="utf-8-sig")
    assert list(read_pairs(path)) == [WordPair("cat", "dog", 3.5)]
    path.write_text(": animals\na b c d\n", encoding="utf-8-sig")
    assert [name for name, _ in read_analogies(path)[0]] == ["animals"]


def test_a_score_that_is_no_number_is_no_pair(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text("cat dog 3.5\ncat car nan\ncat bus inf\n")
    assert list(read_pairs(path)) == [WordPair("cat", "dog", 3.5), None, None]


def test_what_can_not_be_compared_is_no_number(tmp_path: Path) -> None:
    vectors, _ = both(1)
    find = finder(vectors)
    for score in (3.0, 0.1):
        alike = [WordPair(f"word{index}", "word9", score) for index in range(3)]
        found = correlation(alike, find)
        assert (found.spearman, found.pearson) == (None, None)
    with pytest.raises(UserError, match="Of 2 pairs the model knows both words of 1"):
        correlation([alike[0], WordPair("word1", "unknown", 1.0)], find)
    (tmp_path / "none").write_text("no pair here\n")
    with pytest.raises(UserError, match="holds no pair"):
        list(read_pairs(tmp_path / "none"))
    with pytest.raises(UserError, match="Can't read"):
        list(read_pairs(tmp_path / "nowhere"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(5))
def test_analogies_are_gensims(tmp_path: Path, seed: int) -> None:
    """Some of them right, since what is expected is drawn from the best answers."""
    vectors, theirs = both(seed)
    random = np.random.default_rng(seed)
    path = tmp_path / "questions.txt"
    lines = []
    for number in range(300):
        if number % 100 == 0:
            lines.append(f": section {number}")
        a, b, c, drawn = random.choice([*WORDS[:-1], "unknown"], 4)
        expected = drawn
        if number % 2 and "unknown" not in (a, b, c):
            expected = theirs.most_similar([b, c], [a])[random.integers(0, 2)][0]
        lines.append(f"{a} {b} {c} {expected}")
    path.write_text("\n".join([*lines, "three words only"]) + "\n")
    sections, bad = read_analogies(path)
    assert bad == 1
    *told, found = solve_analogies(sections, WORDS, vectors)
    assert told[-1] == sum(each.asked for each in found)
    _, expected_sections = theirs.evaluate_word_analogies(str(path))
    assert [(each.name, each.correct, each.asked) for each in found] == [
        (each["section"], len(each["correct"]), len(each["correct"]) + len(each["incorrect"]))
        for each in expected_sections[:-1]
    ]
    assert sum(each.correct for each in found) > 20


def test_a_file_of_no_analogies_says_so(tmp_path: Path) -> None:
    path = tmp_path / "questions.txt"
    path.write_text("a b c d\n")
    with pytest.raises(UserError, match=r"Line 1 .* stands before any section"):
        read_analogies(path)
    path.write_text(": a\nb c\n")
    with pytest.raises(UserError, match="holds no analogy"):
        read_analogies(path)
