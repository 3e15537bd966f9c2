"""The neighbours: ask the word vectors, and see the answer grow while they are learned."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, TypeVar, get_args

import msgspec
from textual import on, work
from textual.widget import Widget
from textual.widgets import Input
from typing_extensions import override

from engine.errors import UserError
from engine.events import CorpusSummary
from engine.messages import LookedUp, LookUp, WordTable
from engine.service.client import EngineEnded
from engine.text.queries import MOST_WORDS, BadQuery, parse_query, split_query
from tui.panes.corpus import EXAMPLE
from tui.panes.laboratory import Laboratory, action
from tui.panes.neighbours.asked import Asked, WordView, listed, unit_of
from tui.panes.neighbours.completion import WordSuggester
from tui.panes.neighbours.drift_view import DriftView
from tui.panes.neighbours.list_view import ListView
from tui.panes.neighbours.map_view import MapView
from tui.panes.neighbours.measure_view import MeasureView
from tui.panes.neighbours.one_hot_view import OneHotView
from tui.panes.neighbours.suggestion import suggested
from tui.panes.pane import TYPING_PAUSE
from tui.run.session import Session
from tui.sanitize import visible
from tui.widgets.text import LineInput, PaneInput

_FIRST_WORD = "mathematician"
_COUNTS = (0, 2, 5, 10, 50, 100)
_COMPONENTS = (None, 1, 2, 3, 5, 10)
Transformation = Literal["raw", "mean-removed", "all-but-the-top"]
T = TypeVar("T")


class NeighboursPane(Laboratory):
    """Type a word, see the closest. All views are about what was typed."""

    ID = "neighbours"
    KEY = "3"
    ABOUT = "The words whose embeddings are closest to the one you type."
    COLUMN = "right"
    SHARE = 15
    VIEWS: ClassVar[tuple[type[WordView] | type[MeasureView], ...]] = (
        ListView,
        DriftView,
        MapView,
        OneHotView,
        MeasureView,
    )
    ACTIONS = (
        action(
            "table",
            "b",
            "Ask another table",
            "The input embedding, the output layer's weights, or their mean; tied, they are one.",
        ),
        action(
            "transformation",
            "h",
            "Change how vectors are seen",
            "Raw cosine; with the mean removed; all but the top (Mu & Viswanath 2018).",
        ),
        action(
            "components",
            "k",
            "Take away more directions",
            "How many all-but-the-top takes: by itself a hundredth of the size, then 1 to 10.",
        ),
        action(
            "multiply",
            "asterisk",
            "Multiply in analogies",
            "Analogies by 3CosMul (Levy & Goldberg 2014) instead of 3CosAdd, or back.",
        ),
        action(
            "words_only",
            "w",
            "Leave out what is no word",
            "Hide <unk>, <eos> and numbers from the answers, or show them.",
        ),
        action(
            "min_count",
            "d",
            "Leave out rare words",
            "Answer only what occurs at least 2, 5, 10, 50, 100 times in the training text.",
        ),
        action(
            "among",
            "i",
            "Answer only words of a list",
            "Type the words, or the path of a file that holds them; nothing: all words again.",
        ),
        action(
            "pin",
            "p",
            "Pin the word",
            "Keep the word that is asked for, and its past; again: let it go.",
        ),
    )

    def __init__(self) -> None:
        self.asked = Asked(_FIRST_WORD, EXAMPLE)
        super().__init__([view(self.asked) for view in self.VIEWS])
        self._suggested = _FIRST_WORD
        self._among: PaneInput | None = None
        """Made when a list is wished for the first time."""
        self._looked_up: object = None
        """Which query was looked through last for words that are not known, and of which run."""

    @override
    def head(self) -> Iterator[Widget]:
        hint = "a word, a + b - c, a ~ b, odd: a b c"
        word = PaneInput(_FIRST_WORD, label="word", placeholder=hint, id="word")
        word.suggester = WordSuggester(lambda: self.session)
        yield word

    @override
    def tells(self, session: Session | None) -> object:
        return session and (session.status.corpus, session.answering)

    @override
    def draw(self, session: Session | None) -> None:
        self._show_list()
        self._suggest(session.status.corpus if session else None)
        self._look_up()

    @override
    def clear(self) -> None:
        self.asked.at = None

    @on(Input.Changed, "#word")
    def _typed(self, event: Input.Changed) -> None:
        self.asked.query = event.value
        self.changed()
        self._look_up()

    def _look_up(self) -> None:
        """Mark what is wrong in the query, where it is another one or is asked of another run."""
        session = self.session if self.session is not None and self.session.answering else None
        if (looked_up := (session, self.asked.query)) != self._looked_up:
            self._looked_up = looked_up
            self._mark(session, self.asked.query)

    @work(exclusive=True, group="marks")
    async def _mark(self, session: Session | None, query: str) -> None:
        """Mark what can't be understood, and the words that are not known."""
        line = self.query_one("#word", LineInput)
        line.mark(marks := _mistakes(query))
        words = [part for part in split_query(query) if not part.operator][:MOST_WORDS]
        if session is None or not words:
            return
        await asyncio.sleep(TYPING_PAUSE)
        try:
            answer = await session.engine.call(LookUp(words=[word.text for word in words]))
        except (UserError, EngineEnded):
            return
        assert isinstance(answer, LookedUp)
        unknown = [(word.begin, word.end) for word in words if word.text in answer.unknown]
        line.mark([*marks, *unknown])

    @on(WordView.Ask)
    def _ask(self, event: WordView.Ask) -> None:
        self.query_one("#word", Input).value = event.query

    @on(Input.Submitted, "#among")
    def _list_typed(self, event: Input.Submitted) -> None:
        try:
            self.asked.listed = listed(event.value)
        except UserError as error:
            self.notify(visible(str(error)), severity="warning", markup=False)
            return
        self._look(among=self.asked.listed)

    def on_descendant_blur(self) -> None:
        """The line of words that may answer goes where it was left empty."""
        self._show_list()

    def _show_list(self) -> None:
        """The line with the words that may be answered, where there are any, or to type them."""
        if self._among is not None:
            typing = self.screen.focused is self._among  # has_focus comes a moment later
            self._among.display = self.zoomed and (bool(self.asked.listed) or typing)

    # --- what is done in all views ------------------------------------------------------------

    def action_table(self) -> None:
        """Ask another table of vectors: input, output or both."""
        self._look(table=_next(get_args(WordTable), self.asked.view.table))

    def action_transformation(self) -> None:
        """See the vectors through the next transformation."""
        self._look(transformation=_next(get_args(Transformation), self.asked.view.transformation))

    def action_components(self) -> None:
        """Take out another number of principal components."""
        self._look(components=_next(_COMPONENTS, self.asked.view.components))

    def action_multiply(self) -> None:
        """Score analogies by products (3CosMul), or by sums again."""
        self.asked.multiply = not self.asked.multiply
        self.changed()

    def action_words_only(self) -> None:
        """Let only words answer, or any token again."""
        self._look(words_only=not self.asked.view.words_only)

    def action_min_count(self) -> None:
        """Let only words answer that occur so often: the next choice."""
        self._look(min_count=_next(_COUNTS, self.asked.view.min_count))

    async def action_among(self) -> None:
        """Let the words be typed that may answer."""
        if self._among is None:
            hint = "words, or the path of a list"
            self._among = PaneInput(label="only", placeholder=hint, id="among")
            await self.mount(self._among, before=self.query_one(".views"))
        self._among.display = True
        self.screen.set_focus(self._among)

    def action_pin(self) -> None:
        """Pin the word that is asked for, or let it go again."""
        word = self.asked.word
        if not word:
            unit = unit_of(self.session)
            self.notify(f"One {unit} is pinned at a time: ask for one.", markup=False)
        elif word in self.asked.pins:
            self.asked.pins.remove(word)
        else:
            self.asked.pins.append(word)
        self.changed()

    def _look(self, **changes: Any) -> None:
        """See the vectors in another way."""
        self.asked.view = msgspec.structs.replace(self.asked.view, **changes)
        self.changed()

    def _suggest(self, corpus: CorpusSummary | None) -> None:
        """For a corpus without the word that was suggested first, suggest a telling one of its."""
        word = self.query_one("#word", Input)
        tokens = [token for token, _ in corpus.frequent] if corpus else []
        if word.value != self._suggested or self._suggested in tokens or not tokens:
            return
        self._suggested = word.value = suggested(tokens)


def _mistakes(query: str) -> list[tuple[int, int]]:
    """Where the part of a query stands that can't be understood, if there is one."""
    try:
        parse_query(query)
    except BadQuery as error:
        return [(error.begin, error.end)]
    return []


def _next(options: Sequence[T], now: T) -> T:
    return options[(options.index(now) + 1) % len(options)] if now in options else options[0]
