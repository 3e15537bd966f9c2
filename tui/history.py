"""Every step of a run, kept so that any stretch of it can be drawn at once.

A `Series` is one number per step. Beside the numbers it keeps a pyramid: the least and the
greatest of every 8, of every 64, of every 512 ... numbers. An envelope of any stretch reads a few
blocks for each column from the level that fits, so its cost does not grow with the run's length.
"""

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.events import (
    AnyEvent,
    AnyRecorded,
    Averaging,
    Evaluated,
    Intervened,
    NonFinite,
    Recorded,
    RolledBack,
    Sampled,
    Stepped,
)
from tui.pace import Pace
from tui.validations import Validations

Floats = NDArray[np.float32]
_R = TypeVar("_R", bound=Recorded)

_FACTOR = 8
_BLOCKS_A_COLUMN = 4
"""An envelope's column edges fall on block edges; with at least this many blocks a column they
are off by at most an eighth of a column."""

CLIP_WINDOW = 1000
"""Steps over which the clip fraction runs."""

HALF_LIFE = 20
"""Steps after which a loss counts half in the smoothed loss."""

SLACK = 100_000
"""Steps that may be missing from a record."""


class _Numbers:
    """A float32 array that grows at its end."""

    def __init__(self) -> None:
        self._room: Floats = np.empty(1024, np.float32)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def array(self) -> Floats:
        return self._room[: self._length]

    def extend(self, values: Floats) -> None:
        length = self._length + len(values)
        if length > len(self._room):
            room = np.empty(max(length, 2 * len(self._room)), np.float32)
            room[: self._length] = self.array
            self._room = room
        self._room[self._length : length] = values
        self._length = length

    def truncate(self, length: int) -> None:
        self._length = min(self._length, length)


