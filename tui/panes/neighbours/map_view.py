"""The map: words as points in a plane, those that are near to one another near."""

from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

import msgspec
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from engine.messages import AnyAnswer, AnyQuery, MapPoint, MapWords, WordMap
from tui.chart.data import PALETTE
from tui.keys import Action, sentence
from tui.panes.neighbours.asked import Asked, WordView, typed
from tui.panes.neighbours.placing import (
    Cell,
    Piece,
    Place,
    Window,
    line,
    pieces,
    towards,
    window_on,
)
from tui.run.session import Session
from tui.sanitize import content, token
from tui.widgets.text import MUTED, Block, fit

Subject = Literal["around", "frequent", "list"]
_AROUND, _FREQUENT = 60, 500
"""Words on the map."""
_LABEL = 16
"""Columns of a word on the map, at most."""
_GLYPHS = "●■▲◆✚✖★▼"
"""Of the classes, which differ in colour too."""
_PLAIN = "•"
_ZOOMS = (1.0, 1.5, 2.25, 3.4, 5.0, 7.6, 11.4)
_STRIDE = 0.5
"""The share of its way that a word goes in a draw, so that it is seen to move."""
_WAITING = "The map shows here once the model is built."
_NO_LIST = "No list of words yet: {among} types one, or the path of a file with one."
Look = Literal[
    "plain", "asked", "near", "chosen", "link",
    "orange", "sky", "green", "yellow", "blue", "vermilion", "purple",
]  # fmt: skip
LOOKS: tuple[Look, ...] = get_args(Look)


def _action(id: str, keys: str, title: str, effect: str) -> Action:  # noqa: A002
    return Action(id, keys, id, title, "", effect, lambda _session: "")


