"""Batches of a token stream for truncated back-propagation through time.

The stream is cut into `batch_size` columns of equal length, read side by side; each window takes
the next `bptt` rows, so the carried state of a column always belongs to the text before it.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import UserError


class BatchCursor:
    """A position in the columns of a token stream; `window` is the step's index in the epoch."""

    def __init__(self, tokens: NDArray[np.integer], batch_size: int, bptt: int) -> None:
        self.rows = (len(tokens) - 1) // batch_size
        if self.rows < 1:
            raise UserError(
                f"{len(tokens):,} tokens are too few for training.batch_size = {batch_size}: "
                "make it smaller or give more text."
            )
        self._tokens = tokens
        self._starts = np.arange(batch_size, dtype=np.int64) * self.rows
        self.batch_size = batch_size
        self.bptt = bptt
        self.window = 0

    @property
    def windows(self) -> int:
        """Steps in an epoch."""
        return -(-self.rows // self.bptt)

    @property
    def at_start(self) -> bool:
        """Whether the next window begins an epoch."""
        return self.window == 0

    def next(self) -> tuple[Tensor, Tensor]:
        """Tokens and the targets after them, each (time, batch) int64, time at most bptt."""
        begin = self.window * self.bptt
        end = min(begin + self.bptt, self.rows)
        self.window = (self.window + 1) % self.windows
        offsets = np.arange(begin, end + 1)[:, None] + self._starts
        rows = torch.from_numpy(self._tokens[offsets].astype(np.int64))
        return rows[:-1], rows[1:]
