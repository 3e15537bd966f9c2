"""How near early stopping is, as the engine tells it with every validation that steers."""

from typing import TYPE_CHECKING

from engine.events import AnyEvent, Evaluated, RolledBack

if TYPE_CHECKING:
    from engine.runs.past import Piece


class Validations:
    """The validations that steer a run."""

    def __init__(self) -> None:
        self.stale: int | None = None
        """Those since the best one; None before the first."""

    def recall(self, piece: "Piece") -> None:
        """Take in a piece of the run's past."""
        for told in piece.events:
            self.apply(told.event)

    def apply(self, event: AnyEvent) -> None:
        """Take in an event of the run."""
        match event:
            case Evaluated(stale=int(stale)) | RolledBack(stale=stale):
                self.stale = stale

    def standing(self, patience: int | None) -> str:
        """How near early stopping is, in words; empty where it is off or nothing was measured."""
        if patience is None or self.stale is None:
            return ""
        return f"{self.stale} of {patience} validations without a better one"
