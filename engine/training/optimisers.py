"""Optimisers, and the averaging of weights that nt-asgd begins once validation stalls."""

import copy
from collections.abc import Sequence

import torch

from engine.config import OptimiserConfig
from engine.model.lstm import LSTMLanguageModel


def build_optimiser(config: OptimiserConfig, model: LSTMLanguageModel) -> torch.optim.Optimizer:
    """The optimiser of a configuration; nt-asgd is sgd, its average kept beside it."""
    rate, decay = config.learning_rate, config.weight_decay
    weights = model.parameters()
    match config.name:
        case "sgd" | "nt-asgd":
            momentum = config.momentum
            return torch.optim.SGD(weights, rate, momentum, weight_decay=decay, fused=True)
        case "adam":
            return torch.optim.Adam(weights, rate, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(weights, rate, weight_decay=decay, fused=True)


class Average:
    """The mean of the weights since it began (Polyak & Juditsky 1992).

    Those it begins with are the first of the mean, as in algorithm 1 of Merity et al. 2018.
    """

    def __init__(self, model: LSTMLanguageModel) -> None:
        self.model = copy.deepcopy(model)
        """A model of its own that holds the mean."""
        self.steps = 1
        """How many weights the mean is of."""

    @torch.no_grad()
    def update(self, model: LSTMLanguageModel) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        means = [parameter.data for parameter in self.model.parameters()]
        weights = [parameter.data for parameter in model.parameters()]
        torch._foreach_lerp_(means, weights, 1 / self.steps)


def stalled(losses: Sequence[float], patience: int) -> bool:
    """The non-monotonic trigger of Merity et al. 2018, algorithm 1.

    Whether the newest validation loss is above the lowest of those before the last `patience`.
    """
    *before, newest = losses
    return len(before) > patience and newest > min(before[:-patience])
