"""What the trainer tells: frozen events, the same in memory, on the wire and in metrics.jsonl
(where steps have a file of their own, steps.bin).

Losses are nats per token. A float that may be None is None exactly when it was not finite.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from engine.errors import Advice

Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]
"""A whole number that can be sent and drawn: a record may come from a stranger."""

State = Literal["preparing", "ready", "running", "paused", "stopped", "finished", "failed"]
"""preparing: reading the corpus, building the model. ready: nothing trained yet. paused: goes on
at a key. stopped: saved at the user's wish, may go on. finished: a limit was reached, saved.
failed: can't go on; the reason says why."""


class Event(Struct, frozen=True, tag=True, kw_only=True, omit_defaults=True):
    """Something that happened in a run."""


class Recorded(Event, frozen=True, kw_only=True):
    """An event that is kept in the run's record, with the number of steps taken before or by it."""

    step: Whole


class Stepped(Recorded, frozen=True, kw_only=True):
    """One optimiser update (or one skipped: see `skipped`)."""

    epoch: float
    """Passes over the training text so far, a fraction."""
    loss: float | None
    """Mean cross-entropy of this step's batch, nats per token: see `sampled`."""
    learning_rate: float
    """The rate this step was taken with, after the schedule."""
    norm_before: float | None
    """Global L2 norm of the gradient before clipping."""
    norm_after: float | None
    """The same, measured after clipping."""
    groups_before: dict[str, float | None]
    """The norm before clipping of each parameter group: embedding, lstm.0, ..., output."""
    groups_after: dict[str, float | None]
    norm_median: float
    """Of the norms before clipping of all steps so far; exact to half a percent, as are the next
    two."""
    norm_p90: float
    norm_p99: float
    clip_mode: str
    clip_threshold: float
    """The one this step went by: for adaptive clipping the percentile as it then was."""
    clipped: bool
    """Whether clipping changed the gradient."""
    clip_fraction: float
    """Share of all finite steps so far that were clipped."""
    skipped: bool = False
    """True when loss or gradient was not finite and the weights were left alone."""
    sampled: bool = False
    """Whether the loss is an estimate, its targets compared with some words and not the whole
    vocabulary (training.candidates); older records don't say. Validation is always exact."""
    non_finite_steps: Whole = 0
    """Steps so far whose loss or gradient was not finite; they count nowhere else."""
    seconds: float
    """Training time of the run so far, evaluation and pauses left out."""
    tokens_per_second: float
    """Training tokens per second over the last second or so, evaluation left out."""


class Evaluated(Recorded, frozen=True, kw_only=True):
    """A pass over a held-out split with the exact distribution, dropout off."""

    split: str
    loss: float | None
    perplexity: float | None
    """exp(loss). No token is left out: <unk> and <eos> count as tokens."""
    bits_per_character: float | None = None
    """The loss of all tokens, for each character they spell; None where they don't: of words."""
    tokens: Whole
    seconds: float
    best: bool = False
    """Whether this is the lowest validation loss of the run so far."""
    steers: bool = True
    """Whether plateau, nt-asgd and early stopping go by it. One that was asked for, or made because
    the run ended there, measures only."""
    stale: Whole | None = None
    """Steering validations since the best one, this one too, where it steers; older records don't
    say."""


class Sampled(Recorded, frozen=True, kw_only=True):
    """A text written by the model at this step."""

    text: str


class ExactLoss(Recorded, frozen=True, kw_only=True):
    """What the loss of a step was over the whole vocabulary, where that of its steps is sampled:
    of the same window, weights and dropouts. Now and then, at most a hundredth of the time."""

    loss: float | None
    """Nats per token."""
    sampled_loss: float | None
    """The loss of the step itself, whose estimate this measures."""


class NonFinite(Recorded, frozen=True, kw_only=True):
    """A loss or gradient that was not a finite number: see training.non_finite for what then."""

    tensor: str
    """`loss`, or the name of the first parameter whose gradient was not finite."""
    value: str
    """`nan` or `inf`."""
    in_a_row: Whole


class Intervened(Recorded, frozen=True, kw_only=True):
    """Something the user did, at the step boundary where it took effect."""

    action: str
    """`learning_rate`, `clip_mode`, `clip_threshold`, or `start`, `pause`, `step`, `stop`,
    `evaluate`, `save`, or a limit that was changed at a resume: `training.epochs`."""
    old: float | str | None = None
    new: float | str | None = None


