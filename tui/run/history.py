"""The steps of a run, kept so that any stretch of it can be drawn at once.

A `Series` is one number per step. Beside the numbers it keeps a pyramid: the least and the
greatest of every 8, of every 64, of every 512 ... numbers. An envelope of any stretch reads a few
blocks for each column from the level that fits, so its cost does not grow with the run's length.

Nor does the memory. Each level of a pyramid forgets its oldest blocks beyond KEPT: the last steps
are there one by one, older ones by their least and greatest. With six series of eight levels at
most, of twice KEPT numbers, a history takes 3 MB at most beside the lists of the rarer events.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

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
from engine.runs.steps import CLIP_MODES, CLIPPED
from tui.pace import Pace

if TYPE_CHECKING:
    from engine.runs.past import Piece
    from engine.runs.steps import Rows

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

_HAS_LIMIT = np.array([mode not in ("off", "value") for mode in CLIP_MODES])
"""Whether a clip mode's threshold is one of norms."""

KEPT = 1 << 12
"""Blocks that a level of a pyramid keeps at least."""

LISTED = 4096
"""Events of a rarer kind that are listed at most; then every other of the older half goes."""

SLACK = 100_000
"""Steps that may be missing from a record."""


class _Level:
    """The end of a row of float32 numbers that grows: at least the last KEPT of them."""

    def __init__(self, first: int = 0) -> None:
        self.first = first
        """The index of the first number that is kept."""
        self._room: Floats = np.empty(1024, np.float32)
        self._length = 0

    @property
    def end(self) -> int:
        """The index behind the last one."""
        return self.first + self._length

    @property
    def array(self) -> Floats:
        """Those that are kept."""
        return self._room[: self._length]

    def from_(self, start: int) -> Floats:
        """Those from an index on, as far as they are kept."""
        return self.array[max(0, start - self.first) :]

    def has_room(self, count: int) -> bool:
        """Whether so many can be added without forgetting any."""
        return self._length + count <= 2 * KEPT

    def extend(self, values: Floats) -> None:
        """Add at most KEPT numbers."""
        if not self.has_room(len(values)):
            forgotten = self._length - KEPT
            self._room[:KEPT] = self._room[forgotten : self._length].copy()
            self.first, self._length = self.first + forgotten, KEPT
        length = self._length + len(values)
        if length > len(self._room):
            room = np.empty(min(2 * KEPT, max(length, 2 * len(self._room))), np.float32)
            room[: self._length] = self.array
            self._room = room
        self._room[self._length : length] = values
        self._length = length

    def truncate(self, end: int) -> None:
        """Forget everything from the index `end` on."""
        if end <= self.first:
            self.begin_at(end)
        self._length = min(self._length, end - self.first)

    def begin_at(self, first: int) -> None:
        """Forget all: the next number has this index."""
        self.first, self._length = first, 0


