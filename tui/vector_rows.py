"""Rows of numbers in a row of cells: a one-hot row that keeps its places, and a vector's numbers as
levels. Pure functions; `tui.panes.corpus` colours what they give."""

import math
from collections.abc import Callable, Iterable, Sequence

LEVELS = 3
"""Grades on each side of zero."""
GLYPHS = "≡═─·░▒▓"
"""From far below zero to far above it: strokes as of a minus, a dot near zero, shades."""
NO_NUMBER = LEVELS + 1
"""The level of what is not finite."""
NOT_FINITE = "×"

Ends = tuple[str, str, str]
"""What stands before the mark, the mark itself, and what stands behind it."""
Form = Callable[[int, int], Ends]
"""A one-hot row of a token and a vocabulary."""


def first_fitting(texts: Sequence[str], width: int) -> str:
    """The first of these texts that takes no more than `width` columns, else the last of them."""
    return next((text for text in texts if len(text) <= width), texts[-1])


# --- one-hot rows --------------------------------------------------------------------------------


def one_hot(token: int, vocabulary: int, width: int) -> Ends:
    """The one-hot row of a token of a vocabulary in at most `width` cells, from ten on.

    Whole where every place of it has a cell, else with the places that are all 0 left out, and with
    the token's place among all, counted from 1. No two tokens of a vocabulary look alike, and all
    rows of one vocabulary in one width have one form.
    """
    return _form(vocabulary, width)(token, vocabulary)


def one_hot_width(vocabulary: int, width: int) -> int:
    """How many of `width` cells the one-hot rows of a vocabulary take."""
    return _longest(_form(vocabulary, width), vocabulary)


def _form(vocabulary: int, width: int) -> Form:
    """The fullest in which all rows fit, else the shortest."""
    if vocabulary <= width:
        return _whole
    return next((form for form in _SHORTER if _longest(form, vocabulary) <= width), _number)


def _longest(form: Form, vocabulary: int) -> int:
    """The width of the rows in a form: that of the last one, whose place has the most digits."""
    return sum(map(len, form(vocabulary - 1, vocabulary)))


def _whole(token: int, vocabulary: int) -> Ends:
    return "0" * token, "1", "0" * (vocabulary - token - 1)


def _spaced(token: int, vocabulary: int) -> Ends:
    before, after = _zeros(token), _zeros(vocabulary - token - 1)
    before, after = f"{before} ".lstrip(), f" {after}".rstrip()
    gap = " " * (len("0 … 0  0 … 0") - len(before + after))
    return before, "1", f"{after}{gap}  place {token + 1:,} of {vocabulary:,}"


def _tight(token: int, vocabulary: int) -> Ends:
    before, after = (_zeros(count).replace(" ", "") for count in (token, vocabulary - token - 1))
    gap = " " * (len("0…00…0") - len(before + after))
    return before, "1", f"{after}{gap}  {token + 1:,} of {vocabulary:,}"


def _place(token: int, _vocabulary: int) -> Ends:
    return "", "1", f" at {token + 1}"


def _number(token: int, _vocabulary: int) -> Ends:
    return "", f"{token + 1}", ""


_SHORTER: tuple[Form, ...] = (_spaced, _tight, _place)


def _zeros(count: int) -> str:
    """So many zeros, from three on those in the middle left out."""
    return " ".join("0" * count) if count < 3 else "0 … 0"


# --- vectors -------------------------------------------------------------------------------------


def to_a_cell(size: int, cells: int) -> int:
    """How many neighbouring numbers of a vector of this size share a cell, so that all have one."""
    return max(1, -(-size // max(1, cells)))


def averaged(vector: Sequence[float], count: int) -> list[float]:
    """The mean of every `count` neighbouring numbers; the last one of what is left."""
    parts = (vector[start : start + count] for start in range(0, len(vector), count))
    return [sum(part) / len(part) for part in parts]


def scale_of(rows: Iterable[Sequence[float]]) -> float:
    """The largest size among the finite numbers of rows that are to be compared; 0 without any."""
    return max((abs(value) for row in rows for value in row if math.isfinite(value)), default=0.0)


def levels(row: Sequence[float], scale: float) -> list[int]:
    """For each number how far it is from zero, on a scale whose end is LEVELS: -LEVELS to LEVELS,
    or NO_NUMBER."""
    return [_level(value, scale) for value in row]


def _level(value: float, scale: float) -> int:
    if not math.isfinite(value):
        return NO_NUMBER
    # In grades of one width, of which that around zero lies on both sides.
    share = value / scale if scale else 0.0
    return max(-LEVELS, min(LEVELS, round(share * (LEVELS + 0.5))))


def glyph(level: int) -> str:
    """The character of a level: without colour the sign is to be seen too."""
    return NOT_FINITE if level == NO_NUMBER else GLYPHS[level + LEVELS]


def length_told(size: int, sent: int, count: int, width: int) -> str:
    """How long a vector is, and how much of it a cell stands for; of one of which only the first
    `sent` numbers are there, that too. As well as it can be said in this width."""
    told = f"{size:,} numbers" if sent == size else f"{sent:,} of {size:,} numbers"
    texts = [told, f"{size}"]
    if count > 1:
        texts = [f"{told}, {count} to a cell", f"{size}, {count} a cell", f"{size}"]
    return first_fitting([f"embedding row: {texts[0]}", *texts], width)
