"""Learning-rate schedules: pure functions of the step and of a little stated state."""

import math

from engine.config import ScheduleConfig

_RISE = 0.3
"""Share of a one-cycle run in which the rate rises."""
_FIRST, _LAST = 1 / 25, 1 / 250_000
"""Where one-cycle begins and ends, as in PyTorch's OneCycleLR."""


def factor(schedule: ScheduleConfig, step: int, progress: float, plateau_decays: int) -> float:
    """What the base rate is multiplied with for the step after `step` steps.

    `progress`, 0 to 1, is how much of the run is done, by whichever of its limits in steps, epochs
    and minutes comes first. `plateau_decays` counts how often a plateau has divided the rate.
    """
    warm_up = min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps else 1.0
    match schedule.name:
        case "one-cycle":
            return one_cycle(step, progress)
        case "linear":
            return warm_up * (1 - progress)
        case "cosine":
            return warm_up * 0.5 * (1 + math.cos(math.pi * progress))
        case "cooldown":
            return warm_up * min(1.0, (1 - progress) / schedule.cooldown)
        case "plateau":
            return warm_up * schedule.divide_by**-plateau_decays
        case "constant":
            return warm_up


def one_cycle(step: int, progress: float) -> float:
    """Up to 1 and down to almost nothing along cosines (Smith & Topin 2019, "Super-Convergence").

    As PyTorch's OneCycleLR for four steps and more, of the rate alone: momentum stays as it is.
    The last step has the lowest rate, so the peak lies a step before its share of the run; what
    share a step is, `progress` after `step` steps tells.
    """
    if not step:
        return _FIRST
    share = progress / step
    peak = _RISE - share
    if progress < peak:
        return _between(_FIRST, 1.0, progress / peak)
    return _between(1.0, _LAST, min(1.0, (progress - peak) / (1 - _RISE)))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))
