"""Points with their words in a plane of character cells: the widget."""

from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from typing_extensions import override

from engine.messages import MapPoint
from tui.chart.data import PALETTE, centred
from tui.panes.neighbours.placing import (
    Cell,
    Label,
    Place,
    Placed,
    Window,
    line,
    placed,
    towards,
    window_on,
)
from tui.sanitize import token
from tui.widgets.text import fit

_LABEL = 16
"""Columns of a word, at most."""
_GLYPHS = "●■▲◆✚✖★▼"
"""Of the classes, which differ in colour too."""
_PLAIN = "•"
_ZOOMS = (1.0, 1.5, 2.25, 3.4, 5.0, 7.6, 11.4)
_STRIDE = 0.5
"""The share of its way that a word goes in a draw, so that it is seen to move."""
Look = Literal[
    "plain", "asked", "near", "chosen", "link",
    "orange", "sky", "green", "yellow", "blue", "vermilion", "purple",
]  # fmt: skip
LOOKS: tuple[Look, ...] = get_args(Look)
COLOURS: dict[Look, str] = {
    "orange": "#E69F00", "sky": "#56B4E9", "green": "#009E73", "yellow": "#F0E442",
    "blue": "#0072B2", "vermilion": "#D55E00", "purple": "#CC79A7",
}  # fmt: skip


def groups_of(points: Sequence[MapPoint]) -> dict[str, tuple[str, Look]]:
    """A mark and a look for each class, in the order of the alphabet, so that they stay."""
    groups = sorted({point.group for point in points} - {""})
    known: dict[str, tuple[str, Look]] = {
        group: (_GLYPHS[place % len(_GLYPHS)], LOOKS[5 + place % len(PALETTE)])
        for place, group in enumerate(groups)
    }
    return {**known, "": (_PLAIN, "plain")}


