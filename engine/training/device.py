"""Where and how wide a run computes."""

import math
import os
import time

import torch

from engine.training.rehearsal import rehearse
from engine.training.trainer import Trainer

SMALL_STEP = 2e8
"""Floating-point operations of a step below which a second thread costs more than it brings."""
LONG_STEP = 1.0
"""Seconds of a step that is worth every core, and too long to be tried out."""


def pick_device() -> torch.device:
    """CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def pick_threads(trainer: Trainer) -> int:
    """The number asked for; else one alone for a tiny model, else what a trial shows to be faster:
    one thread, or one for each core, which is much slower beside another busy process.
    """
    training = trainer.config.training
    if training.threads:
        return training.threads
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    operations = 6 * parameters * training.batch_size * training.bptt
    cores = _cores()
    if operations < SMALL_STEP or cores == 1:
        return 1
    if trainer.device.type != "cpu":
        return cores
    best = dict.fromkeys((cores, 1), math.inf)
    for threads in (*best, *best, *best):
        torch.set_num_threads(threads)
        began = time.perf_counter()
        rehearse(trainer)
        best[threads] = min(best[threads], time.perf_counter() - began)
        if best[cores] > LONG_STEP:
            return cores
    return min(best, key=lambda threads: best[threads])


def _cores() -> int:
    """Processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
