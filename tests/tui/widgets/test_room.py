"""What a room draws of its own is what Textual would draw of it."""

from itertools import product

import pytest
from textual.app import App, ComposeResult
from textual.containers import Container
from textual.geometry import Region
from textual.strip import Strip

from tui.widgets.room import Room

FRAMES = ("none", "round", "heavy")
HEIGHTS = (1, 2, 3, 4, 9)


class Beside(App[None]):
    """A room and a container of the same look."""

    def __init__(self, frame: str, padding: int, height: int) -> None:
        super().__init__()
        self.pair = Room(), Container()
        for each in self.pair:
            each.border_title, each.border_subtitle = "above", "below"
            each.styles.height, each.styles.width = height, 20
            each.styles.padding = (0, padding)
            each.styles.background = "darkblue"
            if frame != "none":
                each.styles.border = ("round" if frame == "round" else "heavy", "green")

    def compose(self) -> ComposeResult:
        yield from self.pair


def crops(width: int, height: int) -> list[Region]:
    columns, rows = [(0, width), (0, 5), (3, width - 3)], [(0, height), (1, height - 1), (0, 1)]
    return [Region(x, y, w, h) for (x, w), (y, h) in product(columns, rows) if h > 0]


def drawn(strips: list[Strip]) -> list[list[tuple[str, object]]]:
    """Cell by cell, however they are put together; of a blank only its background is seen."""
    return [
        [
            (letter, segment.style.bgcolor if letter == " " and segment.style else segment.style)
            for segment in strip
            for letter in segment.text
        ]
        for strip in strips
    ]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("padding", [0, 1])
async def test_a_room_draws_what_a_container_would(frame: str, padding: int) -> None:
    for height in HEIGHTS:
        app = Beside(frame, padding, height)
        async with app.run_test(size=(40, 30)):
            room, container = app.pair
            assert room.outer_size == container.outer_size
            for crop in crops(*room.outer_size):
                assert drawn(room.render_lines(crop)) == drawn(container.render_lines(crop)), crop
            room.styles.border = container.styles.border = ("double", "red")
            for crop in crops(*room.outer_size):
                assert drawn(room.render_lines(crop)) == drawn(container.render_lines(crop)), crop
