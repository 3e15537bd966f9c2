"""The tokenizer whose tokens are single characters; a line end is a character like any other."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np

from engine.text.vocabulary import UNKNOWN, Vocabulary

SPECIALS = (UNKNOWN,)
CODE_POINTS = 0x110000


class SavedCharacters(msgspec.Struct, tag="character", forbid_unknown_fields=True):
    """The tokenizer as it is written to a file."""

    tokens: list[str]
    counts: list[int]

    def restore(self) -> "CharacterTokenizer":
        """The tokenizer. Raises ValueError where the file can't be one's."""
        if any(len(token) != 1 and token != UNKNOWN for token in self.tokens):
            raise ValueError("it has a token that isn't one character")
        return CharacterTokenizer(Vocabulary(self.tokens, self.counts))


class CharacterTokenizer:
    """Tokens are Unicode characters (code points)."""

    name: ClassVar[str] = "character"
    spells: ClassVar[bool] = True

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._ids = np.full(CODE_POINTS, vocabulary.unknown, np.int32)
        for index, token in enumerate(vocabulary.tokens):
            if token != UNKNOWN:
                self._ids[ord(token)] = index

    @property
    def rules(self) -> str:
        """What makes a token, in a few words."""
        return "character: every character is a token, a line end too"

    def tokens(self, text: str) -> list[str]:
        """The characters of `text`, whether known or not."""
        return list(text)

    def encode(self, text: str) -> np.ndarray:
        """The id of each character, int64, 1-D."""
        ids: np.ndarray = self._ids[_code_points(text)].astype(np.int64)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The characters, one after the other."""
        return "".join(map(self.streaming_decoder(), ids))

    def streaming_decoder(self) -> Callable[[int], str]:
        """A function from an id to its character."""
        return self.vocabulary.tokens.__getitem__

    def save(self, path: Path) -> None:
        """Write it as JSON. Raises OSError."""
        saved = SavedCharacters(self.vocabulary.tokens, self.vocabulary.counts)
        path.write_bytes(msgspec.json.encode(saved))


def count_characters(text: str) -> dict[str, int]:
    """How often each character occurs, in the order of first appearance."""
    codes = _code_points(text)
    counts = np.bincount(codes)
    first = np.zeros(len(counts), np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]  # of several values the last one stays
    found = np.flatnonzero(counts)
    found = found[np.argsort(first[found])]
    return dict(zip(map(chr, found.tolist()), counts[found].tolist(), strict=True))


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
