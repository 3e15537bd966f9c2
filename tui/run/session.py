"""What the screen knows of the run that is open: its record, and its state as of now."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from engine.events import (
    AnyEvent,
    CorpusReady,
    Intervened,
    ModelReady,
    Progress,
    RolledBack,
    Saved,
    State,
    StateChanged,
    Stepped,
)
from engine.messages import SILENCE, Knob, Status

if TYPE_CHECKING:
    from engine.runs.past import Span
    from engine.service.client import Engine
    from tui.run.beside import OtherRun


class Session:
    """A run that is open: it has an engine. `status` is replaced, never changed, as events come
    in."""

    def __init__(self, engine: "Engine") -> None:
        self.folder = engine.folder
        self.engine = engine
        self.status: Status = engine.welcome.status
        self.forget_past()
        self.saved_step = 0
        """The step of the newest checkpoint."""
        self.beside: tuple[OtherRun, ...] = ()
        """Other runs that are looked at beside this one."""
        self.ended = False
        """Whether the engine process is gone."""
        self.orderly = False
        """Whether it ended as somebody wished, and no failure."""
        self.leaving = False
        """Whether its end is wished for, so no failure."""
        self._wished: dict[str, float | str] = {}

    def forget_past(self) -> None:
        """Begin the history anew."""
        # It takes numpy, whose loading the first frame need not wait for.
        from tui.run.history import History

        self.history = History()

    def go_on_as(self, again: "Session") -> None:
        """Be the same run as another connection to its engine has found it."""
        self.engine, self.status = again.engine, again.status
        self.history, self.saved_step = again.history, again.saved_step
        self.forget_wishes()

    def recall(self, span: "Span") -> None:
        """Take in a span of the past: history, not state, which the engine's welcome has told."""
        self.history.recall(span)
        self._note_saves(told.event for told in span.events)

    def apply(self, events: Iterable[AnyEvent]) -> bool:
        """Take in what has just happened. Returns whether there was anything."""
        events = list(events)
        self.history.apply(events)
        self._note_saves(events)
        changes: dict[str, Any] = {}
        for event in events:
            match event:
                case Stepped():
                    changes |= {"step": event.step, "epoch": event.epoch}
                    changes["clip_mode"] = event.clip_mode
                    if event.clip_mode != "adaptive":  # whose threshold is its own
                        changes["clip_threshold"] = event.clip_threshold
                case RolledBack():  # the other knobs are told by the next step
                    changes |= {"step": event.step, "learning_rate": event.learning_rate}
                case StateChanged():
                    changes |= {"state": event.state, "reason": event.reason}
                    changes |= {"advice": event.advice, "progress": None}
                case Progress():
                    over = event.done == event.total and event.total > 0
                    changes["progress"] = None if over else event
                case CorpusReady():
                    changes["corpus"] = event.corpus
                case ModelReady():
                    changes |= msgspec.structs.asdict(event)
                case Intervened(action="learning_rate" | "clip_mode" | "clip_threshold" as knob):
                    changes[knob] = event.new
                    if self._wished.get(knob) == event.new:
                        del self._wished[knob]
        if changes:
            self.status = msgspec.structs.replace(self.status, **changes)
        return bool(events)

    def _note_saves(self, events: Iterable[AnyEvent]) -> None:
        for event in events:
            if isinstance(event, Saved):
                self.saved_step = event.step
            elif isinstance(event, RolledBack):
                self.saved_step = min(self.saved_step, event.step)

    def end(self, reason: str, *, orderly: bool) -> None:
        """The engine is gone."""
        self.ended, self.orderly = True, orderly
        state: State = "stopped" if orderly else "failed"
        self.status = msgspec.structs.replace(
            self.status, state=state, reason=reason, advice="", progress=None
        )

    @property
    def name(self) -> str:
        """The run's, which is its folder's."""
        return self.status.run

    @property
    def running(self) -> bool:
        """Whether it trains now."""
        return not self.ended and self.status.state == "running"

    @property
    def silence(self) -> float:
        """Seconds without a word from the engine, once they are too many; else 0."""
        seconds = 0.0 if self.ended else self.engine.silence
        return seconds if seconds >= SILENCE else 0.0

    @property
    def stuck(self) -> bool:
        """Whether it doesn't go on by itself, for a reason the engine has told."""
        status = self.status
        return bool(self.ended or status.advice or status.state in ("failed", "paused"))

    @property
    def unsaved(self) -> bool:
        """Whether steps were taken that no checkpoint holds, and that are worth one."""
        if self.ended or self.status.asking or self.exploded:
            return False
        return self.status.step > self.saved_step

    @property
    def trains(self) -> bool:
        """Whether the engine can train the run, rather than only answer questions about it."""
        return not self.ended and not self.status.asking

    @property
    def exploded(self) -> bool:
        """Whether the weights are lost to numbers that are not finite: the run was let to."""
        let = self.status.config.training.non_finite == "let-it-happen"
        return let and self.history.non_finite_since is not None

    @property
    def answering(self) -> bool:
        """Whether there is a model to put questions to."""
        return not self.ended and self.status.parameters > 0

    def knob(self, knob: Knob) -> Any:
        """The setting as the user last wished it, so that two quick presses are two steps."""
        return self._wished.get(knob, getattr(self.status, knob))

    def wish(self, knob: Knob, value: float | str) -> None:
        """Remember what was asked for until the engine says it has taken effect."""
        self._wished[knob] = value

    def forget_wishes(self) -> None:
        """The engine refused one: what stands is what it says."""
        self._wished.clear()
