"""Training: the loss, the gradient norms before and after clipping, and the numbers that matter."""

import math
from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

from textual.app import ComposeResult
from textual.content import Content

from engine.config import TokenizerName
from engine.events import Progress, State
from engine.service.protocol import Status
from tui.history import CLIP_WINDOW, History
from tui.plot import ChartData, Curve, Mark, Points, Rule, short
from tui.sanitize import content
from tui.session import Session
from tui.widgets.chart import Chart
from tui.widgets.pane import Block, Pane

_MARKS = {"learning_rate": "lr", "clip_threshold": "clip", "clip_mode": "clip"}
"""The interventions drawn on the charts, and the word for each."""
_UNITS: dict[TokenizerName, tuple[str, str]] = {
    "word": ("token", "per word token"),
    "whitespace": ("token", "per word token"),
    "character": ("character", "per character"),
    "subword": ("token", "per sub-word token"),
}
"""What a tokenizer's losses are per: on the axis, and in words."""
_STATE_STYLES: dict[State, str] = {
    "preparing": "dim",
    "ready": "$text-primary",
    "running": "$text-success",
    "paused": "$text-warning",
    "stopped": "$text-warning",
    "finished": "$text-success",
    "failed": "$text-error",
}
_GO_ON: dict[State, str] = {
    "ready": "press space to start, n for a single step",
    "paused": "space goes on, n takes one step",
    "stopped": "saved; space goes on",
    "finished": "saved; g writes text, r begins a new run",
    "failed": "r begins a new run, m opens a model",
}
_AXIS_ENDS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
_LEAST_FOR_BOTH = 11
"""Rows from which on there is room for both charts."""

_Part = tuple[int, Content]
"""A piece of a row with its rank: where there is no room, the highest ranks go first."""


class TrainingPane(Pane):
    """How training goes, step by step."""

    title = "2 training"
    hint = "y: log axis"

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._log_loss = False
        self._pace = _Pace()

    def compose(self) -> ComposeResult:
        yield Block(id="numbers")
        yield Chart(id="loss")
        yield Chart(id="norms")

    def toggle_log_axis(self) -> None:
        """Draw the loss on a logarithmic axis from the next draw on, or back on a linear one."""
        self._log_loss = not self._log_loss

    def draw(self, session: Session | None) -> None:
        width, height = self.content_size
        numbers, norms = self.query_one("#numbers", Block), self.query_one("#norms", Chart)
        rows = _rows(session, self._pace, width)
        numbers.styles.height = len(rows)
        numbers.show(Content("\n").join(rows))
        norms.display = height >= _LEAST_FOR_BOTH
        history = session.history if session else History()
        self.query_one("#loss", Chart).show(
            _loss_chart(history, session.status if session else None, log=self._log_loss)
        )
        if norms.display:
            norms.show(_norms_chart(history, session.status if session else None))


# --- the charts ----------------------------------------------------------------------------------


def _loss_chart(history: History, status: Status | None, *, log: bool) -> ChartData:
    unit = _UNITS[status.config.corpus.tokenizer][0] if status else "token"
    evaluations = _validations(history)
    return ChartData(
        title=f"loss, nats/{unit}",
        steps=_steps(history, status),
        curves=(
            Curve(history.loss, "each step", "raw", "stippled"),
            Curve(history.smoothed_loss, "smoothed"),
        ),
        points=Points(
            [event.step for event in evaluations],
            [event.loss for event in evaluations],
            f"validation {_fixed(evaluations[-1].loss)}" if evaluations else "validation",
        ),
        marks=_marks(history),
        log_y=log,
        empty="Training and validation loss by step: press space to start.",
    )


def _norms_chart(history: History, status: Status | None) -> ChartData:
    by_norm = status is not None and status.clip_mode == "norm"
    return ChartData(
        title="gradient norm",
        steps=_steps(history, status),
        curves=(
            Curve(history.norm_before, "before clipping"),
            Curve(history.norm_after, "after", "secondary", "stippled"),
        ),
        marks=_marks(history),
        rule=Rule(status.clip_threshold, "threshold") if status and by_norm else None,
        log_y=True,
        empty="The norm of each step's gradient, before and after clipping.",
    )


