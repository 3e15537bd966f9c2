"""Loss on held-out text with the exact distribution, dropout off, state carried throughout."""

from collections.abc import Generator, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import UserError
from engine.generation.decoder import stretches
from engine.generation.sampling import start_token
from engine.model import output
from engine.model.lstm import CarriedState, LSTMLanguageModel
from engine.text.batches import BatchCursor
from engine.text.tokenizer import Tokenizer

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
    columns = columns or streams(len(tokens))
    cursor = BatchCursor(tokens, columns, WINDOW)
    state = model.initial_state(columns)
    for _ in range(cursor.windows):
        inputs, targets = cursor.next()
        loss, state = window_loss(model, inputs, targets, state)
        total, count = total + loss, count + targets.numel()
        yield total, count
    rest = torch.from_numpy(np.asarray(tokens[cursor.rows * columns :]).astype(np.int64))[:, None]
    if len(rest) > 1:
        last_column = tuple((h[:, -1:].contiguous(), c[:, -1:].contiguous()) for h, c in state)
        loss, _ = window_loss(model, rest[:-1], rest[1:], last_column)
        yield total + loss, count + len(rest) - 1


def reading_streams(tokens: int) -> int:
    """How many streams a text is read as that is no split of the run's own."""
    return 1 if tokens <= ONE_STREAM else streams(tokens)


def streams(tokens: int) -> int:
    """How many streams a text of so many tokens is read as: fewer where it is short."""
    return max(1, min(COLUMNS, (tokens - 1) // WINDOW))


def score_lines(
    text: str, tokenizer: Tokenizer, model: LSTMLanguageModel
) -> Generator[None, None, tuple[float, int, int]]:
    """Pause between stretches of a long text, then return the sum of cross-entropies in nats, how
    many tokens were predicted, and how many of those read are unknown.

    Each line is read from an empty state. Raises UserError where there is nothing to score.
    """
    total, count, unknown = 0.0, 0, 0
    for line in text.split("\n"):
        if not line.strip():
            continue
        ids = [start_token(tokenizer), *tokenizer.encode(line + "\n").tolist()]
        column, state = torch.tensor(ids)[:, None], model.initial_state(1)
        for begin, end in stretches(len(ids) - 1, model):
            targets = column[begin + 1 : end + 1]
            loss, state = window_loss(model, column[begin:end], targets, state)
            total, count = total + loss, count + len(targets)
            yield
        unknown += ids.count(tokenizer.vocabulary.unknown)
    if count == 0:
        raise UserError("There is no text to score.")
    return total, count, unknown


@torch.inference_mode()
def window_loss(
    model: LSTMLanguageModel, inputs: Tensor, targets: Tensor, state: CarriedState
) -> tuple[float, CarriedState]:
    """Sum of cross-entropies in nats of targets (time, batch), and the state after them."""
    device = model.embedding.weight.device
    model.eval()
    features, state = model.features(inputs.to(device), state)
    layer, aims = model.output, targets.to(device).flatten()
    loss = output.summed_loss(features.flatten(0, 1), layer.weight, layer.bias, aims)
    return loss.item(), state
