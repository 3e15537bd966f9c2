"""Which checkpoint a run is put back to."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from typing_extensions import override

from engine.errors import UserError
from engine.runs import latest_checkpoint, named_checkpoint, place
from tui.keys import shown
from tui.run.session import Session
from tui.sanitize import visible
from tui.screens.dialog import Dialog, option


class BackTo(Dialog[str | None]):
    """Dismissed with `last-good`, `best`, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "choose('last-good')", "The last good one"),
        Binding("b", "choose('best')", "The best one"),
        Binding("c", "close", "Cancel"),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        folder = session.engine.folder
        try:
            last, best = latest_checkpoint(folder), named_checkpoint(folder / "best")
        except (UserError, OSError):
            last = best = None
        self._steps = {
            to: place(path.name)[0] for to, path in (("last-good", last), ("best", best)) if path
        }

    @override
    def compose(self) -> ComposeResult:
        name, step = visible(self._session.name), self._session.status.step
        lead = (
            f"{name} stands at step {step:,}. What came after the checkpoint is given up; "
            "its knobs come back with it."
            if self._steps
            else f"{name} has no checkpoint to go back to. {shown('new_run')} begins a new run."
        )
        with Vertical(id="box") as box:
            box.border_title = "Go back to a checkpoint"
            box.border_subtitle = "enter chooses · esc cancels"
            yield Static(Content(lead), classes="lead", markup=False)
            options = [option("close", "c", "cancel", "stay here")]
            for to, key, label in (("best", "b", "the best"), ("last-good", "l", "the last good")):
                if to in self._steps:
                    options.insert(0, option(to, key, label, f"step {self._steps[to]:,}"))
            yield OptionList(*options, id="options", compact=True)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.action_choose(event.option_id or "")

    def action_choose(self, to: str) -> None:
        """Close it with a checkpoint, if there is that one."""
        if to in self._steps:
            self.dismiss(to)
        elif to == "close":
            self.dismiss(None)
