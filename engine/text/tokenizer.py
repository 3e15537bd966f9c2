"""What a tokenizer is, learning one from a corpus, and loading one that was saved."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import msgspec
import numpy as np

from engine.config import CorpusConfig
from engine.errors import UserError
from engine.files import read_plain
from engine.text import characters, words
from engine.text.characters import CharacterTokenizer, SavedCharacters, count_characters
from engine.text.subwords import LETTERS, SavedSubwords, learn_pieces
from engine.text.vocabulary import MAX_TOKEN, TokenCounter, Vocabulary, rank
from engine.text.words import SavedWhitespace, SavedWord, WhitespaceTokenizer, WordTokenizer

MAX_FILE = 256 * 1024 * 1024
"""Bytes of a tokenizer file, at most."""
_LONG = re.compile(rf"\S{{{MAX_TOKEN // 3}}}")
"""Whatever is shorter has no word too long for a token, in lower case either."""


class Tokenizer(Protocol):
    """Text to token ids and back."""

    name: ClassVar[str]
    """As in `corpus.tokenizer`."""
    spells: ClassVar[bool]
    """Whether its tokens are the text as it was written, white space too."""
    vocabulary: Vocabulary

    @property
    def rules(self) -> str:
        """What makes a token, in a few words."""

    def tokens(self, text: str) -> list[str]:
        """The tokens of `text` as this tokenizer reads them, whether known or not."""

    def encode(self, text: str) -> np.ndarray:
        """The ids of the tokens of `text`, int64, 1-D; unknown ones have that of `<unk>`."""

    def decode(self, ids: Iterable[int]) -> str:
        """Readable text. Bytes that begin a character without ending it show nothing."""

    def streaming_decoder(self) -> Callable[[int], str]:
        """A function that takes ids one by one and returns the text each adds. It keeps what it
        needs (spacing, parts of a character), so for a text that goes on from a prompt give it the
        prompt's ids first. A deep copy of it goes on by itself."""

    def save(self, path: Path) -> None:
        """Write it as JSON. Raises OSError."""


@dataclass(frozen=True)
class WordRules:
    """How a text becomes words none of which crosses a blank or a line end, so that the words of a
    prepared text are those of its parts between blanks."""

    prepare: Callable[[bytes], bytes]
    """Of a text in UTF-8."""
    split: Callable[[str], list[str]]
    tokenizer: Callable[[Vocabulary], Tokenizer]

    def too_long(self, text: str) -> int:
        """How many of its words are too long for a token."""
        if not _LONG.search(text):
            return 0
        return sum(len(word) > MAX_TOKEN for word in self.split(text))

    def learn(self, config: CorpusConfig, stretches: Iterable[list[str]]) -> Tokenizer:
        """The tokenizer that knows these words."""
        return self.tokenizer(_learn_vocabulary(config, stretches, words.SPECIALS))

    def learn_counted(
        self, config: CorpusConfig, found: list[str], counts: np.ndarray
    ) -> Tokenizer:
        """The tokenizer that knows words that occur so often, all different and in the order of
        first appearance. Those that are too long for a token are unknown to it."""
        known = np.flatnonzero(counts)
        sizes = np.fromiter(map(len, found), np.int64, len(found))
        too_long = int(counts[sizes > MAX_TOKEN].sum())
        if too_long or len(known) < len(found):
            known = known[sizes[known] <= MAX_TOKEN]
            found, counts = [found[index] for index in known.tolist()], counts[known]
        limits = config.min_count, config.max_vocabulary
        return self.tokenizer(rank(found, counts, words.SPECIALS, *limits, too_long))


def word_rules(config: CorpusConfig) -> WordRules | None:
    """None where tokens aren't words."""
    lowercase, punctuation = config.lowercase, config.punctuation
    match config.tokenizer:
        case "word":
            return WordRules(
                lambda text: words.without_blank_lines(text.decode()).encode(),
                lambda text: WordTokenizer.split(text, lowercase, punctuation),
                lambda vocabulary: WordTokenizer(vocabulary, lowercase, punctuation),
            )
        case "whitespace":
            return WordRules(lambda text: text, WhitespaceTokenizer.split, WhitespaceTokenizer)
        case _:
            return None


def learn_tokenizer(config: CorpusConfig, texts: Callable[[], Iterator[str]]) -> Tokenizer:
    """The tokenizer `config` describes, its vocabulary that of the text which each call of `texts`
    reads anew, in chunks. Raises UserError where the vocabulary is too small for sub-words."""
    if rules := word_rules(config):
        return rules.learn(config, map(rules.split, texts()))
    if config.tokenizer == "character":
        counts = map(count_characters, texts())
        return CharacterTokenizer(_learn_vocabulary(config, counts, characters.SPECIALS))
    least = len(LETTERS) + 1
    if config.max_vocabulary < least:
        raise UserError(
            f"corpus.max_vocabulary is {config.max_vocabulary}, but sub-words need at least "
            f"{least}: one for each byte, and <unk>."
        )
    return learn_pieces(texts, config.max_vocabulary)


def _learn_vocabulary(
    config: CorpusConfig,
    stretches: Iterable[list[str] | dict[str, int]],
    specials: Sequence[str],
) -> Vocabulary:
    counter = TokenCounter()
    for tokens in stretches:
        counter.add(tokens)
    return counter.vocabulary(specials, config.min_count, config.max_vocabulary)


Saved = SavedWord | SavedWhitespace | SavedCharacters | SavedSubwords
_decoder = msgspec.json.Decoder[Saved](Saved)


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer saved at `path`. Raises UserError where there is none that can be used."""
    try:
        saved: Saved = _decoder.decode(read_plain(path, MAX_FILE))
        return saved.restore()
    except OSError as error:
        raise UserError(f"Can't read the tokenizer {path}: {error.strerror}.") from None
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise UserError(f"{path} is no usable tokenizer: {error}.") from None
