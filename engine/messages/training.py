"""Messages that train a run, and questions to its training.

Commands take effect between two steps and are answered by `Done` with that step.
"""

from typing import Literal

from engine.messages.base import Message

Knob = Literal["learning_rate", "clip_mode", "clip_threshold"]


class Start(Message, frozen=True, kw_only=True):
    """Train, or go on training."""


class Pause(Message, frozen=True, kw_only=True):
    """Wait after the current step."""


class Step(Message, frozen=True, kw_only=True):
    """Take one step, then wait."""


class Stop(Message, frozen=True, kw_only=True):
    """End training and save; the engine stays for questions and may be started again."""


class SetKnob(Message, frozen=True, kw_only=True):
    """Change a setting from the next step on. `learning_rate` sets the schedule's base rate."""

    knob: Knob
    value: float | str


class SetKnobs(Message, frozen=True, kw_only=True):
    """Change several settings from the same step on: all of them, or none where one can't be."""

    values: dict[Knob, float | str]


class Evaluate(Message, frozen=True, kw_only=True):
    """Measure a split's loss now. Answered when the evaluation is queued, told by Evaluated."""

    split: str = "valid"


class Save(Message, frozen=True, kw_only=True):
    """Write a checkpoint now, unless one holds all there is. Answered with its name when it is on
    the disk, or with a Refusal."""


class GoBack(Message, frozen=True, kw_only=True):
    """Put the run back to a checkpoint, with its knobs as they were: told by RolledBack.

    `to` is `last-good` (the newest with which the model computes finite numbers), `best` (by
    validation) or the step of one. Refused while training runs."""

    to: str = "last-good"


class FindRate(Message, frozen=True, kw_only=True):
    """Hold a few learning rates, each on a copy of the model: a stream of Progress and RateTried,
    then RateFound. Refused while training runs. Changes nothing."""


class RateTried(Message, frozen=True, kw_only=True):
    """A rate that was held, from the same start as all the others; they come in any order."""

    rate: float
    loss: float | None
    """In the end, smoothed, nats per token; None where it exploded."""


class RateFound(Message, frozen=True, kw_only=True):
    """The end of the test."""

    rate: float | None
    """The rate to begin with; None where no rate brought the loss down."""
    reason: str
    """A sentence: how the rate was chosen, or why there is none."""


class GradientFlow(Message, frozen=True, kw_only=True):
    """How much of the gradient of a window's last prediction reaches each earlier token:
    GradientByTime. Changes nothing."""


class GradientByTime(Message, frozen=True, kw_only=True):
    """Norms of the gradient of the last token's loss by each token's word vector, first token
    first. They fade where the gradient vanishes on its way back."""

    step: int
    norms: list[float]
    """Over the texts of the batch."""
    ratio: float
    """Mean norm of the first tenth of the window over that of the last tenth, or of the first token
    over that of the last where there are fewer than ten; NaN where that is zero."""
    tokens: list[str]
    """Of the first text of the batch; all the window has."""
    token_norms: list[float]
    """Of that text by itself."""
    untrained: list[float]
    """As `norms`, of the model as the run's seed began it, from an empty state; empty where it
    began from a file of vectors, and where it is too large to be built beside the other."""
    untrained_ratio: float
    """As `ratio`."""


class Replay(Message, frozen=True, kw_only=True):
    """Train the run once more from its configuration and what was done to it, and compare: a
    stream of Progress, then Replayed. Refused while training runs. Changes nothing."""


class Replayed(Message, frozen=True, kw_only=True):
    """What the second time gave."""

    steps: int
    """Replayed."""
    first_difference: int | None
    """The first step whose numbers differ; None where all are the same to the last bit."""
    weights_equal: bool | None
    """Whether the latest checkpoint has the same weights, byte by byte; None where there is no
    checkpoint to compare with."""
    note: str = ""
    """A sentence where a difference had to be expected."""


TrainingCommand = Start | Pause | Step | Stop | SetKnob | SetKnobs | Evaluate | GoBack
"""What is done to a run that trains. `Save` stands apart: it waits for an evaluation's end."""
TrainingQuestion = FindRate | GradientFlow | Replay
TrainingReply = RateTried | RateFound | GradientByTime | Replayed