class MapView(WordView):
    """A plane shows a few parts in a hundred of what vectors hold: so the neighbours that it tells
    are those of the full space."""

    ID = "map"
    NAME = "map"
    ABOUT = "Words as points: around the query, the most frequent, or a list; classes by mark."
    ACTIONS = (
        _action("map_subject", "slash", "Change what is on the map",
                "The words around the query, the most frequent, or those of the list."),
        _action("map_method", "number_sign", "Change how the map is made",
                "By PCA (quick, straight), or by t-SNE (slow, keeps neighbours), if installed."),
        _action("map_in", "right_parenthesis", "Go nearer to the map",
                "See fewer words at a larger scale, around the one that is chosen."),
        _action("map_out", "left_parenthesis", "Go back from the map", "See more of the map."),
        _action("map_left", "left", "Choose the word to the left", "On the map."),
        _action("map_right", "right", "Choose the word to the right", "On the map."),
        _action("map_up", "up", "Choose the word above", "On the map."),
        _action("map_down", "down", "Choose the word below", "On the map."),
        _action("map_ask", "j", "Ask for the chosen word", "It is what all views are about then."),
    )  # fmt: skip

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._subject: Subject = "around"
        self._tsne = False
        self._answer: WordMap | None = None
        self._answered: tuple[int, MapWords] | None = None
        """The step and the question, without what was seen before, of the answer that is here."""
        self._refusal = ""
        self._chosen = ""

    @property
    def hint(self) -> str:
        return sentence(
            "{map_subject} words · ←↑↓→ choose · {map_ask} ask · {map_out} {map_in} zoom"
        )

    def compose(self) -> ComposeResult:
        yield Block(id="subject")
        yield WordPlot(id="plot")
        yield Block(id="chosen")

    # --- what is asked ------------------------------------------------------------------------

    def question(self) -> AnyQuery | None:
        plain = self._plain_question()
        if plain is None:
            return None
        step = self.session.status.step if self.session is not None else 0
        points = self._answer.points if self._answer is not None else []
        if self._answered == (step, plain) or not points:
            return plain
        return msgspec.structs.replace(plain, previous=points)

    def _plain_question(self) -> MapWords | None:
        asked = self.asked
        words = asked.listed if self._subject == "list" else []
        if self._subject == "list" and not words:
            return None
        around = asked.query if self._subject == "around" and asked.words else ""
        return MapWords(
            around=around,
            words=words,
            top=_AROUND if around else _FREQUENT,
            view=asked.view,
            method="tsne" if self._tsne else "pca",
        )

    def answered(self, answer: AnyAnswer) -> None:
        assert isinstance(answer, WordMap)
        plain = self._plain_question()
        self._answer, self._refusal = answer, ""
        self._answered = None if plain is None else (answer.step, plain)

    def refused(self, reason: str) -> None:
        self._refusal = reason

    def clear(self) -> None:
        self._answer, self._answered, self._refusal = None, None, ""

    # --- what is done -------------------------------------------------------------------------

    def action_map_subject(self) -> None:
        subjects = get_args(Subject)
        self._subject = subjects[(subjects.index(self._subject) + 1) % len(subjects)]
        self.ask()

    def action_map_method(self) -> None:
        self._tsne = not self._tsne
        self.ask()

    def action_map_in(self) -> None:
        self._plot.zoom(1)
        self.redraw()

    def action_map_out(self) -> None:
        self._plot.zoom(-1)
        self.redraw()

    def action_map_left(self) -> None:
        self._choose((-1, 0))

    def action_map_right(self) -> None:
        self._choose((1, 0))

    def action_map_up(self) -> None:
        self._choose((0, -1))

    def action_map_down(self) -> None:
        self._choose((0, 1))

    def action_map_ask(self) -> None:
        if self._chosen:
            self.post_message(self.Ask(typed(self._chosen)))

    def _choose(self, direction: Cell) -> None:
        self._chosen = self._plot.beside(self._chosen, direction)
        self.redraw()

    def on_word_plot_picked(self, event: "WordPlot.Picked") -> None:
        """A word was clicked: it is chosen, and asked for where it was."""
        if event.word == self._chosen:
            self.action_map_ask()
        self._chosen = event.word
        self.redraw()

    @property
    def _plot(self) -> "WordPlot":
        return self.query_one(WordPlot)

    # --- what is drawn ------------------------------------------------------------------------

    def draw(self, _session: Session | None) -> None:
        subject, chosen = self.query(Block)
        answer = self._answer
        if answer is None or self._refusal:
            subject.show(content(self._refusal, "$text-warning"))
            chosen.show(Content(""))
            told = "" if self._refusal else self._missing()
            self._plot.show([], self._chosen, set(), told)
            return
        if self._chosen not in {point.word for point in answer.points}:
            self._chosen = answer.points[0].word
        subject.show(self._subject_told(answer).truncate(subject.size.width, ellipsis=True))
        chosen.show(
            _chosen_told(answer.points, self._chosen).truncate(chosen.size.width, ellipsis=True)
        )
        asked = set(self.asked.words) if self._subject == "around" else set()
        self.stale = self._plot.show(answer.points, self._chosen, asked)

    def _missing(self) -> str:
        no_list = self._subject == "list" and not self.asked.listed
        return sentence(_NO_LIST) if no_list else _WAITING

    def _subject_told(self, answer: WordMap) -> Content:
        names = {
            "around": "around the query" if self.asked.words else "the most frequent words",
            "frequent": "the most frequent words",
            "list": "the listed words",
        }
        how = "t-SNE" if answer.method == "tsne" else f"PCA, {sum(answer.explained):.0%} of the variance"  # fmt: skip
        unknown = f" · {len(answer.unknown):,} unknown" if answer.unknown else ""
        told = f"{len(answer.points):,} words: {names[self._subject]} · {how}{unknown}"
        return Content.assemble((told, MUTED), *_legend(answer.points))


def _legend(points: Sequence[MapPoint]) -> list[Content]:
    """The marks of the classes, where words have one."""
    return [
        Content.assemble("  ", (glyph, f"bold {_COLOURS[look]}"), content(f" {group}"))
        for group, (glyph, look) in _groups(points).items()
        if group
    ]


def _groups(points: Sequence[MapPoint]) -> dict[str, tuple[str, Look]]:
    """A mark and a look for each class, in the order of the alphabet, so that they stay."""
    groups = sorted({point.group for point in points} - {""})
    known: dict[str, tuple[str, Look]] = {
        group: (_GLYPHS[place % len(_GLYPHS)], LOOKS[5 + place % len(PALETTE)])
        for place, group in enumerate(groups)
    }
    return {**known, "": (_PLAIN, "plain")}


def _chosen_told(points: Sequence[MapPoint], chosen: str) -> Content:
    """The chosen word, and its neighbours in the full space."""
    point = next(point for point in points if point.word == chosen)
    place = points.index(point)
    of = [token(each.word) for each in points if each.nearest == place and each is not point]
    parts = [(f"{token(chosen)} ", "bold")]
    parts.append((f"{point.count:,} times · of these nearest to it ", MUTED))
    parts.append((token(points[point.nearest].word), "bold"))
    if of:
        parts += [(" · it is nearest to ", MUTED), (", ".join(of), "")]
    return Content.assemble(*parts)


