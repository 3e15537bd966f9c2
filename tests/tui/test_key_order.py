"""Keys that arrive together do what the same keys do one at a time."""

import asyncio
from pathlib import Path
from random import Random

import pytest
from textual import events
from textual.widgets import Input

from engine import messages as p
from tests.tui.screen_help import Room, playground
from tests.tui.test_keys import RUNNING
from tui.screens.new_run import NewRun
from tui.widgets.choice import Choice

CONTROL = {
    "ctrl+a": "\x01",
    "ctrl+e": "\x05",
    "ctrl+k": "\x0b",
    "ctrl+u": "\x15",
    "ctrl+w": "\x17",
    "ctrl+q": "\x11",
    "ctrl+s": "\x13",
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "backspace": "\x7f",
}
NAMES = {".": "full_stop", " ": "space", "/": "slash", "-": "minus", "?": "question_mark"}
EDITING = [
    *("ctrl+a", "ctrl+e", "ctrl+k", "ctrl+u", "ctrl+w"),
    *("backspace", "delete", "left", "right", "home", "end", "ctrl+left", "shift+home"),
]
MOVING = ["tab", "shift+tab", "up", "down"]


def post(room: Room, key: str) -> None:
    room.app.post_message(
        events.Key(NAMES.get(key, key), CONTROL.get(key, key if len(key) == 1 else None))
    )


async def together(room: Room, *keys: str) -> None:
    for key in keys:
        post(room, key)
    await settled(room)


async def one_at_a_time(room: Room, *keys: str) -> None:
    for key in keys:
        post(room, key)
        await settled(room)


async def settled(room: Room) -> None:
    await room.pilot.pause()
    await room.until(lambda: room.app._handing_on is None and not room.app._typed)
    await room.pilot.pause()


def state(room: Room) -> tuple[object, ...]:
    """What a user would see to have come of the keys."""
    screen = room.app.screen
    return (
        type(screen),
        screen.focused and screen.focused.id,
        {field.id: (field.value, field.cursor_position) for field in screen.query(Input)},
        {choice.id: choice.value for choice in screen.query(Choice)},
    )


def sequences(seed: str) -> list[list[str]]:
    random = Random(seed)
    keys = [*EDITING, *MOVING, *"05.ab -/"]
    return [random.choices(keys, k=random.randint(2, 14)) for _ in range(2)]


@pytest.mark.parametrize("opens", ["r", "o", "m", "3", "4"])
async def test_a_burst_leaves_what_the_keys_leave_one_at_a_time(opens: str, tmp_path: Path) -> None:
    begin = [opens, "enter"] if opens.isdigit() else [opens]

    async def left_by(way, name: str) -> list[tuple[object, ...]]:
        left = []
        async with playground(tmp_path / name, size=(80, 24)) as room:
            for pressed in sequences(opens):
                await way(room, *begin, *pressed)
                left.append(state(room))
                if room.app.screen is not room.app.playground:
                    room.app.screen.dismiss(None)
                    await settled(room)
        return left

    assert await left_by(together, "burst") == await left_by(one_at_a_time, "calm")


async def test_a_value_is_replaced_by_keys_sent_at_once(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await together(room, "r")
        await room.until(lambda: isinstance(room.app.screen, NewRun))
        rate, threshold = (
            room.app.screen.query_one(name, Input)
            for name in ("#optimiser-learning_rate", "#clipping-threshold")
        )
        rate.focus()
        await together(room, "ctrl+a", "ctrl+k", *"500", "tab", "ctrl+u", *"0.5")
        assert (rate.value, threshold.value) == ("500", "0.5")


async def test_what_is_typed_after_the_key_of_a_dialog_goes_into_it(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await together(room, "o", *"qsx.txt")
        assert room.app.screen.query_one("#path", Input).value == "qsx.txt"
        await together(room, "escape", "o", *"again")
        assert room.app.screen.query_one("#path", Input).value == "again"


async def test_a_question_is_answered_by_a_key_typed_ahead(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        await together(room, "q", "c", "3", "q", "l")
        await room.until(lambda: room.app._exit)
        assert room.app.playground.current == "neighbours"
        assert room.engine.asked(p.Detach) and not room.engine.asked(p.Shutdown)


async def test_keys_go_on_when_what_they_wait_for_never_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.key_order._MOST", 0.1)
    async with playground(tmp_path) as room:

        async def never() -> None:
            await asyncio.Event().wait()

        room.app.playground.run_worker(never(), group="dialog")
        await together(room, "1", "3")
        assert room.app.playground.current == "neighbours"


async def test_a_run_is_made_by_one_burst(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await together(room, "r", "tab", *"mine", "ctrl+s")
        await room.until(lambda: (tmp_path / "mine").exists())
