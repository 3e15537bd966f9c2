"""What becomes of a run that has something to lose."""

from typing import ClassVar, Literal, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui.sanitize import visible
from tui.screens.dialog import Dialog
from tui.session import Session
from tui.widgets.pane import MUTED

Leaving = Literal["save", "leave", "cancel"]


class Leave(Dialog[Leaving]):
    """Dismissed with `save`, `leave` (only while it trains) or `cancel`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "choose('save')", "Stop and save"),
        Binding("l", "choose('leave')", "Leave it training"),
        Binding("c,escape", "choose('cancel')", "Cancel"),
    ]

    def __init__(self, title: str, session: Session) -> None:
        super().__init__()
        self._heading = title
        self._training = session.running
        state = "is training" if session.running else "has steps that are not saved"
        self._lead = f"{visible(session.name)} {state}: step {session.status.step:,}."

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = self._heading
            box.border_subtitle = "enter chooses · esc cancels"
            yield Static(Content(self._lead), classes="lead", markup=False)
            options = [_option("save", "s", "stop and save", "m opens it again another time")]
            if self._training:
                options.append(
                    _option("leave", "l", "leave it training", "lstm-tui attach comes back to it")
                )
            options.append(_option("cancel", "c", "cancel", "stay here"))
            yield OptionList(*options, id="options", compact=True)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.action_choose(cast("Leaving", event.option_id))

    def action_choose(self, choice: Leaving) -> None:
        if choice != "leave" or self._training:
            self.dismiss(choice)


def _option(id: str, key: str, label: str, sentence: str) -> Option:  # noqa: A002
    line = Content.assemble((f" {key} ", "bold"), f" {label:<20}", (sentence, MUTED))
    return Option(line, id=id)
