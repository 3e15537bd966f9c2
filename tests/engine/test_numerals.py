"""Numbers as people write them: read, or refused where they can be read in two ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.numerals import real_number, whole_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("+7", 7),
        ("-7", -7),
        ("−7", -7),
        ("5.", 5),
        ("5.0", 5),
        ("1_000", 1000),
        ("1,000", 1000),
        ("12,345,678", 12_345_678),
        ("1e3", 1000),
        ("2.5e3", 2500),
        ("٣", 3),
    ],
)
def test_whole_numbers(text: str, number: int) -> None:
    assert whole_number(text) == number


NO_WHOLE_NUMBERS = """
1.000 1,00 1,0000 ,5 1_ _1 1__0 2.5 1e-3 1e400 0x10 - + seven nan inf 7% ²
"""
NO_REAL_NUMBERS = "0,5 10,000 . 1e e3 1.2.3 nan inf infinity ½ 5% 1f"


@pytest.mark.parametrize(
    "text", ["", "1 000", "9" * 5000, "1e" + "9" * 5000, *NO_WHOLE_NUMBERS.split()]
)
def test_what_is_no_whole_number(text: str) -> None:
    assert whole_number(text) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (".2", 0.2),
        ("5.", 5.0),
        ("+0.2", 0.2),
        ("−.5", -0.5),
        ("1e-3", 1e-3),
        ("1E+3", 1000.0),
        ("1_000.5", 1000.5),
        ("1.000", 1.0),
        ("3", 3.0),
        ("1e400", float("inf")),
    ],
)
def test_real_numbers(text: str, number: float) -> None:
    assert real_number(text) == number


@pytest.mark.parametrize("text", ["", "9" * 5000, *NO_REAL_NUMBERS.split()])
def test_what_is_no_real_number(text: str) -> None:
    assert real_number(text) is None


@given(st.integers(-(10**15), 10**15))
def test_a_whole_number_is_read_however_it_is_grouped(number: int) -> None:
    for text in (str(number), f"{number:,}", f"{number:_}", f"{number}."):
        assert whole_number(text) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_as_python_writes_it_is_read_exactly(number: float) -> None:
    assert real_number(repr(number)) == number


@given(st.text(max_size=30))
def test_any_text_is_read_or_not(text: str) -> None:
    assert whole_number(text) is None or isinstance(whole_number(text), int)
    assert real_number(text) is None or isinstance(real_number(text), float)
