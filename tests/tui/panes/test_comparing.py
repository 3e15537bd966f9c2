"""The losses of runs beside that of the one that is shown, on its chart."""

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len

from engine.config import RunConfig, preset, replace
from engine.events import Stepped
from engine.runs import STATE_VARIABLE, create_run, trash_run
from tests.faults.fuzz_screen import assert_harmless
from tests.tui.fake_engine import CORPUS, Launch, built, step
from tests.tui.run.test_beside import record, recorded
from tests.tui.screen_help import Room, playground
from tui.chart.widget import Chart
from tui.panes.comparing import why_not
from tui.run.beside import OtherRun
from tui.run.controller import Leaving
from tui.run.session import Session


@pytest.fixture(autouse=True)
def _looks_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setattr("tui.run.controller.LOOK_AGAIN", 0.02)


def learnt(count: int, ends_at: float = 1.0, slower: float = 1.0) -> Iterator[Stepped]:
    """Steps of a run that comes down to a loss, each so many times as slow."""
    for number in range(1, count + 1):
        seconds = 0.011 * number * slower
        yield step(number, loss=ends_at + 3 / (1 + number / 20), seconds=seconds)


def chart(room: Room) -> str:
    return room.app.playground.query_one("#loss", Chart).words


async def beside(room: Room, *folders: Path) -> None:
    """Put runs beside, and wait until they are read and drawn."""
    for folder in folders:
        room.app.runs.put_beside(folder)
    await drawn(room)


async def drawn(room: Room) -> None:
    """Wait until all that stands beside is read and drawn."""
    await room.until(lambda: all(other._seen for other in room.app.runs.beside))
    await room.pilot.pause()
    room.app.playground.stale = True
    await room.until(lambda: room.app.playground.drawn)


def is_by(room: Room, quantity: str) -> bool:
    return chart(room).split("\n")[-1].split("╵")[0].strip() == quantity


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)])
async def test_each_has_a_mark_and_its_name_for_every_quantity(
    size: tuple[int, int], tmp_path: Path
) -> None:
    for name, slower in (("shown", 1), ("faster", 0.5), ("slower", 2)):
        recorded(tmp_path, name, learnt(1000, slower=slower))
    others = tmp_path / "faster", tmp_path / "slower"
    async with playground(tmp_path, folder=tmp_path / "shown", size=size) as room:
        await room.press("2")
        alone = chart(room).count("\n")
        await beside(room, *others)
        ends: dict[str, list[int]] = {}
        for quantity in ("step", "epoch", "seconds"):
            await room.until(partial(is_by, room, quantity))
            title, legend, *plot = chart(room).split("\n")
            assert "smoothed" in title and "●⣤⣤ faster" in legend and "■⣤⣤ slower" in legend
            assert chart(room).count("\n") == alone, "the chart has as many rows as before"
            assert len(plot) >= 5 and any("●" in row for row in plot)
            ends[quantity] = [max(row.rfind(mark) for row in plot) for mark in "●■"]
            await room.press("X")
        assert abs(ends["step"][0] - ends["step"][1]) < 14, "they took as many steps"
        faster, slower = ends["seconds"]
        assert slower - faster > size[0] / 6, "one took four times as long"


async def test_a_run_that_goes_on_further_has_room_on_the_axis(tmp_path: Path) -> None:
    recorded(tmp_path, "shown", learnt(100))
    async with playground(tmp_path, folder=tmp_path / "shown") as room:
        await room.until(lambda: "100╵" in chart(room))
        await beside(room, recorded(tmp_path, "longer", learnt(2000)))
        await room.until(lambda: "2k╵" in chart(room))


async def test_a_run_before_its_first_step_shows_what_stands_beside(tmp_path: Path) -> None:
    create_run(tmp_path, "shown", preset("toy"))
    async with playground(tmp_path, folder=tmp_path / "shown") as room:
        for _ in range(3):
            await beside(room, recorded(tmp_path, "other", learnt(50)))
            await room.until(lambda: "●⣤⣤ other" in chart(room))
            await room.press("X")
            room.app.runs.take_away(tmp_path / "other")
            await room.until(lambda: "press space to start" in " ".join(chart(room).split()))
            trash_run(tmp_path / "other")


# --- what can be compared -----------------------------------------------------------------------


def other_of(config: RunConfig, corpus: str = "") -> OtherRun:
    other = OtherRun(Path("/runs/other"), config)
    other.corpus = corpus
    return other


@pytest.mark.parametrize(
    ("changes", "ours", "theirs", "reason"),
    [
        ({}, "", "", ""),
        ({"clipping.mode": "off", "training.seed": 2}, "", "", ""),
        ({"corpus.tokenizer": "character"}, "", "", "per character"),
        ({"corpus.tokenizer": "subword"}, "", "", "per sub-word piece"),
        ({"corpus.tokenizer": "whitespace"}, "", "", "other corpus"),
        ({"corpus.min_count": 3}, "", "", "other corpus"),
        ({"corpus.source": "/a/b.txt"}, "", "", "other corpus"),
        ({"corpus.source": "/a/b.txt"}, "one", "", "other corpus"),
        ({"corpus.source": "/a/b.txt"}, "one", "one", ""),
        ({}, "one", "two", "other corpus"),
    ],
)
def test_losses_are_compared_where_text_and_tokens_are_the_same(
    changes: dict[str, object], ours: str, theirs: str, reason: str
) -> None:
    corpus = msgspec.structs.replace(CORPUS, fingerprint=ours)
    status = built(Path("/runs/shown"), corpus=corpus)
    assert why_not(status, other_of(replace(status.config, changes), theirs)) == reason


