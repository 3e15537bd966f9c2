"""Questions to the training itself."""

from collections.abc import Generator, Iterator

from engine.events import Progress
from engine.messages.training import (
    FindRate,
    GradientByTime,
    GradientFlow,
    RateFound,
    RateTried,
    Replay,
    Replayed,
)
from engine.service.answers import answers
from engine.service.run import Run
from engine.training import rate_finder, replay
from engine.training.gradient_flow import gradient_in_turns


@answers(GradientFlow)
def gradient_flow(_: GradientFlow, run: Run) -> Generator[None, None, GradientByTime]:
    """Of the window that the next step will take."""
    return gradient_in_turns(run.require_trainer())


@answers(FindRate)
def find_rate(_: FindRate, run: Run) -> Iterator[Progress | RateTried | RateFound]:
    """By copies of the trainer, which rests meanwhile."""
    return rate_finder.find_rate(run.require_rest())


@answers(Replay)
def replayed(_: Replay, run: Run) -> Iterator[Progress | Replayed]:
    """Beside the record as far as it counts."""
    return replay.replay(run.require_rest(), run.folder, run.record.extent)
