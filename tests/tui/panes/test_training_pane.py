import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import msgspec
import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.widget import Widget

from engine.config import preset, replace
from engine.events import (
    AnyEvent,
    Averaging,
    CorpusSummary,
    Evaluated,
    ExactLoss,
    Intervened,
    NonFinite,
    RolledBack,
    State,
    Stepped,
)
from engine.messages import Status
from tui.chart.widget import Chart
from tui.panes import training as training_pane
from tui.panes.training import TrainingPane
from tui.run.beside import OtherRun
from tui.run.history import History
from tui.run.session import Session

SIZES = [(80, 20), (77, 32), (132, 57), (34, 14), (20, 8), (200, 60)]
WINDOWS = 1327
"""Steps in an epoch."""


@dataclass
class StandIn:
    """The part of a session that the pane reads."""

    status: Status
    history: History
    beside: tuple[OtherRun, ...] = ()
    running = Session.running
    exploded = Session.exploded
    ended = False
    answering = False


def corpus(*splits: str) -> CorpusSummary:
    return CorpusSummary(
        source="ptb",
        tokenizer="white space",
        files=3,
        bytes=1,
        characters=1,
        lines=1,
        tokens=dict.fromkeys(splits, 900_000),
        vocabulary=10_000,
        unknown_rate={},
        frequent=[],
    )


def session(
    state: State = "running",
    events: list[AnyEvent] | None = None,
    *,
    settings: dict[str, Any] | None = None,
    **changes: Any,
) -> Session:
    """A session of a ptb-small run without an end, as its status and these events leave it."""
    endless = {"schedule.name": "constant", "training.epochs": None}
    config = replace(preset("ptb-small"), endless | (settings or {}))
    history = History()
    history.apply(events or [])
    status = Status(
        run="ptb-1",
        folder="/runs/ptb-1",
        pid=1,
        state=state,
        reason="",
        config=config,
        step=history.step,
        epoch=history.step / WINDOWS,
        learning_rate=config.optimiser.learning_rate,
        clip_mode=config.clipping.mode,
        clip_threshold=config.clipping.threshold,
        parameters=1000,
        groups=[],
        device="cpu",
        threads=2,
        precision="float32",
        corpus=corpus("train", "valid"),
        progress=None,
    )
    status = msgspec.structs.replace(status, **changes)
    return cast(Session, StandIn(status, history))


def steps(
    count: int, *, norm: float = 2.31, clipped_to: float = 0.25, mode: str = "norm"
) -> Iterator[Stepped]:
    for step in range(1, count + 1):
        clipped = step % 4 == 0
        yield Stepped(
            step=step,
            epoch=step / WINDOWS,
            loss=4.6 + 4 * math.exp(-step / 200) + 0.1 * math.sin(step),
            learning_rate=20.0,
            norm_before=norm if clipped else 0.2,
            norm_after=clipped_to if clipped else 0.2,
            groups_before={},
            groups_after={},
            norm_median=0.2,
            norm_p90=norm,
            norm_p99=norm,
            clip_mode=mode,
            clip_threshold=0.25,
            clipped=clipped,
            clip_fraction=0.31,
            seconds=step * 0.14,
            tokens_per_second=5000.0,
        )


def evaluated(step: int, loss: float | None, split: str = "valid") -> Evaluated:
    perplexity = None if loss is None else math.exp(loss)
    return Evaluated(
        step=step, split=split, loss=loss, perplexity=perplexity, tokens=70_000, seconds=0.0
    )


class PaneApp(App[None]):
    CSS = "TrainingPane { border: round $primary; }"
    CSS_PATH = training_pane.__file__.replace(".py", ".tcss")

    def compose(self) -> ComposeResult:
        yield TrainingPane()


def text_of(widget: Widget) -> str:
    strips = widget.render_lines(Region(0, 0, *widget.size))
    return "\n".join(strip.text.rstrip() for strip in strips)


