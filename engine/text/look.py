"""What the beginning of a text shows of how it is written, whatever it is tokenised by."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice

from msgspec import Struct, field

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
    """The beginning of a text in numbers. A pre-token is what stands between white space, a word
    what the word tokenizer takes for one; shares are from 0 to 1."""

    pretokens: int = field(default=0, name="pieces")
    unknown: float = 0.0
    """Share of pre-tokens that are <unk> already."""
    apart: float = 0.0
    """Share of pre-tokens that are a comma, a stop or half a contraction by themselves."""
    attached: float = 0.0
    """Share of pre-tokens that end in a comma, as people write them."""
    spaceless: float = 0.0
    """Share of letters that are of scripts which write no spaces between words."""
    phrase: float = 0.0
    """Characters of a pre-token with such letters, on average; those of an alphabet count half, as
    their words take twice as many."""
    marks: float = 0.0
    """Share of characters, white space left out, that are part of no word."""
    long: float = 0.0
    """Share of characters that stand in pre-tokens of more than MAX_TOKEN."""
    word_length: int = 0
    """Half of the characters of all words stand in words at least this long."""
    pretoken_length: int = field(default=0, name="piece_length")
    """The same of pre-tokens."""
    rows: bool = False
    """Whether most lines are one pre-token, and as long as each other: a grid, a board."""


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
    pretokens = Counter(text.split())
    words = Counter(
        WordTokenizer.split(text.replace("\n", " "), lowercase=False, punctuation="drop")
    )
    count, size = pretokens.total(), sum(map(len, pretokens.elements()))
    if not count:
        return Look()
    phrases = {each: found for each, found in pretokens.items() if _SPACELESS.search(each)}
    halves = sum(len(_OF_ALPHABET.findall(each)) * found for each, found in phrases.items()) / 2
    letters = sum(map(str.isalpha, text))

    def share(some: Iterable[str]) -> float:
        return sum(pretokens[each] for each in some) / count

    return Look(
        pretokens=count,
        unknown=share(each for each in pretokens if each.lower() == UNKNOWN),
        apart=share(each for each in pretokens if each.lower() in _APART),
        attached=share(each for each in pretokens if len(each) > 1 and each.endswith(_COMMAS)),
        spaceless=min(1.0, len(_SPACELESS.findall(text)) / max(1, letters)),
        phrase=(_size(phrases) - halves) / max(1, sum(phrases.values())),
        marks=1 - _size(words) / size,
        long=_size({each: n for each, n in pretokens.items() if len(each) > MAX_TOKEN}) / size,
        word_length=_middle_length(words),
        pretoken_length=_middle_length(pretokens),
        rows=_are_rows(text),
    )


def _size(pretokens: Mapping[str, int]) -> int:
    return sum(len(each) * count for each, count in pretokens.items())


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
