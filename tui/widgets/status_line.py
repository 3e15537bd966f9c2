"""The first row: which run, on what, in which state, how far, how fast."""

from pathlib import Path

from rich.cells import cell_len
from textual.content import Content

from engine.events import Progress, State
from engine.messages import Status
from tui.numbers import duration, grouped
from tui.pace import TaskPace
from tui.run.session import Session
from tui.sanitize import content, visible
from tui.widgets.text import MUTED, Block, fit

GLYPHS: dict[State, tuple[str, str]] = {
    "preparing": ("…", MUTED),
    "ready": ("○", "$text-primary"),
    "running": ("▶", "$text-success"),
    "paused": ("‖", "$text-warning"),
    "stopped": ("■", MUTED),
    "finished": ("✓", "$text-success"),
    "failed": ("✗", "$text-error"),
}
_LEAST_NAME = 8
"""Columns of a run's name that are always there."""
_ALL = 130
"""From this width on there is room for the model's size and where it runs."""


class StatusLine(Block):
    """One line about the run."""

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._under_way = TaskPace()

    def draw(self, session: Session | None, note: str) -> None:
        """Show the run; `note` is what the program itself is doing, if anything."""
        if session is None:
            self.show(Content.assemble((" lstm-tui  ", "bold"), note))
            return
        status, width = session.status, self.size.width
        glyph, style = GLYPHS[status.state]
        state = f"{glyph} {'asked only' if status.asking and status.step else status.state}"
        if session.silence:
            state, style = f"! no word for {session.silence:.0f} s", "$text-warning"
        source = Content.styled(fit(_short(status.config.corpus.source), 24).rstrip(), MUTED)
        parts = [Content.assemble((state, style))]
        if status.reason and not session.stuck:
            parts.append(content(status.reason, MUTED))
        if note:
            parts.append(Content.styled(note, "$text-warning"))
        if status.progress is not None:
            parts.append(Content.styled(self._told(status.progress), MUTED))
        if status.step:
            parts.append(Content(f"step {status.step:,}"))
        going = session.running and not session.silence and status.progress is None
        if going and session.history.last is not None:
            speed = f"{grouped(session.history.last.tokens_per_second, 0)} tokens/s"
            if _LEAST_NAME + sum(part.cell_length + 2 for part in parts) + len(speed) + 3 <= width:
                parts.append(Content(speed))
        if session.unsaved and not session.running:
            parts.append(Content.styled("not saved", "$text-warning"))
        if width >= _ALL and status.parameters:
            parts.append(
                Content.styled(f"{status.parameters:,} parameters · {_place(status)}", MUTED)
            )
        self.show(_with_name(status.run, source, Content("  ").join(parts), width))

    def _told(self, progress: Progress) -> str:
        """What is under way, in a few words."""
        left = self._under_way.seconds_left(progress)
        if not progress.total:
            return f"{progress.task}…"
        told = f"{progress.task} {progress.done / progress.total:.0%}"
        return told if left is None else f"{told}, {duration(left)} left"


def _with_name(name: str, source: Content, told: Content, width: int) -> Content:
    """What there is to tell behind the run's name and what it learns. Where there is too little
    room the source goes first, then the end of the name, then that of the rest."""
    whole = cell_len(visible(name))
    parts = [told]
    if whole + source.cell_length + told.cell_length + 5 <= width:
        parts.insert(0, source)
    room = width - sum(part.cell_length + 2 for part in parts) - 1
    shown = fit(name, min(whole, max(_LEAST_NAME, room)))
    return Content("  ").join([Content.styled(f" {shown}", "bold"), *parts])


def _place(status: Status) -> str:
    """Where the run computes, and in what, if that isn't the usual."""
    threads = f"{status.threads} thread{'s' if status.threads != 1 else ''}"
    precision = "" if status.precision == "float32" else f", {status.precision}"
    return f"{status.device}, {threads}{precision}"


def _short(source: str) -> str:
    """The last two parts of a path: enough to know it by."""
    return "/".join(Path(source).parts[-2:]) or source
