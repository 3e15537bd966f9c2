"""Training: the loss, the gradient norms before and after clipping, and the numbers that matter."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import msgspec
from textual import work
from textual.app import ComposeResult
from textual.content import Content
from typing_extensions import override

from engine.config import TrainingConfig
from engine.errors import UserError
from engine.events import Evaluated, State, Stepped
from engine.messages import BaselineList, HeldOutBaselines, Status
from engine.service.client import EngineEnded
from tui.chart.data import ChartData, Curve, Mark, Points, Rule, XAxis, YAxis
from tui.chart.widget import Chart
from tui.keys import sentence
from tui.numbers import counted, duration, short
from tui.panes.comparing import comparable, curves_beside, notes_beside
from tui.panes.pane import Pane
from tui.run.session import Session
from tui.sanitize import content
from tui.units import UNITS, early_stopping
from tui.widgets.text import Block

if TYPE_CHECKING:
    from tui.run.history import History
    from tui.run.series import Series

_MARKS = {"learning_rate": "lr", "clip_threshold": "clip", "clip_mode": "clip"}
"""The interventions drawn on the charts, and the word for each."""
_GO_ON: dict[State, tuple[str, ...]] = {
    "ready": ("press {start_pause} to start", "{single_step} takes a single step"),
    "paused": ("{start_pause} goes on", "{single_step} takes one step"),
    "stopped": ("{start_pause} goes on",),
    "finished": ("{generate} writes text", "{new_run} begins a new run"),
    "failed": ("{new_run} begins a new run", "{open_model} opens a model"),
}
_ASKED = ("asked only", "{start_pause} shows the text it would read to train")
_KNOBS = (
    "{rate_up} {rate_down} rate",
    "{threshold_up} {threshold_down} clip threshold",
    "{clip_mode} clip mode",
)
_NO_LOSS = "Training and validation loss by step: press {start_pause} to start."
_NO_NORMS = "The norm of each step's gradient, before and after clipping."
_AXIS_ENDS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
View = Literal["most", "all", "last"]
"""What of the loss is shown: all steps without the few highest losses, with them, or the last
steps."""
Clock = Literal["step", "epoch", "seconds"]
"""By what the x axis of the charts tells how far the run is."""
_CLOCKS: tuple[Clock, ...] = get_args(Clock)
_LEAST_FOR_BOTH = 11
"""Rows from which on there is room for both charts."""
_APART = 40
"""Of the run's length, the part within which turns of one knob are one mark."""
_LEAST_FOR_ALL = 14
"""Rows from which on there is room for every row of numbers."""
_LEAST_FOR_UNIT = 60
"""Columns from which on there is room to say what a perplexity is per."""
_IN_FULL = 100
"""Columns from which on a percentile is called one."""

_Part = tuple[int, Content]
"""A part of a row with its rank: where there is no room, the highest ranks go first."""


class TrainingPane(Pane):
    """How training goes, step by step."""

    ID = "training"
    KEY = "2"
    ABOUT = "Loss, perplexity, and gradient norms before and after clipping."
    COLUMN = "left"
    SHARE = 24

    def __init__(self) -> None:
        super().__init__()
        self._log_loss = False
        self._view: View = "most"
        self._clock: Clock = "step"
        self._baselines: BaselineList | None = None
        """What simpler models make of the text that is validated on."""
        self._asked: Session | None = None
        """The run that they were asked of."""

    @property
    @override
    def hint(self) -> str:
        return sentence(
            "{log_axis} log axis · {all_losses} all · {last_part} last part · {x_axis} x axis"
        )

    @override
    def compose(self) -> ComposeResult:
        yield Block(id="numbers")
        yield Chart(id="loss")
        yield Chart(id="norms")

    def action_log_axis(self) -> None:
        """Draw the loss on a logarithmic axis, or back on a linear one."""
        self._log_loss = not self._log_loss
        self.redraw()

    def action_all_losses(self) -> None:
        """Show the highest losses too, or leave the few of them out again."""
        self._look("all")

    def action_last_part(self) -> None:
        """Show the last steps alone, or all again."""
        self._look("last")

    def action_x_axis(self) -> None:
        """Place the steps by their number, by epoch, or by seconds."""
        place = _CLOCKS.index(self._clock) + 1
        self._clock = _CLOCKS[place % len(_CLOCKS)]
        self.redraw()

    def _look(self, view: View) -> None:
        self._view = "most" if self._view == view else view
        self.redraw()

    @override
    def clear(self) -> None:
        self._baselines = self._asked = None

    @work(exclusive=True)
    async def _ask(self, session: Session) -> None:
        """What uniform and unigram make of the text, for the loss to be compared with."""
        try:
            answer = await session.engine.call(HeldOutBaselines())
        except (UserError, EngineEnded):
            return  # a chart without them says all that it said before
        if session is self.session and isinstance(answer, BaselineList):
            self._baselines, self.stale = answer, True

    @override
    def draw(self, session: Session | None) -> None:
        measured = session is not None and session.answering and session.history.evaluations
        if session is not None and measured and self._asked is not session:
            self._asked = session
            self._ask(session)
        width, height = self.content_size
        numbers, norms = self.query_one("#numbers", Block), self.query_one("#norms", Chart)
        rows = _rows(session, width, roomy=height >= _LEAST_FOR_ALL)
        numbers.styles.height = len(rows)
        numbers.show(Content("\n").join(rows))
        norms.display = height >= _LEAST_FOR_BOTH
        loss = self.query_one("#loss", Chart)
        if session is None:
            loss.show(sentence(_NO_LOSS))
            norms.show(_NO_NORMS)
            return
        x = _x_axis(session, self._view, self._clock)
        loss.show(_loss_chart(session, x, self._view, self._baselines, width, log=self._log_loss))
        if norms.display:
            norms.show(_norms_chart(session, x))


