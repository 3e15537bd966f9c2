"""Loss on a text read as one stream by a model that may learn from what it has read."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from engine.explore.dynamic_evaluation import SEGMENT, FollowingWeights
from engine.explore.neural_cache import NeuralCache
from engine.model.lstm import LSTMLanguageModel, detached
from engine.training.batches import BatchCursor


def online_loss(
    model: LSTMLanguageModel,
    tokens: NDArray[np.integer],
    *,
    following: FollowingWeights | None = None,
    cache: NeuralCache | None = None,
) -> Iterator[tuple[float, int]]:
    """Sum of cross-entropies in nats, and how many tokens were predicted, growing by segments.

    Every token but the first is predicted once, before anything is learnt from its segment.
    `following` are the weights of `model`; they learn from the model's own loss, whether or not a
    cache has a share in what is measured. Without either it is the loss of the model alone.
    """
    device = model.embedding.weight.device
    model.eval()
    total, count = 0.0, 0
    cursor = BatchCursor(tokens, 1, SEGMENT)
    state = model.initial_state(1)
    for _ in range(cursor.windows):
        inputs, targets = (rows.to(device) for rows in cursor.next())
        with torch.set_grad_enabled(following is not None):
            features, state = model.features(inputs, state)
            logits = model.output(features)
            own = logits.log_softmax(-1).gather(-1, targets[..., None]).flatten()
        measured, seen, next_tokens = own.detach(), features[:, 0].detach(), targets[:, 0]
        if cache is not None:
            measured = cache.log_probabilities(seen, next_tokens, measured)
            cache.remember(seen, next_tokens)
        total, count = total - measured.sum().item(), count + targets.numel()
        if following is not None:
            following.learn(-own.mean())
        state = detached(state)
        yield total, count
