"""The validations that steer a run: early stopping counts those without a better one."""

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from engine.events import AnyEvent, Evaluated, Intervened, RolledBack, Stepped

if TYPE_CHECKING:
    from engine.runs.past import Piece

KEPT = 4096
"""Validations that are remembered in case the run goes back."""


class _Standing(NamedTuple):
    """How early stopping stood after a validation."""

    step: int
    best: float
    stale: int


class Validations:
    """Those that training made by itself and that gave a number; those asked for steer nothing."""

    def __init__(self) -> None:
        self._standings: deque[_Standing] = deque(maxlen=KEPT)
        self._asked = 0
        """Asked for and not yet come. All at one step give one loss, so which is which is alike."""

    def recall(self, piece: "Piece") -> None:
        """Take in a piece of the run's past."""
        steps = piece.rows["step"]
        places = piece.places.searchsorted([told.row for told in piece.events])
        at = 0
        for told, place in zip(piece.events, places.tolist(), strict=True):
            if at < place:
                self._take_step(int(steps[at]))
            at = place
            self.apply(told.event)
        if at < len(steps):
            self._take_step(int(steps[at]))

    def apply(self, event: AnyEvent) -> None:
        """Take in an event of the run."""
        match event:
            case Stepped(step=step):
                self._take_step(step)
            case RolledBack(step=step):
                self._forget(step + 1)
            case Intervened(action="evaluate", new="valid"):
                self._asked += 1
            case Evaluated(split="valid"):
                if self._asked:
                    self._asked -= 1
                elif event.loss is not None:
                    self._add(event.step, event.loss)

    def _take_step(self, step: int) -> None:
        self._asked = 0  # what is asked for comes before the next step
        self._forget(step)

    def _add(self, step: int, loss: float) -> None:
        last = self._standings[-1] if self._standings else None
        if last is None or loss < last.best:
            self._standings.append(_Standing(step, loss, 0))
        else:
            self._standings.append(_Standing(step, last.best, last.stale + 1))

    def _forget(self, step: int) -> None:
        """The run takes this step now, maybe again: what was measured from it on is void."""
        while self._standings and self._standings[-1].step >= step:
            self._standings.pop()

    @property
    def stale(self) -> int:
        """Validations since the best one; 0 before the first."""
        return self._standings[-1].stale if self._standings else 0

    def standing(self, patience: int | None) -> str:
        """How near early stopping is, in words; empty where it is off or nothing was measured."""
        if patience is None or not self._standings:
            return ""
        return f"{self.stale} of {patience} validations without a better one"
