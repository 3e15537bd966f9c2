"""What the views of the laboratory of texts share: a cursor, and one question under way."""

from textual.containers import Container

from tui.panes.laboratory import View
from tui.panes.pane import Hearing
from tui.widgets.flow import Flow

SPELLING = ("character", "subword")
"""Tokenizers whose tokens spell the text out, white space too."""
LEAST_BESIDE = 84
"""Columns from which on what belongs to a text stands beside it."""


class Aside(Container):
    """What belongs to a text: below it, or `-roomy` beside it."""

    DEFAULT_CSS = """
    Aside {
        layout: horizontal;
        border-top: solid $foreground 20%;

        &.-roomy {
            layout: vertical;
            width: 46;
            height: 1fr;
            border-top: none;
            border-left: solid $foreground 20%;
            padding: 0 0 0 1;
        }
    }
    """


class TextView(View, Hearing):
    """A view in which one walks over a text; each key does what the view is about."""

    def __init__(self) -> None:
        super().__init__()
        self._revealed: object = None
        """The place in its text that was scrolled to last, and the room there was."""

    def reveal(self, flow: Flow, characters: int, place: object) -> None:
        """Scroll to where so many characters end, once for each place that is walked to: from then
        on the text is the user's to scroll."""
        if (place, flow.size) != self._revealed:
            self._revealed = place, flow.size
            flow.reveal(characters)

    def walk(self, change: int) -> None:
        """Go so many tokens on, or back."""

    def climb(self, change: int) -> None:
        """Go so many lines down, or up, in the list that belongs to the cursor."""

    def walk_to(self, *, first: bool) -> None:
        """Go to the beginning, or to the end."""

    def pick(self) -> None:
        """Take what was walked to."""
