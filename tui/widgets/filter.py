"""A line whose words say which lines of a list stay."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.widgets.text import LineInput


class Filter(LineInput):
    """Enter and the arrow down go on to what is left, Escape to all; either submits it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "submit", "To what is left"),
        Binding("escape", "show_all", "Show all"),
    ]

    def keeps(self, text: str) -> bool:
        """Whether a line of this text stays: where all the words are in it, whatever their case."""
        text = text.casefold()
        return all(word in text for word in self.value.casefold().split())

    async def action_show_all(self) -> None:
        """Let everything be found, and go on to it."""
        self.value = ""
        await self.action_submit()
