"""Dynamic evaluation: the weights follow the text as it is read (Krause et al. 2018).

"Dynamic Evaluation of Neural Sequence Models", section 5, with the values of the authors' code
(benkrause/dynamic-evaluation). After each segment every weight takes a gradient step, divided by
the root mean square of its gradients on the training text, and moves back towards its trained
value, the faster the larger that root mean square. Dropout is off throughout.
"""

from collections.abc import Generator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.events import Progress
from engine.model.lstm import LSTMLanguageModel, detached
from engine.text.batches import BatchCursor

SEGMENT = 20
"""Tokens between two gradient steps. The paper takes 5 for words; the authors' code gives 20 as
three times faster at no loss."""
LEARNING_RATE = 1.2e-4
"""The authors' for segments of 20 on PTB and WikiText-2 (5e-5 for 5)."""
DECAY = 0.008
"""Lambda, back to the trained weights: the authors' for segments of 20 on WikiText-2, and four
times the 0.002 of segments of 5."""
STABILITY = 2e-5
"""Epsilon, added to the root mean square."""
COLUMNS = 100
"""Streams of training text side by side behind each squared gradient: rates depend on it."""
WINDOWS = 100
"""Windows of training text that are squared, at most: 200,000 tokens from all over the text. The
paper takes all of it."""


def gradient_scale(
    model: LSTMLanguageModel, training: NDArray[np.integer]
) -> Generator[Progress, None, list[Tensor]]:
    """Tell of progress, then return the root mean square gradient of each of the parameters, shaped
    as it, nats per token for each unit of weight.

    `training` is the encoded training text (tokens,). The model's own gradients are left cleared.
    """
    columns = max(1, min(COLUMNS, (len(training) - 1) // SEGMENT))
    cursor = BatchCursor(training, columns, SEGMENT)
    parameters = list(model.parameters())
    squares = [torch.zeros_like(parameter) for parameter in parameters]
    state = model.initial_state(columns)
    windows = min(WINDOWS, cursor.windows)
    model.eval()
    for window in range(windows):
        inputs, targets = (rows.to(squares[0].device) for rows in cursor.next())
        loss, _, state, _ = model.loss(inputs, targets, state)
        for square, gradient in zip(squares, torch.autograd.grad(loss, parameters), strict=True):
            square.addcmul_(gradient, gradient, value=1 / windows)
        state = detached(state)
        yield Progress(
            task="measuring gradients",
            done=(window + 1) * columns * SEGMENT,
            total=windows * columns * SEGMENT,
            unit="tokens",
        )
    return [square.sqrt_() for square in squares]


class DynamicEvaluator:
    """The weights of a model as they follow the text: they are changed in place."""

    def __init__(
        self,
        model: LSTMLanguageModel,
        scale: list[Tensor],
        learning_rate: float = LEARNING_RATE,
        decay: float = DECAY,
    ) -> None:
        """`scale` is the root mean square gradient of each of the parameters of `model`."""
        self._parameters = list(model.parameters())
        self._trained = [parameter.detach().clone() for parameter in self._parameters]
        # As the authors' code: the mean over tensors of each one's mean.
        mean = torch.stack([rms.mean() for rms in scale]).mean()
        self._decays = [(decay * rms / mean).clamp(max=1) for rms in scale]
        self._rates = [learning_rate / (rms + STABILITY) for rms in scale]

    def learn(self, loss: Tensor) -> None:
        """Take a step against the gradient of a segment's mean loss (a scalar, nats per token), and
        one back."""
        gradients = torch.autograd.grad(loss, self._parameters)
        with torch.no_grad():
            for weight, trained, decay, rate, gradient in zip(
                self._parameters, self._trained, self._decays, self._rates, gradients, strict=True
            ):
                weight.lerp_(trained, decay).addcmul_(rate, gradient, value=-1)
