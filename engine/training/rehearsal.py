"""A step computed and not taken: what it costs, and whether the model is worth keeping."""

import logging
import math

import torch

from engine.training.clipping import clip
from engine.training.trainer import Trainer


def rehearse(trainer: Trainer) -> tuple[float, float]:
    """Compute a loss, in nats per token, and the norm of its gradient as the next step would, and
    leave everything as it was."""
    dropout = trainer.dropout_random.get_state()
    data = trainer.data_random.get_state()
    trainer.model.train()
    trainer.optimiser.zero_grad()  # of a step that was skipped
    inputs, targets = trainer.cursor.peek()
    try:
        loss, *_ = trainer.model.loss(
            inputs.to(trainer.device),
            targets.to(trainer.device),
            trainer.model.initial_state(trainer.cursor.batch_size),
            None if trainer.candidates is None else trainer.candidates.draw(),
        )
        torch.autograd.backward(loss)
        measured = clip(loss, trainer.groups, "off", 1.0)
    finally:
        trainer.optimiser.zero_grad()
        trainer.dropout_random.set_state(dropout)
        trainer.data_random.set_state(data)
    return measured.loss, measured.norm_before


def fault(trainer: Trainer) -> str:
    """Why the model as it stands is not worth keeping, as a clause; empty where it computes finite
    numbers on a window of text. Such weights are never saved: see training.non_finite.

    Where nothing can be computed any more, for want of memory say, finite weights are worth it."""
    for name, parameter in trainer.model.named_parameters():
        if not bool(parameter.isfinite().all()):
            return f"{name} holds numbers that are not finite"
    try:
        loss, norm = rehearse(trainer)
    except (MemoryError, RuntimeError) as error:  # torch's own of memory is a RuntimeError
        logging.warning("whether the model computes finite numbers can't be told: %s", error)
        return ""
    if math.isfinite(loss) and math.isfinite(norm):
        return ""
    what = "gradient" if math.isfinite(loss) else "loss"
    return f"the weights are finite numbers, but the {what} computed with them is not"
