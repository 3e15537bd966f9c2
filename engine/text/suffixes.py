"""An index of a corpus in which any stretch of tokens is found: its suffix array (Manber & Myers
1993, "Suffix arrays: a new method for on-line string searches").

It is sorted by pydivsufsort, exactly and for stretches of any length, and lies beside the encoded
corpus: four bytes a token, mapped into memory. A hash of n-grams would have taken as much for one
length alone.
"""

from collections.abc import Callable, Sequence
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
AHEAD = 64
"""Tokens compared at a time."""


class SuffixArray:
    """Where each suffix of a text stands in their order."""

    def __init__(self, tokens: NDArray[np.integer], order: NDArray[np.integer]) -> None:
        self.tokens = tokens
        self.order = order
        """(tokens,): where the suffixes begin, the least first; uint32."""

    def longest(self, text: Sequence[int], begin: int) -> tuple[int, int]:
        """How many tokens of `text` from `begin` on stand in the indexed one, and where; (0, 0)
        where the first of them doesn't. A negative token stands nowhere."""
        low, high = 0, len(self.order)
        while low < high:
            middle = (low + high) // 2
            if self._compare(text, begin, int(self.order[middle]))[1] < 0:
                low = middle + 1
            else:
                high = middle
        near = [int(self.order[at]) for at in (low - 1, low) if 0 <= at < len(self.order)]
        found = [(self._compare(text, begin, place)[0], place) for place in near]
        length, place = max(found)
        return (length, place) if length else (0, 0)

    def span(self, text: Sequence[int]) -> tuple[int, int]:
        """(first, end) of the suffixes that begin with `text`, by their places in the order."""
        return self._first(text, past=False), self._first(text, past=True)

    def _first(self, text: Sequence[int], *, past: bool) -> int:
        """The place of the first suffix that is not less than the text, or that is behind all those
        that begin with it."""
        low, high = 0, len(self.order)
        while low < high:
            middle = (low + high) // 2
            common, order = self._compare(text, 0, int(self.order[middle]))
            before = order < 0 or (past and common == len(text))
            low, high = (middle + 1, high) if before else (low, middle)
        return low

    def _compare(self, text: Sequence[int], begin: int, place: int) -> tuple[int, int]:
        """How many tokens of the text from `begin` on are those of the suffix at `place`, and the
        order of the two: below 0 where the suffix is the lesser one."""
        common = 0
        while True:
            ours = text[begin + common : begin + common + AHEAD]
            theirs = self.tokens[place + common : place + common + AHEAD].tolist()
            for our, their in zip(ours, theirs, strict=False):
                if our != their:
                    return common, their - our
                common += 1
            if len(ours) < AHEAD or len(theirs) < AHEAD:
                return common, len(theirs) - len(ours)


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
