"""One run, conducted: trained event by event, and changed by commands in between.

It knows nothing of sockets. Whoever owns it calls `advance` while the run is `busy`, and may call
anything else in between.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, assert_never

from engine.config import get, replace
from engine.errors import UserError
from engine.events import Evaluated, Intervened, NonFinite, Progress, Stepped
from engine.messages.envelope import Done
from engine.messages.training import (
    Evaluate,
    GoBack,
    Knob,
    Pause,
    SetKnob,
    SetKnobs,
    Start,
    Step,
    Stop,
    TrainingCommand,
)
from engine.service import non_finite
from engine.service.going_back import go_back
from engine.service.run import Run, describe
from engine.service.saving import Saver

if TYPE_CHECKING:
    from engine.training.trainer import Trainer

MAX_EVALUATIONS = 8
"""That wait to be made."""
_SETTINGS: dict[Knob, str] = {
    "learning_rate": "optimiser.learning_rate",
    "clip_mode": "clipping.mode",
    "clip_threshold": "clipping.threshold",
}
"""What each knob is set to at the start."""


class Conductor:
    """Advances a run, and carries commands out between two of its steps."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.saver = Saver(run)

    # --- training -----------------------------------------------------------------------------

    def advance(self) -> None:
        """The next event: of an evaluation under way, else one asked for, else of training."""
        run = self.run
        try:
            self._advance()
        except UserError as error:
            run.agenda.single_steps = 0
            run.set_state("paused", str(error))
        except Exception as error:
            logging.exception("training failed")
            agenda = run.agenda
            agenda.training, agenda.unfinished, agenda.evaluations = None, None, []
            run.fail(describe(error))

    def _advance(self) -> None:
        trainer, agenda = self.run.trainer, self.run.agenda
        assert trainer is not None
        if agenda.training is None:
            agenda.training = trainer.moments()
        asked = agenda.evaluations[0] if agenda.evaluations else None
        source = agenda.unfinished or asked or agenda.training
        moment = next(source, None)
        agenda.unfinished = source if moment and isinstance(moment[-1], Progress) else None
        if moment is not None:
            for event in moment:
                self._hear(event)
        elif source is asked:
            agenda.evaluations.pop(0)
        else:
            agenda.training, agenda.single_steps = None, 0
            self.saver.rest_saved("finished", f"Reached {trainer.limit_reached}")

    def _hear(self, event: Any) -> None:
        from engine.training.trainer import CheckpointDue

        run = self.run
        run.progress = event if isinstance(event, Progress) else None
        if isinstance(event, CheckpointDue):
            self.saver.save(best=event.best)
            return
        run.publish(event)
        if isinstance(event, Evaluated):
            self.saver.changed()  # a record that went back to the checkpoint would lose it
        if isinstance(event, Stepped):
            self._keep_words()
            run.agenda.single_steps = max(0, run.agenda.single_steps - 1)
        if isinstance(event, NonFinite):
            non_finite.respond(event, run, self.saver)

    def _keep_words(self) -> None:
        """Keep the words' vectors where that is due."""
        trainer, history = self.run.trainer, self.run.history
        assert trainer is not None
        if history is not None and history.due(trainer.step) and not self.run.folder_is_gone:
            weight = trainer.eval_model.embedding.weight
            history.observe(trainer.step, weight.detach().cpu().numpy())

    # --- commands -----------------------------------------------------------------------------

    def command(self, command: TrainingCommand) -> Done:
        """Carry out a command before the next step. Raises UserError where it can't be done, or
        can't be recorded."""
        run = self.run
        trainer, agenda = run.require_trainer(), run.agenda
        run.check_may_write()
        while run.changed_limits:
            self._intervene(*run.changed_limits.pop(0))
        match command:
            case Start():
                self._check_limit(trainer)
                run.record.open()
                trainer.non_finite_in_a_row = 0
                self._keep_words()
                agenda.single_steps = 0
                self._intervene("start")
                run.set_state("running")
            case Step():
                self._check_limit(trainer)
                run.record.open()
                trainer.rest()
                self._keep_words()
                self._intervene("step")
                agenda.single_steps += 1
                run.set_state("paused")
            case Pause():
                if run.state == "running" or agenda.single_steps:
                    trainer.rest()
                    agenda.single_steps = 0
                    self._intervene("pause")
                    run.set_state("paused")
            case Stop():
                trainer.rest()
                self._intervene("stop")
                agenda.single_steps = 0
                self.saver.rest_saved("stopped", "Stopped")
            case Evaluate(split=split):
                if split not in trainer.corpus.splits:
                    raise UserError(f"The corpus has no {split} split to evaluate on.")
                if len(agenda.evaluations) >= MAX_EVALUATIONS:
                    raise UserError(f"{MAX_EVALUATIONS} evaluations wait already.")
                self._intervene("evaluate", new=split)
                agenda.evaluations.append((event,) for event in trainer.evaluate(split))
            case SetKnob(knob=knob, value=value):
                self._set_knobs(trainer, {knob: value})
            case SetKnobs(values=values):
                self._set_knobs(trainer, values)
            case GoBack(to=to):
                go_back(run, self.saver, to)
            case _:
                assert_never(command)
        return Done(step=run.step)

    def _intervene(self, action: str, old: float | str | None = None, new: Any = None) -> None:
        self.run.publish(Intervened(step=self.run.step, action=action, old=old, new=new))

    def _check_limit(self, trainer: "Trainer") -> None:
        """Raises UserError where there is nothing left to do; the run may have been left before
        its last validation."""
        if trainer.limit_reached and not trainer.looks_due:
            raise UserError(
                f"The run has reached its limit, {trainer.limit_reached}.", "raise-limit"
            )

    def _set_knobs(self, trainer: "Trainer", values: Mapping[Knob, float | str]) -> None:
        """All of them, or none. Raises UserError."""
        changes = {_SETTINGS[knob]: value for knob, value in values.items()}
        config = replace(self.run.config, changes)
        self.saver.changed()
        for knob in values:
            old = getattr(trainer, knob)
            setattr(trainer, knob, get(config, _SETTINGS[knob]))
            self._intervene(knob, old, getattr(trainer, knob))
