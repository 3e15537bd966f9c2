"""The words that a sampled loss compares the targets with, drawn anew for each step."""

from collections.abc import Sequence

import numpy as np
import torch

from engine.model.output import Candidates

POWER = 0.5
"""Of a word's count, to which its inclusion probability is proportional."""


class CandidateSampler:
    """Draws `number` words of a vocabulary: the frequent ones always, the rare ones by turns.

    Systematic sampling (Madow 1949): one random number a step, a fixed number of different words,
    every inclusion probability as it is wanted.
    """

    def __init__(self, counts: Sequence[int], number: int, random: torch.Generator) -> None:
        """`counts` of all the words; those of 0 are taken as 1."""
        self._inclusion = inclusion_probabilities(np.maximum(counts, 1) ** POWER, number)
        self._upto = np.cumsum(self._inclusion)
        self._upto[-1] = number
        self._log = torch.from_numpy(np.log(self._inclusion)).float()
        self._points = np.arange(number)
        self._random = random

    def draw(self) -> Candidates:
        """The candidates of a step."""
        offset = torch.rand((), generator=self._random, dtype=torch.float64).item()
        words = torch.from_numpy(np.searchsorted(self._upto, self._points + offset, side="right"))
        return Candidates(words, self._log[words])


def inclusion_probabilities(weights: np.ndarray, number: int) -> np.ndarray:
    """Probabilities proportional to weights, but at most 1, that sum to `number`."""
    certain = np.zeros(len(weights), bool)
    while True:
        share = (number - certain.sum()) / weights[~certain].sum()
        probabilities = np.where(certain, 1.0, weights * share)
        if (probabilities <= 1).all():
            return probabilities
        certain |= probabilities > 1
