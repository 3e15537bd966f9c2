"""Numbers as people write them: `.2`, `5.`, `+0.2`, `1e-3`, `1_000`.

A comma is a thousands separator to some and a decimal point to others: it is taken only in a whole
number, between groups of three digits, as this program writes such numbers itself.
"""

import re

_LONGEST = 400
"""Characters of a number that is read; Python itself refuses whole numbers of 4,301 digits."""
_DIGITS = r"\d+(?:_\d+)*"
_WHOLE = re.compile(rf"[+-]?(?:{_DIGITS}|\d{{1,3}}(?:,\d{{3}})+)(?:\.0?)?")
_POWER = re.compile(rf"[+-]?{_DIGITS}(?:\.\d*)?[eE]\+?\d{{1,3}}")
_REAL = re.compile(rf"[+-]?(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?\d+)?")


def whole_number(text: str) -> int | None:
    """The whole number that is written; None where none is, or one that can be read in two ways,
    such as 1.000."""
    text = _plain(text)
    if _WHOLE.fullmatch(text):
        return int(text.partition(".")[0].replace(",", ""))
    if _POWER.fullmatch(text) and float(text).is_integer():
        return int(float(text))
    return None


def real_number(text: str) -> float | None:
    """The number that is written, infinite where it is too large; None where none is."""
    text = _plain(text)
    return float(text) if _REAL.fullmatch(text) else None


def _plain(text: str) -> str:
    """Without space around it, and with the minus sign of typography as a hyphen."""
    text = text.strip().replace("\N{MINUS SIGN}", "-")
    return text if len(text) <= _LONGEST else ""
