"""What the beginning of a text shows of how it is written, whatever it is tokenised by."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice

from msgspec import Struct

from engine.text.reading import Source, read_chunks
from engine.text.vocabulary import MAX_TOKEN, UNKNOWN
from engine.text.words import WordTokenizer

BEGINNING = 1 << 17
"""Bytes that are looked at, at most."""

_APART = frozenset(
    [
        ",",
        ".",
        "،",
        "۔",
        "，",
        "。",
        "、",
        "'s",
        "'re",
        "'ve",
        "'ll",
        "'d",
        "'m",
        "n't",
        "``",
        "''",
        "@-@",
        "@,@",
        "@.@",
        "-lrb-",
        "-rrb-",
        "&apos;s",
        "&quot;",
    ]
)
"""Tokens, in lower case, that tokenizers of the field leave between blanks: marks that people write
close to a word, halves of contractions, marks in disguise."""
_COMMAS = (",", "،", "，", "、")
_ALPHABETS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Thai, Lao, Burmese, Khmer."""
_CHINESE = "\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
"""And kana."""
_SPACELESS = re.compile(f"[{_ALPHABETS}{_CHINESE}]")
_OF_ALPHABET = re.compile(f"[{_ALPHABETS}]")


class Look(Struct, frozen=True, forbid_unknown_fields=True):
    """The beginning of a text in numbers. A piece is what stands between white space, a word what
    the word tokenizer takes for one; shares are from 0 to 1."""

    pieces: int = 0
    unknown: float = 0.0
    """Share of pieces that are <unk> already."""
    apart: float = 0.0
    """Share of pieces that are a comma, a stop or half a contraction by themselves."""
    attached: float = 0.0
    """Share of pieces that end in a comma, as people write them."""
    spaceless: float = 0.0
    """Share of letters that are of scripts which write no spaces between words."""
    phrase: float = 0.0
    """Characters of a piece with such letters, on average; those of an alphabet count half, as
    their words take twice as many."""
    marks: float = 0.0
    """Share of characters, white space left out, that are part of no word."""
    long: float = 0.0
    """Share of characters that stand in pieces of more than MAX_TOKEN."""
    word_length: int = 0
    """Half of the characters of all words stand in words at least this long."""
    piece_length: int = 0
    """The same of pieces."""
    rows: bool = False
    """Whether most lines are one piece, and as long as each other: a grid, a board."""


def look_at_source(source: Source) -> Look:
    """How its training text begins; of a built-in one nothing need be known. Raises UserError where
    it can't be read or isn't text."""
    return look_at(beginning(source)) if source.files else Look()


def beginning(source: Source, most: int = BEGINNING) -> str:
    """Up to `most` bytes of its training text. Raises UserError where it can't be read or isn't
    text."""
    text = b""
    for chunk in read_chunks(source.splits["train"]):
        text += chunk
        if len(text) >= most:
            break
    return text[:most].decode(errors="ignore")


def look_at(text: str) -> Look:
    """How `text` is written."""
    pieces = Counter(text.split())
    words = Counter(
        WordTokenizer.split(text.replace("\n", " "), lowercase=False, punctuation="drop")
    )
    count, size = pieces.total(), sum(map(len, pieces.elements()))
    if not count:
        return Look()
    phrases = {piece: found for piece, found in pieces.items() if _SPACELESS.search(piece)}
    halves = sum(len(_OF_ALPHABET.findall(piece)) * found for piece, found in phrases.items()) / 2
    letters = sum(map(str.isalpha, text))

    def share(some: Iterable[str]) -> float:
        return sum(pieces[piece] for piece in some) / count

    return Look(
        pieces=count,
        unknown=share(piece for piece in pieces if piece.lower() == UNKNOWN),
        apart=share(piece for piece in pieces if piece.lower() in _APART),
        attached=share(piece for piece in pieces if len(piece) > 1 and piece.endswith(_COMMAS)),
        spaceless=min(1.0, len(_SPACELESS.findall(text)) / max(1, letters)),
        phrase=(_size(phrases) - halves) / max(1, sum(phrases.values())),
        marks=1 - _size(words) / size,
        long=_size({piece: n for piece, n in pieces.items() if len(piece) > MAX_TOKEN}) / size,
        word_length=_middle_length(words),
        piece_length=_middle_length(pieces),
        rows=_are_rows(text),
    )


def _size(pieces: Mapping[str, int]) -> int:
    return sum(len(piece) * count for piece, count in pieces.items())


def _middle_length(words: Mapping[str, int]) -> int:
    """The length of the word in which the middle one of all characters stands, shortest first."""
    sizes: Counter[int] = Counter()
    for word, count in words.items():
        sizes[len(word)] += len(word) * count
    left = sizes.total() / 2
    for length in sorted(sizes):
        left -= sizes[length]
        if left <= 0:
            return length
    return 0


def _are_rows(text: str) -> bool:
    lines = [line for line in islice(text.split("\n"), 1000) if line.strip()]
    lengths = Counter(len(line) for line in lines if len(line.split()) == 1)
    alike = max(lengths.values(), default=0)
    return (
        len(lines) >= 10 and alike >= 0.8 * len(lines) and max(lengths, key=lengths.__getitem__) > 5
    )