async def shown(
    session: Session | None, size: tuple[int, int] = (80, 20), *, log: bool = False
) -> dict[str, str]:
    """What the numbers and the two charts show; empty for one that is not displayed."""
    app = PaneApp()
    async with app.run_test(size=size) as pilot:
        pane = app.query_one(TrainingPane)
        if log:
            pane.action_log_axis()
        pane.show(session)
        await pilot.pause()
        widgets = {name: pane.query_one(f"#{name}") for name in ("numbers", "loss", "norms")}
        return {name: text_of(widget) if widget.display else "" for name, widget in widgets.items()}


async def numbers(session: Session | None, size: tuple[int, int] = (200, 60)) -> list[str]:
    return (await shown(session, size))["numbers"].split("\n")


# --- before training ----------------------------------------------------------------------------


async def test_before_training_it_says_what_will_show_and_which_key_starts():
    texts = await shown(session("ready"))
    assert "press space to start" in texts["numbers"]
    assert "learning rate 30" in texts["numbers"]
    assert "clipping by norm above 0.25" in texts["numbers"]
    assert "press space to start" in texts["loss"]
    assert "before and after clipping" in texts["norms"]


async def test_in_forty_columns_no_row_is_empty_cut_or_unexplained():
    width = (40, 12)
    hints, knobs, keys = await numbers(session("ready"), width)
    assert hints == "press space to start" and knobs == "learning rate 30"
    assert keys == "+ - rate · ] [ clip threshold"
    trained = session("running", [*steps(50), evaluated(50, 1.3), *list(steps(60))[50:]])
    assert (await numbers(trained, width))[1].split(" · ")[1:] == ["validation perplexity 3.7"]


async def test_without_a_run():
    texts = await shown(None)
    assert "no run yet" in texts["numbers"]
    assert "press space to start" in texts["loss"]


# --- the numbers --------------------------------------------------------------------------------


async def test_the_numbers_that_matter():
    events = [
        *steps(2000),
        evaluated(1000, 4.7),
        evaluated(2000, 4.8),
        evaluated(2000, 1.0, "test"),
    ]
    made = session("running", events)
    progress, loss, norm, clipping = await numbers(made)
    assert progress == "epoch 1.51 · rate 30"
    assert made.history.last is not None
    assert f"loss {made.history.last.loss:.3f} · smoothed " in loss
    assert "validation perplexity 121.5 per word token · best 109.9" in loss
    assert norm == "norm 2.31 → 0.250 · clipped 25% of the last 1,000 steps · 31% of all"
    assert clipping == (
        "clipping by norm above 0.25 · median norm 0.200 · 90th percentile 2.31 · 99th 2.31"
    )


async def test_what_the_status_line_tells_is_not_told_twice():
    for state in ("running", "paused"):
        shown = "\n".join(await numbers(session(state, list(steps(2000)))))
        for word in ("running", "paused", "step 2,000", "tokens/s"):
            assert word not in shown


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (80, "clipping by norm above 0.25 · median 0.200 · p90 2.31 · p99 2.31"),
        (50, "clipping by norm above 0.25 · median 0.200"),
        (30, "clipping by norm above 0.25"),
    ],
)
async def test_what_matters_less_goes_first_where_it_is_narrow(columns, expected):
    assert (await numbers(session("running", list(steps(50))), (columns, 30)))[3] == expected


async def test_a_low_pane_keeps_its_rows_for_the_chart():
    rows = await numbers(session("running", list(steps(52))), (80, 14))
    assert len(rows) == 3
    assert rows[2].startswith("norm 2.31 → 0.250 · clipped")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "rate 10"),
        ({"schedule.name": "plateau"}, "rate 20 of base 10"),
        ({"schedule.warmup_steps": 9}, "rate 20 of base 10"),
        ({"training.random_bptt": True}, "rate 20 of base 10"),
    ],
)
async def test_the_scheduled_rate_stands_beside_the_base_rate(settings, expected):
    # Ten is the base rate since just now; the last step was taken with 20.
    made = session("running", list(steps(50)), settings=settings, learning_rate=10.0)
    assert (await numbers(made))[0].endswith(expected)
    same = session("running", list(steps(50)), settings=settings, learning_rate=20.0)
    assert (await numbers(same))[0].endswith("rate 20")


