"""A text read once: its pre-tokens are interned and their numbers kept on the disk. When all of it
is known, words are learnt from the different pre-tokens, and the numbers become ids.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import BinaryIO

import numpy as np

from engine.config import CorpusConfig
from engine.text.corpus_cache import Encoded, smallest_type
from engine.text.decoding import characters
from engine.text.interning import Interner, PreTokens
from engine.text.prefetch import prefetch
from engine.text.tokenizer import Tokenizer, WordRules
from engine.text.vocabulary import END_OF_SENTENCE, MAX_DISTINCT, MAX_TOKEN

TOGETHER = 4
"""Chunks numbered at once: with more they'd leave the processor's cache, with fewer it takes longer
to begin than to do."""
AT_ONCE = 50_000
"""Pre-tokens whose words are held before they are numbered."""
MAX_PRETOKENS = 1_000_000
MAX_LONG_SIZE = 16_000_000
"""Bytes of the long pre-tokens together."""


class TooMany(Exception):
    """There are too many different pre-tokens or words to hold all of them in memory."""


@dataclass(frozen=True)
class _Chunk:
    split: str
    pretokens: int
    characters: int


class InternedText:
    """A text as the numbers of its pre-tokens, which are kept in `file`, at first empty.

    `texts` is (split, chunk in UTF-8) after (split, chunk), first all of "train"; `tell` is given
    the characters so far. Raises TooMany, and OSError where `file` can't be written.
    """

    def __init__(
        self,
        rules: WordRules,
        texts: Iterable[tuple[str, bytes]],
        file: BinaryIO,
        tell: Callable[[int], None],
    ) -> None:
        self._rules = rules
        self._file = file
        self._chunks: list[_Chunk] = []
        self._interner = Interner()
        self._counts = np.zeros(0, np.int64)
        """Of each number, in "train"."""
        self._order: list[np.ndarray] = []
        """The numbers in the order of their first appearance."""

        done = 0
        for split, length, pretokens in prefetch(_pretokenized(rules, texts)):
            known = self._interner.end
            numbers = self._interner.intern(pretokens)
            if self._interner.end > MAX_PRETOKENS or self._interner.long_size > MAX_LONG_SIZE:
                raise TooMany
            self._file.write(numbers.astype(np.uint32).data)
            self._chunks.append(_Chunk(split, len(numbers), length))
            self._order.append(_new_ones(numbers, known, self._interner.end))
            if self._interner.end > len(self._counts):
                more = np.zeros(self._interner.end, np.int64)
                self._counts = np.append(self._counts, more)
            if split == "train":
                np.add.at(self._counts, numbers, 1)
            done += length
            tell(done)

    def learn(self, config: CorpusConfig) -> tuple[Tokenizer, Iterator[Encoded]]:
        """The tokenizer of the training text, and the whole text encoded by it. Raises TooMany."""
        order = np.concatenate([np.zeros(0, np.int64), *self._order])
        texts = self._interner.texts()
        words, flat, lengths = _words(self._rules, [texts[number] for number in order.tolist()])
        counts = np.zeros(len(words), np.int64)
        np.add.at(counts, flat, np.repeat(self._counts[order], lengths))
        if np.count_nonzero(counts) > MAX_DISTINCT:
            raise TooMany
        tokenizer = self._rules.learn_counted(config, words, counts)
        ids = tokenizer.vocabulary.encode(words).astype(smallest_type(len(tokenizer.vocabulary)))
        expansion = _Expansion(self._interner.end, order, lengths, ids[flat])
        too_long = np.zeros(self._interner.end, np.int64)
        sizes = np.fromiter(map(len, words), np.int64, len(words))
        np.add.at(too_long, np.repeat(order, lengths), sizes[flat] > MAX_TOKEN)
        return tokenizer, self._encoded(expansion, too_long)

    def _encoded(self, expansion: "_Expansion", too_long: np.ndarray) -> Iterator[Encoded]:
        """`too_long` says how many such words each pre-token has."""
        self._file.seek(0)
        some = bool(too_long.any())
        for chunk in self._chunks:
            numbers = np.fromfile(self._file, np.uint32, chunk.pretokens).astype(np.int64)
            longs = int(too_long.take(numbers).sum()) if some else 0
            yield Encoded(chunk.split, expansion.ids(numbers), chunk.characters, longs)


class _Expansion:
    """What the number of each pre-token becomes: `ids` are those of the first one's words, then
    those of the second's; `lengths` says how many each has; `numbers` are theirs, below `end`."""

    def __init__(self, end: int, numbers: np.ndarray, lengths: np.ndarray, ids: np.ndarray) -> None:
        self._ids = np.append(
            ids, ids.dtype.type(0)
        )  # so that an empty pre-token at the end begins somewhere
        self._begins = np.zeros(end, np.int64)
        self._lengths = np.ones(end, np.int64)
        self._begins[numbers] = np.cumsum(lengths) - lengths
        self._lengths[numbers] = lengths
        self._first = self._ids[self._begins]
        self._all_single = bool((self._lengths == 1).all())

    def ids(self, numbers: np.ndarray) -> np.ndarray:
        """The ids of a stretch of text: of the type of those given, 1-D."""
        first: np.ndarray = self._first.take(numbers)
        if self._all_single:
            return first
        lengths = self._lengths.take(numbers)
        several = np.flatnonzero(lengths > 1)
        ids = np.repeat(first, lengths)
        places = (np.cumsum(lengths) - lengths)[several]
        begins, lengths = self._begins[numbers[several]], lengths[several]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        ids[np.repeat(places, lengths) + within] = self._ids[np.repeat(begins, lengths) + within]
        return ids


def _pretokenized(
    rules: WordRules, texts: Iterable[tuple[str, bytes]]
) -> Iterator[tuple[str, int, PreTokens]]:
    """(split, characters, pre-tokens) of stretches of the text."""
    for split, stretch in groupby(texts, itemgetter(0)):
        chunks = (text for _, text in stretch)
        while some := list(islice(chunks, TOGETHER)):
            # No word goes on in the next chunk, so a blank may stand between.
            yield split, sum(map(characters, some)), PreTokens(b" ".join(map(rules.prepare, some)))


def _words(rules: WordRules, pretokens: list[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The different words of pre-tokens in the order of first appearance; which of them are those
    of the first pre-token, then of the second, and so on; how many each has."""
    whole = [END_OF_SENTENCE if pretoken == "\n" else pretoken for pretoken in pretokens]
    if END_OF_SENTENCE not in pretokens and rules.split(" ".join(whole)) == whole:
        # Every pre-token is a word, as in text that is tokenised already.
        every = np.arange(len(whole))
        return whole, every, np.ones_like(every)
    words: dict[str, int] = {}
    flat, lengths = array("q"), array("q")
    for begin in range(0, len(pretokens), AT_ONCE):
        found = [rules.split(pretoken) for pretoken in pretokens[begin : begin + AT_ONCE]]
        lengths.extend(map(len, found))
        flat.extend([words.setdefault(word, len(words)) for word in chain.from_iterable(found)])
    return list(words), np.array(flat), np.array(lengths)


def _new_ones(numbers: np.ndarray, known: int, end: int) -> np.ndarray:
    """Those of `numbers` that are from `known` up to `end`, each once, in the order of first
    appearance."""
    rows = np.flatnonzero(numbers >= known)[::-1]
    first = np.full(end - known, -1)
    first[numbers[rows] - known] = rows  # of several rows the last one written stays
    new = np.flatnonzero(first >= 0)
    ordered: np.ndarray = new[np.argsort(first[new])] + known
    return ordered