class Series:
    """One number per step, float32. What is not a finite number is kept as NaN: a gap."""

    def __init__(self, values: ArrayLike = ()) -> None:
        numbers = _Level()
        self._lows = [numbers]
        """For each level the least number of every block; a block of the lowest is a number."""
        self._highs = [numbers]
        self.extend(values)

    def __len__(self) -> int:
        return self._lows[0].end

    def extend(self, values: ArrayLike) -> None:
        """Add numbers at the end. O(len(values))."""
        with np.errstate(over="ignore"):
            added = np.asarray(values, np.float32)
        added = _finite(added)
        numbers = self._lows[0]
        for start in range(0, len(added), KEPT):
            part = added[start : start + KEPT]
            if not numbers.has_room(len(part)):
                self._lift()
            numbers.extend(part)

    def extend_ranges(self, lows: Floats, highs: Floats, counts: NDArray[np.int64]) -> None:
        """Add numbers at the end of which only the least and the greatest of each `counts`
        neighbours are known. O(len(counts)), however many they are."""
        lows, highs = _finite(lows), _finite(highs)
        for start in range(0, len(counts), KEPT // 16):
            part = slice(start, start + KEPT // 16)
            self._extend_ranges(lows[part], highs[part], counts[part])

    def _extend_ranges(self, lows: Floats, highs: Floats, counts: NDArray[np.int64]) -> None:
        """Add the whole blocks of the highest level whose blocks are no longer than the longest
        range; a range lies in no more than nine of these. What is left over is added number by
        number, half of them the least and half the greatest."""
        level = 0
        while _FACTOR ** (level + 1) <= counts.max():
            level += 1
        if level == 0:
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            least = within < np.repeat(counts // 2, counts)
            self.extend(np.where(least, np.repeat(lows, counts), np.repeat(highs, counts)))
            return
        block = _FACTOR**level
        ends = len(self) + np.cumsum(counts)
        first, last = (ends - counts) // block, (ends - 1) // block
        reach = last - first + 1
        source = np.repeat(np.arange(len(counts)), reach)
        place = np.arange(len(source)) - np.repeat(np.cumsum(reach) - reach, reach) + first[source]
        starts = np.flatnonzero(np.diff(place, prepend=-1))
        low = np.fmin.reduceat(lows[source], starts)
        high = np.fmax.reduceat(highs[source], starts)
        self._lift(level)
        low[0] = np.fmin.reduce(np.append(_unfinished(self._lows, level), low[0]))
        high[0] = np.fmax.reduce(np.append(_unfinished(self._highs, level), high[0]))
        whole, rest = divmod(int(ends[-1]), block)
        count = whole - self._lows[level].end
        for levels, ours in ((self._lows, low), (self._highs, high)):
            levels[level].extend(ours[:count])
            for below in range(level):
                levels[below].begin_at(whole * _FACTOR ** (level - below))
        if rest:
            self.extend(np.repeat([low[-1], high[-1]], [rest // 2, rest - rest // 2]))
        self._lift()

    def truncate(self, length: int) -> None:
        """Forget everything from index `length` on. Where the numbers before it are forgotten
        already, those of the last unfinished block are a gap."""
        held = next(
            level
            for level, numbers in enumerate(self._lows)
            if numbers.first * _FACTOR**level <= length
        )
        for levels in (self._lows, self._highs):
            for level, numbers in enumerate(levels):
                numbers.truncate(length // _FACTOR**level)
                if level < held:
                    numbers.begin_at(length // _FACTOR**held * _FACTOR ** (held - level))
        self.extend(np.full(max(0, length - len(self)) if held else 0, np.nan))

    def values(self, start: int = 0, stop: int | None = None) -> Floats:
        """The numbers at [start:stop], as a slice takes them, NaN where they are forgotten: a
        view, not to be kept."""
        numbers = self._lows[0]
        start, stop, _ = slice(start, stop).indices(len(self))
        known = numbers.array[max(0, start - numbers.first) : max(0, stop - numbers.first)]
        missing = min(stop, numbers.first) - start
        return np.append(np.full(missing, np.nan, np.float32), known) if missing > 0 else known

    def at(self, places: NDArray[np.intp]) -> Floats:
        """The numbers at these indices; where they are forgotten, the greatest of the block."""
        found = np.full(len(places), np.nan, np.float32)
        for level in reversed(range(len(self._highs))):
            numbers = self._highs[level]
            index = places // _FACTOR**level - numbers.first
            known = (index >= 0) & (index < len(numbers.array))
            found[known] = numbers.array[index[known]]
        return found

    def envelope(self, start: int, stop: int, columns: int) -> tuple[Floats, Floats]:
        """The least and the greatest number in each of `columns` equal parts of [start, stop).

        Two arrays of length `columns`, NaN where a part holds no number. Where a part is longer
        than 32 steps its edges are rounded by at most an eighth of its length (those of the whole
        outwards, by at most a quarter), so that no number is left out and the cost stays
        O(columns); where the numbers are forgotten, by a block of the lowest level that still has
        them. `start` must not be negative; `stop` may lie behind the end.
        """
        level = 0
        while _BLOCKS_A_COLUMN * columns * _FACTOR ** (level + 1) <= stop - start:
            level += 1
        fitting = level
        while level + 1 < len(self._lows) and start < self._lows[level].first * _FACTOR**level:
            level += 1
        self._lift(level)
        block, begin = _FACTOR**level, self._lows[level].first
        lows, highs = (
            _with_unfinished(self._lows, level, np.fmin),
            _with_unfinished(self._highs, level, np.fmax),
        )

        edges = start + (stop - start) * np.arange(columns + 1) // columns
        edges = (edges + block // 2) // block
        edges[0] = start // block
        edges[-1] = -(-stop // block)
        edges = np.clip(edges - begin, 0, len(lows))
        first, last = edges[:-1], edges[1:]
        # A column may be narrower than a block of a level that does not fit: it shows the block.
        filled = (first < last) | ((level > fitting) & (first < edges[-1]))

        low = np.full(columns, np.nan, np.float32)
        high = low.copy()
        if filled.any():
            low[filled] = np.fmin.reduceat(lows[: edges[-1]], first[filled])
            high[filled] = np.fmax.reduceat(highs[: edges[-1]], first[filled])
        return low, high

    def _lift(self, least: int = 0) -> None:
        """Bring the levels up to date: so many at least, and each above one that may forget."""
        level = 1
        while level <= least or self._lows[level - 1].end >= KEPT:
            if level == len(self._lows):
                self._lows.append(_Level())
                self._highs.append(_Level())
            _summarise(self._lows[level - 1], self._lows[level], np.fmin)
            _summarise(self._highs[level - 1], self._highs[level], np.fmax)
            level += 1


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.float32(np.nan))


def _summarise(below: _Level, level: _Level, least_or_greatest: np.ufunc) -> None:
    """Bring a level up to date: a block for every `_FACTOR` finished ones below it."""
    new = below.from_(level.end * _FACTOR)
    new = new[: len(new) // _FACTOR * _FACTOR]
    if len(new):
        level.extend(least_or_greatest.reduce(new.reshape(-1, _FACTOR), axis=1))


def _unfinished(levels: Sequence[_Level], level: int) -> Floats:
    """What lies behind the finished blocks of a level that is up to date, in smaller blocks."""
    parts = [levels[low].from_(levels[low + 1].end * _FACTOR) for low in range(level)]
    return np.concatenate([np.empty(0, np.float32), *parts])


def _with_unfinished(levels: Sequence[_Level], level: int, least_or_greatest: np.ufunc) -> Floats:
    """The blocks of a level that is up to date, the unfinished one at the end too."""
    rest = _unfinished(levels, level)
    blocks = levels[level].array
    return np.append(blocks, least_or_greatest.reduce(rest)) if len(rest) else blocks


class _Average:
    """An exponential moving average, corrected for its start (Kingma & Ba 2015, section 3)."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._weight = 0.0

    def extend(self, values: ArrayLike, steps: int = 1) -> NDArray[np.float64]:
        """The averages with each value in it, which stands for so many steps. One that is not
        finite gives NaN and leaves the average alone."""
        all_values = np.asarray(values, np.float64)
        averages = np.full(len(all_values), np.nan)
        known = np.flatnonzero(np.isfinite(all_values))
        keep = 0.5 ** (steps / HALF_LIFE)
        at_once = min(
            1024, max(1, 800 * HALF_LIFE // steps)
        )  # keep**at_once is no less than 2**-800
        for at in range(0, len(known), at_once):
            places = known[at : at + at_once]
            # How much of what was before is left after each value.
            left = keep ** np.arange(1, len(places) + 1)
            sums = left * (self._sum + np.cumsum((1 - keep) * all_values[places] / left))
            weights = 1 - (1 - self._weight) * left
            averages[places] = sums / weights
            self._sum, self._weight = float(sums[-1]), float(weights[-1])
        return averages


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
        self.stale: int | None = None
        """Steering validations since the best one, as the engine last told; None before one."""
        self.pace = Pace()
        self.non_finite_since: int | None = None
        """The first of the steps, none of them finite, that the run now ends with."""
        self.strays = 0
        """Recorded events passed over, since the run can't have come to their steps."""
        self._recalled = 0
        self._average = _Average()
        self._clipped = Series()
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
        recent = self._clipped.values(-CLIP_WINDOW)
        known = recent[np.isfinite(recent)]
        return int((known == 1).sum()) / len(known) if len(known) else 0.0

    @property
    def validation(self) -> Evaluated | None:
        """The newest one, whether or not it steered."""
        return next((each for each in reversed(self.evaluations) if each.split == "valid"), None)

    def recall(self, piece: "Piece") -> None:
        """Take in a piece of the run's past, which may be damaged: no step number in it may fill
        the memory. As every step leaves a row, none can be far beyond their number; one that is is
        passed over and counted in `strays`."""
        self.pace.recall(piece)
        counts, steps = piece.counts, piece.rows["step"].astype(np.int64)
        furthest = self._recalled + np.cumsum(counts) + SLACK
        self._recalled += int(counts.sum())
        self.strays += int((steps > furthest).sum())
        sound = (steps > 0) & (steps <= furthest)
        rows = piece.rows
        if not sound.all():
            rows, counts, steps = rows[sound], counts[sound], steps[sound]
        went_back = np.flatnonzero(steps[1:] - counts[1:] < steps[:-1]) + 1
        edges = [0, *went_back.tolist(), len(steps)]
        for start, stop in pairwise(edges):
            if start < stop:
                self._go_to(int(steps[start] - counts[start]))
                self._add_rows(piece, rows[start:stop], counts[start:stop])
        events = [told.event for told in piece.events]
        possible = [event for event in events if _is_possible(event, self._recalled + SLACK)]
        self.strays += len(events) - len(possible)
        for event in possible:
            self._note(event)

    def apply(self, events: Iterable[AnyEvent]) -> None:
        """Take in what happened, in order. Events that are not kept here are passed over."""
        run: list[Stepped] = []
        for event in events:
            if not isinstance(event, Stepped):
                if isinstance(event, RolledBack):
                    self._add(run)
                    run = []
                if isinstance(event, Evaluated):
                    self.pace.validation(event)
                self._note(event)
                continue
            if event.step != self.step + len(run) + 1:
                self._add(run)
                run = []
                self._go_to(event.step - 1)
            run.append(event)
        self._add(run)

    def _note(self, event: AnyEvent) -> None:
        """Take in one of the rarer events."""
        match event:
            case Evaluated():
                _list(self.evaluations, event)
                self.stale = self.stale if event.stale is None else event.stale
            case Sampled():
                _list(self.samples, event)
            case Intervened():
                _list(self.interventions, event)
            case NonFinite():
                _list(self.non_finite, event)
            case Averaging():
                self.averaging = event
            case RolledBack():
                self._go_to(event.step)
                self.stale = event.stale
                _list(self.roll_backs, event)

    def _add(self, run: Sequence[Stepped]) -> None:
        """Add consecutive steps at the end."""
        if not run:
            return
        losses = [_number(event.loss) for event in run]
        self.loss.extend(losses)
        self.smoothed_loss.extend(self._average.extend(losses))
        self.norm_before.extend([_number(event.norm_before) for event in run])
        self.norm_after.extend([_number(event.norm_after) for event in run])
        self.clip_threshold.extend([_norm_limit(event) for event in run])
        self._clipped.extend([event.clipped for event in run])
        self.last = run[-1]
        for event in run:
            self.pace.step(event)
            if event.loss is not None and event.norm_before is not None:
                self.non_finite_since = None
            elif self.non_finite_since is None:
                self.non_finite_since = event.step

    def _add_rows(self, piece: "Piece", rows: "Rows", counts: NDArray[np.int64]) -> None:
        """Add recorded steps at the end, each after the one before; some may be missing."""
        flags, losses, norms = rows["flags"], rows["loss"], rows["norm_before"]
        modes = np.minimum(flags & 7, len(CLIP_MODES) - 1)
        threshold = np.where(_HAS_LIMIT[modes], rows["clip_threshold"], np.nan)
        clipped = (flags & CLIPPED > 0).astype(np.float32)
        steps = rows["step"].astype(np.int64)
        if piece.thinned:
            counts = np.diff(steps, prepend=self.step)  # what is missing is drawn as what follows
            for series, name in self._measured():
                values = rows[name]
                series.extend_ranges(values[:, 0], values[:, 2], counts)
            losses, norms = losses[:, 1], norms[:, 1]
            smoothed = self._average.extend(losses, int(counts.max())).astype(np.float32)
            for series, values in (
                (self.smoothed_loss, smoothed),
                (self.clip_threshold, threshold.astype(np.float32)),
                (self._clipped, clipped),
            ):
                series.extend_ranges(values, values, counts)
        else:
            places = steps - steps[0]
            for series, name in self._measured():
                series.extend(_spread(rows[name], places))
            self.smoothed_loss.extend(_spread(self._average.extend(losses), places))
            self.clip_threshold.extend(_spread(threshold, places))
            self._clipped.extend(_spread(clipped, places))
        self.last = next(piece.layout.decode(rows[-1:]))
        finite = np.flatnonzero(np.isfinite(losses) & np.isfinite(norms))
        if len(finite):
            self.non_finite_since = None
        after = int(finite[-1]) + 1 if len(finite) else 0
        if after < len(steps) and self.non_finite_since is None:
            self.non_finite_since = int(steps[after])

    def _measured(self) -> tuple[tuple[Series, str], ...]:
        """The series of what is measured at each step, with its name in the record."""
        return (
            (self.loss, "loss"),
            (self.norm_before, "norm_before"),
            (self.norm_after, "norm_after"),
        )

    def _go_to(self, step: int) -> None:
        """Make `step` the last one: forget what came after it, or leave a gap up to it."""
        gap = step - self.step
        if gap < 0:
            self._truncate(step)
            return
        while gap:
            missing = np.full(min(gap, SLACK), np.nan, np.float32)
            for series in self._all():
                series.extend(missing)
            gap -= len(missing)

    def _truncate(self, step: int) -> None:
        for series in self._all():
            series.truncate(step)
        self.last, self.non_finite_since = None, None
        self._average = _Average()
        self._average.extend(self.loss.values(-40 * HALF_LIFE))  # what came before weighs 2**-40
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
            self._clipped,
        )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _norm_limit(event: Stepped) -> float:
    return math.nan if event.clip_mode in ("off", "value") else event.clip_threshold


def _spread(values: NDArray[Any], places: NDArray[np.int64]) -> NDArray[Any]:
    """The values at these places, which begin with 0, and NaN between."""
    if len(values) == places[-1] + 1:
        return values
    spread = np.full(int(places[-1]) + 1, np.nan)
    spread[places] = values
    return spread


def _is_possible(event: AnyRecorded, furthest: int) -> bool:
    last = event.from_step if isinstance(event, RolledBack) else event.step
    return 0 <= event.step <= last <= furthest


def _list(events: list[_R], event: _R) -> None:
    """Add an event. Where there are too many, of each two of the older half one goes; of two
    evaluations the better one stays."""
    events.append(event)
    if len(events) > LISTED:
        older = events[: LISTED // 2]
        events[: LISTED // 2] = map(_of_two, older[::2], older[1::2])


def _of_two(first: _R, second: _R) -> _R:
    if isinstance(first, Evaluated) and isinstance(second, Evaluated):
        return first if _loss(first) < _loss(second) else second
    return second


def _loss(event: Evaluated) -> float:
    return math.inf if event.loss is None else event.loss


def _up_to(step: int, events: list[_R]) -> list[_R]:
    return [event for event in events if event.step <= step]
