"""How long a run will still take, from what its steps told: of use wherever steps are heard."""

import math
from collections import deque

from engine.config import TrainingConfig
from engine.events import Evaluated, Stepped

WINDOW = 30.0
"""Seconds of training over which the speed is measured."""


class Pace:
    """The speed of the last WINDOW seconds of training.

    It is measured in steps and in epochs, so windows of any length are counted as they were; and
    by the run's own clock, so pauses and waiting for the screen don't count.
    """

    def __init__(self) -> None:
        self._marks: deque[Stepped] = deque()
        """Steps at least a second of training apart, the oldest first."""
        self._last: Stepped | None = None
        self._validation_seconds = 0.0
        """What the last validation took."""

    def step(self, event: Stepped) -> None:
        """Take in a step. One that is not after the last begins anew: the run went back."""
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
