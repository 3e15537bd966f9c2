"""A pane, zoomed, is a laboratory: its views, their keys, and what stays when it shrinks again."""

from pathlib import Path

import pytest

from engine import messages as p
from engine.events import StateChanged
from tests.tui.fake_engine import step
from tests.tui.screen_help import Room, playground
from tui.keys import at_once
from tui.panes.laboratory import Laboratory
from tui.panes.registry import ACTIONS, PANES

RUNNING = (StateChanged(state="running"), step(1), step(2))
LABORATORIES = [pane for pane in PANES if issubclass(pane, Laboratory)]


def laboratory(room: Room, pane: str = "neighbours") -> Laboratory:
    return room.app.playground.query_one(f"#{pane}", Laboratory)


def shown(room: Room) -> list[str]:
    return [view.ID for view in laboratory(room).views.values() if view.display]


@pytest.mark.parametrize("pane", LABORATORIES)
async def test_each_view_has_a_key_and_is_named_in_the_edge(
    pane: type[Laboratory], tmp_path: Path
) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press(pane.KEY, "z")
        for view in pane.VIEWS:
            await room.press(pane.go(view).keys)
            await room.until(lambda view=view: laboratory(room, pane.ID).shown[0].ID == view.ID)
            await room.pilot.pause()
            top = room.app.playground._compositor.render_strips(room.app.size)[1].text
            assert all(f"{pane.go(each).keys} {each.NAME}" in top for each in pane.VIEWS)


async def test_unzoomed_it_is_its_first_view_alone(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        assert shown(room) == ["list"]
        await room.press("3", "7")
        await room.until(lambda: room.app.playground.zoomed and "map" in shown(room))
        await room.press("z")
        await room.until(lambda: shown(room) == ["list"])


async def test_two_views_stand_side_by_side_where_there_is_room(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(120, 36)) as room:
        await room.press("3", "z")
        await room.until(lambda: len(shown(room)) == 2)
        await room.press("7", "8")
        await room.until(lambda: shown(room) == ["map", "one_hot"])
        await room.press("8")
        await room.until(lambda: shown(room) == ["one_hot"], 2)
        await room.press("8")
        await room.until(lambda: shown(room) == ["map", "one_hot"])
        await room.pilot.resize_terminal(80, 24)
        await room.until(lambda: shown(room) == ["one_hot"])
        await room.pilot.resize_terminal(120, 36)
        await room.until(lambda: shown(room) == ["map", "one_hot"])


async def test_its_keys_are_none_while_another_pane_is_current(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.press("2", "7", "p", "w")
        await room.pilot.pause()
        assert not room.app.playground.zoomed
        assert not laboratory(room).asked.pins
        await room.press("z", "7", "p")
        await room.pilot.pause()
        assert not laboratory(room).asked.pins, "the training is zoomed, not the words"


async def test_only_views_that_are_seen_ask(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("3", "z", "8")
        await room.until(lambda: room.engine.asked(p.Similarities))
        room.engine.calls.clear()
        await room.happens(*RUNNING)
        await room.until(lambda: room.engine.asked(p.Similarities))
        asked = {type(call) for call in room.engine.calls} - {p.Generate}
        assert asked == {p.Similarities}
        await room.press("2")
        await room.pilot.pause(0.3)
        room.engine.calls.clear()
        await room.happens(step(3), step(4))
        await room.pilot.pause(1.3)
        asked = {type(call) for call in room.engine.calls} - {p.Generate}
        assert not asked


async def test_what_was_asked_and_chosen_stays_when_it_shrinks(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("3", "z", "enter", "ctrl+u", *"teacher", "enter", "w", "p", "7", "z")
        asked = laboratory(room).asked
        await room.until(lambda: not room.app.playground.zoomed and asked.pins)
        assert (asked.query, asked.pins, asked.view.words_only) == ("teacher", ["teacher"], True)
        await room.press("z")
        await room.until(lambda: shown(room) == ["map"])


def test_keys_differ_where_both_can_be_pressed() -> None:
    for place, one in enumerate(ACTIONS):
        for other in ACTIONS[:place]:
            same = set(one.keys.split(",")) & set(other.keys.split(","))
            assert not (same and at_once(one, other)), (one.id, other.id)
