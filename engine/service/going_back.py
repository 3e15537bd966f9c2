"""A run put back to a checkpoint of its own."""

from engine.errors import UserError
from engine.events import RolledBack
from engine.service.run import Run
from engine.service.saving import Saver


def go_back(run: Run, saver: Saver, to: str) -> None:
    """Put the run back to a checkpoint, whose knobs come with it: see `messages.GoBack`. Raises
    UserError."""
    from engine.training.checkpoint import Checkpoint, to_go_back_to

    trainer, before = run.require_rest(), run.step
    problem = ""
    for path in to_go_back_to(run.folder, to):
        try:
            checkpoint = Checkpoint(path)
            checkpoint.restore(trainer)
        except UserError as error:
            problem = problem or str(error)
            continue
        run.agenda.training, run.agenda.evaluations = None, []
        trainer.non_finite_in_a_row = 0
        tell_gone_back(run, before)
        if fault := run.fault():
            problem = problem or f"{path.name} is no good: {fault}."
            continue
        saver.changed()  # until it is saved, a later checkpoint is the newest
        run.set_state("paused", f"Back at step {run.step:,}, as {path.name} was saved.")
        return
    raise UserError(problem or f"There is no checkpoint {to!r} to go back to.", "calm")


def tell_gone_back(run: Run, before: int) -> None:
    """Tell that the run, which had taken `before` steps, stands at an earlier one."""
    assert run.trainer is not None
    run.publish(
        RolledBack(
            step=run.step,
            from_step=before,
            learning_rate=run.trainer.learning_rate,
            stale=run.trainer.validations.stale,
        )
    )
