"""Pictures of the playground. After a wished-for change look at each, then `--snapshot-update`."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from engine.config import preset, replace
from engine.events import Intervened, NonFinite, Sampled, StateChanged
from engine.runs import STATE_VARIABLE, create_run
from tests.tui.fake_engine import Launch, built, evaluation, step
from tests.tui.panes.test_text_laboratory import laboratory, read, written
from tests.tui.run.test_beside import recorded
from tests.tui.screen_help import Room
from tui.app import PlaygroundApp
from tui.chart.widget import Chart
from tui.panes.generation.cell_view import CellView
from tui.panes.training import TrainingPane
from tui.recent import remember_source

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
    await room.until(lambda: room.text("#trouble") and room.app.playground.drawn)


async def exploded(room: Room) -> None:
    """Clipping was turned off and the rate up: the loss climbs until it is no number."""
    await empty(room)
    lost = dict.fromkeys(("loss", "norm_before", "norm_after"))
    climb = [
        step(number, loss=1.3 * 1.05 ** (number - 600), norm_before=1.05 ** (number - 600))
        for number in range(601, 1001)
    ]
    room.app.playground.query_one(TrainingPane).action_log_axis()
    await room.happens(
        StateChanged(state="running"),
        *[step(number) for number in range(1, 601)],
        evaluation(500, 1.42),
        Intervened(step=600, action="clip_mode", old="norm", new="off"),
        Intervened(step=600, action="learning_rate", old=0.005, new=5.0),
        *[
            msgspec.structs.replace(event, clip_mode="off", norm_after=event.norm_before)
            for event in climb
        ],
        *[
            step(number, clip_mode="off", **lost, non_finite_steps=number - 1000)
            for number in range(1001, 1201)
        ],
        NonFinite(step=1200, tensor="loss", value="nan", in_a_row=200),
    )
    await room.until(lambda: "problem" in room.current)


def _narrow(room: Room) -> bool:
    return room.app.size.width < 110


@pytest.fixture
def picture(snap_compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Compare a picture of the playground after something was done to it."""
    monkeypatch.delenv("NO_COLOR", raising=False)

    def compare(
        act: Callable[[Room], Awaitable[None]],
        size: tuple[int, int],
        theme: str = "textual-dark",
        launch: Launch | None = None,
    ) -> bool:
        launch = launch or Launch()
        app = PlaygroundApp(tmp_path, launch=launch)

        async def before(pilot: Pilot) -> None:
            room = Room(app, pilot, launch)
            app.theme = theme
            await room.until(lambda: app.session is not None)
            room.engine.unhurried = True
            await act(room)
            await room.until(lambda: app.playground.drawn)
            await pilot.pause()

        return snap_compare(app, run_before=before, terminal_size=size)

    return compare


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", [empty, training, paused, failed])
def test_state(picture, state: Callable[[Room], Awaitable[None]], size: tuple[int, int]) -> None:
    assert picture(state, size)


@pytest.mark.parametrize("size", SIZES[:2], ids=lambda size: f"{size[0]}x{size[1]}")
def test_runs_beside(
    picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))

    async def show(room: Room) -> None:
        await training(room)
        steps = range(1, 1201)
        slow = (step(number, loss=1.5 + 3 / (1 + number / 200)) for number in steps)
        off = (step(number, loss=2 + 1.02 ** min(number, 500)) for number in steps)
        recorded(tmp_path, "clipping-slow", slow)
        recorded(tmp_path, "clipping-off", off)
        letters = replace(preset("toy"), {"corpus.tokenizer": "character"})
        create_run(tmp_path, "by-letters", letters)
        for name in ("clipping-slow", "clipping-off", "by-letters"):
            room.app.runs.put_beside(tmp_path / name)
        loss = room.app.playground.query_one("#loss", Chart)
        await room.until(lambda: "off ↑" in loss.words and "1.2" in loss.words)

    assert picture(show, size)


def test_an_explosion(picture) -> None:
    let = replace(preset("toy"), {"training.non_finite": "let-it-happen"})
    assert picture(exploded, (120, 36), launch=Launch(lambda folder: built(folder, config=let)))


_SHOWN: dict[str, Callable[[Room], bool]] = {
    "1": lambda room: "one-hot row" in room.text("#comparison"),
    "3": lambda room: "+0.050" in room.text("#nearest"),  # the last: now the pane has its height
    "4": lambda room: "problem" in room.current,
}


