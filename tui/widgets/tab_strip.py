"""The names of the panes in one row, for when only one of them shows."""

from textual import events
from textual.content import Content
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget

from tui.widgets.pane import MUTED

_PANES = ("corpus", "training", "neighbours", "generation")


class TabStrip(Widget):
    """Which pane is shown, and the keys of the others."""

    current = reactive("training")
    hint = reactive("")
    """What can be done in the pane that is shown."""

    async def on_click(self, event: events.Click) -> None:
        if (action := event.style.meta.get("action")) is not None:
            await self.app.run_action(action, self.screen)

    def render(self) -> Content:
        parts: list[Content] = []
        for number, pane in enumerate(_PANES, start=1):
            click = Style.from_meta({"action": f"show_{pane}"})
            marked = pane == self.current
            label = f"[{number} {pane}]" if marked else f" {number} {pane} "
            parts.append(
                Content.styled(label, "bold $text-primary" if marked else "").stylize(click)
            )
        tabs = Content(" ").join(parts)
        room = self.content_size.width - tabs.cell_length - len(self.hint)
        return tabs + Content.styled(" " * room + self.hint, MUTED) if room > 0 else tabs