# --- the charts ----------------------------------------------------------------------------------


def _loss_chart(
    session: Session,
    x: XAxis,
    view: View,
    baselines: BaselineList | None,
    width: int,
    *,
    log: bool,
) -> ChartData:
    history, status = session.history, session.status
    passed = history.passed(x.name)
    unit = UNITS[status.config.corpus.tokenizer].axis
    evaluations = _validations(history)
    return ChartData(
        title=f"loss, nats/{unit}",
        x=x,
        curves=(
            Curve(history.loss, _each_step(history), "raw", "stippled", passed),
            *curves_beside(session, x.name, width),
            Curve(history.smoothed_loss, "smoothed", passed=passed),
        ),
        points=(
            Points(
                _placed([event.step for event in evaluations], passed),
                [event.loss for event in evaluations],
                _validation_name(history, evaluations),
            ),
            *_exact_losses(history, passed),
        ),
        marks=_marks(history, passed),
        levels=_levels(baselines),
        y=YAxis(log=log, robust=view == "most"),
        notes=notes_beside(session, width),
        empty=sentence(_NO_LOSS),
    )


def _levels(baselines: BaselineList | None) -> tuple[Rule, ...]:
    """The losses of simpler models, in nats a token."""
    found = baselines.baselines if baselines is not None else []
    return tuple(
        Rule(math.log(each.perplexity), each.name)
        for each in found
        if 0 < each.perplexity < math.inf
    )


def _each_step(history: "History") -> str:
    """What a step's loss is: against sampled words it is an estimate, a little low."""
    return "each step, sampled" if _is_sampled(history) else "each step"


def _is_sampled(history: "History") -> bool:
    return history.last is not None and history.last.sampled


def _exact_losses(history: "History", passed: "Series | None") -> Iterator[Points]:
    """Those of steps whose own loss is sampled, if there are any."""
    known = [(event.step, event.loss) for event in history.exact_losses if event.loss is not None]
    if known:
        steps, losses = zip(*known, strict=True)
        places = _placed(steps, passed)
        yield Points(places, losses, f"a step, exact {_fixed(losses[-1])}", "○", "orange")


def _validation_name(history: "History", evaluations: "list[_Validation]") -> str:
    """With the newest loss, and that it is exact where that of a step is not."""
    exact = ", exact" if _is_sampled(history) else ""
    newest = f" {_fixed(evaluations[-1].loss)}" if evaluations else ""
    return f"validation{newest}{exact}"


def _norms_chart(session: Session, x: XAxis) -> ChartData:
    history, status = session.history, session.status
    passed = history.passed(x.name)
    return ChartData(
        title="gradient norm",
        x=x,
        curves=(
            Curve(history.norm_before, "before clipping", passed=passed),
            Curve(history.norm_after, "after", "secondary", "stippled", passed),
        ),
        marks=_marks(history, passed),
        rule=_clip_line(history, status, passed),
        y=YAxis(log=True),
        empty=_NO_NORMS,
    )