@pytest.mark.parametrize("key", _SHOWN)
def test_other_panes_when_narrow(picture, key: str) -> None:
    async def show(room: Room) -> None:
        await training(room)
        await room.press(key)
        await room.until(lambda: _SHOWN[key](room))

    assert picture(show, (80, 24))


DIALOG_SIZES = [(80, 24), (160, 48), (40, 12)]
DIALOGS = {"help": "?", "new": "r", "corpus": "o", "models": "m", "quit": "q"}


_VIEWS: dict[str, Callable[[Room], bool]] = {
    "5": lambda room: "7 of 10" in room.text("#how"),
    "6": lambda room: "▲" in room.text("#pinned") and "steps" in room.text("#past"),
    "7": lambda room: "nearest to it" in room.text("#chosen"),
    "8": lambda room: "one-hot rows" in room.text("#matrices"),
}


@pytest.mark.parametrize(
    ("keys", "size"),
    [("5", (80, 24)), ("6", (80, 24)), ("7", (80, 24)), ("8", (80, 24)),
     ("85", (120, 36)), ("76", (120, 36)), ("76", (200, 60))],
)  # fmt: skip
def test_the_laboratory_of_words(picture, keys: str, size: tuple[int, int]) -> None:
    async def show(room: Room) -> None:
        await empty(room)
        await room.happens(StateChanged(state="running"), *map(step, range(1, 301)))
        await room.press("3", *keys)
        for key in keys if size[0] >= 110 else keys[-1]:
            await room.until(lambda key=key: _VIEWS[key](room))
        await room.pilot.pause(1.5)

    assert picture(show, size)


async def _writing(room: Room) -> None:
    await written(room)
    await room.press("home", *["right"] * 4)
    await room.until(lambda: "word4" in room.text("#token"))


async def _reading(room: Room) -> None:
    await read(room, "the owl saw a zebra extraordinarily late")
    await room.until(lambda: "zebra unknown" in room.text("#surprising"))


async def _cell(room: Room) -> None:
    await laboratory(room, "cell")
    room.app.playground.query_one("#cell-text", Input).value = "the owl saw it"
    await room.until(lambda: room.app.playground.query_one(CellView)._rows)
    await room.press("H")
    await room.until(lambda: "how far back" in room.text("#cell-head"))


@pytest.mark.parametrize(
    ("view", "size"),
    [(_writing, (80, 24)), (_reading, (80, 24)), (_cell, (80, 24)),
     (_writing, (120, 36)), (_cell, (200, 60))],
)  # fmt: skip
def test_the_laboratory_of_texts(
    picture, view: Callable[[Room], Awaitable[None]], size: tuple[int, int]
) -> None:
    async def show(room: Room) -> None:
        await empty(room)
        room.engine.unhurried = False
        await view(room)
        await room.pilot.pause(1.0)

    assert picture(show, size)


@pytest.mark.parametrize("size", DIALOG_SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("dialog", DIALOGS)
def test_dialogs(
    picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dialog: str, size: tuple[int, int]
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    for number in range(3):
        remember_source(f"/home/someone/texts/{'a-long-name/' * 4 * number}book-{number}.txt")

    async def show(room: Room) -> None:
        create_run(tmp_path, "shakespeare-" + "very-" * 10 + "long-1", preset("laptop"))
        await training(room)
        await room.press(DIALOGS[dialog])
        await room.until(lambda: room.app.screen is not room.app.playground)
        if dialog == "corpus":
            path = room.app.screen.query_one("#path", Input)
            await room.until(lambda: path.has_focus)
            path.cursor_blink = False
        if dialog == "models":
            await room.until(lambda: room.app.screen.query_one(DataTable).row_count == 2)
            room.app.screen.query_one(".lead", Static).update("in the folder of models")
            room.app.screen.query_one(DataTable).move_cursor(row=0)
            await room.press("b")
            await room.until(lambda: "stands beside" in room.app.screen.query_one("#asked").words)

    assert picture(show, size)


def test_a_light_theme(picture) -> None:
    assert picture(training, (120, 36), theme="textual-light")


def test_without_colour(picture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert picture(training, (120, 36))