async def test_averaging_and_early_stopping_are_told():
    events = [
        *steps(30),
        evaluated(30, 4.0),
        Averaging(step=30),
        *list(steps(60))[30:],
        msgspec.structs.replace(evaluated(60, 5.0), stale=1),
    ]
    made = session("running", events, settings={"training.patience": 4})
    assert "averaging since step 30 · 1 of 4 validations without a better one" in (
        await numbers(made)
    )
    assert len(await numbers(session("running", events[:31]))) == 4, "nothing to tell, no row"


@pytest.mark.parametrize(
    ("settings", "words", "axis"),
    [
        ({"corpus.tokenizer": "word"}, "per word token", "nats/token"),
        ({"corpus.tokenizer": "whitespace"}, "per word token", "nats/token"),
        ({"corpus.tokenizer": "character"}, "per character", "nats/character"),
        ({"corpus.tokenizer": "subword"}, "per sub-word piece", "nats/token"),
    ],
)
async def test_the_token_convention_is_named(settings, words, axis):
    events = [*steps(10), evaluated(10, 1.5)]
    texts = await shown(session("running", events, settings=settings), (120, 36))
    assert f"perplexity 4.5 {words}" in texts["numbers"]
    assert f"loss, {axis}" in texts["loss"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"training.steps": 1000}, "epoch 0.38 · 70 s left"),
        ({"training.epochs": 2.0}, "epoch 0.38 of 2 · 5 min left"),
        ({"training.minutes": 3.0}, "2 min left"),
        ({"training.minutes": 600.0}, "10.0 h left"),
        ({}, "epoch 0.38 · rate 30"),
    ],
)
async def test_time_left(settings, expected):
    # A step takes 0.14 s.
    progress = (await numbers(session("running", list(steps(500)), settings=settings)))[0]
    assert expected in progress
    resting = (await numbers(session("paused", list(steps(500)), settings=settings)))[0]
    assert "left" not in resting


@pytest.mark.parametrize(
    ("state", "hint"),
    [
        ("paused", "space goes on · n takes one step"),
        ("stopped", "space goes on"),
        ("finished", "r begins a new run"),
        ("failed", "r begins a new run"),
    ],
)
async def test_a_run_at_rest_says_which_key_goes_on(state, hint):
    for size in ((80, 20), (132, 57)):
        first = (await numbers(session(state, list(steps(50))), size))[0]
        assert hint in first and "epoch 0.04" in first


async def test_a_run_not_yet_validated_says_how_to():
    assert "e does it now" in (await numbers(session("running", list(steps(5)))))[1]


@pytest.mark.parametrize(
    ("mode", "rule"),
    [
        ("norm", "by norm above 0.25"),
        ("value", "each number to ±0.25"),
        ("layer", "each layer by its norm above 0.25"),
        ("adaptive", "above percentile 10 of norms, now 0.250"),
    ],
)
async def test_the_rule_in_force_in_words(mode, rule):
    made = session("running", list(steps(8, mode=mode)), settings={"clipping.mode": mode})
    for size in ((200, 60), (80, 24), (70, 24)):
        _, _, norm, clipping = await numbers(made, size)
        assert norm.startswith("norm 2.31 → 0.250 · clipped 25% of the last 8 steps")
        assert clipping.startswith(f"clipping {rule} · ")
    before = await numbers(session("ready", settings={"clipping.mode": mode}))
    assert rule.removesuffix(", now 0.250") in before[1]


async def test_clipping_that_is_off():
    made = session("running", list(steps(8, mode="off")), settings={"clipping.mode": "off"})
    _, _, norm, clipping = await numbers(made)
    assert (norm, clipping.split(" · ")[0]) == ("norm 2.31", "clipping off")


