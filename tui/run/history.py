"""What a run's events told so far: numbers of its steps, and the lists of the rarer events.

With eight series of eight levels at most, of twice KEPT numbers, a history takes 4 MB at most
beside those lists, however long the run.
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
    ExactLoss,
    Intervened,
    NonFinite,
    Recorded,
    RolledBack,
    Sampled,
    Stepped,
)
from engine.runs.steps import CLIP_MODES, CLIPPED
from tui.pace import Pace
from tui.run.series import Series

if TYPE_CHECKING:
    from engine.runs.past import Span
    from engine.runs.steps import Rows

_R = TypeVar("_R", bound=Recorded)

CLIP_WINDOW = 1000
"""Steps over which the recent clip fraction runs."""

HALF_LIFE = 20
"""Steps after which a loss counts half in the smoothed loss."""

_HAS_LIMIT = np.array([mode not in ("off", "value") for mode in CLIP_MODES])
"""Whether a clip mode's threshold is one of norms."""

LISTED = 4096
"""Events of a rarer kind that are listed at most; then every other of the older half goes."""

SLACK = 100_000
"""Steps that may be missing from a record."""


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
        self.epoch = Series()
        """Passes over the text up to each step."""
        self.seconds = Series()
        """Of training, up to each step."""
        self.evaluations: list[Evaluated] = []
        self.exact_losses: list[ExactLoss] = []
        """Of windows whose own loss is sampled."""
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

    def passed(self, quantity: str) -> Series | None:
        """What had passed by each step, of epochs or seconds; None for the steps themselves."""
        return {"epoch": self.epoch, "seconds": self.seconds}.get(quantity)

    def reached(self, quantity: str) -> float:
        """How far the run is in steps, epochs or seconds."""
        if (passed := self.passed(quantity)) is None:
            return self.step
        _, (greatest,) = passed.envelope(0, len(passed), 1)
        return float(np.nan_to_num(greatest))

    @property
    def recent_steps(self) -> int:
        """The steps that `recent_clip_fraction` is of."""
        return min(CLIP_WINDOW, self.step)

    @property
    def recent_clip_fraction(self) -> float:
        """The share of the last CLIP_WINDOW steps that clipping changed; 0 before the first. That
        of all steps is told with each (`Stepped.clip_fraction`)."""
        recent = self._clipped.values(-CLIP_WINDOW)
        known = recent[np.isfinite(recent)]
        return int((known == 1).sum()) / len(known) if len(known) else 0.0

    @property
    def validation(self) -> Evaluated | None:
        """The newest one, whether or not it steered."""
        return next((each for each in reversed(self.evaluations) if each.split == "valid"), None)

    def recall(self, span: "Span") -> None:
        """Take in a span of the run's past, which may be damaged: no step number in it may fill
        the memory. As every step leaves a row, none can be far beyond their number; one that is is
        passed over and counted in `strays`."""
        self.pace.recall(span)
        counts, steps = span.counts, span.rows["step"].astype(np.int64)
        furthest = self._recalled + np.cumsum(counts) + SLACK
        self._recalled += int(counts.sum())
        self.strays += int((steps > furthest).sum())
        sound = (steps > 0) & (steps <= furthest)
        rows = span.rows
        if not sound.all():
            rows, counts, steps = rows[sound], counts[sound], steps[sound]
        went_back = np.flatnonzero(steps[1:] - counts[1:] < steps[:-1]) + 1
        edges = [0, *went_back.tolist(), len(steps)]
        for start, stop in pairwise(edges):
            if start < stop:
                self._go_to(int(steps[start] - counts[start]))
                self._add_rows(span, rows[start:stop], counts[start:stop])
        events = [told.event for told in span.events]
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
            case ExactLoss():
                _list(self.exact_losses, event)
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
        self.epoch.extend([event.epoch for event in run])
        self.seconds.extend([event.seconds for event in run])
        self._clipped.extend([event.clipped for event in run])
        self.last = run[-1]
        for event in run:
            self.pace.step(event)
            if event.loss is not None and event.norm_before is not None:
                self.non_finite_since = None
            elif self.non_finite_since is None:
                self.non_finite_since = event.step

    def _add_rows(self, span: "Span", rows: "Rows", counts: NDArray[np.int64]) -> None:
        """Add recorded steps at the end, each after the one before; some may be missing."""
        flags, losses, norms = rows["flags"], rows["loss"], rows["norm_before"]
        modes = np.minimum(flags & 7, len(CLIP_MODES) - 1)
        threshold = np.where(_HAS_LIMIT[modes], rows["clip_threshold"], np.nan)
        clipped = (flags & CLIPPED > 0).astype(np.float32)
        steps = rows["step"].astype(np.int64)
        if span.thinned:
            counts = np.diff(steps, prepend=self.step)  # what is missing is drawn as what follows
            for series, name in self._measured():
                values = rows[name]
                series.extend_ranges(values[:, 0], values[:, 2], counts)
            losses, norms = losses[:, 1], norms[:, 1]
            smoothed = self._average.extend(losses, int(counts.max())).astype(np.float32)
            for series, values in (
                (self.smoothed_loss, smoothed),
                (self.clip_threshold, threshold.astype(np.float32)),
                (self.epoch, rows["epoch"].astype(np.float32)),
                (self.seconds, rows["seconds"].astype(np.float32)),
                (self._clipped, clipped),
            ):
                series.extend_ranges(values, values, counts)
        else:
            places = steps - steps[0]
            for series, name in self._measured():
                series.extend(_spread(rows[name], places))
            self.smoothed_loss.extend(_spread(self._average.extend(losses), places))
            self.clip_threshold.extend(_spread(threshold, places))
            self.epoch.extend(_spread(rows["epoch"], places))
            self.seconds.extend(_spread(rows["seconds"], places))
            self._clipped.extend(_spread(clipped, places))
        self.last = next(span.layout.decode(rows[-1:]))
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
        self.exact_losses = _up_to(step, self.exact_losses)
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
            self.epoch,
            self.seconds,
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
