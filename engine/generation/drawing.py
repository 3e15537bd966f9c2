"""Tokens drawn by their weights: first a group of neighbours in the vocabulary, then one of it.

Each falls to a number of its own, so that of 10,000 tokens some 200 sums are compared with them,
not 10,000: that is quicker, and it is seldom that rounding could tip one.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

NUMBERS = 2
"""That a token is drawn by."""
GROUP = 128
"""Tokens of a group."""


def draw_numbers(random: torch.Generator | None, tokens: int = 1) -> Tensor:
    """What tokens are drawn by, one after the other: (tokens, NUMBERS), from 0 to 1."""
    return torch.rand(tokens, NUMBERS, dtype=torch.float64, generator=random)


def drawn(weights: NDArray[np.float32], numbers: Tensor) -> int:
    """The token that numbers (1, NUMBERS) fall to among weights (vocabulary,)."""
    first, second = numbers[0].tolist()
    sums = np.add.reduceat(weights, np.arange(0, len(weights), GROUP), dtype=np.float64)
    begin = GROUP * _fall(sums, first)
    return begin + _fall(weights[begin : begin + GROUP].astype(np.float64), second)


def _fall(weights: NDArray[np.float64], number: float) -> int:
    reached = weights.cumsum()
    # A number next to 1 would be rounded to the end of all.
    at = min(number * reached[-1], np.nextafter(reached[-1], 0))
    return int(reached.searchsorted(at, side="right"))


def fallen(
    weights: Tensor, numbers: Tensor, rounding: Tensor, loose: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """As `drawn` of weights (texts, vocabulary): the tokens (texts,), and whether each is for sure.

    `rounding`, of each or of all, is what it may make of the share that some tokens have together;
    `loose`, as the weights, has those that it may keep or not, and zeros elsewhere.
    """
    rows = torch.arange(len(weights))
    groups, loose_groups = _groups(weights), None if loose is None else _groups(loose)
    sums = groups.sum(2, dtype=torch.float64)
    loose_sums = None if loose_groups is None else loose_groups.sum(2, dtype=torch.float64)
    group, sure = _place(sums, numbers[:, 0], rounding, loose_sums)
    within = groups[rows, group].double()
    loose_within = None if loose_groups is None else loose_groups[rows, group].double()
    place, also = _place(within, numbers[:, 1], rounding, loose_within)
    return group * GROUP + place, sure & also


def _groups(weights: Tensor) -> Tensor:
    """(texts, groups, GROUP)."""
    padded = functional.pad(weights, (0, -weights.shape[1] % GROUP))
    return padded.view(len(weights), -1, GROUP)


def _place(
    weights: Tensor, numbers: Tensor, rounding: Tensor, loose: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Where numbers (texts,) fall among weights (texts, places), and whether for sure."""
    reached = weights.cumsum(1)
    total = reached[:, -1]
    margin = rounding * total if loose is None else rounding * total + loose.sum(1)
    at = torch.minimum(numbers * total, total.nextafter(torch.zeros_like(total)))
    low, place, high = (
        torch.searchsorted(reached, each[:, None], right=True)[:, 0]
        for each in (at - margin, at, at + margin)
    )
    return place, low == high