@pytest.mark.parametrize(
    ("mode", "legend"),
    [
        ("norm", "╌╌ threshold 0.5"),
        ("layer", "╌╌ threshold of each layer 0.5"),
        ("adaptive", "╌╌ threshold now 0.25"),
        ("value", None),
        ("off", None),
    ],
)
async def test_the_line_of_the_threshold(mode, legend):
    # Half is the threshold since just now; the last step was taken with a quarter.
    made = session("running", list(steps(8, mode=mode)), clip_mode=mode, clip_threshold=0.5)
    title = (await shown(made, (120, 36)))["norms"].split("\n")[0]
    assert legend in title if legend else "threshold" not in title


def broken(number: int, count: int, **changes: Any) -> Stepped:
    """A step that was not finite, the `count`th."""
    nothing = dict.fromkeys(("loss", "norm_before", "norm_after"))
    return msgspec.structs.replace(
        next(steps(1)), **nothing, step=number, skipped=True, non_finite_steps=count, **changes
    )


async def test_a_step_that_was_not_finite_is_named():
    events: list[AnyEvent] = list(steps(7))
    for step in (8, 9):
        events.append(broken(step, step - 7))
        events.append(NonFinite(step=step, tensor="lstm.0.\x1b[2J", value="nan", in_a_row=step - 7))
    rows = await numbers(session("paused", events), (80, 20))
    assert rows[1].startswith("loss not finite")
    assert "not finite → not finite" in rows[2]
    assert rows[4] == "2 steps not finite · lstm.0.␛[2J was nan at step 9"
    assert "lower the rate (-)" in (await numbers(session("paused", events)))[4]


async def test_a_run_that_is_let_explode_says_since_when_and_how_to_come_back():
    events = [*steps(40), *[broken(step, step - 40) for step in range(41, 61)]]
    events.append(evaluated(60, None))
    let = {"training.non_finite": "let-it-happen", "clipping.mode": "off"}
    texts = await shown(session("running", events, settings=let), (80, 24))
    rows = texts["numbers"].split("\n")
    assert rows[1] == "loss not finite · validation perplexity not finite"
    assert rows[-1].startswith("not finite since step 41 · m reopens its last checkpoint")
    assert "┊not finite" in texts["loss"] and "┊not finite" in texts["norms"]
    skipped = await numbers(session("running", events), (80, 24))
    assert "m reopens" not in skipped[-1], "where steps are skipped the weights are sound"


async def test_a_perplexity_too_large_to_write_is_not_called_lost():
    events = [
        *steps(10),
        Evaluated(step=10, split="valid", loss=1e15, perplexity=None, tokens=9, seconds=0.1),
    ]
    texts = await shown(session("running", events), (80, 24))
    assert "validation perplexity above 1e307" in texts["numbers"]
    assert "validation 1e15" in texts["loss"]


async def test_a_run_that_went_back_says_from_where_to_where():
    events = [
        *steps(40),
        broken(41, 1),
        RolledBack(step=30, from_step=41, learning_rate=10.0),
    ]
    between = await shown(session("running", events), (80, 24))
    assert "back 41→30" in between["loss"]
    events += list(steps(33))[30:]
    texts = await shown(session("running", events), (80, 24))
    assert texts["numbers"].split("\n")[-1] == "went back from step 41 to 30 · on at rate 10"
    assert "back 41→30" in texts["loss"] and "back 41→30" in texts["norms"]


# --- the charts ---------------------------------------------------------------------------------


async def test_a_sampled_loss_is_told_to_be_one_and_validation_to_be_exact():
    events = [
        *(msgspec.structs.replace(step, sampled=True) for step in steps(90)),
        evaluated(80, 5),
        ExactLoss(step=1, loss=7.25, sampled_loss=7.0),
        ExactLoss(step=81, loss=None, sampled_loss=None),
    ]
    texts = await shown(session("running", events), (132, 57))
    for name in ("each step, sampled", "validation 5.000, exact", "○ a step, exact 7.250"):
        assert name in texts["loss"].split("\n")[0]
    assert re.search(r"loss [\d.]+ sampled ·", texts["numbers"])
    texts = await shown(session("running", [*steps(90), evaluated(80, 5)]), (132, 57))
    assert not re.search("sampled|exact", "".join(texts.values()))


