"""What the dialogs share: a box over the playground, and Escape to leave it."""

from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static
from textual.widgets.option_list import Option
from typing_extensions import override

from tui.chart.widget import Chart
from tui.run.session import Session
from tui.widgets.text import MUTED, Block

Result = TypeVar("Result")
ROOMY = 60
"""Columns of the screen from which on names, controls and effects stand beside one another."""


class Dialog(ModalScreen[Result], Generic[Result]):
    """A modal screen whose one child is the box; Escape dismisses it with None."""

    CSS_PATH: ClassVar = "dialog.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (ROOMY, "-roomy")]  # noqa: RUF012 - no ClassVar in Textual
    VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close")]

    def action_close(self) -> None:
        """Close it without a result."""
        self.dismiss(None)

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Close, and end what was under way for it."""
        self.workers.cancel_node(self)
        return super().dismiss(result)


class CurveDialog(Dialog[Result], Generic[Result]):
    """What it is about, a chart, and below it what came out."""

    TITLE: ClassVar[str]
    ABOUT: ClassVar[str]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    @override
    def compose(self) -> ComposeResult:
        with Vertical(id="box", classes="-tall") as box:
            box.border_title = self.TITLE
            box.border_subtitle = "esc closes"
            yield Static(Content(self.ABOUT), classes="lead", markup=False)
            yield Chart(id="curve")
            yield Block(id="outcome")


def line(name: str, control: Widget, effect: str) -> Horizontal:
    """A field of a form: its name, its control, and beside them what it does."""
    return Horizontal(
        Static(Content(name), classes="name", markup=False),
        control,
        Static(Content(effect), classes="effect", id=f"{control.id}-effect", markup=False),
        classes="field",
    )


def option(id: str, key: str, label: str, sentence: str) -> Option:  # noqa: A002
    """A line of a dialog that has to be answered: its key, its name, and what comes of it."""
    line = Content.assemble((f" {key} ", "bold"), f" {label:<20}", (sentence, MUTED))
    return Option(line, id=id)
