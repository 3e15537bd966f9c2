"""What the validations of a run have brought so far: by it they steer the rate, averaging and the
end."""

import math
from collections.abc import Mapping
from typing import Any


class Validations:
    """Those that are due by the step alone steer the training; where the run ends it is measured
    beside them, since it may go on and must then be the run that had not ended."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        """Of those that steer, in nats per token."""
        self.best_loss: float | None = None
        """The lowest that a checkpoint was due for, measured where the run then ended too."""
        self.plateau_decays = 0
        """How often a plateau has divided the rate."""
        self.steered_at = 0
        """The step of the newest that steers."""
        self.ended_at = 0
        """The step of now where the run was measured because it ends here; else 0."""

    @property
    def stale(self) -> int:
        """How many there were since the best one."""
        return len(self.losses) - 1 - self.losses.index(min(self.losses)) if self.losses else 0

    @property
    def to_beat(self) -> float:
        """The loss below which one is the best."""
        return math.inf if self.best_loss is None else self.best_loss

    def loss_at(self, step: int) -> float | None:
        """The loss of the one that steers at this step, the newest; None where there is none."""
        return self.losses[-1] if self.losses and self.steered_at == step else None

    def take(self, loss: float) -> None:
        """Take in one that steers: where it isn't the best one the plateau schedule decays."""
        self.losses.append(loss)
        self.plateau_decays += self.stale > 0

    def state_dict(self) -> dict[str, Any]:
        """All of it, by the names it has in a checkpoint."""
        return {
            "valid_losses": list(self.losses),
            "best_valid_loss": self.best_loss,
            "plateau_decays": self.plateau_decays,
            "evaluated_at": self.steered_at,
            "ended_at": self.ended_at,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back a state."""
        self.losses = list(state["valid_losses"])
        self.best_loss = state["best_valid_loss"]
        self.plateau_decays = state["plateau_decays"]
        self.steered_at, self.ended_at = state["evaluated_at"], state["ended_at"]
