"""Where and how wide a run computes."""

import os

import torch

from engine.training.trainer import Trainer

SMALL_STEP = 2e9
"""Floating-point operations of a step below which a second thread costs more than it brings, as six
for each parameter and token."""


def pick_device() -> torch.device:
    """CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def pick_threads(trainer: Trainer) -> int:
    """The number asked for; else one alone where the work of a step is small, else one for each
    core. The same for the same run on the same machine, whatever else is done there: results depend
    on it in their last bits.
    """
    training = trainer.config.training
    if training.threads:
        return training.threads
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    operations = 6 * parameters * training.batch_size * training.bptt
    return 1 if operations < SMALL_STEP else _cores()


def _cores() -> int:
    """Processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
