"""Learning-rate schedules: pure functions of the step, as a factor of the base rate."""

import math

from engine.config import ScheduleConfig


def factor(schedule: ScheduleConfig, step: int, total_steps: int | None) -> float:
    """What the base rate is multiplied with for the step after `step` steps, in 0 to 1.

    Warm-up rises linearly over `warmup_steps`. Cosine (Loshchilov & Hutter 2017, without restarts)
    then falls to zero at `total_steps`, which it needs.
    """
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    if schedule.name == "constant" or total_steps is None:
        return 1.0
    decay_steps = max(1, total_steps - schedule.warmup_steps)
    progress = min(1.0, (step - schedule.warmup_steps) / decay_steps)
    return 0.5 * (1 + math.cos(math.pi * progress))