async def test_the_charts_of_a_run():
    events = [
        *steps(1500),
        evaluated(1000, 4.9),
        Intervened(step=700, action="learning_rate", old=20.0, new=10.0),
        Intervened(step=1200, action="clip_threshold", old=0.25, new=0.5),
        Intervened(step=1200, action="clip_mode", old="norm", new="off"),
        Intervened(step=300, action="pause"),
    ]
    texts = await shown(session("running", events), (132, 57))
    assert "loss, nats/token" in texts["loss"]
    for name in ("each step", "smoothed", "◆ validation 4.900"):
        assert name in texts["loss"].split("\n")[0]
    for name in ("gradient norm, log", "before clipping", "after", "threshold 0.25"):
        assert name in texts["norms"].split("\n")[0]
    for chart in (texts["loss"], texts["norms"]):
        assert "lr 10" in chart
        assert "clip 0.5, clip off" in chart
        assert "pause" not in chart
        assert "╵1k" in chart.split("\n")[-1]
    assert texts["loss"].count("◆") == 2, "the point and its legend"


async def test_a_run_of_presses_is_one_mark_from_what_to_what():
    rates = [0.005, 0.0063, 0.008, 0.01]
    turned = [
        Intervened(step=500 + place, action="learning_rate", old=old, new=new)
        for place, (old, new) in enumerate(pairwise(rates))
    ]
    later = Intervened(step=900, action="learning_rate", old=0.01, new=0.02)
    made = session("running", [*steps(1000), *turned, later])
    charts = await shown(made, (120, 30))
    assert "lr 0.005→0.01" in charts["loss"] and "lr 0.02" in charts["loss"]
    assert charts["loss"].split("\n")[1].count("lr") == 2


async def test_log_axis_of_the_loss():
    made = session("running", list(steps(100)))
    assert "log" not in (await shown(made))["loss"]
    assert "loss, nats/token, log" in (await shown(made, log=True))["loss"]


@pytest.mark.parametrize("size", SIZES)
async def test_any_size_keeps_its_rows_and_columns(size):
    events = [*steps(300), evaluated(200, 5.0)]
    made = session("running", events, settings={"training.epochs": 6.0})
    app = PaneApp()
    async with app.run_test(size=size) as pilot:
        pane = app.query_one(TrainingPane)
        pane.show(made)
        await pilot.pause()
        pane.show(made)  # the sizes are known by now
        await pilot.pause()
        room = pane.content_size
        shares = [child.size.height for child in pane.children if child.display]
        assert sum(shares) == room.height
        loss, norms = pane.query_one("#loss", Chart), pane.query_one("#norms", Chart)
        if norms.display:
            assert norms.size.height >= 4
            assert loss.size.height >= norms.size.height
        for line in text_of(pane.query_one("#numbers")).split("\n"):
            assert len(line) <= room.width
            assert not line.endswith("·")
        assert "◆" in text_of(loss)


async def test_the_x_axis_stands_still_for_a_while():
    app = PaneApp()
    async with app.run_test(size=(80, 24)) as pilot:
        pane = app.query_one(TrainingPane)
        axes = set()
        for step in range(410, 500, 10):
            pane.show(session("running", list(steps(step))))
            await pilot.pause()
            axes.add(text_of(pane.query_one("#loss")).split("\n")[-1])
        assert len(axes) == 1


@pytest.mark.parametrize(("clock", "reached"), [("step", 4100), ("epoch", 4100 / WINDOWS)])
def test_the_last_part_is_a_quarter_by_any_quantity(clock: training_pane.Clock, reached: float):
    made = session("running", list(steps(4100)))
    whole = training_pane._x_axis(made, "most", clock)
    last = training_pane._x_axis(made, "last", clock)
    assert whole.low == 0 and whole.high == last.high >= reached
    assert last.low == pytest.approx(0.75 * reached, rel=0.05)


async def test_the_axis_ends_at_the_limit_when_it_is_near():
    made = session("running", list(steps(410)), settings={"training.steps": 430})
    last = (await shown(made))["loss"].split("\n")[-1]
    assert "500" not in last
    assert "╵400" in last
