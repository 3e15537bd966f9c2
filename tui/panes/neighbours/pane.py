"""The neighbours: ask the word vectors, and see the answer grow while they are learned."""

from collections.abc import Iterator
from typing import ClassVar

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from engine.events import CorpusSummary
from tui.panes.corpus import EXAMPLE
from tui.panes.laboratory import Laboratory
from tui.panes.neighbours.asked import Asked, WordView
from tui.panes.neighbours.list_view import ListView
from tui.panes.neighbours.one_hot_view import OneHotView
from tui.panes.neighbours.suggestion import suggested
from tui.run.session import Session
from tui.widgets.text import Labelled, PaneInput

_FIRST_WORD = "mathematician"


class NeighboursPane(Laboratory):
    """Type a word, see the closest. All views are about what was typed."""

    ID = "neighbours"
    KEY = "3"
    ABOUT = "The words whose embeddings are closest to the one you type."
    COLUMN = "right"
    SHARE = 15
    VIEWS: ClassVar[tuple[type[WordView], ...]] = (ListView, OneHotView)

    def __init__(self) -> None:
        self.asked = Asked(_FIRST_WORD, EXAMPLE)
        super().__init__([view(self.asked) for view in self.VIEWS])
        self._suggested = _FIRST_WORD

    def head(self) -> Iterator[Widget]:
        yield Labelled("word", PaneInput(_FIRST_WORD, id="word"))

    def draw(self, session: Session | None) -> None:
        self._suggest(session.status.corpus if session else None)

    @on(Input.Changed, "#word")
    def _typed(self, event: Input.Changed) -> None:
        self.asked.query = event.value
        self.changed()

    def _suggest(self, corpus: CorpusSummary | None) -> None:
        """For a corpus without the word that was suggested first, suggest a telling one of its."""
        word = self.query_one("#word", Input)
        tokens = [token for token, _ in corpus.frequent] if corpus else []
        if word.value != self._suggested or self._suggested in tokens or not tokens:
            return
        self._suggested = word.value = suggested(tokens)