async def test_what_can_not_be_compared_is_said_and_not_drawn(tmp_path: Path) -> None:
    recorded(tmp_path, "shown", learnt(300))
    letters = replace(preset("toy"), {"corpus.tokenizer": "character"})
    record(create_run(tmp_path, "letters", letters), learnt(9000, 7.0))
    async with playground(tmp_path, folder=tmp_path / "shown", size=(80, 24)) as room:
        await room.press("2")
        await room.until(lambda: "smoothed" in chart(room))
        before = chart(room).split("\n")
        await beside(room, tmp_path / "letters")
        await room.until(lambda: "✗ letters: per character" in chart(room))
        assert "●" not in chart(room) and chart(room).split("\n")[-1] == before[-1]


# --- names ----------------------------------------------------------------------------------------

NAMES = (
    "\x1b[31mred\x1b[2J\x9b5m \x07" + "long " * 20,
    "日本語の名前" * 9,
    "‮שלום\u2067 עולם‏ e\u0301\u0301👩\u200d👩\u200d👧",
)


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (120, 36), (160, 48)])
async def test_a_name_of_any_characters_keeps_the_borders_straight(
    size: tuple[int, int], tmp_path: Path
) -> None:
    recorded(tmp_path, "shown", learnt(300))
    others = [
        recorded(tmp_path, f"run-{place}", learnt(300)).rename(tmp_path / name)
        for place, name in enumerate(NAMES)
    ]
    async with playground(tmp_path, folder=tmp_path / "shown", size=size) as room:
        await room.press("2")
        await room.until(lambda: "smoothed" in chart(room) or size[0] < 80)
        await room.pilot.pause()
        before = borders(room)
        await beside(room, *others)
        assert borders(room) == before
        for row in rows(room):
            assert_harmless(row)
            assert cell_len(row) == size[0]
        legend = chart(room).split("\n")[1] if size[0] >= 80 else "●■▲"
        assert all(mark in legend for mark in "●■▲")


def rows(room: Room) -> list[str]:
    compositor = room.app.playground._compositor
    return [strip.text for strip in compositor.render_strips(room.app.size)]


def borders(room: Room) -> list[list[int]]:
    """The columns of frames in each row."""
    return [[x for x, each in enumerate(row) if each in "┃┏┓┗┛╭╮╰╯"] for row in rows(room)]


# --- whatever came before -------------------------------------------------------------------------


def is_shown(room: Room, folder: Path) -> bool:
    return room.app.session is not None and room.app.session.folder == folder


async def leave(_session: Session, _others: int) -> Leaving:
    return "leave"


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_drawn_does_not_depend_on_the_way_there(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    folders = [
        recorded(tmp_path, f"run-{place}", learnt(draw.randint(1, 900), draw.uniform(1, 3)))
        for place in range(6)
    ]
    letters = replace(preset("toy"), {"corpus.tokenizer": "character"})
    folders.append(create_run(tmp_path, "letters", letters))
    record(folders[-1], learnt(700))
    size = draw.choice(((80, 24), (120, 36)))
    launch = Launch(lambda folder: built(folder, config=preset("toy")))
    async with playground(tmp_path, launch, folder=folders[0], size=size) as room:
        runs = room.app.runs
        await room.press("2", *["X"] * draw.randint(0, 2))
        for _ in range(14):
            folder = draw.choice(folders)
            match draw.choice(("beside", "beside", "beside", "away", "switch", "trash", "grow")):
                case "beside" if folder != runs.shown.folder and not runs.stands_beside(folder):
                    if len(runs.beside) < 3:
                        runs.put_beside(folder)
                case "away":
                    runs.take_away(folder)
                case "switch":
                    await runs.switch(folder, leave)
                    await room.until(partial(is_shown, room, folder))
                case "trash" if folder != runs.shown.folder and len(folders) > 4:
                    trash_run(folder)
                    folders.remove(folder)
                    await room.until(lambda gone=folder: not runs.stands_beside(gone))
                case "grow" if folder != runs.shown.folder:
                    grown = next((o for o in runs.beside if o.folder == folder), None)
                    record(folder, list(learnt(1200))[1000:])
                    await room.until(lambda it=grown: it is None or it.history.step == 1200)
            await room.pilot.pause(draw.choice((0, 0, 0.05)))
        await drawn(room)
        quantity = room.app.playground.query_one("#training")._clock
        others = [other.folder for other in runs.beside if other.folder != runs.shown.folder]
        shown = runs.shown.folder
        await room.until(lambda: bool(chart(room).strip()))
        found = chart(room)
    launch = Launch(lambda folder: built(folder, config=preset("toy")))
    async with playground(tmp_path, launch, folder=shown, size=size) as room:
        room.app.playground.query_one("#training")._clock = quantity
        await room.press("2")
        await beside(room, *others)
        assert chart(room) == found
