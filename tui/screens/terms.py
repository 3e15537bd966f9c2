"""What the terms on the screen mean."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static
from typing_extensions import override

from tui.screens.dialog import Dialog
from tui.terms import TERMS, Term, terms_in


class Terms(Dialog[None]):
    """The terms that are seen, then all others."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "close", "Close", id="terms"),
        Binding("q", "close", "Close"),
    ]

    def __init__(self, place: str = "", text: str = "") -> None:
        """`text` is what is seen, in this `place`; without them all terms are alike."""
        super().__init__()
        self._place = place
        self._seen = terms_in(text)

    @override
    def compose(self) -> ComposeResult:
        others = [term for term in TERMS if term not in self._seen]
        with VerticalScroll(id="box", classes="-tall") as box:
            box.border_title = "Terms"
            box.border_subtitle = "↑ ↓ scroll · esc close"
            if self._seen:
                yield from _section(f"In {self._place}", self._seen)
            yield from _section("Others" if self._seen else "All", others)


def _section(heading: str, terms: list[Term]) -> ComposeResult:
    yield Static(Content(heading), classes="heading", markup=False)
    for term in terms:
        yield Static(Content(term.name), classes="term", markup=False)
        yield Static(Content(term.meaning), classes="effect", markup=False)
