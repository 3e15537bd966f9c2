"""How numbers are written for people."""

import pytest

from tui.numbers import rounded, short, size


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [
        (0, 4, "0"),
        (0.25, 4, "0.25"),
        (1500, 4, "1.5k"),
        (999_949, 3, "1M"),
        (999_960, 4, "1M"),
        (999.96, 4, "1k"),
        (-20e6, 4, "-20M"),
        (3e-5, 4, "3e-5"),
        (2e13, 4, "2e13"),
    ],
)
def test_a_number_takes_few_characters(value: float, digits: int, written: str) -> None:
    assert short(value, digits) == written


def test_a_count_is_exact_as_long_as_it_is_small() -> None:
    assert [rounded(count) for count in (99_999, 465_123, 999_999, 1_115_394)] == [
        "99,999",
        "465k",
        "1M",
        "1.12M",
    ]


def test_bytes_are_told_in_three_digits() -> None:
    told = [size(count) for count in (0, 999, 1000, 12_345, 999_999, 2_500_000_000)]
    assert told == ["0 bytes", "999 bytes", "1 kB", "12.3 kB", "1 MB", "2.5 GB"]