class RolledBack(Recorded, frozen=True, kw_only=True):
    """The run went back to the checkpoint taken at `step`: what was recorded after it is void."""

    from_step: Whole
    learning_rate: float
    """The base rate it goes on with."""
    stale: Whole | None = None
    """Steering validations since the best one, as they then were; older records don't say."""


class Averaging(Recorded, frozen=True, kw_only=True):
    """From here on weights are averaged (nt-asgd), and the average is what is evaluated."""


class Saved(Recorded, frozen=True, kw_only=True):
    """A checkpoint is on the disk, synced, and `latest` names it."""

    checkpoint: str
    seconds: float
    best: bool = False
    """Whether it holds the best validation so far, and is kept for that."""


class SaveFailed(Recorded, frozen=True, kw_only=True):
    """A checkpoint could not be written; the one before is untouched."""

    reason: str


class Extent(Struct, frozen=True):
    """How much of a run's record is its past: what lies behind is void, or is still to come."""

    size: int
    """Bytes of metrics.jsonl."""
    rows: int
    """Steps recorded, those that were gone back from and those that were thinned too."""


class Rewound(Event, frozen=True, kw_only=True):
    """The run stands where its newest checkpoint was saved: this much of its record is left."""

    recorded: Extent


class StateChanged(Event, frozen=True, kw_only=True):
    """The run moved to another state; `reason` is a sentence where there is something to say."""

    state: State
    reason: str = ""
    advice: Advice = ""
    """What would help."""


class Progress(Event, frozen=True, kw_only=True):
    """How far something that takes a while has come. `done == total` ends it."""

    task: str
    """`reading`, `counting`, `encoding`, `loading torch`, `building`, `measuring gradients`,
    `fitting`, `evaluating`, `saving`, `holding rate 0.02`."""
    done: int
    total: int
    """0 when it can't be known."""
    unit: str = ""


RemarkKind = Literal[
    "says-unknown",
    "long-words",
    "no-spaces",
    "few-words",
    "rows",
    "pre-tokenised",
    "unknown",
    "little-repetition",
    "passed-over",
]
"""says-unknown: most words are <unk> in the text itself. long-words: longer than a token can be.
no-spaces: a script that writes none between words. few-words: long runs that hardly come again
(DNA). rows: marks, or rows of characters (a grid). pre-tokenised: tokens stand between blanks
already. unknown: to the model, though not in the text. little-repetition: most words occur once.
passed-over: files of a folder that aren't read."""


class Remark(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something worth knowing about a text before a model learns from it."""

    kind: RemarkKind
    sentence: str
    """What is the matter, without what to do about it."""
    settings: list[str] = []
    """Settings that help, key=value, any of them by itself."""
    source: str = ""
    """Another name of a text that helps: a pattern."""


class CorpusSummary(Struct, frozen=True, kw_only=True):
    """What the corpus pane shows. Counts are of the whole corpus unless a split is named."""

    source: str
    tokenizer: str
    """The tokenizer's rules in a few words."""
    files: int
    bytes: int
    """Of decoded text as UTF-8."""
    characters: int
    lines: int
    tokens: dict[str, int]
    """Tokens in each split: train, valid, test (a split that is absent has no key)."""
    vocabulary: int
    unknown_rate: dict[str, float]
    """Share of each split's tokens that are <unk>."""
    too_long: dict[str, int] = {}
    """Words of each split that are longer than a token can be, and so unknown."""
    remarks: list[Remark] = []
    frequent: list[tuple[str, int]]
    """The most frequent tokens of the training split with their counts, at most 100."""
    cached: bool = False
    """Whether the encoded corpus was found from an earlier opening."""
    fingerprint: str = ""
    """The same for the same text, split and encoded in the same way."""


class CorpusReady(Event, frozen=True, kw_only=True):
    """The corpus is read and encoded."""

    corpus: CorpusSummary


class ModelReady(Event, frozen=True, kw_only=True):
    """The model is built, or loaded where a checkpoint left it. Fields are those of Status."""

    parameters: int
    groups: list[str]
    device: str
    threads: int
    precision: str
    step: int
    epoch: float
    learning_rate: float
    clip_mode: str
    clip_threshold: float
    asking: bool = False


AnyRecorded = (
    Stepped
    | Evaluated
    | Sampled
    | ExactLoss
    | NonFinite
    | Intervened
    | RolledBack
    | Averaging
    | Saved
    | SaveFailed
)
AnyEvent = AnyRecorded | Rewound | StateChanged | Progress | CorpusReady | ModelReady
