"""The norms a run has seen, as a histogram: any percentile of millions of steps in a few kB."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

PER_OCTAVE = 64
"""Bins between a norm and its double: a percentile is exact to half a percent."""
_OCTAVES = 80
"""The range is 2^-80 to 2^80; what lies beyond counts in the outermost bins."""


class NormHistory:
    """Counts of the norms before clipping, in bins of equal ratio. Non-finite ones don't count."""

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(2 * _OCTAVES * PER_OCTAVE, np.int64)
        self.total = 0
        self.largest = 0.0
        """Exactly."""

    def add(self, norm: float) -> None:
        """Count a norm; zero counts as the smallest."""
        place = (math.log2(norm) + _OCTAVES) * PER_OCTAVE if norm > 0 else 0
        self.counts[min(max(int(place), 0), len(self.counts) - 1)] += 1
        self.total += 1
        self.largest = max(self.largest, norm)

    def percentiles(self, *percents: float) -> list[float]:
        """The norms that these percents of all don't exceed, to half a percent: the 100th is the
        largest exactly. 0 before the first."""
        if not self.total:
            return [0.0] * len(percents)
        ranks = [max(1, math.ceil(percent / 100 * self.total)) for percent in percents]
        bins = np.searchsorted(self.counts.cumsum(), ranks).tolist()
        return [
            self.largest if percent == 100 else _norm(place + 0.5)
            for percent, place in zip(percents, bins, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """The counts as a tensor (bins,), and the largest norm."""
        return {"norms": torch.from_numpy(self.counts), "largest_norm": self.largest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was saved; older checkpoints don't know the largest."""
        counts: NDArray[np.int64] = state["norms"].numpy()
        largest: float | None = state["largest_norm"]
        self.counts[:] = counts
        self.total = int(counts.sum())
        highest = int(counts.nonzero()[0].max(initial=-1))
        self.largest = _norm(highest + 1) if largest is None and self.total else largest or 0.0


def _norm(place: float) -> float:
    """The norm at a place among the bins."""
    return math.exp2(place / PER_OCTAVE - _OCTAVES)
