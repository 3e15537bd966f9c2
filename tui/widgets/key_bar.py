"""The last row: the keys that matter now, as many as fit, never one cut in half."""

from collections.abc import Sequence
from itertools import groupby

from textual import events
from textual.binding import ActiveBinding
from textual.content import Content
from textual.screen import Screen
from textual.style import Style
from textual.widget import Widget
from typing_extensions import override

from tui.keys import shown

_LAST = ("help", "quit")
"""Always there, at the right end."""
_GAP = "  "


class KeyBar(Widget):
    """Keys and labels from the screen's live bindings; what can't be done now is dimmed."""

    def __init__(self, actions: Sequence[str], *, id: str) -> None:  # noqa: A002
        """`actions` are the ids of the bindings that may show, the most important first."""
        super().__init__(id=id)
        self._actions = actions
        self._shown: dict[str, ActiveBinding] = {}

    def on_mount(self) -> None:
        """Follow what the keys do as that changes."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def _bindings_changed(self, _screen: Screen[object]) -> None:
        active = self._active()
        if active != self._shown:
            self._shown = active
            self.refresh()

    def _active(self) -> dict[str, ActiveBinding]:
        """What the keys do now that may show, by action."""
        active: dict[str, ActiveBinding] = {}
        for binding in self.screen.active_bindings.values():
            if (action := binding.binding.id) and action in self._actions:
                active.setdefault(action, binding)
        return active

    async def on_click(self, event: events.Click) -> None:
        """Do what the key does that is clicked."""
        if (action := event.style.meta.get("action")) is not None:
            await self.app.run_action(action, self.screen)

    @override
    def render(self) -> Content:
        active = self._shown = self._shown or self._active()
        if "start_pause" not in active:
            return _typing()
        right = _row([active[name] for name in _LAST])
        room = self.content_size.width - right.cell_length - len(_GAP)
        left = _row(
            [active[name] for name in self._actions if name in active and name not in _LAST], room
        )
        return left.pad_right(max(0, room - left.cell_length) + len(_GAP)) + right


def _typing() -> Content:
    """While letters go into an input."""
    keys = ((shown("leave_input"), "back to the keys"), ("enter", "done"), ("ctrl+q", "quit"))
    return Content(_GAP).join(
        Content.assemble((key, "bold $footer-key-foreground"), f" {label}") for key, label in keys
    )


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
            shown(binding.binding.id or "", binding.binding.key),
            "bold $footer-key-foreground" if enabled else "dim",
        )
        parts.append(key.stylize(click))
    parts.append((f" {label}", "" if enabled else "dim"))
    return Content.assemble(*parts)
