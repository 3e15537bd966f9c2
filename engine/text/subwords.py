"""The tokenizer whose tokens are pieces of words, learnt from the corpus by byte-pair encoding
(Sennrich et al. 2016) over the bytes of UTF-8 (Radford et al. 2019)."""

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
from tokenizers import Tokenizer as BytePairEncoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from engine.text.vocabulary import MAX_TOKEN, MAX_TOKENS, UNKNOWN, Vocabulary

LEARN_FROM = 50_000_000
"""Characters of the training split that pieces are learnt from."""
MAX_PIECE = 4 * MAX_TOKEN
"""Bytes."""
CACHED_WORDS = 200_000

# GPT-2's rule: a word or a number or a run of marks, each with the space before it; white space.
_WORD = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")
_HUGE = re.compile(rf"\S{{{MAX_TOKEN + 1},}}|\s{{{MAX_TOKEN + 1},}}")


def _byte_letters() -> list[str]:
    """The letter that stands for each byte in merges: itself where it can be printed."""
    printed = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printed else next(others)) for byte in range(256)]


LETTERS = _byte_letters()
_BYTE = {letter: byte for byte, letter in enumerate(LETTERS)}

Merge = tuple[str, str]


class SavedSubwords(msgspec.Struct, tag="subword", forbid_unknown_fields=True):
    """The tokenizer as it is written to a file."""

    merges: list[Merge]
    counts: list[int]

    def restore(self) -> "SubwordTokenizer":
        """The tokenizer. Raises ValueError where the file can't be one's."""
        return SubwordTokenizer(self.merges, self.counts)


