"""How the gradient fades on its way back through a window: vanishing, seen (Pascanu et al. 2013,
"On the difficulty of training recurrent neural networks").
"""

import math

import torch
from torch.nn import functional

from engine.messages import GradientByTime
from engine.training.trainer import Trainer


def gradient_by_time(trainer: Trainer) -> GradientByTime:
    """The gradient of the last prediction of the next window by each token's vector.

    The loss is the mean over the batch of the last tokens' cross-entropy, the dropouts are off, and
    a time step's norm is over batch and vector. Nothing of the trainer changes.
    """
    model, cursor = trainer.model, trainer.cursor
    carried = model.initial_state(cursor.batch_size) if cursor.at_start else trainer.carried
    tokens, targets = cursor.peek()
    model.eval()
    with torch.enable_grad():
        vectors = model.embed(tokens.to(trainer.device)).detach().requires_grad_()
        features, _ = model.features_of_vectors(vectors, carried)
        loss = functional.cross_entropy(model.output(features[-1]), targets[-1].to(trainer.device))
    (gradient,) = torch.autograd.grad(loss, vectors)
    # Squares of what has nearly vanished would be nothing in float32.
    norms: list[float] = gradient.double().square().sum((1, 2)).sqrt().tolist()
    return GradientByTime(step=trainer.step, norms=norms, ratio=_ratio(norms))


def _ratio(norms: list[float]) -> float:
    """The mean of the first tenth over that of the last; NaN where that is zero."""
    tenth = max(1, round(len(norms) / 10))
    last = sum(norms[-tenth:])
    return sum(norms[:tenth]) / last if last else math.nan
