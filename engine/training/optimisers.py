"""Optimisers, and the averaging of weights that nt-asgd begins once validation stalls.

They call torch's fused kernels. torch.optim does the same, but loads torch's compiler, which takes
nearly half as long again as all of torch.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from engine.config import OptimiserConfig
from engine.model.lstm import LSTMLanguageModel

_BETAS, _EPSILON = (0.9, 0.999), 1e-8
"""As Kingma & Ba 2015 recommend."""


class Optimiser(ABC):
    """Changes weights by their gradients."""

    def __init__(self, weights: Mapping[str, Tensor], weight_decay: float) -> None:
        """`weights` are the model's parameters by name."""
        self._names, self._weights = list(weights), list(weights.values())
        self._weight_decay = weight_decay
        self.state: list[dict[str, Tensor]] = [{} for _ in self._weights]
        """What it keeps of each weight, under torch.optim's names; nothing before a step."""

    def state_dict(self) -> dict[str, Tensor]:
        """What it keeps, as `<parameter>.<name>`, each shaped as its parameter, or a scalar."""
        return {
            f"{name}.{key}": value.contiguous()
            for name, values in zip(self._names, self.state, strict=True)
            for key, value in values.items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on with copies of what was kept."""
        self.state = [{} for _ in self._weights]
        places = {name: place for place, name in enumerate(self._names)}
        for name, value in state.items():
            parameter, _, key = name.rpartition(".")
            place = places[parameter]
            self.state[place][key] = value.to(self._weights[place].device, copy=True)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for weight in self._weights:
            weight.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Change every weight by its gradient."""
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        self._step(gradients, learning_rate)

    @abstractmethod
    def _step(self, gradients: list[Tensor], learning_rate: float) -> None: ...

    def _kept(self, name: str) -> list[Tensor]:
        return [values[name] for values in self.state]


class SGD(Optimiser):
    """Stochastic gradient descent, with momentum where that is above 0 (Sutskever et al. 2013)."""

    def __init__(self, weights: Mapping[str, Tensor], momentum: float, weight_decay: float) -> None:
        super().__init__(weights, weight_decay)
        self._momentum = momentum

    def _step(self, gradients: list[Tensor], learning_rate: float) -> None:
        weights, dense = [], []
        for weight, gradient in zip(self._weights, gradients, strict=True):
            if gradient.is_sparse:  # then there is neither momentum nor decay
                weight.add_(gradient, alpha=-learning_rate)
            else:
                weights.append(weight)
                dense.append(gradient)
        first = self._momentum > 0 and not self.state[0]
        if first:
            self.state = [{"momentum_buffer": torch.empty_like(weight)} for weight in self._weights]
        torch._fused_sgd_(
            weights,
            dense,
            self._kept("momentum_buffer") if self._momentum > 0 else [],
            weight_decay=self._weight_decay,
            momentum=self._momentum,
            lr=learning_rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=first,
        )


class Adam(Optimiser):
    """Adam (Kingma & Ba 2015); decoupled, AdamW (Loshchilov & Hutter 2019)."""

    def __init__(
        self, weights: Mapping[str, Tensor], weight_decay: float, *, decoupled: bool
    ) -> None:
        super().__init__(weights, weight_decay)
        self._kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_

    def _step(self, gradients: list[Tensor], learning_rate: float) -> None:
        if not self.state[0]:
            self.state = [
                {
                    "step": torch.zeros((), device=weight.device),
                    "exp_avg": torch.zeros_like(weight),
                    "exp_avg_sq": torch.zeros_like(weight),
                }
                for weight in self._weights
            ]
        steps = self._kept("step")
        for step in steps:
            step.add_(1)
        self._kernel(
            self._weights,
            gradients,
            self._kept("exp_avg"),
            self._kept("exp_avg_sq"),
            [],
            steps,
            lr=learning_rate,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            weight_decay=self._weight_decay,
            eps=_EPSILON,
            amsgrad=False,
            maximize=False,
        )


def build_optimiser(config: OptimiserConfig, model: LSTMLanguageModel) -> Optimiser:
    """The optimiser of a configuration; nt-asgd is sgd, its average kept beside it."""
    weights, decay = dict(model.named_parameters()), config.weight_decay
    match config.name:
        case "sgd" | "nt-asgd":
            return SGD(weights, config.momentum, decay)
        case "adam" | "adamw":
            return Adam(weights, decay, decoupled=config.name == "adamw")


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
        for mean, weight in zip(self.model.parameters(), model.parameters(), strict=True):
            mean.lerp_(weight, 1 / self.steps)


def stalled(losses: Sequence[float], patience: int) -> bool:
    """The non-monotonic trigger of Merity et al. 2018, algorithm 1.

    Whether the newest validation loss is above the lowest of those before the last `patience`.
    """
    *before, newest = losses
    return len(before) > patience and newest > min(before[:-patience])
