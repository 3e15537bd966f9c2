"""Tokenizers whose tokens are words: `WordTokenizer` for any text, `WhitespaceTokenizer` for text
that is tokenised already (PTB, WikiText). Each line end is a token, `<eos>`."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np

from engine.config import Punctuation
from engine.text.spacing import FREE_MARKS, NO_JOINS, Joins, Spacing
from engine.text.vocabulary import END_OF_SENTENCE, MAX_TOKEN, UNKNOWN, Vocabulary

SPECIALS = (UNKNOWN, END_OF_SENTENCE)


# --- pre-tokenised text -----------------------------------------------------------------------


class SavedWhitespace(msgspec.Struct, tag="whitespace", forbid_unknown_fields=True):
    """The tokenizer as it is written to a file."""

    tokens: list[str]
    counts: list[int]

    def restore(self) -> "WhitespaceTokenizer":
        """The tokenizer. Raises ValueError where the file can't be one's."""
        return WhitespaceTokenizer(_checked(self.tokens, self.counts))


class WhitespaceTokenizer:
    """Tokens are what stands between white space, as the field reads PTB and WikiText: each line
    end, that of a blank line too, is `<eos>`, and `<unk>` in the text is the unknown token."""

    name: ClassVar[str] = "whitespace"
    spells: ClassVar[bool] = False

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @property
    def rules(self) -> str:
        """What makes a token, in a few words."""
        return "whitespace: words as they stand between white space; a line end is <eos>"

    @staticmethod
    def split(text: str) -> list[str]:
        """The tokens of `text`, whether known or not."""
        return text.replace("\n", f" {END_OF_SENTENCE} ").split()

    def tokens(self, text: str) -> list[str]:
        """The tokens of `text`, whether known or not."""
        return self.split(text)

    def encode(self, text: str) -> np.ndarray:
        """The ids of the tokens of `text`, int64, 1-D."""
        return self.vocabulary.encode(self.split(text))

    def decode(self, ids: Iterable[int]) -> str:
        """The tokens with a space between, each sentence on a line."""
        return "".join(map(self.streaming_decoder(), ids))

    def streaming_decoder(self) -> Callable[[int], str]:
        """A function from ids, one by one, to the text each adds, a space before it."""
        return _Apart(self.vocabulary).append

    def save(self, path: Path) -> None:
        """Write it as JSON. Raises OSError."""
        vocabulary = self.vocabulary
        saved = SavedWhitespace(vocabulary.tokens, vocabulary.counts)
        path.write_bytes(msgspec.json.encode(saved))


class _Apart:
    """Tokens one by one, a space between."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._begins = True

    def append(self, index: int) -> str:
        space = "" if self._begins else " "
        self._begins = index == self._vocabulary.end_of_sentence
        return "\n" if self._begins else space + self._vocabulary.tokens[index]


# --- any text ---------------------------------------------------------------------------------

_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n){2,}")


class SavedWord(msgspec.Struct, tag="word", forbid_unknown_fields=True):
    """The tokenizer as it is written to a file."""

    tokens: list[str]
    counts: list[int]
    lowercase: bool
    punctuation: Punctuation
    joins: dict[str, tuple[bool, bool]] = {}

    def restore(self) -> "WordTokenizer":
        """The tokenizer. Raises ValueError where the file can't be one's."""
        vocabulary = _checked(self.tokens, self.counts)
        if not self.joins.keys() <= set(FREE_MARKS):
            raise ValueError("it joins what are no such marks")
        return WordTokenizer(vocabulary, self.lowercase, self.punctuation, self.joins)


