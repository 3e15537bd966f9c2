"""Pictures of the playground. After a wished-for change look at each, then `--snapshot-update`."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.events import Intervened, Sampled, StateChanged
from tests.tui.fake_engine import Launch, evaluation, step
from tests.tui.screen_help import Room
from tui.app import PlaygroundApp

SIZES = [(80, 24), (120, 36), (200, 60)]
STEPS = 1500


async def empty(room: Room) -> None:
    await room.until(lambda: "physicist" in room.text("#nearest") or _narrow(room))


async def training(room: Room) -> None:
    await empty(room)
    history = [step(number) for number in range(1, STEPS + 1)]
    history[800:] = [
        step(number, clip_threshold=0.4, clipped=True, norm_after=0.4, learning_rate=0.01)
        for number in range(801, STEPS + 1)
    ]
    await room.happens(
        StateChanged(state="running"),
        *history[:500],
        evaluation(500, 1.42),
        Sampled(step=500, text="the teacher cooked the soup\nshe ran to the store\n"),
        *history[500:600],
        Intervened(step=600, action="learning_rate", old=0.005, new=0.01),
        *history[600:800],
        Intervened(step=800, action="clip_threshold", old=0.5, new=0.4),
        *history[800:1000],
        evaluation(1000, 1.31),
        *history[1000:],
        evaluation(1500, 1.28),
    )
    if not _narrow(room):
        await room.until(lambda: "live" in room.text("#seen"))
        await room.until(lambda: "problem" in room.current)


async def paused(room: Room) -> None:
    await training(room)
    await room.happens(StateChanged(state="paused"))


async def failed(room: Room) -> None:
    await training(room)
    room.engine.die(
        "The engine (process 4711) was killed by SIGKILL (out of memory?).\n"
        "step 1,500\n"
        "torch.OutOfMemoryError: [enforce fail at alloc_cpu.cpp:117] can't allocate memory"
    )
    await room.until(lambda: room.text("#trouble") and not room.app.playground.stale)


def _narrow(room: Room) -> bool:
    return room.app.size.width < 110


@pytest.fixture
def picture(snap_compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Compare a picture of the playground after something was done to it."""
    monkeypatch.delenv("NO_COLOR", raising=False)

    def compare(
        act: Callable[[Room], Awaitable[None]], size: tuple[int, int], theme: str = "textual-dark"
    ) -> bool:
        launch = Launch()
        app = PlaygroundApp(tmp_path, launch=launch)

        async def before(pilot: Pilot) -> None:
            room = Room(app, pilot, launch)
            app.theme = theme
            await room.until(lambda: app.session is not None)
            room.engine.unhurried = True
            await act(room)
            await room.until(lambda: not app.playground.stale)
            await pilot.pause()

        return snap_compare(app, run_before=before, terminal_size=size)

    return compare


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", [empty, training, paused, failed])
def test_state(picture, state: Callable[[Room], Awaitable[None]], size: tuple[int, int]) -> None:
    assert picture(state, size)


_SHOWN: dict[str, Callable[[Room], bool]] = {
    "1": lambda room: "one-hot row" in room.text("#comparison"),
    "3": lambda room: "live" in room.text("#seen"),
    "4": lambda room: "problem" in room.current,
}


@pytest.mark.parametrize("key", _SHOWN)
def test_other_panes_when_narrow(picture, key: str) -> None:
    async def show(room: Room) -> None:
        await training(room)
        await room.press(key)
        await room.until(lambda: _SHOWN[key](room))

    assert picture(show, (80, 24))


@pytest.mark.parametrize("key", ["?", "r", "o", "q"], ids=["help", "new", "corpus", "quit"])
def test_dialogs(picture, key: str) -> None:
    async def show(room: Room) -> None:
        await training(room)
        await room.press(key)
        await room.until(lambda: room.app.screen is not room.app.playground)

    assert picture(show, (80, 24))


def test_a_light_theme(picture) -> None:
    assert picture(training, (120, 36), theme="textual-light")


def test_without_colour(picture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert picture(training, (120, 36))
