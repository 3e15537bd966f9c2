"""Batches of a token stream for truncated back-propagation through time.

The stream is cut into `batch_size` columns of equal length, read side by side; each window takes
the next rows, so the carried state of a column always belongs to the text before it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import UserError

_HALF_SHARE, _DEVIATION, _SHORTEST = 0.05, 5.0, 5
"""Random windows as in awd-lstm-lm: now and then half as long, 5 tokens around that, 5 at least."""


class BatchCursor:
    """A position in the columns of a token stream: `row` of `rows`, in `epoch`."""

    def __init__(
        self,
        tokens: NDArray[np.integer],
        batch_size: int,
        bptt: int,
        random: torch.Generator | None = None,
    ) -> None:
        """With a generator the length of each window is drawn around `bptt`."""
        self.rows = (len(tokens) - 1) // batch_size
        if self.rows < 1:
            raise UserError(
                f"{len(tokens):,} tokens are too few for training.batch_size = {batch_size}: "
                "make it smaller or give more text."
            )
        self._tokens = tokens
        self._starts = np.arange(batch_size, dtype=np.int64) * self.rows
        self._random = random
        self.batch_size = batch_size
        self.bptt = bptt
        self.row = 0
        self.epoch = 0

    def state_dict(self) -> dict[str, int]:
        """Where it stands."""
        return {"row": self.row, "epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there, in a text that has changed and may be shorter too."""
        self.row, self.epoch = state["row"] % self.rows, state["epoch"]

    @property
    def windows(self) -> int:
        """Steps in an epoch, where every window has `bptt` rows."""
        return -(-self.rows // self.bptt)

    @property
    def at_start(self) -> bool:
        """Whether the next window begins an epoch."""
        return self.row == 0

    def next(self) -> tuple[Tensor, Tensor]:
        """Tokens and the targets after them, each (time, batch) int64."""
        begin, end = self.row, min(self.row + self._length(), self.rows)
        offsets = np.arange(begin, end + 1)[:, None] + self._starts
        rows = torch.from_numpy(self._tokens[offsets].astype(np.int64))
        self.row = end % self.rows
        self.epoch += end == self.rows
        return rows[:-1], rows[1:]

    def peek(self) -> tuple[Tensor, Tensor]:
        """The window that `next` will give, (time, batch) twice, without taking it."""
        row, epoch = self.row, self.epoch
        random = None if self._random is None else self._random.get_state()
        window = self.next()
        self.row, self.epoch = row, epoch
        if self._random is not None and random is not None:
            self._random.set_state(random)
        return window

    def _length(self) -> int:
        """Rows of the next window (Merity et al. 2018, section 5)."""
        if self._random is None:
            return self.bptt
        halved = torch.rand((), generator=self._random).item() < _HALF_SHARE
        middle = self.bptt / 2 if halved else self.bptt
        spread = _DEVIATION * torch.randn((), generator=self._random).item()
        return max(_SHORTEST, int(middle + spread))
