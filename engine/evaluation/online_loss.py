"""Loss on a text read as one stream by a model that may learn from what it has read."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.evaluation.dynamic_evaluation import SEGMENT, DynamicEvaluator
from engine.evaluation.neural_cache import NeuralCache
from engine.model.lstm import LSTMLanguageModel, detached
from engine.text.batches import BatchCursor


class Segment(NamedTuple):
    """What a model makes of the next few tokens."""

    own: Tensor
    """Its log-probabilities of them, (time,)."""
    features: Tensor
    """What it predicts them from, (time, units)."""
    targets: Tensor
    """Their ids, (time,)."""


def segments(
    model: LSTMLanguageModel,
    tokens: NDArray[np.integer],
    evaluator: DynamicEvaluator | None = None,
) -> Iterator[Segment]:
    """The text, ids (tokens,), by segments: every token but the first is predicted once.
    `evaluator` are the weights of `model`, which learn from a segment's loss once it has been
    given."""
    device = model.embedding.weight.device
    model.eval()
    cursor = BatchCursor(tokens, 1, SEGMENT)
    state = model.initial_state(1)
    for _ in range(cursor.windows):
        inputs, targets = (rows.to(device) for rows in cursor.next())
        with torch.set_grad_enabled(evaluator is not None):
            features, state = model.features(inputs, state)
            logits = model.output(features)
            own = logits.log_softmax(-1).gather(-1, targets[..., None]).flatten()
        yield Segment(own.detach(), features[:, 0].detach(), targets[:, 0])
        if evaluator is not None:
            evaluator.learn(-own.mean())
        state = detached(state)


def online_loss(
    model: LSTMLanguageModel,
    tokens: NDArray[np.integer],
    *,
    evaluator: DynamicEvaluator | None = None,
    cache: NeuralCache | None = None,
) -> Iterator[tuple[float, int]]:
    """Sum of cross-entropies in nats, and how many tokens were predicted, growing by segments.

    `tokens` are ids (tokens,). Every token but the first is predicted once, before anything is
    learnt from its segment. `evaluator` are the weights of `model`; they learn from the model's own
    loss, whether or not a cache has a share in what is measured. Without either it is the loss of
    the model alone.
    """
    total, count = 0.0, 0
    for own, features, targets in segments(model, tokens, evaluator):
        measured = own
        if cache is not None:
            measured = cache.log_probabilities(features, targets, own)
            cache.remember(features, targets)
        total, count = total - measured.sum().item(), count + len(targets)
        yield total, count
