"""Axes: a scale turns values into places, and has round values to be written beside it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui.numbers import SUFFIXES, exponent, short

Floats = NDArray[np.float64]

LABEL = 6
"""Characters of a label beside the y axis, at most."""


@dataclass(frozen=True)
class Scale:
    """What an axis covers, in its own units: the value, or its log10 on a logarithmic axis."""

    low: float
    high: float
    log: bool

    @classmethod
    def between(cls, low: float, high: float, *, log: bool) -> "Scale":
        """The scale from one value to another. A logarithmic one begins above zero."""
        if not log:
            return cls(low, high, log)
        first, last = (math.log10(max(end, 1e-300)) for end in (low, high))
        return cls(first, last, log)

    def places(self, values: Sequence[float] | NDArray[np.generic], count: int) -> Floats:
        """The place of each value, 0 at the low end of `count` places; NaN for one without any."""
        found = np.asarray(values, np.float64)
        if self.log:
            with np.errstate(all="ignore"):
                found = np.log10(found)
        return (found - self.low) * ((count - 1) / ((self.high - self.low) or 1.0))

    def rows(self, units: Floats, count: int) -> Floats:
        """The row of each, 0 at the top of `count` rows."""
        return (self.high - units) / (self.high - self.low) * (count - 1)


def units(values: Sequence[float] | NDArray[np.generic], *, log: bool) -> Floats:
    """Values in the units of the y axis, NaN where they have no place on it."""
    with np.errstate(all="ignore"):
        found = np.asarray(values, np.float32).astype(np.float64)
        if log:
            found = np.log10(found)
    found[~np.isfinite(found)] = np.nan
    return found


def y_labels(scale: Scale, height: int) -> list[tuple[int, str]]:
    """Rows and their labels: round values that stand well apart, or else the two ends."""
    apart = 2 if height < 16 else 3
    for ticks, step in _ticks(scale, height // apart):
        units = np.log10(ticks) if scale.log else ticks
        rows = np.rint(scale.rows(units, 4 * height)).astype(np.intp) // 4
        if len(rows) > 1 and np.abs(np.diff(rows)).min() >= apart:
            labels = _tick_labels(ticks.tolist(), step)
            if len(set(labels)) == len(labels) and max(map(len, labels)) <= LABEL:
                return list(zip(rows.tolist(), labels, strict=True))
    high, low = (narrow(10**end if scale.log else end) for end in (scale.high, scale.low))
    return [(0, high)] if height == 1 or low == high else [(0, high), (height - 1, low)]


def _ticks(scale: Scale, count: int) -> Iterator[tuple[Floats, float | None]]:
    """Sets of round values within the scale, the densest first; on a linear scale their step."""
    low, high = scale.low, scale.high
    if scale.log:
        decades = np.arange(math.floor(low), math.ceil(high) + 1)
        for mantissas, every in _LOG_TICKS:
            ticks = np.multiply.outer(10.0 ** decades[decades % every == 0], mantissas).ravel()
            yield ticks[(ticks >= 10**low * _LESS) & (ticks <= 10**high * _MORE)], None
        low, high = 10**low, 10**high
        if high > 10 * low:
            return
    step = round_up((high - low) / max(count, 1))
    while step < high - low:
        yield _multiples(step, low, high), step
        step = round_up(step * 1.1)


def x_labels(scale: Scale, width: int, *, whole: bool) -> list[tuple[float, str]]:
    """Round values about twelve columns apart, from the left to the right; `whole` numbers where
    there is nothing between them."""
    if scale.log:
        low, high = 10**scale.low, 10**scale.high
        for ticks, _ in _ticks(scale, max(width // 12, 2)):
            if len(ticks) <= max(width // 10, 2):
                return [(float(tick), short(float(tick))) for tick in ticks]
        return [(low, short(low, 2)), (high, short(high, 2))]
    step = round_up(((scale.high - scale.low) or 1) / max(width // 12, 2))
    ticks = _multiples(max(step, 1) if whole else step, scale.low, scale.high)
    return [(float(tick), short(float(tick))) for tick in ticks]


# --- round numbers and how they are written -----------------------------------------------------

_LOG_TICKS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((1, 2, 3, 5), 1),
    ((1, 2, 5), 1),
    ((1, 3), 1),
    ((1,), 1),
    ((1,), 2),
    ((1,), 5),
    ((1,), 10),
    ((1,), 20),
)
"""Mantissas, and every how many decades."""
_LESS, _MORE = 1 - 1e-9, 1 + 1e-9


def round_up(value: float) -> float:
    """The least of ... 0.1, 0.2, 0.5, 1, 2, 5, 10 ... that is not below a positive value."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= value * _LESS)


def _multiples(step: float, low: float, high: float) -> Floats:
    """The multiples of `step` within [low, high]."""
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return np.arange(first, last + 1, dtype=np.float64) * step


def narrow(value: float) -> str:
    """A number with as many digits as there is room for beside the y axis."""
    texts = [*(short(value, digits) for digits in (3, 2, 1)), exponent(f"{value:.0e}")]
    return next((text for text in texts if len(text) <= LABEL), texts[-1])


def _tick_labels(ticks: Sequence[float], step: float | None) -> list[str]:
    """Labels of ticks: on a linear scale all with the decimals and the unit the step asks for."""
    if step is None:
        return [short(tick) for tick in ticks]
    largest = max(map(abs, ticks))
    unit, suffix = next((u, s) for u, s in SUFFIXES if largest >= 10 * u or u == 1)
    decimals = max(0, -math.floor(math.log10(step / unit) + 1e-9))
    if largest < 1e-3 or largest >= 1e12:
        digits = math.floor(math.log10(largest)) - math.floor(math.log10(step) + 1e-9)
        labels = [exponent(f"{tick:.{max(digits, 0)}e}") for tick in ticks]
    else:
        labels = [f"{tick / unit:.{decimals}f}{suffix}" for tick in ticks]
    return [label if tick else "0" for tick, label in zip(ticks, labels, strict=True)]
