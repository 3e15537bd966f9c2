"""One-hot rows and vectors as cells: over vocabularies and widths, nothing looks like another."""

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from tui.vector_rows import (
    GLYPHS,
    LEVELS,
    NO_NUMBER,
    averaged,
    glyph,
    length_told,
    levels,
    one_hot,
    one_hot_width,
    scale_of,
    to_a_cell,
)

vocabularies = st.integers(1, 50_000)
widths = st.integers(10, 200)
floats = st.floats(width=32)
vectors = st.lists(floats, min_size=1, max_size=300)


def place_in(row: tuple[str, str, str]) -> int:
    """What a reader takes the place of the 1 to be, counted from 1."""
    before, mark, after = row
    if told := re.search(r"(?:place | at |  )([\d,]+)", after):
        return int(told[1].replace(",", ""))
    return int(mark) if mark != "1" else len(before) + 1


@given(vocabularies, widths, st.data())
def test_a_one_hot_row_fits_and_tells_the_true_place(
    vocabulary: int, width: int, data: st.DataObject
) -> None:
    token = data.draw(st.integers(0, vocabulary - 1))
    row = one_hot(token, vocabulary, width)
    assert len("".join(row)) <= one_hot_width(vocabulary, width) <= width
    assert place_in(row) == token + 1
    if vocabulary <= width:
        assert len("".join(row)) == vocabulary


@given(vocabularies, widths, st.data())
def test_no_two_tokens_look_alike(vocabulary: int, width: int, data: st.DataObject) -> None:
    some = st.integers(0, vocabulary - 1)
    one, other = data.draw(some), data.draw(some)
    rows = ["".join(one_hot(token, vocabulary, width)) for token in (one, other)]
    assert (rows[0] == rows[1]) == (one == other)


def test_all_rows_of_a_vocabulary_are_different() -> None:
    for vocabulary in (1, 2, 9, 10, 11, 12, 20, 116, 201, 9_999, 50_000):
        for width in (10, 14, 21, 37, 200):
            rows = {"".join(one_hot(token, vocabulary, width)) for token in range(vocabulary)}
            assert len(rows) == vocabulary


@given(vocabularies, widths)
def test_zeros_are_left_out_only_where_there_are_some(vocabulary: int, width: int) -> None:
    for token in {0, 1, 2, vocabulary // 2, vocabulary - 2, vocabulary - 1} & set(
        range(vocabulary)
    ):
        before, _, after = one_hot(token, vocabulary, width)
        picture = re.split(r"  | at ", after)[0]
        for side, zeros in ((before, token), (picture, vocabulary - token - 1)):
            assert ("…" in side) <= (zeros >= 3)
            assert side.count("0") <= zeros


def test_a_row_that_does_not_fit_reads_as_one() -> None:
    assert "".join(one_hot(21, 116, 40)) == "0 … 0 1 0 … 0  place 22 of 116"
    assert "".join(one_hot(0, 116, 40)) == "1 0 … 0        place 1 of 116"
    assert "".join(one_hot(115, 116, 40)) == "0 … 0 1        place 116 of 116"
    assert "".join(one_hot(2, 116, 20)) == "0010…0   3 of 116"
    assert "".join(one_hot(2, 116, 10)) == "1 at 3"
    assert "".join(one_hot(2, 6, 10)) == "001000"


@given(st.integers(1, 8192), st.integers(1, 200))
def test_all_of_a_vector_has_a_cell(size: int, cells: int) -> None:
    count = to_a_cell(size, cells)
    assert len(averaged([1.0] * size, count)) <= cells
    assert count == 1 or len(averaged([1.0] * size, count - 1)) > cells, "no coarser than need be"


@given(st.lists(vectors, min_size=1, max_size=4))
def test_levels_have_the_sign_and_the_order_of_the_numbers(rows: list[list[float]]) -> None:
    scale = scale_of(rows)
    for row in rows:
        graded = levels(row, scale)
        finite = [(value, level) for value, level in zip(row, graded, strict=True)
                  if math.isfinite(value)]  # fmt: skip
        assert [level for _, level in sorted(finite)] == sorted(level for _, level in finite)
        for value, level in zip(row, graded, strict=True):
            assert (level == NO_NUMBER) == (not math.isfinite(value))
            assert level == NO_NUMBER or level * value >= 0


@given(floats.filter(lambda value: value != 0 and math.isfinite(value)))
def test_the_farthest_from_zero_has_the_last_level(value: float) -> None:
    assert levels([value, -value], scale_of([[value]])) == (
        [LEVELS, -LEVELS] if value > 0 else [-LEVELS, LEVELS]
    )


def test_without_colour_every_level_has_its_own_character() -> None:
    shown = [glyph(level) for level in range(-LEVELS, NO_NUMBER + 1)]
    assert len(set(shown)) == len(shown) == len(GLYPHS) + 1


@given(st.integers(1, 8192), st.integers(1, 200), st.integers(8, 200))
def test_the_length_of_a_vector_is_told_in_any_width(size: int, count: int, width: int) -> None:
    told = length_told(size, size, count, width)
    assert len(told) <= width
    assert told.removeprefix("embedding row: ").replace(",", "").startswith(str(size))


def test_how_a_vector_is_drawn_is_said() -> None:
    assert length_told(200, 200, 4, 50) == "embedding row: 200 numbers, 4 to a cell"
    assert length_told(200, 200, 4, 30) == "200 numbers, 4 to a cell"
    assert length_told(32, 32, 1, 30) == "embedding row: 32 numbers"
    assert length_told(2048, 1024, 16, 50) == "1,024 of 2,048 numbers, 16 to a cell"