def _clip_line(history: "History", status: Status, passed: "Series | None") -> Rule | None:
    """The largest norm let through; clipping by value has none."""
    value, past = status.clip_threshold, history.clip_threshold
    match status.clip_mode:
        case "norm":
            return Rule(value, "threshold", past, passed)
        case "layer":
            return Rule(value, "threshold of each layer", past, passed)
        case "adaptive":
            at_work = history.last is not None and history.last.clip_mode == "adaptive"
            threshold = history.last.clip_threshold if history.last and at_work else value
            return Rule(threshold, "threshold now", past, passed)
    return None


class _Validation(NamedTuple):
    step: int
    loss: float
    perplexity: float | None


def _validations(history: "History") -> list[_Validation]:
    """Those that gave a number."""
    return [
        _Validation(event.step, event.loss, event.perplexity)
        for event in history.evaluations
        if event.split == "valid" and event.loss is not None
    ]


def _x_axis(session: Session, view: View, clock: Clock) -> XAxis:
    """It ends at a round number a little ahead, so that the picture seldom moves. All of every run
    beside the one that is shown is in it, but where its last part is looked at."""
    reached = session.history.reached(clock)
    others = [] if view == "last" else comparable(session)
    longest = max([reached, *(other.history.reached(clock) for other in others)])
    longest = max(longest, 10.0 if clock == "step" else 1e-3)
    power = 10.0 ** math.floor(math.log10(longest))
    end = next(end * power for end in _AXIS_ENDS if end * power >= longest)
    limit = _limit(session.status.config.training, clock)
    end = end if limit is None or limit < longest else min(end, limit)
    return XAxis(_last_part(reached, clock) if view == "last" else 0, end, clock)


def _limit(training: TrainingConfig, clock: Clock) -> float | None:
    """Where the run is to end, on this axis."""
    seconds = None if training.minutes is None else 60 * training.minutes
    return {"step": training.steps, "epoch": training.epochs, "seconds": seconds}[clock]


def _last_part(reached: float, clock: Clock) -> float:
    """Where the last quarter of what was reached begins, at a round number."""
    if reached <= 0:
        return 0.0
    grain = 10.0 ** (math.floor(math.log10(reached)) - 1)
    grain = max(1.0, grain) if clock == "step" else grain
    return math.floor(0.75 * reached / grain) * grain


def _placed(steps: Sequence[float], passed: "Series | None") -> Sequence[float]:
    """Where these steps stand on the x axis."""
    return steps if passed is None else passed.after([int(step) for step in steps])


def _marks(history: "History", passed: "Series | None") -> tuple[Mark, ...]:
    """What was done to the run, and what befell it, in the order of the record."""
    marks = [
        Mark(turn.step, f"{_MARKS[turn.action]} {_turned(turn)}", turn.action)
        for turn in _turns(history)
    ]
    marks += [
        Mark(event.step, f"back {event.from_step:,}→{event.step:,}", "back")
        for event in history.roll_backs
    ]
    if history.averaging is not None:
        marks.append(Mark(history.averaging.step, "averaging", "averaging"))
    if history.non_finite_since is not None:
        marks.append(Mark(history.non_finite_since, "not finite", "not finite"))
    places = _placed([mark.x for mark in marks], passed)
    return tuple(msgspec.structs.replace(mark, x=x) for mark, x in zip(marks, places, strict=True))


class _Turn(NamedTuple):
    """A knob that was turned, in one step or in several soon after one another."""

    step: int
    action: str
    old: float | str | None
    new: float | str | None
    times: int


