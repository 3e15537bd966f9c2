"""Where words and punctuation marks are written close together, in the scripts of the world.

A tokenizer of words forgets the white space between them. What a mark does is told by its Unicode
category and width; a few marks do otherwise than their kind. What no rule knows is written as the
text has it that the words are from (`learn_joins`), and what can't be known from the tokens as most
texts have it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

Joins = Mapping[str, tuple[bool, bool]]
"""Of marks whether each touches what is before it, and what is after it."""

_ASCII = {**dict.fromkeys(".,;:!?)]}%", (True, False)), **dict.fromkeys("([{$", (False, True))}
_INVERTED = frozenset("¿¡⸘")
_SIGNS_AFTER = frozenset("°™®")
_APART = frozenset("§¶•‣※⁂๏")
"""Marks that stand between blanks, as a bullet does."""
_WITHIN = frozenset(
    "·‧"  # middle dot, hyphenation point
    "՚՛՜՞״"  # Armenian apostrophe and marks over a vowel, Hebrew gershayim
    "\u0f0b\u0f0c\u1361\U0001039f\U000103d0\U0001091f"  # dividers of syllables and of words
)
"""Marks within a word, or in the place of a blank."""
_INVISIBLE = frozenset("\u00ad\u180e\u200b\u200c\u200d\u2060\ufeff")
"""Format characters within a word, or in the place of a blank."""
_CLOSES = {'"': '"', "“": "„", "‘": "‚"}
"""Quotation marks that close where this one is open, and open where it isn't."""
_APOSTROPHES = frozenset("'’-‐‑")
"""What makes one word of two words it stands between."""
_DECIMAL_POINTS = frozenset(".٫٬")
NO_JOINS: Joins = {}
FREE_MARKS = "#&'*+-/=@\\^`|~‐‑‒–—―§¶•‣※"
"""Marks that stand as a text has them. (Not < and >, which could make a special token.)"""
_FREE = re.compile(rf"([{re.escape(FREE_MARKS)}])\1*")
_SAMPLE = 1 << 18
"""Characters of a text by which it is told how it writes them."""
_OFTEN = 10
"""Times that a mark has to be there for that."""


def learn_joins(text: str) -> Joins:
    """How each of FREE_MARKS mostly stands in a text, if it is there often enough; a row of the
    same mark counts as one, and what is within a word, or begins or ends a line, not at all."""
    seen: Counter[tuple[str, bool, bool]] = Counter()
    text = f"\n{text[:_SAMPLE]}\n"
    for found in _FREE.finditer(text):
        before, after = text[found.start() - 1], text[found.end()]
        within = found[0] in _APOSTROPHES and before.isalnum() and after.isalnum()
        if not within and "\n" not in (before, after):
            seen[found[1], not before.isspace(), not after.isspace()] += 1
    often: Counter[str] = Counter()
    joins: dict[str, tuple[bool, bool]] = {}
    for (mark, to_last, to_next), count in seen.most_common():
        often[mark] += count
        joins.setdefault(mark, (to_last, to_next))
    return {mark: joins[mark] for mark, count in often.items() if count >= _OFTEN}


