"""The map: words as points in a plane, those that are near to one another near."""

from collections.abc import Sequence
from typing import Literal, get_args

import msgspec
from textual.app import ComposeResult
from textual.content import Content
from typing_extensions import override

from engine.messages import AnyAnswer, AnyQuery, MapPoint, MapWords, WordMap
from tui.keys import sentence
from tui.panes.laboratory import action
from tui.panes.neighbours.asked import Asked, WordView, typed
from tui.panes.neighbours.placing import Cell
from tui.panes.neighbours.word_plot import COLOURS, WordPlot, groups_of
from tui.run.session import Session
from tui.sanitize import content, token
from tui.widgets.text import MUTED, Block

Subject = Literal["around", "frequent", "list"]
_AROUND, _FREQUENT = 60, 500
"""Words on the map."""
_WAITING = "The map shows here once the model is built."
_NO_LIST = "No list of %ss yet: {among} types one, or the path of a file with one."


class MapView(WordView):
    """A plane shows a few parts in a hundred of what vectors hold: so the neighbours that it tells
    are those of the full space."""

    ID = "map"
    NAME = "map"
    ABOUT = "Words as points: around the query, the most frequent, or a list; classes by mark."
    DEFAULT_CSS = """
    MapView {
        #subject {
            height: auto;
            max-height: 2;
            text-wrap: nowrap;
            text-overflow: ellipsis;
        }
        #chosen { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    }
    """
    ACTIONS = (
        action("map_subject", "slash", "Change what is on the map",
                "The words around the query, the most frequent, or those of the list."),
        action("map_method", "number_sign", "Change how the map is made",
                "By PCA (quick, straight), or by t-SNE (slow, keeps neighbours), if installed."),
        action("map_in", "right_parenthesis", "Go nearer to the map",
                "See fewer words at a larger scale, around the one that is chosen."),
        action("map_out", "left_parenthesis", "Go back from the map", "See more of the map."),
        action("map_left", "left", "Choose the word to the left", "On the map."),
        action("map_right", "right", "Choose the word to the right", "On the map."),
        action("map_up", "up", "Choose the word above", "On the map."),
        action("map_down", "down", "Choose the word below", "On the map."),
        action("map_ask", "j", "Ask for the chosen word", "It is what all views are about then."),
    )  # fmt: skip

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._subject: Subject = "around"
        self._tsne = False
        self._answer: WordMap | None = None
        self._asked: tuple[int, MapWords, MapWords] | None = None
        """At which step what was asked last, and that with the map that was seen then, on which the
        next one is to lie: it is no other question."""
        self._refusal = ""
        self._chosen = ""

    @property
    @override
    def hint(self) -> str:
        return sentence(
            "{map_subject} words · {map_left} {map_up} {map_down} {map_right} choose · "
            "{map_ask} ask · {map_out} {map_in} zoom"
        )

    @override
    def compose(self) -> ComposeResult:
        yield Block(id="subject")
        yield WordPlot(id="plot")
        yield Block(id="chosen", explains=False)

    # --- what is asked ------------------------------------------------------------------------

    @override
    def question(self) -> AnyQuery | None:
        plain = self._plain_question()
        if plain is None:
            return None
        step = self.session.status.step if self.session is not None else 0
        if self._asked is None or self._asked[:2] != (step, plain):
            points = self._answer.points if self._answer is not None else []
            self._asked = (step, plain, msgspec.structs.replace(plain, previous=points))
        return self._asked[2]

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

    @override
    def answered(self, answer: AnyAnswer) -> None:
        assert isinstance(answer, WordMap)
        self._answer, self._refusal = answer, ""

    @override
    def refused(self, reason: str) -> None:
        self._refusal = reason

    @override
    def clear(self) -> None:
        self._answer, self._asked, self._refusal = None, None, ""

    # --- what is done -------------------------------------------------------------------------

    def action_map_subject(self) -> None:
        """Show other words: the next choice of which."""
        subjects = get_args(Subject)
        self._subject = subjects[(subjects.index(self._subject) + 1) % len(subjects)]
        self.ask()

    def action_map_method(self) -> None:
        """Place the words by the other method."""
        self._tsne = not self._tsne
        self.ask()

    def action_map_in(self) -> None:
        """Show a smaller part, larger."""
        self._plot.zoom(1)
        self.redraw()

    def action_map_out(self) -> None:
        """Show a larger part, smaller."""
        self._plot.zoom(-1)
        self.redraw()

    def action_map_left(self) -> None:
        """Choose the next word to the left."""
        self._choose((-1, 0))

    def action_map_right(self) -> None:
        """Choose the next word to the right."""
        self._choose((1, 0))

    def action_map_up(self) -> None:
        """Choose the next word above."""
        self._choose((0, -1))

    def action_map_down(self) -> None:
        """Choose the next word below."""
        self._choose((0, 1))

    def action_map_ask(self) -> None:
        """Ask for the neighbours of the word that is chosen."""
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

    def on_mouse_scroll_up(self) -> None:
        """The wheel comes closer."""
        self.action_map_in()

    def on_mouse_scroll_down(self) -> None:
        """The wheel goes away."""
        self.action_map_out()

    @property
    def _plot(self) -> "WordPlot":
        return self.query_one(WordPlot)

    # --- what is drawn ------------------------------------------------------------------------

    @override
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
        subject.show(self._subject_told(answer))
        chosen.show(_chosen_told(answer.points, self._chosen))
        asked = set(self.asked.words) if self._subject == "around" else set()
        self.stale = self._plot.show(answer.points, self._chosen, asked)

    def _missing(self) -> str:
        no_list = self._subject == "list" and not self.asked.listed
        return sentence(_NO_LIST % self.unit) if no_list else self.waiting(_WAITING)

    def _subject_told(self, answer: WordMap) -> Content:
        names = {
            "around": "around the query" if self.asked.words else "most frequent",
            "frequent": "most frequent",
            "list": "of the list",
        }
        explained = f"PCA, {sum(answer.explained):.0%} of variance"
        how = "t-SNE" if answer.method == "tsne" else explained
        unknown = f" · {len(answer.unknown):,} unknown" if answer.unknown else ""
        told = f"{len(answer.points):,} {names[self._subject]} · {how}{unknown}"
        legend = _legend(answer.points)
        return Content.assemble((told, MUTED), "\n" if legend else "", *legend)


def _legend(points: Sequence[MapPoint]) -> list[Content]:
    """The marks of the classes, where words have one."""
    return [
        Content.assemble((glyph, f"bold {COLOURS[look]}"), content(f" {group}  "))
        for group, (glyph, look) in groups_of(points).items()
        if group
    ]


def _chosen_told(points: Sequence[MapPoint], chosen: str) -> Content:
    """The chosen word, and its neighbours in the full space."""
    point = next(point for point in points if point.word == chosen)
    place = points.index(point)
    of = [token(each.word) for each in points if each.nearest == place and each is not point]
    parts = [(f"{token(chosen)} ", "bold")]
    times = "once" if point.count == 1 else f"{point.count:,} times"
    parts.append((f"{times} · of these nearest to it ", MUTED))
    parts.append((token(points[point.nearest].word), "bold"))
    if of:
        parts += [(" · it is nearest to ", MUTED), (", ".join(of), "")]
    return Content.assemble(*parts)
