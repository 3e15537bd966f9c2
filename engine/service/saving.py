"""What of a run is on the disk, and how more gets there."""

import logging
import time

from engine.errors import Advice, UserError
from engine.events import Intervened, Saved, SaveFailed, State
from engine.messages.envelope import Done
from engine.service.run import Run, describe

_UNTOUCHED = "The checkpoint before is untouched."


class Saver:
    """Saves a run, and knows what of it is saved."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.kept_step: int | None = None
        """The step of the newest checkpoint; None before the first."""
        self.kept_name = ""
        """That checkpoint's."""
        self.held_step: int | None = None
        """The step of the checkpoint that holds all there is to keep; None where none does."""
        self._failure: SaveFailed | None = None
        """The last that was told."""

    @property
    def unsaved(self) -> bool:
        """Whether there is something worth keeping that no checkpoint holds."""
        run = self._run
        if run.asking or run.trainer is None or run.step == 0:
            return False
        return self.held_step != run.step and not run.fault()

    @property
    def way_out(self) -> Advice:
        """Of a run whose steps are not finite."""
        return "start-over" if self.kept_step is None else "calm"

    def changed(self) -> None:
        """Something that is worth keeping was changed: no checkpoint holds it."""
        self.held_step = None

    def keep(self) -> bool:
        """Save what is worth keeping, if anything is. False where that failed, which is told."""
        try:
            return not self.unsaved or bool(self.save())
        except Exception as error:
            return bool(self._failed(error))

    def save(self, *, best: bool = False) -> str:
        """Write a checkpoint; returns its name. Where that fails it is told, and "" returned."""
        from engine.training import checkpoint

        run, began = self._run, time.monotonic()
        assert run.trainer is not None
        try:
            if run.folder_is_gone:
                raise UserError("Not saved: the run's folder is gone.")
            run.record.sync()
            name = checkpoint.save(run.folder, run.trainer, best=best)
        except Exception as error:
            return self._failed(error)
        self.held_step = self.kept_step = run.step
        self.kept_name = name
        seconds = time.monotonic() - began
        run.publish(Saved(step=run.step, checkpoint=name, seconds=seconds, best=best))
        return name

    def _failed(self, error: Exception) -> str:
        """Tell why nothing was saved, once. Returns the name of that: none."""
        failure = SaveFailed(step=self._run.step, reason=self._reason(error))
        if failure != self._failure:
            logging.warning("%s", failure.reason)  # nobody may be there to hear it
            self._run.publish(failure)
        self._failure = failure
        return ""

    def _reason(self, error: Exception) -> str:
        if isinstance(error, UserError):
            return str(error)
        logging.error("saving failed", exc_info=error)
        place, why = self._run.folder, describe(error)
        if isinstance(error, OSError):
            place, why = error.filename or place, f"{error.strerror}."
        kept = "Nothing of it is saved yet." if self.kept_step is None else _UNTOUCHED
        return f"Can't save to {place}: {why} {kept}"

    def save_asked(self) -> Done:
        """Save at the user's wish, also what a run that failed has reached. Raises UserError where
        that can't be done."""
        run = self._run
        run.check_may_write()
        if run.trainer is None:
            run.require_trainer()  # says why there is none
        if self.held_step == run.step and (run.folder / "checkpoints" / self.kept_name).is_dir():
            return Done(step=run.step, note=self.kept_name)
        run.publish(Intervened(step=run.step, action="save"))
        name = self.save()
        if not name:
            assert self._failure is not None
            raise UserError(f"The checkpoint could not be saved: {self._failure.reason}")
        return Done(step=run.step, note=name)

    def rest_saved(self, state: State, done: str) -> None:
        """Save what there is to keep and rest in this state; `done` says what came before."""
        run = self._run
        assert run.trainer is not None
        if not self.keep():
            run.set_state("paused", f"{done}, but it could not be saved.")
        elif run.step and self.held_step != run.step:
            run.set_state(state, f"{done}. Not saved: {run.fault()}.", self.way_out)
        else:
            run.set_state(state, f"{done}." if state == "finished" else "")
