"""What the dialogs share: a box over the playground, and Escape to leave it."""

from typing import ClassVar, Generic, TypeVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

Result = TypeVar("Result")


class Dialog(ModalScreen[Result], Generic[Result]):
    """A modal screen whose one child is the box; Escape dismisses it with None."""

    CSS_PATH: ClassVar = "dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close")]

    def action_close(self) -> None:
        self.dismiss(None)


def line(name: str, control: Widget, effect: str) -> Horizontal:
    """A field of a form: its name, its control, and beside them what it does."""
    return Horizontal(
        Static(Content(name), classes="name", markup=False),
        control,
        Static(Content(effect), classes="effect", id=f"{control.id}-effect", markup=False),
        classes="field",
    )
