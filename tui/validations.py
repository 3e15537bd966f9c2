"""The validations that steer a run: early stopping counts those without a better one."""

from engine.events import AnyEvent, Evaluated, Intervened, RolledBack, Stepped


class Validations:
    """Those that training made by itself and that gave a number; those asked for steer nothing."""

    def __init__(self) -> None:
        self._losses: list[tuple[int, float]] = []
        """Step and loss, in order."""
        self._asked = 0
        """Asked for and not yet come. All at one step give one loss, so which is which is alike."""

    def apply(self, event: AnyEvent) -> None:
        """Take in an event of the run."""
        match event:
            case Stepped(step=step):
                self._asked = 0  # what is asked for comes before the next step
                self._forget(step)
            case RolledBack(step=step):
                self._forget(step + 1)
            case Intervened(action="evaluate", new="valid"):
                self._asked += 1
            case Evaluated(split="valid"):
                if self._asked:
                    self._asked -= 1
                elif event.loss is not None:
                    self._losses.append((event.step, event.loss))

    def _forget(self, step: int) -> None:
        """The run takes this step now, maybe again: what was measured from it on is void."""
        while self._losses and self._losses[-1][0] >= step:
            self._losses.pop()

    @property
    def stale(self) -> int:
        """Validations since the best one; 0 before the first."""
        losses = [loss for _, loss in self._losses]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    def standing(self, patience: int | None) -> str:
        """How near early stopping is, in words; empty where it is off or nothing was measured."""
        if patience is None or not self._losses:
            return ""
        return f"{self.stale} of {patience} validations without a better one"