class WordTokenizer:
    """Tokens are words and punctuation marks.

    A word is a run of letters (with their combining marks), digits and underscores; an apostrophe
    or hyphen between two such runs is part of it: don't, state-of-the-art. Each other character
    that isn't white space is a token of its own, or dropped. Case is folded with `str.lower`,
    which keeps the spelling (`casefold` would turn ß into ss). Each line end is `<eos>`, but of
    blank lines in a row only the first counts. `<unk>` and `<eos>` in the text stand for
    themselves.
    """

    name: ClassVar[str] = "word"
    spells: ClassVar[bool] = False

    def __init__(
        self,
        vocabulary: Vocabulary,
        lowercase: bool,
        punctuation: Punctuation,
        joins: Joins = NO_JOINS,
    ) -> None:
        self.vocabulary = vocabulary
        self.joins = joins
        """How the text it was learnt from writes marks for which there is no rule."""
        self.lowercase = lowercase
        self.punctuation: Punctuation = punctuation

    @property
    def rules(self) -> str:
        """What makes a token, in a few words."""
        case = "lower case" if self.lowercase else "case kept"
        marks = "is a token" if self.punctuation == "separate" else "is dropped"
        return f"word: {case}, each punctuation mark {marks}; a line end is <eos>"

    @staticmethod
    def split(text: str, lowercase: bool, punctuation: Punctuation) -> list[str]:
        """The tokens of `text`, whether known or not."""
        if lowercase:
            text = text.lower()
        text = without_blank_lines(text).replace("\n", END_OF_SENTENCE)
        return _pattern(punctuation).findall(text)

    def tokens(self, text: str) -> list[str]:
        """The tokens of `text`, whether known or not."""
        return self.split(text, self.lowercase, self.punctuation)

    def encode(self, text: str) -> np.ndarray:
        """The ids of the tokens of `text`, int64, 1-D."""
        return self.vocabulary.encode(self.tokens(text))

    def decode(self, ids: Iterable[int]) -> str:
        """Readable text, spaced as people write."""
        return "".join(map(self.streaming_decoder(), ids))

    def streaming_decoder(self) -> Callable[[int], str]:
        """A function from ids, one by one, to the text each adds, spaced as people write."""
        return _Spaced(self.vocabulary, self.joins).append

    def save(self, path: Path) -> None:
        """Write it as JSON. Raises OSError."""
        vocabulary = self.vocabulary
        saved = SavedWord(
            vocabulary.tokens,
            vocabulary.counts,
            self.lowercase,
            self.punctuation,
            dict(self.joins),
        )
        path.write_bytes(msgspec.json.encode(saved))


class _Spaced:
    """Tokens one by one, spaced as people write."""

    def __init__(self, vocabulary: Vocabulary, joins: Joins) -> None:
        self._vocabulary = vocabulary
        self._spacing = Spacing(joins)

    def append(self, index: int) -> str:
        if index == self._vocabulary.end_of_sentence:
            self._spacing.begin_line()
            return "\n"
        token = self._vocabulary.tokens[index]
        return self._spacing.before(token) + token


def without_blank_lines(text: str) -> str:
    """The text with only the first of blank lines in a row, which then is empty."""
    return _BLANK_LINES.sub("\n\n", text)


@cache
def _pattern(punctuation: Punctuation) -> re.Pattern[str]:
    # Python's \w leaves out combining marks; without them, and the two joiners, a word of an Indic
    # script would fall to pieces. Marks beyond the basic plane would make `re` ten times slower.
    marks = [chr(code) for code in range(0x10000) if unicodedata.category(chr(code))[0] == "M"]
    run = rf"\w[\w\u200c\u200d{''.join(marks)}]*"
    word = rf"{run}(?:['’\-‐‑]{run})*|{UNKNOWN}|{END_OF_SENTENCE}"
    return re.compile(word + r"|[^\w\s]" if punctuation == "separate" else word)


def _checked(tokens: list[str], counts: list[int]) -> Vocabulary:
    if any(len(token) > MAX_TOKEN for token in tokens):
        raise ValueError(f"it has a token longer than {MAX_TOKEN} characters")
    vocabulary = Vocabulary(tokens, counts)
    if vocabulary.end_of_sentence is None:
        raise ValueError(f"it has no {END_OF_SENTENCE}")
    return vocabulary
