"""A plain RNN beside a run: the same sizes, text and steps without gates, to be compared with."""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock

import torch
from torch import Tensor, nn

from engine.config import replace
from engine.errors import UserError
from engine.generation.cell import input_gradients
from engine.model.lstm import LSTMLanguageModel
from engine.training.trainer import Trainer

MOST_STEPS = 1_000
"""That it is trained for."""
MOST_BUILT = 20_000_000
"""Parameters, at most, of a run that has one beside it."""
RECENT = 50
"""Steps that its loss is the mean of."""


class PlainRNN(LSTMLanguageModel):
    """Layers of units with tanh, each fed with its own state (Elman 1990, "Finding Structure in
    Time"), in the place of LSTM layers. The c of a layer's state is carried along, and unused."""

    def _layer(self, inputs: int, units: int) -> nn.Module:
        return nn.RNN(inputs, units)

    def _call_layer(
        self, inputs: Tensor, state: list[Tensor], weights: list[Tensor], backward: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        h, c = state
        output, h = torch.rnn_tanh(inputs, h, weights, True, 1, 0.0, backward, False, False)
        return output, h, c


class Beside:
    """A plain RNN and its training, which begins as the run's did: by its settings, its seed and
    its first batch."""

    def __init__(self, trainer: Trainer) -> None:
        """`trainer` is the run's, and stays as it is. To be called where nothing else draws from
        torch's own random numbers. Raises UserError where the model is too large."""
        if sum(each.numel() for each in trainer.model.parameters()) > MOST_BUILT:
            raise UserError(
                f"A plain RNN is trained beside models of at most {MOST_BUILT:,} parameters."
            )
        config = replace(trainer.config, {"model.forget_bias": None})
        with torch.random.fork_rng(devices=[]):
            self._trainer = Trainer(config, trainer.corpus, trainer.device, PlainRNN)
        self._losses = deque[float](maxlen=RECENT)
        self._busy = Lock()

    @property
    def steps(self) -> int:
        """That it was trained for."""
        return self._trainer.step

    @property
    def loss(self) -> float | None:
        """The mean of its last losses, nats per token; None where there is none."""
        return sum(self._losses) / len(self._losses) if self._losses else None

    def look(
        self, tokens: Sequence[int], target: int, steps: int, tell: Callable[[int], None]
    ) -> tuple[float, list[float]]:
        """The log-probability of a token after others, and how much each of those matters for it
        (see `input_gradients`), once it is trained for so many steps, MOST_STEPS at most. `tell`
        is told each step, and may raise what ends that.

        Raises UserError where it is at this already.
        """
        if not self._busy.acquire(blocking=False):
            raise UserError("The plain RNN is being trained already: wait for it.")
        try:
            while self.steps < min(steps, MOST_STEPS):
                tell(self.steps)
                stepped, *_ = self._trainer.take_step()
                if stepped.loss is not None:
                    self._losses.append(stepped.loss)
            _, score, norms = input_gradients(self._trainer.model, tokens, target)
            return score, norms
        finally:
            self._busy.release()