class _Validation(NamedTuple):
    step: int
    loss: float
    perplexity: float


def _validations(history: History) -> list[_Validation]:
    """Those that gave a number."""
    return [
        _Validation(event.step, event.loss, event.perplexity)
        for event in history.evaluations
        if event.split == "valid" and event.loss is not None and event.perplexity is not None
    ]


def _steps(history: History, status: Status | None) -> tuple[int, int]:
    """The x axis ends at a round number a little ahead, so that the picture seldom moves."""
    step = max(history.step, 10)
    power = 10 ** (len(str(step)) - 1)
    end = next(int(end * power) for end in _AXIS_ENDS if end * power >= step)
    limit = status.config.training.steps if status else None
    return 0, end if limit is None or limit < step else min(end, limit)


def _marks(history: History) -> tuple[Mark, ...]:
    return tuple(
        Mark(event.step, f"{_MARKS[event.action]} {_knob_value(event.new)}")
        for event in history.interventions
        if event.action in _MARKS
    )


def _knob_value(value: float | str | None) -> str:
    return short(value) if isinstance(value, int | float) else str(value)


# --- the numbers ---------------------------------------------------------------------------------


class _Pace:
    """How long what is under way will still take, from how far it came since it was first seen."""

    def __init__(self) -> None:
        self._task = ""
        self._began = 0.0
        self._done = 0

    def seconds_left(self, progress: Progress) -> float | None:
        """None while it can't be told."""
        now = monotonic()
        if progress.task != self._task or progress.done < self._done:
            self._task, self._began, self._done = progress.task, now, progress.done
        gained, passed = progress.done - self._done, now - self._began
        if passed < 1 or gained <= 0 or not progress.total:
            return None
        return passed * (progress.total - progress.done) / gained


def _rows(session: Session | None, pace: _Pace, width: int) -> list[Content]:
    """Three rows, or four once a step was not finite."""
    if session is None:
        return [_dim("no run yet"), Content(""), Content("")]
    status, history = session.status, session.history
    rows = [_state_row(status, history, pace)]
    if history.step:
        rows += [_loss_row(status, history), _clipping_row(status, history)]
    else:
        rows += [_knobs_row(status), [(0, _dim("+ - rate · ] [ clip threshold · c clip mode"))]]
    if history.non_finite:
        rows.append(_non_finite_row(history))
    return [_fit(row, width) for row in rows]


def _fit(parts: Sequence[_Part], width: int) -> Content:
    """The parts in their order, without those of the highest ranks that there is no room for."""
    gap = 3
    room = width + gap
    kept = []
    for index, (rank, part) in sorted(enumerate(parts), key=lambda entry: (entry[1][0], entry[0])):
        if part.cell_length + gap <= room or rank == 0:
            kept.append(index)
            room -= part.cell_length + gap
    return (
        _dim(" · ").join(parts[index][1] for index in sorted(kept)).truncate(width, ellipsis=True)
    )


def _state_row(status: Status, history: History, pace: _Pace) -> list[_Part]:
    training = status.config.training
    parts = [(0, Content.styled(status.state, f"bold {_STATE_STYLES[status.state]}"))]
    if status.progress is not None:
        parts.append((1, Content(_progress(status.progress, pace))))
    elif status.state in _GO_ON:
        parts.append((1, Content(_GO_ON[status.state])))
    if history.step:
        of = f"of {training.steps:,}" if training.steps else ""
        parts.append((2, _number("step", f"{history.step:,}", of)))
        of = f"of {training.epochs:g}" if training.epochs else ""
        parts.append((3, _number("epoch", f"{status.epoch:.2f}", of)))
    if status.state == "running" and history.last is not None:
        left = _seconds_left(status, history)
        if left is not None:
            parts.append((4, Content(f"{_duration(left)} left")))
        parts.append((5, _number("", f"{history.last.tokens_per_second:,.0f}", "tokens/s")))
    return parts


