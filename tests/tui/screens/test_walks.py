"""Random walks through panes, zooms and sizes: what is seen in the end is what a fresh screen of
that size shows, whatever came before."""

import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from engine.events import Intervened, StateChanged
from tests.tui.fake_engine import Launch, evaluation, step
from tests.tui.screen_help import Room, playground
from tui.panes.laboratory import Laboratory
from tui.screens.playground import Playground

MOVES = 12
SIZES = ((40, 12), (200, 60))
PATIENCE = 5.0

State = Callable[[Room], Awaitable[None]]


async def at_rest(room: Room) -> None:
    room.engine.unhurried = True


async def training(room: Room) -> None:
    room.engine.unhurried = True
    await room.happens(
        StateChanged(state="running"),
        *(step(number) for number in range(1, 301)),
        evaluation(150, 1.42),
        Intervened(step=200, action="learning_rate", old=0.005, new=0.01),
    )


def seen(room: Room) -> list[str]:
    """The rows of the screen as characters."""
    compositor = room.app.playground._compositor
    return [strip.text.rstrip() for strip in compositor.render_strips(room.app.size)]


def some_size(draw: random.Random) -> tuple[int, int]:
    low, high = SIZES
    return draw.randint(low[0], high[0]), draw.randint(low[1], high[1])


def opened(models: Path, size: tuple[int, int]) -> AbstractAsyncContextManager[Room]:
    return playground(models, Launch(), folder=models / "run", size=size)


def chosen_views(room: Room) -> list[tuple[list[str], bool]]:
    """Of each laboratory its views in the order they were chosen, and whether the last is alone."""
    laboratories = room.app.playground.query(Laboratory)
    return [(list(each._chosen), each._alone) for each in laboratories]


async def fresh(
    models: Path,
    state: State,
    size: tuple[int, int],
    current: str,
    zoomed: bool,
    views: list[tuple[list[str], bool]],
) -> list[str]:
    """What a screen shows that has been in this state and size from its start."""
    async with opened(models, size) as room:
        shown = room.app.playground
        for each, (chosen, alone) in zip(shown.query(Laboratory), views, strict=True):
            each._chosen, each._alone = list(chosen), alone
        shown.zoomed = zoomed
        shown.action_show_pane(current)
        await state(room)
        await settled(room)
        shown.stale = True  # once more, now that every size is known
        await settled(room)
        return seen(room)


async def settled(room: Room) -> None:
    """Wait until what is seen stays as it is for longer than a pane takes to ask."""
    before: list[str] = []
    same = 0
    while same < 14:
        await room.pilot.pause(0.1)
        now = seen(room)
        same = same + 1 if now == before else 0
        before = now


async def wander(room: Room, draw: random.Random) -> None:
    """Go to a pane, zoom, or take another size; often before the last move has been drawn."""
    for _ in range(draw.randint(2, MOVES)):
        match draw.choice(("show", "show", "view", "view", "zoom", "resize")):
            case "show":
                await room.press(draw.choice("1234"))
            case "view":
                await room.press(draw.choice("56789"))
            case "zoom":
                await room.press("z")
            case "resize":
                await room.pilot.resize_terminal(*some_size(draw))
        await room.pilot.pause(draw.choice((0, 0, 0.02, 0.3)))


@pytest.mark.parametrize(
    ("state", "seed"), [(at_rest, 0), (training, 1), (at_rest, 2), (training, 3)]
)
async def test_what_is_seen_does_not_depend_on_the_way_there(
    state: State, seed: int, tmp_path: Path
) -> None:
    draw = random.Random(seed)
    async with opened(tmp_path, some_size(draw)) as room:
        if draw.random() < 0.5:  # the first visit of a pane may be before or after
            await state(room)
            await wander(room, draw)
        else:
            await wander(room, draw)
            await state(room)
        shown: Playground = room.app.playground
        size, current, zoomed = room.app.size, shown.current, shown.zoomed
        views = chosen_views(room)
        expected = await fresh(tmp_path, state, tuple(size), current, zoomed, views)
        try:
            await room.until(lambda: seen(room) == expected, PATIENCE)
        except AssertionError:
            assert "\n".join(seen(room)) == "\n".join(expected), (size, current, zoomed, views)
