"""What the views of the laboratory of texts share: a cursor, and one question under way."""

from tui.panes.laboratory import View
from tui.panes.pane import Hearing

SPELLING = ("character", "subword")
"""Tokenizers whose tokens spell the text out, white space too."""


class TextView(View, Hearing):
    """A view in which one walks over a text; each key does what the view is about."""

    def walk(self, change: int) -> None:
        """Go so many tokens on, or back."""

    def climb(self, change: int) -> None:
        """Go so many lines down, or up, in the list that belongs to the cursor."""

    def walk_to(self, *, first: bool) -> None:
        """Go to the beginning, or to the end."""

    def pick(self) -> None:
        """Take what was walked to."""
