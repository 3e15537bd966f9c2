"""An index of a corpus in which any stretch of tokens is found: its suffix array (Manber & Myers
1993, "Suffix arrays: a new method for on-line string searches").

It is sorted by pydivsufsort, exactly and for stretches of any length, and lies beside the encoded
corpus: four bytes a token, mapped into memory. A hash of n-grams would have taken as much for one
length alone.
"""

from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from engine.events import Progress
from engine.files import replace_file
from engine.text.corpus import Corpus

MOST_TOKENS = 100_000_000
"""Of a training text: sorting takes 5 bytes of memory for each byte of its ids."""
BLOCK = 1 << 20
AT_ONCE, SEARCH = 50_000, 1_000
"""Tokens looked at between two pauses, and those that a search counts as besides what it finds."""
ONE_BY_ONE = 8
"""Tokens that are compared so at first: most texts differ within a few."""


class SuffixArray:
    """Where each suffix of a text stands in their order."""

    def __init__(self, tokens: NDArray[np.integer], order: NDArray[np.integer]) -> None:
        self.tokens = np.asarray(tokens)  # a memmap is slow to look into
        self.order = order
        """(tokens,): where the suffixes begin, the least first; uint32."""

    def longest(self, text: NDArray[np.integer], begin: int) -> tuple[int, int]:
        """How many tokens of `text` (tokens,) from `begin` on stand in the indexed one, and where;
        (0, 0) where the first of them doesn't. A negative token stands nowhere."""
        at, before, behind = self._search(text[begin:])
        length, at = max((before, at - 1), (behind, at))
        return (length, int(self.order[at])) if length else (0, 0)

    def longest_of_all(self, text: NDArray[np.integer]) -> Generator[None, None, list[int]]:
        """Pause now and then, and return how many tokens of `text` (tokens,) from each one on stand
        in the indexed one.

        From one token on to the next what is found ends no earlier. So where it ends at the same
        token for two of them it does for all between: what was copied whole takes few searches.
        """
        ends = np.full(len(text) + 1, len(text))
        ends[0] = self.longest(text, 0)[0]
        between, looked_at = [(0, len(text))], 0
        while between:
            first, last = between.pop()
            if ends[first] == ends[last]:
                ends[first:last] = ends[first]
            elif last - first > 1:
                middle = (first + last) // 2
                length, _ = self.longest(text, middle)
                ends[middle] = middle + length
                between += [(first, middle), (middle, last)]
                looked_at += SEARCH + length
                if looked_at >= AT_ONCE:
                    looked_at = 0
                    yield
        lengths: list[int] = (ends - np.arange(len(ends)))[:-1].tolist()
        return lengths

    def span(self, text: NDArray[np.integer]) -> tuple[int, int]:
        """(first, end) of the suffixes that begin with `text`, by their places in the order."""
        return self._search(text)[0], self._search(text, past=True)[0]

    def _search(self, text: NDArray[np.integer], *, past: bool = False) -> tuple[int, int, int]:
        """The place of the first suffix that is not less than the text, or with `past` that is
        behind all those that begin with it; and how many tokens the one before it and that one have
        in common with the text, at their beginning."""
        low, high, before, behind = 0, len(self.order), 0, 0
        while low < high:
            middle = (low + high) // 2
            # All between two suffixes have in common with the text what both of these have.
            common, less = self._compare(text, int(self.order[middle]), min(before, behind))
            if less or (past and common == len(text)):
                low, before = middle + 1, common
            else:
                high, behind = middle, common
        return low, before, behind

    def _compare(self, text: NDArray[np.integer], place: int, common: int) -> tuple[int, bool]:
        """How many tokens of the text are those of the suffix at `place`, of which so many are
        known to be, and whether the suffix is less than the text."""
        known, most = common, min(len(text), len(self.tokens) - place)
        while common < most and text[common] == self.tokens[place + common]:
            common += 1
            if common - known == ONE_BY_ONE:
                common += _alike(text[common:most], self.tokens[place + common : place + most])
        if common == most:
            return common, most < len(text)
        return common, bool(self.tokens[place + common] < text[common])


def _alike(ours: NDArray[np.integer], theirs: NDArray[np.integer]) -> int:
    """How many tokens at the beginning of two texts of the same length are the same."""
    begin, size = 0, 64
    while begin < len(ours):
        differ = np.flatnonzero(ours[begin : begin + size] != theirs[begin : begin + size])
        if len(differ):
            return begin + int(differ[0])
        begin, size = begin + size, 2 * size
    return len(ours)


def open_suffixes(corpus: Corpus, tell: Callable[[Progress], None]) -> SuffixArray:
    """The index of a corpus's training text, found beside it or built and put there.

    Raises UserError where it is too long, or the index can't be written.
    """
    tokens = corpus.splits["train"]
    if len(tokens) > MOST_TOKENS:
        raise UserError(f"The training text has more than {MOST_TOKENS:,} tokens to look through.")
    path = corpus.folder / "train.suffixes"
    order = _found(path, len(tokens))
    if order is None:
        tell(Progress(task="indexing", done=0, total=0))
        try:
            replace_file(path, [suffix_array(tokens).tobytes()])
        except OSError as error:
            raise UserError(
                f"Can't write the index of the training text below {corpus.folder} "
                f"({error.strerror}): make room there."
            ) from None
        order = _found(path, len(tokens))
    if order is None:
        raise UserError(f"The index {path} can't be read back: try again.")
    return SuffixArray(tokens, order)


def suffix_array(tokens: NDArray[np.integer]) -> NDArray[np.uint32]:
    """Where the suffixes of a text of ids begin, the least first."""
    from pydivsufsort import divsufsort

    order: NDArray[np.uint32] = divsufsort(np.asarray(tokens)).astype(np.uint32)
    return order


def _found(path: Path, tokens: int) -> NDArray[np.integer] | None:
    """The index of a text of so many tokens, mapped; None where there is none, or a damaged one."""
    try:
        order = np.memmap(path, np.uint32, "r")
    except (OSError, ValueError):
        return None
    sound = len(order) == tokens and all(
        order[begin : begin + BLOCK].max() < tokens for begin in range(0, tokens, BLOCK)
    )
    return order if sound else None