def _turns(history: "History") -> list[_Turn]:
    """What was turned, one for a knob turned again and again within a small part of the run."""
    turns: list[_Turn] = []
    latest: dict[str, int] = {}
    soon = max(1, history.step // _APART)
    for event in history.interventions:
        if event.action not in _MARKS:
            continue
        turn = _Turn(event.step, event.action, event.old, event.new, 1)
        place = latest.get(event.action)
        if place is not None and event.step - turns[place].step <= soon:
            before = turns[place]
            turns[place] = turn._replace(old=before.old, times=before.times + 1)
        else:
            latest[event.action] = len(turns)
            turns.append(turn)
    return turns


def _turned(turn: _Turn) -> str:
    if turn.times == 1 or isinstance(turn.new, str):
        return _knob_value(turn.new)
    return f"{_knob_value(turn.old)}→{_knob_value(turn.new)}"


def _knob_value(value: float | str | None) -> str:
    return short(value) if isinstance(value, int | float) else str(value)


# --- the numbers ---------------------------------------------------------------------------------


def _rows(session: Session | None, width: int, *, roomy: bool) -> list[Content]:
    """Three rows, and one where there is trouble; more where there is room."""
    if session is None:
        return [_dim("no run yet"), Content(""), Content("")]
    status, history = session.status, session.history
    last = history.last
    if last is None:
        keys = [(rank, _dim(sentence(knob))) for rank, knob in enumerate(_KNOBS)]
        rows = [_hints(status, 0), _knobs_row(status), keys]
    else:
        rows = [_progress_row(session, last), _loss_row(status, history, last, width)]
        if roomy:
            rows += _steering_rows(status, history)
        rows.append(_norm_row(status, history, last))
        if roomy:
            rows.append(_clipping_row(status, last, width))
        rows += _trouble_rows(session, last)
    return [_fit(row, width) for row in rows]


def _fit(parts: Sequence[_Part], width: int) -> Content:
    """The parts in their order, without those of the highest ranks that there is no room for: what
    a part is about may be said by one of a lower rank."""
    gap = 3
    room = width + gap
    kept: list[int] = []
    for index, (rank, part) in sorted(enumerate(parts), key=lambda entry: (entry[1][0], entry[0])):
        if part.cell_length + gap > room and rank > 0:
            break
        kept.append(index)
        room -= part.cell_length + gap
    return (
        _dim(" · ").join(parts[index][1] for index in sorted(kept)).truncate(width, ellipsis=True)
    )


def _hints(status: Status, rank: int) -> list[_Part]:
    """What can be done now, the first of it with this rank."""
    hints = _ASKED if status.asking else _GO_ON.get(status.state, ())
    return [(rank + 4 * (place > 0), Content(sentence(hint))) for place, hint in enumerate(hints)]


def _progress_row(session: Session, last: Stepped) -> list[_Part]:
    """How far, at which rate, and what comes next. The status line tells state, step and speed."""
    status, history = session.status, session.history
    training = status.config.training
    of = f"of {training.epochs:g}" if training.epochs else ""
    parts = [*_hints(status, 1), (0, _number("epoch", f"{last.epoch:.2f}", of))]
    left = history.pace.seconds_left(training) if session.running else None
    if left is not None:
        parts.append((2, Content(f"{duration(left)} left")))
    parts.append((3, _rate(status, last)))
    return parts


def _steering_rows(status: Status, history: "History") -> list[list[_Part]]:
    """What the validations have brought about or will, if anything."""
    parts: list[_Part] = []
    if history.averaging is not None:
        parts.append((0, Content(f"averaging since step {history.averaging.step:,}")))
    if standing := early_stopping(history.stale, status.config.training.patience):
        parts.append((0, Content(standing)))
    return [parts] if parts else []


def _rate(status: Status, last: Stepped) -> Content:
    """The rate of the last step, and the base rate where a schedule makes them differ."""
    schedule, base = status.config.schedule, short(status.learning_rate)
    steady = schedule.name == "constant" and not schedule.warmup_steps
    scheduled = short(last.learning_rate)
    if (steady and not status.config.training.random_bptt) or scheduled == base:
        return _number("rate", base)
    return _number("rate", scheduled, f"of base {base}")


def _loss_row(status: Status, history: "History", last: Stepped, width: int) -> list[_Part]:
    per = UNITS[status.config.corpus.tokenizer].per if width >= _LEAST_FOR_UNIT else ""
    smoothed = float(history.smoothed_loss.values(-1)[0])
    parts = [(0, _number("loss", _fixed(last.loss), "sampled" if last.sampled else ""))]
    if not math.isnan(smoothed):
        parts.append((3, _number("smoothed", _fixed(smoothed))))
    if measured := history.validation:
        unit = "" if measured.loss is None else per
        parts.append((1, _number("validation perplexity", _perplexity(measured), unit)))
        if best := min(_validations(history), key=lambda event: event.loss, default=None):
            parts.append((2, _number("best", _perplexity(best))))
    elif status.corpus is not None and "valid" in status.corpus.tokens:
        parts.append((1, _dim(sentence("not validated yet, {evaluate} does it now"))))
    return parts


def _norm_row(status: Status, history: "History", last: Stepped) -> list[_Part]:
    before, after = _significant(last.norm_before), _significant(last.norm_after)
    if status.clip_mode == "off":
        return [(0, _number("norm", before))]
    steps, share = history.recent_steps, f"{history.recent_clip_fraction:.0%}"
    recent = counted(steps, "step")
    parts = [
        (1, _number("norm", f"{before} → {after}")),
        (0, Content.assemble("clipped ", (share, "bold"), f" of the last {recent}")),
    ]
    if history.step > steps:
        parts.append((2, Content(f"{last.clip_fraction:.0%} of all")))
    return parts


def _clipping_row(status: Status, last: Stepped, width: int) -> list[_Part]:
    """The rule in force, and of the norms before clipping those that bound half, 90 and 99%."""
    in_full = width >= _IN_FULL
    return [
        (0, Content(f"clipping {_clip_rule(status, last)}")),
        (1, _number("median norm" if in_full else "median", _significant(last.norm_median))),
        (2, _number("90th percentile" if in_full else "p90", _significant(last.norm_p90))),
        (3, _number("99th" if in_full else "p99", _significant(last.norm_p99))),
    ]


def _knobs_row(status: Status) -> list[_Part]:
    return [
        (0, _number("learning rate", short(status.learning_rate))),
        (1, Content(f"clipping {_clip_rule(status, None)}")),
    ]


def _clip_rule(status: Status, last: Stepped | None) -> str:
    """The rule in force, in words; for adaptive clipping with its threshold as it is now."""
    threshold = short(status.clip_threshold)
    match status.clip_mode:
        case "norm":
            return f"by norm above {threshold}"
        case "value":
            return f"each number to ±{threshold}"
        case "layer":
            return f"each layer by its norm above {threshold}"
        case "adaptive":
            percentile = f"above percentile {status.config.clipping.percentile:g} of norms"
            if last is None or last.clip_mode != "adaptive":
                return percentile
            return f"{percentile}, now {_significant(last.clip_threshold)}"
    return "off"


def _trouble_rows(session: Session, last: Stepped) -> list[list[_Part]]:
    """One row where steps were not finite, or the run went back."""
    history, count = session.history, last.non_finite_steps
    steps = f"{count:,} step{'s' * (count != 1)} not finite"
    if session.exploded:
        since = f"not finite since step {history.non_finite_since:,}"
        how = sentence("{open_model} reopens its last checkpoint")
        return [[(0, _error(since)), (1, Content(how)), (2, _dim(steps))]]
    parts: list[_Part] = []
    if history.roll_backs:
        back = history.roll_backs[-1]
        parts = [
            (0, _error(f"went back from step {back.from_step:,} to {back.step:,}")),
            (1, Content(f"on at rate {short(back.learning_rate)}")),
        ]
    if count:
        parts.append((0 if not parts else 2, _error(steps)))
        if history.non_finite:
            bad = history.non_finite[-1]
            told = f"{bad.tensor} was {bad.value} at step {bad.step:,}"
            parts.append((3, content(told, "$text-error")))
        lower = "lower the rate ({rate_down}) or the clip threshold ({threshold_down})"
        parts.append((4, _dim(sentence(lower))))
    return [parts] if parts else []


# --- how they are written ------------------------------------------------------------------------


def _dim(text: str) -> Content:
    return Content.styled(text, "dim")


def _error(text: str) -> Content:
    return Content.styled(text, "bold $text-error")


def _number(name: str, value: str, unit: str = "") -> Content:
    before, after = f"{name} " if name else "", f" {unit}" if unit else ""
    return Content.assemble((before, "dim"), (value, "bold"), (after, "dim"))


def _fixed(loss: float | None) -> str:
    return "not finite" if loss is None else f"{loss:.3f}" if abs(loss) < 1000 else short(loss)


def _perplexity(validation: Evaluated | _Validation) -> str:
    value = validation.perplexity
    if value is None:
        return "not finite" if validation.loss is None else "above 1e307"
    return f"{value:.1f}" if value < 1000 else f"{value:,.0f}" if value < 1e6 else short(value)


def _significant(norm: float | None) -> str:
    """Three digits, so that the number keeps its width from step to step."""
    if norm is None:
        return "not finite"
    if not 1e-3 <= norm < 1e4:
        return short(norm, 3)
    return f"{norm:.{max(0, 2 - math.floor(math.log10(norm)))}f}"
