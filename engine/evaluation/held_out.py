"""Loss on held-out text with the exact distribution, dropout off, state carried throughout."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.model import output
from engine.model.lstm import CarriedState, LSTMLanguageModel
from engine.text.batches import BatchCursor

COLUMNS = 10
"""Streams read side by side, as PyTorch's word-language-model example evaluates. Each begins with
an empty state, which costs a few of the split's tokens some context."""
WINDOW = 70
"""Rows at a time: no result depends on it."""


ONE_STREAM = 2_000
"""Tokens of a text that is no split, at most, that are read as one stream: nobody compares them
with what training reports, and every join would cost context."""


def total_loss(
    model: LSTMLanguageModel, tokens: NDArray[np.integer], columns: int = 0
) -> Iterator[tuple[float, int]]:
    """Sum of cross-entropies in nats, and how many tokens were predicted, growing window by window.

    `tokens` are ids (tokens,). Every token but the first is predicted once, in as many streams as
    `columns` says, or as training reads a split. Weights must not change between two windows.
    """
    total, count = 0.0, 0
    for features, targets, _ in read(model, tokens, columns or streams(len(tokens))):
        total += summed_loss(model, features, targets)
        count += targets.numel()
        yield total, count


class Read(NamedTuple):
    """A window of a text, as the model has read it."""

    features: Tensor
    """What the targets are predicted from: (time, batch, units)."""
    targets: Tensor
    """(time, batch)."""
    places: NDArray[np.int64]
    """Where in the text the targets stand: (time, batch)."""


def read(model: LSTMLanguageModel, tokens: NDArray[np.integer], columns: int) -> Iterator[Read]:
    """A text, ids (tokens,), read as so many streams, window by window: every token but the first
    is a target once. Weights must not change between two windows."""
    cursor = BatchCursor(tokens, columns, WINDOW)
    state = model.initial_state(columns)
    begins = 1 + cursor.rows * np.arange(columns)
    for _ in range(cursor.windows):
        inputs, targets = cursor.next()
        features, targets, state = window_features(model, inputs, targets, state)
        yield Read(features, targets, begins + np.arange(len(targets))[:, None])
        begins += len(targets)
    rest = torch.from_numpy(np.asarray(tokens[cursor.rows * columns :]).astype(np.int64))[:, None]
    if len(rest) > 1:
        last_column = tuple((h[:, -1:].contiguous(), c[:, -1:].contiguous()) for h, c in state)
        features, targets, _ = window_features(model, rest[:-1], rest[1:], last_column)
        yield Read(features, targets, len(tokens) - np.arange(len(targets), 0, -1)[:, None])


def reading_streams(tokens: int) -> int:
    """How many streams a text is read as that is no split of the run's own."""
    return 1 if tokens <= ONE_STREAM else streams(tokens)


def streams(tokens: int) -> int:
    """How many streams a text of so many tokens is read as: fewer where it is short."""
    return max(1, min(COLUMNS, (tokens - 1) // WINDOW))


@torch.inference_mode()
def window_features(
    model: LSTMLanguageModel, inputs: Tensor, targets: Tensor, state: CarriedState
) -> tuple[Tensor, Tensor, CarriedState]:
    """Features of inputs (time, batch), the targets beside them, and the state after them."""
    device = model.embedding.weight.device
    model.eval()
    features, state = model.features(inputs.to(device), state)
    return features, targets.to(device), state


@torch.inference_mode()
def summed_loss(model: LSTMLanguageModel, features: Tensor, targets: Tensor) -> float:
    """Sum of cross-entropies in nats of targets (time, batch)."""
    layer = model.output
    loss = output.summed_loss(features.flatten(0, 1), layer.weight, layer.bias, targets.flatten())
    return loss.item()