_COLOURS: dict[Look, str] = {
    "orange": "#E69F00", "sky": "#56B4E9", "green": "#009E73", "yellow": "#F0E442",
    "blue": "#0072B2", "vermilion": "#D55E00", "purple": "#CC79A7",
}  # fmt: skip


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
        self._chosen = ""
        self._asked: set[str] = set()
        self._told = ""
        self._places: dict[str, Place] = {}
        """Where words are seen now, on their way to where they are to be."""
        self._window: Window | None = None
        self._zoom = 0
        self._cells: list[Cell] = []
        self._rows: list[list[tuple[int, str, Look]]] = []
        """For each row what is written from which column on."""

    def show(
        self, points: Sequence[MapPoint], chosen: str, asked: set[str], told: str = ""
    ) -> bool:
        """Show these, or where there are none a sentence. Returns whether some are on their way
        still: then show them again soon."""
        self._points, self._chosen, self._asked, self._told = points, chosen, asked, told
        moving = self._move()
        rows = self._drawn()
        if rows != self._rows:
            self._rows = rows
            self.refresh()
        return moving

    def zoom(self, change: int) -> None:
        """Go nearer or back."""
        self._zoom = max(0, min(len(_ZOOMS) - 1, self._zoom + change))

    def beside(self, word: str, direction: Cell) -> str:
        """The word next to one in a direction, of those that are seen."""
        words = [point.word for point in self._points]
        if word not in words or len(self._cells) != len(words):
            return word
        return words[towards(self._cells, words.index(word), direction, range(len(words)))]

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

    def on_mouse_scroll_up(self) -> None:
        self.zoom(1)

    def on_mouse_scroll_down(self) -> None:
        self.zoom(-1)

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
        self._window = Window(*(_nearer(now, then, 0.02 * abs(to.unit) if index == 2 else near)
                                for index, (now, then) in enumerate(zip(window, to, strict=True))))  # fmt: skip
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
            if height:
                rows[height // 2].append((0, fit(self._told.center(width), width), "link"))
            return rows
        words = [point.word for point in self._points]
        self._cells = [window.cell(self._places[word], width, height) for word in words]
        chosen = words.index(self._chosen) if self._chosen in words else 0
        nearest = self._points[chosen].nearest
        groups = _groups(self._points)
        first = [
            chosen,
            nearest,
            *(place for place, word in enumerate(words) if word in self._asked),
        ]
        found = pieces(
            self._cells,
            [groups[point.group][0] for point in self._points],
            [fit(token(word), min(_LABEL, cell_len(token(word)))) for word in words],
            list(dict.fromkeys([*first, *range(len(words))])),
            width,
            height,
        )
        for piece in found:
            rows[piece.y].append((piece.x, piece.text, self._look(piece, chosen, nearest, groups)))
        taken = {(x + column, y) for y, row in enumerate(rows) for x, text, _ in row
                 for column in range(-1, cell_len(text) + 1)}  # fmt: skip
        for x, y in line(self._cells[chosen], self._cells[nearest]):
            if 0 <= x < width and 0 <= y < height and (x, y) not in taken:
                rows[y].append((x, "·", "link"))
        return [sorted(row) for row in rows]

    def _look(
        self, piece: Piece, chosen: int, nearest: int, groups: dict[str, tuple[str, Look]]
    ) -> Look:
        point = self._points[piece.point]
        look = groups[point.group][1]
        if not piece.label:
            return look
        if piece.point == chosen:
            return "chosen"
        if piece.point == nearest or point.nearest == chosen:
            return "near"
        return "asked" if point.word in self._asked else look

    # --- what Textual draws -------------------------------------------------------------------

    def on_resize(self) -> None:
        self._window = None

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        segments, at = [], 0
        for x, text, look in self._rows[y] if y < len(self._rows) else ():
            segments += [Segment(" " * (x - at), base), Segment(text, self._style(look))]
            at = x + cell_len(text)
        return Strip([*segments, Segment(" " * max(0, width - at), base)]).adjust_cell_length(width)

    def _style(self, look: Look) -> Style:
        return self.get_component_rich_style(f"plot--{look}")


def _nearer(now: float, goal: float, close: float) -> float:
    """A number on its way to another: there once it is close."""
    return goal if abs(goal - now) <= close else now + _STRIDE * (goal - now)
