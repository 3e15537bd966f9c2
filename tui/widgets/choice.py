"""A few options one below the other, one of them chosen. Arrow keys or space move the choice."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from typing_extensions import override


class Choice(Widget, can_focus=True):
    """`value` is one of the options."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,left", "move(-1)", "Previous", show=False),
        Binding("down,right,space", "move(1)", "Next", show=False),
    ]
    DEFAULT_CSS = """
    Choice {
        height: auto;
        &:focus { background-tint: $foreground 5%; }
    }
    """

    value: reactive[str] = reactive("", init=False)

    class Changed(Message):
        """Another option was chosen."""

        def __init__(self, choice: "Choice") -> None:
            super().__init__()
            self.choice = choice

        @property
        @override
        def control(self) -> "Choice":
            return self.choice

    def __init__(
        self,
        options: Sequence[str],
        value: str,
        *,
        id: str,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._options = list(options)
        self.set_reactive(Choice.value, value)

    @override
    def render(self) -> Content:
        lines = []
        for option in self._options:
            chosen = option == self.value
            style = "bold reverse" if chosen and self.has_focus else "bold" if chosen else ""
            lines.append(Content.assemble("● " if chosen else "○ ", (option, style)))
        return Content("\n").join(lines)

    def watch_value(self) -> None:
        """Tell that another one is chosen."""
        self.post_message(self.Changed(self))

    def action_move(self, change: int) -> None:
        """Choose one so many places further."""
        place = self._options.index(self.value) + change
        self.value = self._options[place % len(self._options)]

    def on_click(self, event: events.Click) -> None:
        """Choose the one that is clicked."""
        if event.y < len(self._options):
            self.value = self._options[event.y]
