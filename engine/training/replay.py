"""A recorded run trained once more, with all that was done to it, and compared bit by bit."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.config import RunConfig, replace
from engine.errors import UserError
from engine.events import AnyRecorded, Intervened, Progress, RolledBack, Saved, Stepped
from engine.runs import read_metrics
from engine.service.protocol import Replayed
from engine.training.checkpoint import LIMITS, load_latest, save
from engine.training.trainer import Trainer

KNOBS = ("learning_rate", "clip_mode", "clip_threshold")


def replay(trainer: Trainer, folder: Path) -> Iterator[Progress | Replayed]:
    """Replay the record of the run in `folder`, whose trainer lends its corpus and device.

    A step is an answer each, so that the engine can do other things in between. The clock of the
    record takes the place of the real one, for limits and schedules in minutes.
    """
    recorded = list(read_metrics(folder))
    total = max((event.step for event in recorded if isinstance(event, Stepped)), default=0)
    if not total:
        raise UserError(f"{folder.name} has no step to replay: train it first.")
    saved, _ = load_latest(folder)
    second = Trainer(_first_config(trainer.config, recorded), trainer.corpus, trainer.device)
    steps, first_difference, weights_equal = 0, None, None
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as temporary:
        for event in recorded:
            if not isinstance(event, Stepped):
                _do(event, second, Path(temporary))
                continue
            again = _next_step(second)
            steps += 1
            if first_difference is None and timeless(again) != timeless(event):
                first_difference = event.step
            second.seconds = event.seconds
            if saved is not None and saved.training.step == second.step:
                weights_equal = saved.same_weights(second.judged)
            yield Progress(task="replaying", done=event.step, total=total, unit="steps")
    yield Replayed(
        steps=steps,
        first_difference=first_difference,
        weights_equal=weights_equal,
        note=saved.exactness(second) if saved else "",
    )


def timeless(step: Stepped) -> Stepped:
    """A step without what the clock says."""
    return msgspec.structs.replace(step, seconds=0.0, tokens_per_second=0.0)


def _first_config(config: RunConfig, recorded: list[AnyRecorded]) -> RunConfig:
    """The configuration as it was before its limits were changed at a resume."""
    first: dict[str, float | str | None] = {}
    for event in recorded:
        if isinstance(event, Intervened) and event.action in LIMITS:
            first.setdefault(event.action, event.old)
    return replace(config, first)


def _next_step(trainer: Trainer) -> Stepped:
    """Train to the end of the next step; a limit where the run was resumed is passed."""
    while True:
        for event in trainer.train():
            if isinstance(event, Stepped):
                return event


def _do(event: AnyRecorded, trainer: Trainer, folder: Path) -> None:
    """What was done between two steps."""
    match event:
        case Intervened(action=action, new=value) if action in KNOBS:
            setattr(trainer, action, value)
        case Intervened(action=action, new=value) if action in LIMITS:
            trainer.config = replace(trainer.config, {action: value})
        case Intervened(action="start"):
            trainer.non_finite_in_a_row = 0
        case Saved() if trainer.config.training.non_finite == "roll-back":
            save(folder, trainer)
        case RolledBack(learning_rate=rate):
            checkpoint, _ = load_latest(folder)
            if checkpoint is not None:
                checkpoint.restore(trainer)
            trainer.learning_rate = rate
