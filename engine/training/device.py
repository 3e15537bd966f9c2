"""Where and how wide a run computes."""

import os

import torch

from engine.config import RunConfig
from engine.model.lstm import LSTMLanguageModel

SMALL_STEP = 2e8
"""Floating-point operations of a step below which a second thread costs more than it brings."""


def pick_device() -> torch.device:
    """CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def pick_threads(config: RunConfig, model: LSTMLanguageModel) -> int:
    """The number asked for; else one for each core, and one alone for a tiny model."""
    training = config.training
    if training.threads:
        return training.threads
    parameters = sum(parameter.numel() for parameter in model.parameters())
    operations = 6 * parameters * training.batch_size * training.bptt
    return 1 if operations < SMALL_STEP else _cores()


def _cores() -> int:
    """Processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