class WordPlot(Widget):
    """Points with their words. They go to where they are to be little by little."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"plot--{look}" for look in LOOKS}
    DEFAULT_CSS = """
    WordPlot {
        height: 1fr;
        & > .plot--plain { color: $foreground 80%; }
        & > .plot--asked { color: $text-accent; text-style: bold; }
        & > .plot--near { color: $text; text-style: bold underline; }
        & > .plot--chosen { color: $text; text-style: bold reverse; }
        & > .plot--link { color: $foreground 50%; }
        & > .plot--orange { color: #E69F00; }
        & > .plot--sky { color: #56B4E9; }
        & > .plot--green { color: #009E73; }
        & > .plot--yellow { color: #F0E442; }
        & > .plot--blue { color: #0072B2; }
        & > .plot--vermilion { color: #D55E00; }
        & > .plot--purple { color: #CC79A7; }
    }
    """

    class Picked(Message):
        """A word was clicked."""

        def __init__(self, word: str) -> None:
            super().__init__()
            self.word = word

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._points: Sequence[MapPoint] = ()
        self._words: list[str] = []
        self._labels: list[Label] = []
        self._marks: list[tuple[str, Look]] = []
        """Of each point."""
        self._chosen = ""
        self._asked: set[str] = set()
        self._told = ""
        self._places: dict[str, Place] = {}
        """Where words are seen now, on their way to where they are to be."""
        self._window: Window | None = None
        self._zoom = 0
        self._cells: list[Cell] = []
        self._seen: object = None
        """What was drawn last, once nothing moved any more."""
        self._rows: list[list[tuple[int, str, Look]]] = []
        """For each row what is written from which column on."""
        self._looks: dict[Look | Literal[""], Style] = {}

    def show(
        self, points: Sequence[MapPoint], chosen: str, asked: set[str], told: str = ""
    ) -> bool:
        """Show these, or where there are none a sentence. Returns whether some are on their way
        still: then show them again soon."""
        if points is not self._points:
            self._take(points)
        self._chosen, self._asked, self._told = chosen, asked, told
        seen = (self._points, chosen, asked, told, self._zoom, self.size)
        if seen == self._seen:
            return False
        moving = self._move()
        self._seen = None if moving else seen
        rows = self._drawn()
        if rows != self._rows:
            self._rows = rows
            self.refresh()
        return moving

    def _take(self, points: Sequence[MapPoint]) -> None:
        groups = groups_of(points)
        self._points = points
        words = [point.word for point in points]
        if words != self._words:
            self._labels = [_label(token(word)) for word in words]
        self._words = words
        self._marks = [groups[point.group] for point in points]

    def zoom(self, change: int) -> None:
        """Go nearer or back."""
        self._zoom = max(0, min(len(_ZOOMS) - 1, self._zoom + change))

    def beside(self, word: str, direction: Cell) -> str:
        """The word next to one in a direction, of those that are seen."""
        if word not in self._words or len(self._cells) != len(self._words):
            return word
        start, every = self._words.index(word), range(len(self._words))
        return self._words[towards(self._cells, start, direction, every)]

    def on_click(self, event: events.Click) -> None:
        """Pick the word whose mark is nearest."""
        if self._points and len(self._cells) == len(self._points):
            near = min(
                range(len(self._points)),
                key=lambda point: (
                    abs(self._cells[point][0] - event.x) + 2 * abs(self._cells[point][1] - event.y)
                ),
            )
            self.post_message(self.Picked(self._points[near].word))

    # --- from words to cells ------------------------------------------------------------------

    def _move(self) -> bool:
        """Let words go on towards their places, and the window after them."""
        goal = {point.word: (point.x, point.y) for point in self._points}
        to = self._goal(list(goal.values()))
        window = self._window
        if window is None or not (goal.keys() & self._places.keys()):
            self._places, self._window = goal, to
            return False
        near = 0.3 * to.unit
        self._window = Window(
            _nearer(window.x, to.x, near),
            _nearer(window.y, to.y, near),
            _nearer(window.unit, to.unit, 0.02 * to.unit),
        )
        places = {}
        for word, (x, y) in goal.items():
            now = self._places.get(word, (x, y))
            places[word] = (_nearer(now[0], x, near), _nearer(now[1], y, near))
        self._places = places
        return places != goal or self._window != to

    def _goal(self, places: Sequence[Place]) -> Window:
        """The window on all words, or nearer, around the chosen one."""
        width, height = self.size
        whole = window_on(places, width, height, min(_LABEL, width // 3))
        if self._zoom == 0:
            return whole
        unit = whole.unit / _ZOOMS[self._zoom]
        for point in self._points:
            if point.word == self._chosen:
                return Window(point.x, point.y, unit)
        return whole._replace(unit=unit)

    def _drawn(self) -> list[list[tuple[int, str, Look]]]:
        width, height = self.size
        rows: list[list[tuple[int, str, Look]]] = [[] for _ in range(height)]
        window = self._window
        if not self._points or window is None:
            for x, y, text in centred(self._told, width, height):
                if y < height:
                    rows[y].append((max(0, x), text[:width], "link"))
            return rows
        words, every = self._words, range(len(self._words))
        self._cells = [window.cell(self._places[word], width, height) for word in words]
        chosen = words.index(self._chosen) if self._chosen in words else 0
        nearest = self._points[chosen].nearest
        first = [chosen, nearest, *(point for point in every if words[point] in self._asked)]
        order = list(dict.fromkeys([*first, *every]))
        marks = [mark for mark, _ in self._marks]
        for each in placed(self._cells, marks, self._labels, order, width, height):
            rows[each.y].append((each.x, each.text, self._look(each, chosen, nearest)))
        for x, y in line(self._cells[chosen], self._cells[nearest]):
            inside = 0 <= x < width and 0 <= y < height
            if inside and all(not at - 1 <= x <= at + cell_len(text) for at, text, _ in rows[y]):
                rows[y].append((x, "·", "link"))
        return [sorted(row) for row in rows]

    def _look(self, each: Placed, chosen: int, nearest: int) -> Look:
        point, look = self._points[each.point], self._marks[each.point][1]
        if not each.label:
            return look
        if each.point == chosen:
            return "chosen"
        if each.point == nearest or point.nearest == chosen:
            return "near"
        return "asked" if point.word in self._asked else look

    # --- what Textual draws -------------------------------------------------------------------

    def on_resize(self) -> None:
        """Show all there is at the new size."""
        self._window = self._seen = None
        self.show(self._points, self._chosen, self._asked, self._told)

    @override
    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._looks.clear()

    @override
    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self._style("")
        segments, at = [], 0
        for x, text, look in self._rows[y] if y < len(self._rows) else ():
            segments += [Segment(" " * (x - at), base), Segment(text, self._style(look))]
            at = x + cell_len(text)
        if at > width:  # the room has just become less
            return Strip(segments, at).crop(0, width)
        return Strip([*segments, Segment(" " * (width - at), base)], width)

    def _style(self, look: Look | Literal[""]) -> Style:
        """Of a look, or without one that of what is empty."""
        if look not in self._looks:
            found = self.get_component_rich_style(f"plot--{look}") if look else self.rich_style
            self._looks[look] = found
        return self._looks[look]


def _label(text: str) -> Label:
    columns = min(_LABEL, cell_len(text))
    return fit(text, columns), columns


def _nearer(now: float, goal: float, close: float) -> float:
    """A number on its way to another: there once it is close."""
    return goal if abs(goal - now) <= close else now + _STRIDE * (goal - now)
