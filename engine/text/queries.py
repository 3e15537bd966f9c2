"""What may be asked of word vectors, as it is typed.

    physicist              its neighbours
    king - man + woman     an analogy: what is added and taken away
    apple banana cherry    the neighbours of their centroid
    odd: apple banana car  the one that doesn't belong
    cat ~ dog              how near two are, and each one's rank in the other's list
    closer: cat dog        the words nearer to the first than the second is

Operators stand between blanks, so hyphens stay part of a word; a word that is itself an operator,
or holds a blank, is typed in double quotes. A lone sign is a word.
"""

import re
from typing import Literal, NamedTuple

from engine.errors import UserError

QueryKind = Literal["neighbours", "analogy", "centroid", "odd", "pair", "closer"]
_PART = re.compile(r'"(?P<quoted>[^"]+)"(?!\S)|\S+')
_PREFIXES: dict[str, QueryKind] = {"odd:": "odd", "closer:": "closer"}
_SIGNS = ("+", "-")
MOST_WORDS = 100
"""In a query."""


class Term(NamedTuple):
    """A part of a query, and where in the typed text it stands."""

    text: str
    """Without its quotes."""
    begin: int
    end: int
    operator: bool = False


class Query(NamedTuple):
    """A query, understood."""

    kind: QueryKind
    positive: list[Term]
    """The words in the order they were typed; at least one."""
    negative: list[Term]
    """Those an analogy takes away."""

    @property
    def terms(self) -> list[Term]:
        """All words, in the order they were typed."""
        return sorted([*self.positive, *self.negative], key=lambda term: term.begin)


class BadQuery(UserError):
    """A query that can't be understood, and which part of the typed text is to blame."""

    def __init__(self, message: str, begin: int, end: int) -> None:
        super().__init__(message)
        self.begin = begin
        self.end = end


def split_query(text: str) -> list[Term]:
    """The parts of a query, whether or not they make one: for completion and colours."""
    parts = [_part(match) for match in _PART.finditer(text)]
    if len(parts) == 1 and parts[0].text not in _PREFIXES:
        return [parts[0]._replace(operator=False)]
    if not parts and text:
        return [Term(text, 0, len(text))]  # a blank, or a line end
    return [
        part._replace(operator=part.operator and (index == 0 or part.text not in _PREFIXES))
        for index, part in enumerate(parts)
    ]


def _part(match: re.Match[str]) -> Term:
    text = match["quoted"] or match[0]
    operator = match["quoted"] is None and (text in (*_SIGNS, "~") or text in _PREFIXES)
    return Term(text, match.start(), match.end(), operator)


def parse_query(text: str) -> Query:
    """The query that was typed. Raises BadQuery where it is none."""
    parts = split_query(text)
    if not parts:
        raise BadQuery("Nothing is asked: type a word.", 0, 0)
    if extra := [part for part in parts if not part.operator][MOST_WORDS:]:
        raise BadQuery(f"Ask about at most {MOST_WORDS} words.", extra[0].begin, extra[-1].end)
    first, rest = parts[0], parts[1:]
    if first.operator and first.text in _PREFIXES:
        return _prefixed(_PREFIXES[first.text], first, rest)
    if any(part.operator and part.text == "~" for part in parts):
        return _pair(parts)
    return _sum(parts)


def _prefixed(kind: QueryKind, prefix: Term, words: list[Term]) -> Query:
    for part in words:
        if part.operator:
            raise _misplaced(part, f"{prefix.text} is followed by words alone")
    if kind == "odd" and len(words) < 3:
        raise BadQuery("odd: needs at least three words to tell which one doesn't belong.",
                       prefix.begin, prefix.end)  # fmt: skip
    if kind == "closer" and len(words) != 2:
        raise BadQuery("closer: needs two words: what is nearer to the first than the second is?",
                       prefix.begin, prefix.end)  # fmt: skip
    return Query(kind, words, [])


def _pair(parts: list[Term]) -> Query:
    if [part.operator for part in parts] != [False, True, False]:
        sign = next(part for part in parts if part.operator)
        raise _misplaced(sign, f"{sign.text} compares two words, one on each side")
    return Query("pair", [parts[0], parts[2]], [])


def _sum(parts: list[Term]) -> Query:
    """Words with their signs; one without a sign is added."""
    positive: list[Term] = []
    negative: list[Term] = []
    sign: Term | None = None
    for part in parts:
        if part.operator and sign is None:
            sign = part
        elif part.operator:
            raise _misplaced(part, f"between {sign.text if sign else ''} and it a word is missing")
        else:
            (negative if sign and sign.text == "-" else positive).append(part)
            sign = None
    if sign is not None:
        raise _misplaced(sign, "after it a word is missing")
    if not positive:
        raise BadQuery("An analogy takes away from something: name a word to begin with.",
                       parts[0].begin, parts[-1].end)  # fmt: skip
    if negative:
        return Query("analogy", positive, negative)
    return Query("neighbours" if len(positive) == 1 else "centroid", positive, [])


def _misplaced(part: Term, why: str) -> BadQuery:
    return BadQuery(
        f"There is a {part.text} too many: {why}. A word that is itself {part.text} goes in double "
        "quotes.",
        part.begin,
        part.end,
    )
