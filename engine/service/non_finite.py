"""What is done about a loss or gradient that is not finite: see training.non_finite."""

import logging

from engine.errors import UserError
from engine.events import NonFinite
from engine.service.going_back import tell_gone_back
from engine.service.run import Run
from engine.service.saving import Saver

PAUSE_AFTER = 3
"""Non-finite steps in a row after which training pauses."""
LOWEST_RATE = 1e-9
"""A roll-back doesn't halve the rate below it."""


def respond(event: NonFinite, run: Run, saver: Saver) -> None:
    """Do what the run's configuration says."""
    match run.config.training.non_finite:
        case "let-it-happen":
            pass
        case "roll-back":
            _roll_back(event, run, saver)
        case "stop":
            _pause(event, run, saver)
        case "skip":
            if event.in_a_row >= PAUSE_AFTER:
                _pause(event, run, saver)


def _pause(event: NonFinite, run: Run, saver: Saver) -> None:
    assert run.trainer is not None
    run.trainer.rest()
    run.agenda.single_steps = 0
    steps = "This step was" if event.in_a_row == 1 else f"{event.in_a_row} steps in a row were"
    fault = run.fault()
    run.set_state(
        "paused",
        f"{steps} not finite ({event.value} in {event.tensor}); the weights were left alone."
        + (f" No further step can help: {fault}." if fault else ""),
        saver.way_out,
    )


def _roll_back(event: NonFinite, run: Run, saver: Saver) -> None:
    """Go back to the last good checkpoint, and on at half the rate."""
    from engine.training.checkpoint import load_latest

    assert run.trainer is not None
    try:
        checkpoint, _ = load_latest(run.folder)
    except UserError as error:
        logging.warning("%s", error)
        checkpoint = None
    rate = run.trainer.learning_rate / 2
    if checkpoint is None or rate < LOWEST_RATE:
        _pause(event, run, saver)
        return
    checkpoint.restore(run.trainer)
    run.trainer.learning_rate = rate
    saver.changed()
    tell_gone_back(run, event.step)
