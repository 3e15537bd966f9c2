import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.widget import Widget

from engine.config import preset, replace
from engine.events import (
    AnyEvent,
    CorpusSummary,
    Evaluated,
    Intervened,
    NonFinite,
    Progress,
    State,
    Stepped,
)
from engine.service.protocol import Status
from tui.history import History
from tui.session import Session
from tui.widgets import training_pane
from tui.widgets.chart import Chart
from tui.widgets.training_pane import TrainingPane

SIZES = [(80, 20), (77, 32), (132, 57), (34, 14), (20, 8), (200, 60)]
WINDOWS = 1327
"""Steps in an epoch."""


@dataclass
class StandIn:
    """The part of a session that the pane reads."""

    status: Status
    history: History


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
    progress: Progress | None = None,
) -> Session:
    """A session of a ptb-small run, as its status and these events leave it."""
    config = replace(preset("ptb-small"), settings or {})
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
        corpus=corpus("train", "valid"),
        progress=progress,
    )
    return cast(Session, StandIn(status, history))


def steps(count: int, *, norm: float = 2.31, clipped_to: float = 0.25) -> Iterator[Stepped]:
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
            clip_mode="norm",
            clip_threshold=0.25,
            clipped=clipped,
            seconds=step * 0.14,
            tokens_per_second=5000.0,
        )


def evaluated(step: int, loss: float, split: str = "valid") -> Evaluated:
    return Evaluated(
        step=step, split=split, loss=loss, perplexity=math.exp(loss), tokens=70_000, seconds=2.0
    )


class PaneApp(App[None]):
    CSS = "TrainingPane { border: round $primary; }"
    CSS_PATH = training_pane.__file__.replace(".py", ".tcss")

    def compose(self) -> ComposeResult:
        yield TrainingPane(id="training")


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
            pane.toggle_log_axis()
        pane.draw(session)
        await pilot.pause()
        widgets = {name: pane.query_one(f"#{name}") for name in ("numbers", "loss", "norms")}
        return {name: text_of(widget) if widget.display else "" for name, widget in widgets.items()}


async def numbers(session: Session | None, size: tuple[int, int] = (200, 60)) -> list[str]:
    return (await shown(session, size))["numbers"].split("\n")


# --- before training ----------------------------------------------------------------------------


async def test_before_training_it_says_what_will_show_and_which_key_starts():
    texts = await shown(session("ready"))
    assert "press space to start" in texts["numbers"]
    assert "learning rate 20" in texts["numbers"]
    assert "clipping by norm above 0.25" in texts["numbers"]
    assert "press space to start" in texts["loss"]
    assert "before and after clipping" in texts["norms"]


async def test_without_a_run():
    texts = await shown(None)
    assert "no run yet" in texts["numbers"]
    assert "press space to start" in texts["loss"]


async def test_while_preparing_it_shows_how_far_it_is():
    progress = Progress(task="reading", done=34, total=100, unit="MB")
    assert "preparing · reading 34%" in (await numbers(session("preparing", progress=progress)))[0]
    unknown = Progress(task="loading torch", done=0, total=0)
    assert (
        "preparing · loading torch…" in (await numbers(session("preparing", progress=unknown)))[0]
    )