class Spacing:
    """What stands between each token of a line and the one before it."""

    def __init__(self, joins: Joins = NO_JOINS) -> None:
        self._joins = joins
        self.begin_line()

    def begin_line(self) -> None:
        """What comes next is the first of a line."""
        self._begins = True
        self._last = self._earlier = ""
        self._touched = False
        """Whether those two touch."""
        self._holds_next = False
        self._open: set[str] = set()
        """The quotation marks that are open."""
        self._half_flag = False

    def before(self, token: str) -> str:
        """A space, or nothing. The tokens of a line are given one after the other."""
        to_last, to_next = self._sides(token)
        flag_ends = self._half_flag and _is_indicator(token)
        touches = self._begins or (
            not self._would_be_one_word(token)
            and (
                to_last
                or self._holds_next
                or flag_ends
                or (token == self._last and not _is_indicator(token))
                or self._is_within_number(token)
                or _east_asian(self._last, token)
            )
        )
        self._half_flag = _is_indicator(token) and not flag_ends
        self._begins, self._last, self._earlier = False, token, self._last
        self._touched, self._holds_next = touches, to_next
        return "" if touches else " "

    def _sides(self, token: str) -> tuple[bool, bool]:
        """Whether it touches the token before it, and the one after it."""
        if token in ("„", "‚"):
            self._open.add(token)
        elif opener := _CLOSES.get(token):
            if opener in self._open:
                self._open.remove(opener)
                return True, False
            if token == opener:
                self._open.add(token)
            return False, True
        if token in self._joins:
            return self._joins[token]
        to_last, to_next = _sides(token)
        if to_last and to_next and _is_opening(token):  # wide: Korean has blanks before it
            to_last = not _is_hangul(self._last[-1:])
        return to_last, to_next

    def _is_within_number(self, token: str) -> bool:
        """3.14, 1,000 and 12:30; a comma may also stand in a list."""
        if not (token.isdecimal() and self._touched and self._earlier.isdecimal()):
            return False
        match self._last:
            case ",":
                return len(token) == 3 and len(self._earlier) <= 3
            case ":":
                return len(token) == 2
            case _:
                return self._last in _DECIMAL_POINTS

    def _would_be_one_word(self, token: str) -> bool:
        """Whether the tokenizer would read it and what is before it as one."""
        if not _is_word(token):
            return _continues_word(token) and _is_word(self._last)
        if _is_word(self._last):
            return True
        return self._last in _APOSTROPHES and self._touched and _is_word(self._earlier)


@lru_cache(4096)
def _sides(token: str) -> tuple[bool, bool]:
    """As `Spacing._sides`, of a token whatever stands around it."""
    if _is_word(token):
        return False, False
    if token.isascii():
        return _ASCII.get(token, (False, False))
    category = unicodedata.category(token)
    wide = unicodedata.east_asian_width(token) in "WFH"
    if token in _WITHIN or token in _INVISIBLE or category == "Pc":
        return True, True
    if wide and (category[0] == "P" or category == "Sm"):
        return True, True
    if token in _APART:
        return False, False
    if token in _INVERTED or category in ("Ps", "Pi", "Sc"):
        return False, True
    if category == "Pd":  # a hyphen of one script; dashes of all scripts may stand between blanks
        return (token < "\u2000",) * 2
    closing = category in ("Pe", "Pf", "Po", "Sk", "Cf") or category[0] == "M"
    return closing or token in _SIGNS_AFTER, False


@lru_cache(4096)
def _east_asian(last: str, token: str) -> bool:
    """Whether one is Chinese or Japanese and the other a mark of Unicode's, as “ and —."""
    if _is_word(last):
        return _is_mark(token) and _is_ideograph(last[-1:])
    return _is_mark(last) and _is_ideograph(token[:1])


def _is_word(token: str) -> bool:
    return len(token) != 1 or token.isalnum() or token == "_"


def _continues_word(token: str) -> bool:
    return token in ("\u200c", "\u200d") or unicodedata.category(token)[0] == "M"


def _is_mark(token: str) -> bool:
    return len(token) == 1 and not token.isascii() and unicodedata.category(token)[0] == "P"


def _is_opening(token: str) -> bool:
    return unicodedata.category(token) in ("Ps", "Pi")


def _is_hangul(character: str) -> bool:
    return unicodedata.name(character or " ", "").startswith("HANGUL")


def _is_ideograph(character: str) -> bool:
    """Or kana: a letter as wide as high, of a script that has no blanks."""
    wide = character.isalpha() and unicodedata.east_asian_width(character) in "WF"
    return wide and not _is_hangul(character)


def _is_indicator(token: str) -> bool:
    """Half of a flag."""
    return len(token) == 1 and "\U0001f1e6" <= token <= "\U0001f1ff"
