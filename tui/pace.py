"""How long something will still take: a run, from what its steps told, and a task, from how far it
has come."""

import math
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from engine.config import TrainingConfig
from engine.events import Evaluated, Progress, Stepped

if TYPE_CHECKING:
    from engine.runs.past import Span

WINDOW = 30.0
"""Seconds of training over which the speed is measured."""


class _Mark(NamedTuple):
    step: int
    seconds: float
    epoch: float


class Pace:
    """The speed of the last WINDOW seconds of training.

    It is measured in steps and in epochs, so windows of any length are counted as they were; and
    by the run's own clock, so pauses and waiting for the screen don't count.
    """

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque()
        """Steps at least a second of training apart, the oldest first."""
        self._last: _Mark | None = None
        self._validation_seconds = 0.0
        """What the last validation took."""

    def recall(self, span: "Span") -> None:
        """Take in a span of the run's past."""
        for told in span.events:
            if isinstance(told.event, Evaluated):
                self.validation(told.event)
        rows = span.held
        if not len(rows):
            return
        # Of older ones no mark would be left; and one a second is enough.
        recent = rows[rows["seconds"].searchsorted(rows["seconds"][-1] - 2 * WINDOW) :]
        second = recent["seconds"] // 1
        changes = (second[1:] != second[:-1]).nonzero()[0] + 1
        marks = sorted({0, *changes.tolist(), len(recent) - 1})
        for row in recent[marks][["step", "seconds", "epoch"]].tolist():
            self._mark(_Mark(*row))

    def step(self, event: Stepped) -> None:
        """Take in a step. One that is not after the last begins anew: the run went back."""
        self._mark(_Mark(event.step, event.seconds, event.epoch))

    def _mark(self, event: _Mark) -> None:
        if self._last is not None and event.step <= self._last.step:
            self._marks.clear()
        self._last = event
        if not self._marks or event.seconds - self._marks[-1].seconds >= 1:
            self._marks.append(event)
        while len(self._marks) > 1 and event.seconds - self._marks[1].seconds >= WINDOW:
            self._marks.popleft()

    def validation(self, event: Evaluated) -> None:
        """Take in what a validation takes; other evaluations are no part of training."""
        if event.split == "valid":
            self._validation_seconds = event.seconds

    def seconds_left(self, training: TrainingConfig) -> float | None:
        """Until the first of the run's limits, with the validations on the way.

        None without a limit, and before there is a speed. Early stopping can't be foreseen.
        """
        if self._last is None or not self._marks:
            return None
        first, last = self._marks[0], self._last
        seconds = last.seconds - first.seconds
        if seconds <= 0:
            return None
        steps_a_second = (last.step - first.step) / seconds
        epochs_a_second = (last.epoch - first.epoch) / seconds
        ends = []
        if training.steps is not None:
            ends.append((training.steps - last.step) / steps_a_second)
        if training.epochs is not None and epochs_a_second > 0:
            ends.append((training.epochs - last.epoch) / epochs_a_second)
        if training.minutes is not None:
            ends.append(60 * training.minutes - last.seconds)
        if not ends:
            return None
        left = max(0.0, min(ends))
        if training.evaluate_every:
            validations = left * steps_a_second / training.evaluate_every
        else:
            validations = left * epochs_a_second
        return left + math.ceil(validations) * self._validation_seconds


class TaskPace:
    """The speed of what is under way, since it was first heard of."""

    def __init__(self) -> None:
        self._task = ""
        self._began = 0.0
        self._before = 0
        """How much was done when it was first heard of."""

    def seconds_left(self, progress: Progress) -> float | None:
        """Until its end; None where that can't be known, and in its first second."""
        now = monotonic()
        if progress.task != self._task or progress.done < self._before:
            self._task, self._began, self._before = progress.task, now, progress.done
        passed, gained = now - self._began, progress.done - self._before
        if passed < 1 or gained <= 0 or not progress.total:
            return None
        return passed * (progress.total - progress.done) / gained
