"""The first row: which run, on what, in which state, how far, how fast."""

from pathlib import Path

from textual.content import Content

from engine.events import State
from engine.service.protocol import Status
from tui.sanitize import content
from tui.session import Session
from tui.widgets.pane import MUTED, Block, fit

GLYPHS: dict[State, tuple[str, str]] = {
    "preparing": ("…", MUTED),
    "ready": ("○", "$text-primary"),
    "running": ("▶", "$text-success"),
    "paused": ("‖", "$text-warning"),
    "stopped": ("■", MUTED),
    "finished": ("✓", "$text-success"),
    "failed": ("✗", "$text-error"),
}
_ALL = 130
"""From this width on there is room for the model's size and where it runs."""


class StatusLine(Block):
    """One line about the run."""

    def draw(self, session: Session | None, note: str) -> None:
        """Show the run; `note` is what the program itself is doing, if anything."""
        if session is None:
            self.show(Content.assemble((" lstm-tui  ", "bold"), note))
            return
        status, width = session.status, self.size.width
        glyph, style = GLYPHS[status.state]
        parts = [
            content(f" {status.run}", "bold"),
            Content.styled(fit(_short(status.config.corpus.source), 24).rstrip(), MUTED),
            Content.assemble((f"{glyph} {status.state}", style)),
        ]
        if status.reason and status.state not in ("failed", "paused"):
            parts.append(content(status.reason, MUTED))
        if note:
            parts.append(Content.styled(note, "$text-warning"))
        if status.progress is not None and not session.running:
            parts.append(Content.styled(_progress(status), MUTED))
        if status.step:
            parts.append(Content(f"step {status.step:,}"))
        if session.running and session.history.last is not None:
            parts.append(Content(f"{session.history.last.tokens_per_second:,.0f} tokens/s"))
        if session.unsaved and not session.running:
            parts.append(Content.styled("not saved", "$text-warning"))
        if width >= _ALL and status.parameters:
            parts.append(
                Content.styled(
                    f"{status.parameters:,} parameters · {status.device}, "
                    f"{status.threads} thread{'s' if status.threads != 1 else ''}",
                    MUTED,
                )
            )
        self.show(Content("  ").join(parts))


def _short(source: str) -> str:
    """The last two parts of a path: enough to know it by."""
    return "/".join(Path(source).parts[-2:]) or source


def _progress(status: Status) -> str:
    progress = status.progress
    if progress is None:
        return ""
    share = f" {progress.done / progress.total:.0%}" if progress.total else ""
    return f"{progress.task}{share}"
