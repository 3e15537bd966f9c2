"""The dialogs of the test of learning rates and of the vanishing gradient."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import messages as p
from engine.events import StateChanged
from engine.service.client import EngineEnded
from tests.tui.fake_engine import RATES, Launch, built, step
from tests.tui.screen_help import Room, playground
from tui.chart.data import Line
from tui.chart.plot import draw
from tui.chart.widget import Chart
from tui.rate_curve import RateCurve
from tui.screens import gradient_flow
from tui.widgets.text import Block

HOSTILE = "red \x1b[31m[/oops] [@click=app.quit]x[/]"


def shown(room: Room) -> str:
    """What the open dialog shows: its chart, what it says below, and the lower edge of its box."""
    screen = room.app.screen
    chart, outcome = screen.query_one("#curve", Chart), screen.query_one("#outcome", Block)
    edge = str(screen.query_one("#box").border_subtitle)
    return f"{chart._picture}\n{outcome.content.plain}\n{edge}"


async def open_by(room: Room, key: str) -> None:
    await room.press(key)
    await room.until(lambda: room.app.screen is not room.app.playground)
    await room.until(lambda: room.app.screen.query("#outcome"))


# --- the test of learning rates ---------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_rate_found_is_shown_and_taken_over(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with playground(tmp_path, size=size) as room:
        await open_by(room, "f")
        await room.until(lambda: "enter takes 0.008" in shown(room))
        text = shown(room)
        assert "It fell." in text
        assert "┊0.008" in text, "the curve is marked where the rate is"
        assert "╵0.002" in text and "╵0.016" in text and "0.032 exploded" in text
        assert "The run's rate is 0.005." in text
        await room.press("enter")
        await room.until(lambda: room.engine.asked(p.SetKnob))
        assert room.engine.asked(p.SetKnob) == [p.SetKnob(knob="learning_rate", value=0.008)]
        assert room.app.screen is room.app.playground
        assert room.app.session.knob("learning_rate") == 0.008


async def test_the_curve_is_drawn_while_the_test_runs_and_closing_ends_it(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        room.engine.range_test = RATES[:3]
        room.engine.unhurried = True
        await open_by(room, "f")
        await room.until(lambda: "holding rate 0.032… 39%" in shown(room))
        assert "2 rates done" in shown(room)
        assert "╵0.002" in shown(room) and "╵0.008" in shown(room)
        await room.press("enter")
        await room.pilot.pause()
        assert room.app.screen is not room.app.playground, "there is nothing to take yet"
        await room.press("escape")
        await room.until(lambda: room.engine.cancelled == 1)
        assert room.app.screen is room.app.playground
        assert not room.engine.asked(p.SetKnob)


@pytest.mark.parametrize("how", ["found nothing", "refused", "engine gone"])
async def test_without_a_rate_it_says_why_and_nothing_can_be_taken(
    tmp_path: Path, how: str
) -> None:
    async with playground(tmp_path) as room:
        reason = HOSTILE
        if how == "found nothing":
            room.engine.range_test = [*RATES[:2], p.RateFound(rate=None, reason=HOSTILE)]
        elif how == "refused":
            room.engine.refusals[p.FindRate] = HOSTILE
        else:
            room.engine._ended = EngineEnded("gone")
            reason = "The engine has ended."
        await open_by(room, "f")
        await room.until(lambda: reason.replace("\x1b", "␛") in shown(room))
        assert "enter" not in shown(room)
        await room.press("enter", "escape")
        await room.until(lambda: room.app.screen is room.app.playground)
        assert not room.engine.asked(p.SetKnob)


async def test_the_key_waits_until_training_is_at_rest(tmp_path: Path) -> None:
    launch = Launch(lambda folder: built(folder, state="running", step=5))
    async with playground(tmp_path, launch) as room:
        screen = room.app.playground
        assert screen.check_action("find_rate", ()) is None
        assert screen.check_action("gradient_flow", ()) is True
        await room.happens(StateChanged(state="paused"))
        assert screen.check_action("find_rate", ()) is True
        await room.happens(StateChanged(state="failed", reason="no"))
        assert screen.check_action("find_rate", ()) is None
        assert screen.check_action("gradient_flow", ()) is None


def test_rates_are_drawn_in_their_order_and_what_exploded_is_left_out_and_named() -> None:
    curve = RateCurve()
    for tried in RATES:
        if isinstance(tried, p.RateTried):
            curve.add(tried)
    data = curve.chart()
    assert data.x.log and data.x.ticks == (
        (0.002, "0.002"), (0.004, "0.004"), (0.008, "0.008"), (0.016, "0.016"), (0.032, "0.032")
    )  # fmt: skip
    (points,) = data.points
    assert list(points.x) == [0.002, 0.004, 0.008, 0.016]
    assert list(points.y) == [4.1, 3.7, 3.25, 3.5]
    (line,) = data.curves
    assert isinstance(line, Line) and list(line.x)[-1] == 0.032
    assert math.isnan(line.y[-1]), "what exploded leaves a gap"
    assert data.title.endswith("0.032 exploded")
    assert data.marks == ()
    curve.found = p.RateFound(rate=8e-3, reason="")
    assert [(mark.x, mark.label) for mark in curve.chart().marks] == [(0.008, "0.008")]
    assert "◆" in str(draw(curve.chart(), 78, 18))


@pytest.mark.parametrize("losses", [[], [None], [2.0], [2.0, None], [None, 2.0]])
def test_a_test_that_hardly_began_can_be_drawn(losses: list[float | None]) -> None:
    curve = RateCurve()
    for index, loss in enumerate(losses):
        curve.add(p.RateTried(rate=5.0 * 4**-index, loss=loss))
    assert str(draw(curve.chart(), 78, 18))
    curve.found = p.RateFound(rate=None, reason="")
    assert str(draw(curve.chart(), 78, 18))


# --- the vanishing gradient -------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_gradient_is_shown_by_token_with_its_ratio(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with playground(tmp_path, size=size) as room:
        await open_by(room, "v")
        await room.until(lambda: "first tenth / last tenth" in shown(room))
        text = shown(room)
        assert "0.0002" in text and "0.02% of the gradient of its last tenth" in text
        assert "log" in text and "15 before the last" in text and "the last╵" in text
        chart = room.app.screen.query_one("#curve", Chart)
        rows = str(chart._picture).splitlines()
        heights = [next(y for y, row in enumerate(rows) if row[x : x + 1] > "⠀") for x in (20, 70)]
        assert heights[0] > heights[1] + 3, "it falls to the left"


async def test_it_asks_again_as_the_weights_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradient_flow, "_PAUSE", 0.02)
    async with playground(tmp_path) as room:
        room.engine.push(StateChanged(state="running"), step(1))
        await room.until(lambda: room.app.session.status.step == 1)
        await open_by(room, "v")
        await room.until(lambda: "after step 1" in shown(room))
        await room.pilot.pause(0.2)
        assert len(room.engine.asked(p.GradientFlow)) == 1, "the same weights, the same answer"
        room.engine.gradient_ratio = 3.5
        room.engine.push(step(2))
        await room.until(lambda: "after step 2" in shown(room))
        assert "3.5 times the gradient of" in shown(room)
        await room.press("escape")
        asked = len(room.engine.asked(p.GradientFlow))
        room.engine.push(step(3))
        await room.pilot.pause(0.2)
        assert len(room.engine.asked(p.GradientFlow)) == asked, "closed, it asks no more"


async def test_a_refusal_and_a_gradient_that_is_no_number_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradient_flow, "_PAUSE", 0.02)
    async with playground(tmp_path) as room:
        room.engine.refusals[p.GradientFlow] = HOSTILE
        await open_by(room, "v")
        await room.until(lambda: HOSTILE.replace("\x1b", "␛") in shown(room))
        del room.engine.refusals[p.GradientFlow]
        room.engine.gradients, room.engine.gradient_ratio = [math.nan] * 16, math.nan
        room.engine.push(step(1))
        await room.until(lambda: "not finite" in shown(room))
        await room.until(lambda: "No gradient that is a number" in shown(room))
        room.engine.die("killed")
        await room.until(lambda: "The engine has ended" in shown(room))


def flow(count: int, **changes) -> p.GradientByTime:
    norms = [2.0 ** (place - count) for place in range(count)]
    values = {
        "step": 5, "norms": norms, "ratio": 0.5, "tokens": ["word"] * count, "token_norms": norms,
        "untrained": norms, "untrained_ratio": 0.25,
    }  # fmt: skip
    return p.GradientByTime(**(values | changes))


@pytest.mark.parametrize(("count", "part"), [(1, "token"), (9, "token"), (10, "tenth")])
def test_a_tenth_is_named_only_where_there_are_tenths(count: int, part: str) -> None:
    told = gradient_flow._outcome(flow(count)).plain
    assert f"first {part} / last {part}" in told and f"its last {part}" in told
    assert "untrained 0.25" in told


@given(st.integers(1, 60), st.integers(20, 160), st.sampled_from(["", " "]), st.data())
def test_the_tokens_stand_under_their_bars(count: int, width: int, gap: str, data) -> None:
    tokens = [
        data.draw(st.sampled_from(["a", "to", "mathematician", "\x1b", "中文"]))
        for _ in range(count)
    ]
    norms = data.draw(st.lists(st.floats(0) | st.just(math.nan), min_size=count, max_size=count))
    rows = gradient_flow.token_bars(flow(count, tokens=tokens, token_norms=norms), width, gap)
    assert bool(rows) == any(math.isfinite(norm) and norm > 0 for norm in norms)
    for row in rows:
        assert row.cell_length <= width
    if rows:
        assert rows[0].cell_length == rows[1].cell_length


async def test_v_shows_the_tokens_and_the_untrained_model(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        room.engine.push(StateChanged(state="running"), step(1))
        await room.until(lambda: room.app.session.status.step == 1)
        await open_by(room, "v")
        await room.until(lambda: "untrained" in shown(room))
        assert "mathematician ran to the store" in shown(room) and "█" in shown(room)