class SubwordTokenizer:
    """Tokens are pieces of words: the 256 bytes and what they merge to. Any text can be written
    with them, so `<unk>` is in the vocabulary but never occurs.

    `merges` are in the order they were learnt, their letters standing for bytes; `counts` says how
    often each piece occurs, first the bytes in their order, then each merge. Without counts pieces
    stand in that order. Raises ValueError where these don't make a tokenizer.
    """

    name: ClassVar[str] = "subword"
    spells: ClassVar[bool] = True

    def __init__(self, merges: Sequence[Merge], counts: Sequence[int] | None = None) -> None:
        pieces = list(_pieces(merges))
        counts = [0] * len(pieces) if counts is None else counts
        if len(counts) != len(pieces):
            raise ValueError(f"{len(pieces)} pieces have {len(counts)} counts")
        self._merges = list(merges)
        self._counts = list(counts)

        order = sorted(range(len(pieces)), key=counts.__getitem__, reverse=True)
        self._bytes = [bytes(_BYTE[letter] for letter in pieces[index]) for index in order]
        self.vocabulary = Vocabulary(
            [*map(_readable, self._bytes), UNKNOWN], [*(counts[index] for index in order), 0]
        )
        for index, piece in enumerate(self._bytes):
            self.vocabulary.readable[index] &= _is_text(piece)
        self._bytes.append(UNKNOWN.encode())

        # The encoder numbers pieces as they were learnt, we by their counts.
        ranks = [0] * len(order)
        for rank, index in enumerate(order):
            ranks[index] = rank
        encoder = BytePairEncoder(
            BPE({piece: index for index, piece in enumerate(pieces)}, self._merges)
        )
        encoder.pre_tokenizer = ByteLevel(add_prefix_space=False)
        self._words = _Words(encoder, ranks)

    @property
    def rules(self) -> str:
        """What makes a token, in a few words."""
        return "subword: byte-pair pieces of words, learnt from the training text"

    def tokens(self, text: str) -> list[str]:
        """The pieces of `text`, as the vocabulary has them."""
        return [self.vocabulary.tokens[index] for index in self.encode(text).tolist()]

    def encode(self, text: str) -> np.ndarray:
        """The ids of the pieces of `text`, int64, 1-D."""
        self._words.trim()
        words = map(self._words.__getitem__, _WORD.findall(text))
        return np.fromiter(chain.from_iterable(words), np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The text. Bytes that begin a character without ending it show nothing."""
        return "".join(map(self.streaming_decoder(), ids))

    def streaming_decoder(self) -> Callable[[int], str]:
        """A function from ids, one by one, to the text each adds: none inside a character."""
        return _Spelt(self._bytes.__getitem__).append

    def save(self, path: Path) -> None:
        """Write it as JSON. Raises OSError."""
        path.write_bytes(msgspec.json.encode(SavedSubwords(self._merges, self._counts)))


class _Spelt:
    """The text of pieces one by one."""

    def __init__(self, spelling: Callable[[int], bytes]) -> None:
        self._spelling = spelling
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def append(self, index: int) -> str:
        return self._decoder.decode(self._spelling(index))


class _Words(dict[str, list[int]]):
    """The ids of each word's pieces, remembered for the words that come again."""

    def __init__(self, encoder: BytePairEncoder, ranks: list[int]) -> None:
        super().__init__()
        self._encoder = encoder
        self._ranks = ranks

    def __missing__(self, word: str) -> list[int]:
        sound = word.encode("utf-8", "replace").decode()  # a lone surrogate has no UTF-8
        ids = [self._ranks[index] for index in self._encoder.encode(sound).ids]
        if len(word) <= MAX_TOKEN:
            self[word] = ids
        return ids

    def trim(self) -> None:
        """Forget all where there are too many."""
        if len(self) > CACHED_WORDS:
            self.clear()


def learn_pieces(texts: Callable[[], Iterator[str]], size: int) -> SubwordTokenizer:
    """At most `size` tokens, `<unk>` among them, learnt from the text that each call of `texts`
    reads anew."""
    learner = BytePairEncoder(BPE())
    learner.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(
        vocab_size=size - 1,
        min_frequency=2,
        max_token_length=MAX_PIECE,
        initial_alphabet=LETTERS,
        show_progress=False,
    )
    learner.train_from_iterator(_beginning(texts()), trainer)
    learnt = msgspec.json.decode(learner.to_str(), type=_Learnt)

    tokenizer = SubwordTokenizer(learnt.model.merges)
    counts = np.zeros(len(tokenizer.vocabulary), np.int64)
    for text in texts():
        counts += np.bincount(tokenizer.encode(text), minlength=len(counts))
    return SubwordTokenizer(learnt.model.merges, counts[:-1].tolist())


class _Model(msgspec.Struct):
    merges: list[Merge]


class _Learnt(msgspec.Struct):
    """What is needed of the learner's own format."""

    model: _Model


def _beginning(texts: Iterator[str]) -> Iterator[str]:
    """The first LEARN_FROM characters, without huge words and gaps, so that learning is bounded.
    The rest is read too: a text may only show at its end that it isn't the one meant."""
    left = LEARN_FROM
    for text in texts:
        if left > 0:
            yield _HUGE.sub(" ", text[:left])
        left -= len(text)


def _pieces(merges: Sequence[Merge]) -> Iterator[str]:
    """The bytes and what they merge to, in letters. Raises ValueError at an impossible merge."""
    if len(merges) > MAX_TOKENS:
        raise ValueError(f"it has {len(merges)} merges, more than {MAX_TOKENS}")
    known = set(LETTERS)
    yield from LETTERS
    for left, right in merges:
        piece = left + right
        if left not in known or right not in known or piece in known or len(piece) > MAX_PIECE:
            raise ValueError(f"it can't merge {left[:20]!r} and {right[:20]!r}")
        known.add(piece)
        yield piece


def _is_text(piece: bytes) -> bool:
    """Whether the piece is of whole characters."""
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True


def _readable(piece: bytes) -> str:
    """The piece as text, or as <0xE2><0x82> where it is part of a character."""
    if _is_text(piece):
        return piece.decode()
    return "".join(f"<0x{byte:02X}>" for byte in piece)