async def test_what_takes_a_while_says_how_long_it_will_still_take(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("tui.widgets.training_pane.monotonic", lambda: clock[0])
    app = PaneApp()
    async with app.run_test(size=(100, 20)) as pilot:
        pane = app.query_one(TrainingPane)
        for done, later in ((0, 0.0), (25, 10.0)):
            clock[0] += later
            progress = Progress(task="encoding", done=done, total=100)
            pane.draw(session("preparing", progress=progress))
        await pilot.pause()
        assert "encoding 25%, 30 s left" in text_of(pane.query_one("#numbers"))


# --- the numbers --------------------------------------------------------------------------------


async def test_the_numbers_that_matter():
    events = [
        *steps(2000),
        evaluated(1000, 4.7),
        evaluated(2000, 4.8),
        evaluated(2000, 1.0, "test"),
    ]
    state, loss, clipping = await numbers(session("running", events))
    assert state.startswith("running · step 2,000 · epoch 1.51 · ")
    assert "5,000 tokens/s" in state
    last = session("running", events).history.last
    assert last is not None
    assert f"loss {last.loss:.3f} · smoothed " in loss
    assert "validation perplexity 121.5 per word token · best 109.9" in loss
    assert "clipped 25% of the last 1,000 steps · norm 2.31 → 0.250" in clipping
    assert "by norm above 0.25" in clipping
    assert "rate 20" in clipping


@pytest.mark.parametrize(
    ("settings", "words", "axis"),
    [
        ({"corpus.tokenizer": "word"}, "per word token", "nats/token"),
        ({"corpus.tokenizer": "whitespace"}, "per word token", "nats/token"),
        ({"corpus.tokenizer": "character"}, "per character", "nats/character"),
        ({"corpus.tokenizer": "subword"}, "per sub-word token", "nats/token"),
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
        ({"training.steps": 1000}, "step 500 of 1,000 · epoch 0.38 · 70 s left"),
        ({"training.epochs": 2.0}, "epoch 0.38 of 2 · 5 min left"),
        ({"training.minutes": 3.0}, "2 min left"),
        ({"training.minutes": 600.0}, "10.0 h left"),
        ({}, "epoch 0.38 · 5,000 tokens/s"),
    ],
)
async def test_time_left(settings, expected):
    # A step takes 20 x 35 tokens / 5000 tokens a second = 0.14 s.
    state = (await numbers(session("running", list(steps(500)), settings=settings)))[0]
    assert expected in state


@pytest.mark.parametrize(
    ("state", "hint"),
    [
        ("paused", "space goes on, n takes one step"),
        ("stopped", "saved; space goes on"),
        ("finished", "r begins a new run"),
        ("failed", "r begins a new run"),
    ],
)
async def test_a_run_at_rest_says_so_and_which_key_goes_on(state, hint):
    for size in ((80, 20), (132, 57)):
        first = (await numbers(session(state, list(steps(50))), size))[0]
        assert first.startswith(f"{state} · ")
        assert hint in first
        assert "tokens/s" not in first


async def test_an_evaluation_under_way_is_shown_beside_the_state():
    progress = Progress(task="evaluating", done=30, total=100)
    first = (await numbers(session("running", list(steps(50)), progress=progress), (80, 20)))[0]
    assert first.startswith("running · evaluating 30% · step 50")


async def test_a_run_not_yet_validated_says_how_to():
    assert "e does it now" in (await numbers(session("running", list(steps(5)))))[1]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("norm", "clipped 25% of the last 8 steps · norm 2.31 → 0.250 · by norm above 0.25"),
        ("value", "clipped 25% of the last 8 steps · norm 2.31 → 0.250 · each number to ±0.25"),
        ("off", "clipping off · norm 2.31 · rate 20"),
    ],
)
async def test_what_clipping_does(mode, expected):
    made = session("running", list(steps(8)), settings={"clipping.mode": mode})
    assert expected in (await numbers(made))[2]
    norms = (await shown(made, (120, 36)))["norms"]
    assert ("threshold 0.25" in norms) == (mode == "norm"), "a norm has no rule at a value's bound"


async def test_a_step_that_was_not_finite_is_named():
    events: list[AnyEvent] = list(steps(7))
    for step in (8, 9):
        last = next(steps(1))
        broken = dict.fromkeys(("loss", "norm_before", "norm_after"))
        values = {name: getattr(last, name) for name in last.__struct_fields__}
        events.append(Stepped(**{**values, **broken, "step": step, "skipped": True}))
        events.append(NonFinite(step=step, tensor="lstm.0.\x1b[2J", value="nan", in_a_row=step - 7))
    rows = await numbers(session("paused", events), (80, 20))
    assert rows[1].startswith("loss not finite")
    assert "not finite → not finite" in rows[2]
    assert rows[3] == "2 steps skipped · lstm.0.␛[2J was nan at step 9"
    assert "lower the rate (-)" in (await numbers(session("paused", events)))[3]


# --- the charts ---------------------------------------------------------------------------------


async def test_the_charts_of_a_run():
    events = [
        *steps(1500),
        evaluated(1000, 4.9),
        Intervened(step=700, action="learning_rate", old=20.0, new=10.0),
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
        assert "clip off" in chart
        assert "pause" not in chart
        assert "╵1k" in chart.split("\n")[-1]
    assert texts["loss"].count("◆") == 2, "the point and its legend"


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
        pane.draw(made)
        await pilot.pause()
        pane.draw(made)  # the sizes are known by now
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
            pane.draw(session("running", list(steps(step))))
            await pilot.pause()
            axes.add(text_of(pane.query_one("#loss")).split("\n")[-1])
        assert len(axes) == 1


async def test_the_axis_ends_at_the_limit_when_it_is_near():
    made = session("running", list(steps(410)), settings={"training.steps": 430})
    last = (await shown(made))["loss"].split("\n")[-1]
    assert "500" not in last
    assert "╵400" in last
