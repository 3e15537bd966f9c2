"""The runs on disk, to go on with one."""

import asyncio
import time
from pathlib import Path

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import DataTable, Static

from engine import runs
from tui.keys import sentence
from tui.numbers import duration
from tui.sanitize import content, visible
from tui.screens.dialog import Dialog
from tui.units import known_perplexity
from tui.widgets.text import MUTED

_COLUMNS = ("run", "corpus", "steps", "perplexity", "state", "changed")

_NOTHING = (
    "Nothing is saved here yet. esc closes; {start_pause} trains, {save} saves, {new_run} begins a "
    "run."
)


class OpenModel(Dialog[Path | None]):
    """Dismissed with the folder of the chosen run, or None."""

    def __init__(self, models: Path) -> None:
        super().__init__()
        self._models = models
        self._runs: dict[str, runs.RunInfo] = {}

    def compose(self) -> ComposeResult:
        with Vertical(id="box", classes="-tall") as box:
            box.border_title = "Open a model"
            box.border_subtitle = "enter opens · esc closes"
            yield Static(content(f"in {self._models}", MUTED), classes="lead", markup=False)
            yield DataTable[Text](cursor_type="row", id="runs")
            yield Static(id="empty", markup=False)

    def on_mount(self) -> None:
        self.query_one("#empty").display = False
        self._list()

    @work
    async def _list(self) -> None:
        found = await asyncio.to_thread(runs.list_runs, self._models)
        self._runs = {str(info.folder): info for info in found}
        table = self.query_one("#runs", DataTable)
        table.display = bool(found)
        empty = self.query_one("#empty", Static)
        empty.display = not found
        empty.update(Content(sentence(_NOTHING)))
        table.add_columns(*_COLUMNS)
        for info in found:
            table.add_row(*_row(info), key=str(info.folder))

    @on(DataTable.RowSelected)
    def _selected(self, event: DataTable.RowSelected) -> None:
        info = self._runs[str(event.row_key.value)]
        if info.problem:
            self.notify(visible(info.problem), severity="warning", markup=False)
        else:
            self.dismiss(info.folder)


def _row(info: runs.RunInfo) -> list[Text]:
    state = "✗ damaged" if info.problem else "▶ live" if info.live else "■ saved"
    return [
        Text(visible(info.name), "bold"),
        Text(visible(Path(info.config.corpus.source).name) if info.config else "–"),
        Text(f"{info.step:,}", justify="right"),
        Text(known_perplexity(info, 1) or "–", justify="right"),
        Text(state if info.step or info.live or info.problem else "○ new"),
        Text(ago(time.time() - info.modified)),
    ]


def ago(seconds: float) -> str:
    """How long ago."""
    return f"{duration(seconds)} ago" if seconds >= 60 else "just now"