def _loss_row(status: Status, history: History) -> list[_Part]:
    assert history.last is not None
    per = _UNITS[status.config.corpus.tokenizer][1]
    smoothed = float(history.smoothed_loss.values(-1)[0])
    parts = [(0, _number("loss", _fixed(history.last.loss)))]
    if not math.isnan(smoothed):
        parts.append((3, _number("smoothed", _fixed(smoothed))))
    evaluations = _validations(history)
    if evaluations:
        last, best = evaluations[-1], min(evaluations, key=lambda event: event.loss)
        parts += [
            (1, _number("validation perplexity", _perplexity(last.perplexity), per)),
            (2, _number("best", _perplexity(best.perplexity))),
        ]
    elif status.corpus is not None and "valid" in status.corpus.tokens:
        parts.append((1, _dim("not validated yet, e does it now")))
    return parts


def _clipping_row(status: Status, history: History) -> list[_Part]:
    last = history.last
    assert last is not None
    norms = f"{_significant(last.norm_before)} → {_significant(last.norm_after)}"
    if status.clip_mode == "off":
        parts = [
            (0, Content("clipping off")),
            (1, _number("norm", _significant(last.norm_before))),
        ]
    else:
        steps = min(CLIP_WINDOW, history.step)
        clipped = f"{history.clip_fraction:.0%}"
        parts = [
            (0, Content.assemble("clipped ", (clipped, "bold"), f" of the last {steps:,} steps")),
            (1, _number("norm", norms)),
        ]
        parts.append((3, _dim(_clip_rule(status))))
    parts.append((2, _number("rate", short(last.learning_rate))))
    return parts


def _knobs_row(status: Status) -> list[_Part]:
    return [
        (0, _number("learning rate", short(status.learning_rate))),
        (1, Content(f"clipping {_clip_rule(status)}")),
    ]


def _clip_rule(status: Status) -> str:
    threshold = short(status.clip_threshold)
    rules = {
        "off": "off",
        "norm": f"by norm above {threshold}",
        "value": f"each number to ±{threshold}",
    }
    return rules[status.clip_mode]


def _non_finite_row(history: History) -> list[_Part]:
    last, count = history.non_finite[-1], len(history.non_finite)
    return [
        (0, Content.styled(f"{count:,} step{'s' * (count > 1)} skipped", "bold $text-error")),
        (1, content(f"{last.tensor} was {last.value} at step {last.step:,}", "$text-error")),
        (2, _dim("lower the rate (-) or the clip threshold ([)")),
    ]


def _seconds_left(status: Status, history: History) -> float | None:
    """Until the first of the run's limits at the speed of now; None without a limit."""
    training, last = status.config.training, history.last
    if last is None or not last.tokens_per_second:
        return None
    seconds_a_step = training.batch_size * training.bptt / last.tokens_per_second
    left = []
    if training.steps is not None:
        left.append((training.steps - last.step) * seconds_a_step)
    if training.epochs is not None and last.epoch:
        left.append((training.epochs - last.epoch) * last.step / last.epoch * seconds_a_step)
    if training.minutes is not None:
        left.append(60 * training.minutes - last.seconds)
    return max(0.0, min(left)) if left else None


# --- how they are written ------------------------------------------------------------------------


def _dim(text: str) -> Content:
    return Content.styled(text, "dim")


def _number(name: str, value: str, unit: str = "") -> Content:
    before, after = f"{name} " if name else "", f" {unit}" if unit else ""
    return Content.assemble((before, "dim"), (value, "bold"), (after, "dim"))


def _progress(progress: Progress, pace: _Pace) -> str:
    left = pace.seconds_left(progress)
    share = f" {progress.done / progress.total:.0%}" if progress.total else "…"
    return f"{progress.task}{share}{f', {_duration(left)} left' if left is not None else ''}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _fixed(loss: float | None) -> str:
    return "not finite" if loss is None else f"{loss:.3f}" if abs(loss) < 1000 else short(loss)


def _perplexity(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:,.0f}" if value < 1e6 else short(value)


def _significant(norm: float | None) -> str:
    """Three digits, so that the number keeps its width from step to step."""
    if norm is None:
        return "not finite"
    if not 1e-3 <= norm < 1e4:
        return short(norm, 3)
    return f"{norm:.{max(0, 2 - math.floor(math.log10(norm)))}f}"