class Series:
    """One number per step, float32. What is not a finite number is kept as NaN: a gap."""

    def __init__(self, values: ArrayLike = ()) -> None:
        self._values = _Numbers()
        self._lows: list[_Numbers] = []
        self._highs: list[_Numbers] = []
        self.extend(values)

    def __len__(self) -> int:
        return len(self._values)

    def extend(self, values: ArrayLike) -> None:
        """Add numbers at the end. O(len(values))."""
        with np.errstate(over="ignore"):
            added = np.asarray(values, np.float32)
        self._values.extend(np.where(np.isfinite(added), added, np.float32(np.nan)))

    def truncate(self, length: int) -> None:
        """Forget everything from index `length` on."""
        self._values.truncate(length)
        for level, (low, high) in enumerate(zip(self._lows, self._highs, strict=True), start=1):
            low.truncate(length // _FACTOR**level)
            high.truncate(length // _FACTOR**level)

    def values(self, start: int = 0, stop: int | None = None) -> Floats:
        """The numbers at [start:stop], as a slice takes them: a view, not to be kept."""
        return self._values.array[start:stop]

    def envelope(self, start: int, stop: int, columns: int) -> tuple[Floats, Floats]:
        """The least and the greatest number in each of `columns` equal parts of [start, stop).

        Two arrays of length `columns`, NaN where a part holds no number. Where a part is longer
        than 32 steps its edges are rounded by at most an eighth of its length (those of the whole
        outwards, by at most a quarter), so that no number is left out and the cost stays
        O(columns). `start` must not be negative; `stop` may lie
        behind the end.
        """
        level = 0
        while _BLOCKS_A_COLUMN * columns * _FACTOR ** (level + 1) <= stop - start:
            level += 1
        block = _FACTOR**level
        lows, highs = self._blocks(level)

        edges = start + (stop - start) * np.arange(columns + 1) // columns
        edges = (edges + block // 2) // block
        edges[0] = start // block
        edges[-1] = -(-stop // block)
        edges = np.minimum(edges, len(lows))
        first, last = edges[:-1], edges[1:]
        filled = first < last

        low = np.full(columns, np.nan, np.float32)
        high = low.copy()
        if filled.any():
            low[filled] = np.fmin.reduceat(lows[: edges[-1]], first[filled])
            high[filled] = np.fmax.reduceat(highs[: edges[-1]], first[filled])
        return low, high

    def _blocks(self, level: int) -> tuple[Floats, Floats]:
        """Least and greatest of each block of a level, the unfinished block at the end too."""
        values = self._values.array
        if level == 0:
            return values, values
        while len(self._lows) < level:
            self._lows.append(_Numbers())
            self._highs.append(_Numbers())
        lower, higher = values, values
        for low, high in zip(self._lows[:level], self._highs[:level], strict=True):
            _summarise(lower, low, np.fmin)
            _summarise(higher, high, np.fmax)
            lower, higher = low.array, high.array
        rest = values[len(lower) * _FACTOR**level :]
        if not len(rest):
            return lower, higher
        return np.append(lower, np.fmin.reduce(rest)), np.append(higher, np.fmax.reduce(rest))


def _summarise(below: Floats, level: _Numbers, least_or_greatest: np.ufunc) -> None:
    """Bring a level up to date: a block for every `_FACTOR` finished ones below it."""
    new = below[len(level) * _FACTOR : len(below) // _FACTOR * _FACTOR]
    if len(new):
        level.extend(least_or_greatest.reduce(new.reshape(-1, _FACTOR), axis=1))


class _Average:
    """An exponential moving average, corrected for its start (Kingma & Ba 2015, section 3)."""

    def __init__(self) -> None:
        self._keep = 0.5 ** (1 / HALF_LIFE)
        self._sum = 0.0
        self._weight = 0.0

    def add(self, value: float) -> float:
        """The average with this value in it. NaN gives NaN and leaves the average alone."""
        if math.isnan(value):
            return math.nan
        self._sum = self._keep * self._sum + (1 - self._keep) * value
        self._weight = self._keep * self._weight + (1 - self._keep)
        return self._sum / self._weight


class History:
    """What a run's events told so far: a number per step, and the lists of the rarer events.

    Index 0 of a series is step 1. A step that is missing (its event never came) is a gap.
    """

    def __init__(self) -> None:
        self.loss = Series()
        self.smoothed_loss = Series()
        """Exponential moving average of the loss, half-life HALF_LIFE steps, bias-corrected."""
        self.norm_before = Series()
        self.norm_after = Series()
        self.clip_threshold = Series()
        """What the norm of each step went by; a gap where clipping was off or by value."""
        self.evaluations: list[Evaluated] = []
        self.samples: list[Sampled] = []
        self.interventions: list[Intervened] = []
        self.non_finite: list[NonFinite] = []
        self.roll_backs: list[RolledBack] = []
        self.averaging: Averaging | None = None
        """Since when the weights are averaged, if they are."""
        self.last: Stepped | None = None
        """The last step; None where the run went back and has not gone on yet."""
        self.validations = Validations()
        self.pace = Pace()
        self.non_finite_since: int | None = None
        """The first of the steps, none of them finite, that the run now ends with."""
        self.strays = 0
        """Recorded events passed over, since the run can't have come to their steps."""
        self._recalled = 0
        self._average = _Average()
        self._clipped = bytearray()
        """For each step whether clipping changed its gradient, 0 or 1."""

    @property
    def step(self) -> int:
        """The last step, 0 before the first."""
        return len(self.loss)

    @property
    def clip_steps(self) -> int:
        """The steps that `clip_fraction` is of."""
        return min(CLIP_WINDOW, self.step)

    @property
    def clip_fraction(self) -> float:
        """The share of the last CLIP_WINDOW steps that clipping changed; 0 before the first."""
        recent = self._clipped[-CLIP_WINDOW:]
        return recent.count(1) / len(recent) if recent else 0.0

    def recall(self, events: Iterable[AnyRecorded]) -> None:
        """Take in a record, which may be damaged: no step number in it may fill the memory.

        As every step leaves an event, none can be far beyond their number; one that is is passed
        over and counted in `strays`.
        """
        kept = []
        for event in events:
            self._recalled += 1
            if _is_possible(event, self._recalled + SLACK):
                kept.append(event)
            else:
                self.strays += 1
        self.apply(kept)

    def apply(self, events: Iterable[AnyEvent]) -> None:
        """Take in what happened, in order. Events that are not kept here are passed over."""
        run: list[Stepped] = []
        for event in events:
            self.validations.apply(event)
            match event:
                case Stepped():
                    if event.step != self.step + len(run) + 1:
                        self._add(run)
                        run = []
                        self._go_to(event.step - 1)
                    run.append(event)
                case Evaluated():
                    self.evaluations.append(event)
                    self.pace.validation(event)
                case Sampled():
                    self.samples.append(event)
                case Intervened():
                    self.interventions.append(event)
                case NonFinite():
                    self.non_finite.append(event)
                case Averaging():
                    self.averaging = event
                case RolledBack():
                    self._add(run)
                    run = []
                    self._go_to(event.step)
                    self.roll_backs.append(event)
        self._add(run)

    def _add(self, run: Sequence[Stepped]) -> None:
        """Add consecutive steps at the end."""
        if not run:
            return
        losses = [_number(event.loss) for event in run]
        self.loss.extend(losses)
        self.smoothed_loss.extend([self._average.add(loss) for loss in losses])
        self.norm_before.extend([_number(event.norm_before) for event in run])
        self.norm_after.extend([_number(event.norm_after) for event in run])
        self.clip_threshold.extend([_norm_limit(event) for event in run])
        self._clipped.extend(event.clipped for event in run)
        self.last = run[-1]
        for event in run:
            self.pace.step(event)
            if event.loss is not None and event.norm_before is not None:
                self.non_finite_since = None
            elif self.non_finite_since is None:
                self.non_finite_since = event.step

    def _go_to(self, step: int) -> None:
        """Make `step` the last one: forget what came after it, or leave a gap up to it."""
        gap = step - self.step
        if gap < 0:
            self._truncate(step)
            return
        missing = np.full(gap, np.nan, np.float32)
        for series in self._all():
            series.extend(missing)
        self._clipped.extend(bytes(gap))

    def _truncate(self, step: int) -> None:
        for series in self._all():
            series.truncate(step)
        del self._clipped[step:]
        self.last, self.non_finite_since = None, None
        self._average = _Average()
        for loss in self.loss.values(-40 * HALF_LIFE):  # what came before weighs 2**-40
            self._average.add(float(loss))
        self.evaluations = _up_to(step, self.evaluations)
        self.samples = _up_to(step, self.samples)
        self.interventions = _up_to(step, self.interventions)
        self.non_finite = _up_to(step, self.non_finite)
        self.roll_backs = _up_to(step, self.roll_backs)
        if self.averaging is not None and self.averaging.step > step:
            self.averaging = None

    def _all(self) -> tuple[Series, ...]:
        return (
            self.loss,
            self.smoothed_loss,
            self.norm_before,
            self.norm_after,
            self.clip_threshold,
        )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _norm_limit(event: Stepped) -> float:
    return math.nan if event.clip_mode in ("off", "value") else event.clip_threshold


def _is_possible(event: AnyRecorded, furthest: int) -> bool:
    first = 1 if isinstance(event, Stepped) else 0
    last = event.from_step if isinstance(event, RolledBack) else event.step
    return first <= event.step <= last <= furthest


def _up_to(step: int, events: list[_R]) -> list[_R]:
    return [event for event in events if event.step <= step]
