"""The names of the panes in one row, for when only one of them shows."""

from collections.abc import Sequence

from textual import events
from textual.content import Content
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget
from typing_extensions import override

from tui.widgets.text import MUTED, fit_parts


class TabStrip(Widget):
    """Which pane is shown, and the keys of the others; shortened where not all have room."""

    current = reactive("")
    hint = reactive("")
    """What can be done in the pane that is shown."""
    views: reactive[Content] = reactive(Content(""), always_update=True)
    """Of the pane's views those that are shown, and the keys of the others; what there is no room
    for is cut with an ellipsis."""

    def __init__(self, tabs: Sequence[tuple[str, str]], *, id: str) -> None:  # noqa: A002
        """`tabs` are the panes, each with its key."""
        super().__init__(id=id)
        self._tabs = tabs

    async def on_click(self, event: events.Click) -> None:
        """Go to the pane that is clicked."""
        if (action := event.style.meta.get("action")) is not None:
            await self.app.run_action(action, self.screen)

    @override
    def render(self) -> Content:
        width = self.content_size.width
        longest = max(len(pane) for pane, _ in self._tabs)
        rows = (self._row(letters) for letters in range(longest, -1, -1))
        room = width - (self.views.cell_length + 1 if self.views else 0)
        row = next((row for row in rows if row.cell_length <= room), self._row(0))
        if self.views:
            views = self.views.truncate(max(1, width - row.cell_length - 1), ellipsis=True)
            return row + " " * max(1, width - row.cell_length - views.cell_length) + views
        hint = fit_parts(self.hint, width - row.cell_length - 1)
        return row + Content.styled(" " * (width - row.cell_length - len(hint)) + hint, MUTED)

    def _row(self, letters: int) -> Content:
        """The tabs with so many letters of each name but the current one's."""
        parts = []
        for pane, key in self._tabs:
            marked = pane == self.current
            label = f"[{key} {pane}]" if marked else f" {f'{key} {pane[:letters]}'.rstrip()} "
            click = Style.from_meta({"action": f"show_pane('{pane}')"})
            parts.append(
                Content.styled(label, "bold $text-primary" if marked else "").stylize(click)
            )
        return Content(" ").join(parts)
