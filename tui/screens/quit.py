"""What becomes of a run that has something to lose."""

from typing import ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from typing_extensions import override

from tui.keys import shown
from tui.run.controller import Leaving
from tui.run.session import Session
from tui.sanitize import visible
from tui.screens.dialog import Dialog, option


class Leave(Dialog[Leaving]):
    """Dismissed with `save`, `leave` or `cancel`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "choose('save')", "Stop and save"),
        Binding("l", "choose('leave')", "Leave it as it is"),
        Binding("c,escape", "choose('cancel')", "Cancel"),
    ]

    def __init__(self, title: str, session: Session, others: int) -> None:
        """`others` is how many other programs are connected to the run's engine."""
        super().__init__()
        self._heading = title
        self._training = session.running
        state = "is training" if session.running else "has steps that are not saved"
        self._lead = f"{visible(session.name)} {state}: step {session.status.step:,}."
        if others:
            programs = "another program is" if others == 1 else f"{others} other programs are"
            self._lead += f" {programs.capitalize()} connected to it, and would see it end."

    @override
    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = self._heading
            box.border_subtitle = "enter chooses · esc cancels"
            yield Static(Content(self._lead), classes="lead", markup=False)
            leave = "leave it training" if self._training else "leave it paused"
            options = [
                option(
                    "save",
                    "s",
                    "stop and save",
                    f"{shown('open_model')} opens it again another time",
                ),
                option("leave", "l", leave, "lstm-tui attach comes back to it"),
                option("cancel", "c", "cancel", "stay here"),
            ]
            yield OptionList(*options, id="options", compact=True)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.action_choose(cast("Leaving", event.option_id))

    def action_choose(self, choice: Leaving) -> None:
        """Close it with what becomes of the run."""
        self.dismiss(choice)
