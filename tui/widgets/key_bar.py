"""The last row: the keys that matter now, as many as fit, never one cut in half."""

from itertools import groupby

from textual import events
from textual.binding import ActiveBinding
from textual.content import Content
from textual.screen import Screen
from textual.style import Style
from textual.widget import Widget

from tui.actions import BY_ID

_LAST = ("help", "quit")
"""Always there, at the right end."""
_GAP = "  "


class KeyBar(Widget):
    """Keys and labels from the screen's live bindings; what can't be done now is dimmed."""

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def _bindings_changed(self, _screen: Screen[object]) -> None:
        self.refresh()

    async def on_click(self, event: events.Click) -> None:
        if (action := event.style.meta.get("action")) is not None:
            await self.app.run_action(action, self.screen)

    def render(self) -> Content:
        active: dict[str, ActiveBinding] = {}
        for binding in self.screen.active_bindings.values():
            if binding.binding.id in BY_ID:
                active.setdefault(binding.binding.id, binding)
        if "start_pause" not in active:
            return _TYPING
        right = _row([active[name] for name in _LAST])
        room = self.content_size.width - right.cell_length - len(_GAP)
        left = _row([active[name] for name in BY_ID if name in active and name not in _LAST], room)
        return left.pad_right(max(0, room - left.cell_length) + len(_GAP)) + right


_TYPING = Content.assemble(
    ("esc", "bold $footer-key-foreground"),
    " back to the keys",
    _GAP,
    ("enter", "bold $footer-key-foreground"),
    " done",
    _GAP,
    ("ctrl+q", "bold $footer-key-foreground"),
    " quit",
)
"""While letters go into an input."""


def _row(bindings: list[ActiveBinding], room: int = 1000) -> Content:
    """Keys with their labels, as many as fit into this many cells."""
    row = Content("")
    for label, group in groupby(bindings, key=lambda binding: binding.binding.description):
        part = _part(label, list(group))
        gap = _GAP if row else ""
        if row.cell_length + len(gap) + part.cell_length > room:
            break
        row = row + gap + part
    return row


def _part(label: str, bindings: list[ActiveBinding]) -> Content:
    enabled = any(binding.enabled for binding in bindings)
    parts: list[Content | tuple[str, str | Style]] = []
    for binding in bindings:
        click = Style.from_meta({"action": binding.binding.action})
        key = Content.styled(
            binding.node.app.get_key_display(binding.binding),
            "bold $footer-key-foreground" if enabled else "dim",
        )
        parts.append(key.stylize(click))
    parts.append((f" {label}", "" if enabled else "dim"))
    return Content.assemble(*parts)
