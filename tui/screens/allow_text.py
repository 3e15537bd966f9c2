"""Whether a run that came from elsewhere may read the text it names."""

import os
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static
from typing_extensions import override

from engine import runs
from engine.config import BUILT_IN
from engine.errors import UserError
from tui.sanitize import content, visible
from tui.screens.dialog import Dialog
from tui.widgets.text import MUTED


def may_read(folder: Path, source: str) -> bool:
    """Whether the run may read this text already."""
    return source in BUILT_IN or runs.is_allowed(folder, source)


class AllowText(Dialog[bool]):
    """Dismissed with whether the text may be read, which is remembered."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "allow", "Read it")]

    def __init__(self, folder: Path, source: str) -> None:
        super().__init__()
        self._folder, self._source = folder, source

    @override
    def compose(self) -> ComposeResult:
        real = os.path.realpath(self._source)
        with Vertical(id="box") as box:
            box.border_title = "Train on this text?"
            box.border_subtitle = "enter reads it and trains · esc cancels"
            yield Static(
                content(
                    f"{self._folder.name} was not made here. To train it, this text would be read "
                    "on this machine:"
                ),
                classes="lead",
                markup=False,
            )
            yield Static(content(self._source, "bold"), markup=False)
            if real != self._source:
                yield Static(content(f"which is {real}", MUTED), markup=False)
            yield Static(
                Content.styled("Until then the model can be asked, and nothing is written.", MUTED),
                markup=False,
            )

    @override
    def action_close(self) -> None:
        self.dismiss(False)

    def action_allow(self) -> None:
        """Close it with a yes."""
        try:
            runs.allow(self._folder, self._source)
        except UserError as error:
            self.notify(visible(str(error)), severity="warning", markup=False)
        else:
            self.dismiss(True)
