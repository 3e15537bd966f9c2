"""The runs on disk, to go on with one, to give one another name, or to delete it."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import DataTable, Input, Static
from typing_extensions import override

from engine import runs
from engine.errors import UserError
from tui.keys import sentence
from tui.numbers import counted, duration
from tui.run.controller import RunController
from tui.run.session import Session
from tui.sanitize import content, visible
from tui.screens.dialog import Dialog
from tui.screens.differences import differences
from tui.units import known_perplexity
from tui.widgets.filter import Filter
from tui.widgets.text import MUTED, Block, LineInput, fit_middle

_COLUMNS = ("run", "corpus", "steps", "perplexity", "state", "changed")
_DISPENSABLE = ("changed", "corpus", "perplexity")
"""What is left out where there is no room for it, the first first."""
_LEAST_NAME, _LEAST_CORPUS = 16, 10
"""Cells."""
_LOOK_AGAIN = 1.0
"""Seconds between two looks at what the live runs have come to."""

_DIFFERENCES = 2
"""Rows for what differs between two runs' settings, at most."""
_HELD = "is held by an engine: open it and end it there first"
_NOTHING = (
    "Nothing is saved here yet. esc closes; {start_pause} trains, {save} saves, {new_run} begins a "
    "run."
)


class OpenModel(Dialog[Path | None]):
    """Dismissed with the folder of the chosen run, or None."""

    AUTO_FOCUS = "#runs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Find a run"),
        Binding("b", "beside", "Draw its loss beside"),
        Binding("n", "rename", "Rename"),
        Binding("d,delete", "delete", "Delete"),
        Binding("y", "confirm", "Delete it"),
        Binding("u", "undo", "Bring it back"),
    ]

    def __init__(self, controller: RunController) -> None:
        super().__init__()
        self._controller = controller
        self._models = controller.models
        self._runs: dict[str, runs.RunInfo] = {}
        self._steps: dict[str, int] = {}
        """What the live ones have come to."""
        self._doomed: runs.RunInfo | None = None
        """The one whose deletion is asked about."""
        self._renamed: runs.RunInfo | None = None
        """The one whose new name is typed."""
        self._deleted: list[tuple[Path, Path]] = []
        """Where each was and where it is now, the one deleted last at the end."""

    @override
    def compose(self) -> ComposeResult:
        with Vertical(id="box", classes="-tall") as box:
            box.border_title = "Open a model"
            box.border_subtitle = (
                "enter opens · b beside · / finds · n renames · d deletes · esc closes"
            )
            yield Static(content(f"in {self._models}", MUTED), classes="lead", markup=False)
            yield Filter(placeholder="/ finds a run", id="filter")
            yield DataTable[Text](cursor_type="row", id="runs")
            yield Static(id="empty", markup=False)
            yield LineInput(label="new name", id="name")
            yield Block(id="differs", explains=False)
            yield Block(id="asked")

    def on_mount(self) -> None:
        """List the runs, and look again now and then: some may train."""
        self.query_one("#empty").display = False
        self.query_one("#name").display = False
        self._list()
        self.set_interval(_LOOK_AGAIN, self._look)

    # --- the list -------------------------------------------------------------------------------

    @work(exclusive=True, group="dialog")
    async def _list(self) -> None:
        found = await asyncio.to_thread(runs.list_runs, self._models)
        self._runs = {str(info.folder): info for info in found}
        await self._count()
        self._draw()

    @work(exclusive=True, group="look")
    async def _look(self) -> None:
        """Show what the live runs have come to since."""
        before = self._steps
        await self._count()
        if self._steps != before:
            self._draw()

    async def _count(self) -> None:
        live = [info.folder for info in self._runs.values() if info.live]
        self._steps = await asyncio.to_thread(_last_steps, live) if live else {}
        if (session := self._shown) is not None and not session.ended:
            self._steps[str(session.folder)] = session.status.step

    def on_resize(self) -> None:
        """Cut the names to the new width."""
        self.call_after_refresh(self._draw)

    @on(Input.Changed, "#filter")
    def _draw(self) -> None:
        """Draw the runs that are meant, as wide as there is room; the cursor stays on its run."""
        keeps = self.query_one(Filter).keeps
        stands = self._controller.stands_beside
        rows = {
            key: _cells(info, self._steps.get(key), beside=stands(info.folder))
            for key, info in self._runs.items()
            if keeps(f"{info.name} {info.config.corpus.source if info.config else ''}")
        }
        table, chosen = self.query_one("#runs", DataTable), self._chosen
        empty = self.query_one("#empty", Static)
        table.display, empty.display = bool(rows), not rows
        nothing = "No run has all these words in its name or corpus."
        empty.update(Content(nothing if self._runs else sentence(_NOTHING)))
        widths = [
            max(cell_len(text) for text in column)
            for column in zip(_COLUMNS, *rows.values(), strict=True)
        ]
        room = self.query_one("#box").content_size.width - 1  # a column for the bar
        widths = _fitted(widths, room, 2 * table.cell_padding)
        place = table.cursor_row
        table.clear(columns=True)
        for name, width in zip(_COLUMNS, widths, strict=True):
            if width:
                table.add_column(name, width=width)
        for key, texts in rows.items():
            fitted = [
                (fit_middle(text, width), width) for text, width in zip(texts, widths, strict=True)
            ]
            table.add_row(*[Text(text) for text, width in fitted if width], key=key)
        if chosen is not None and str(chosen.folder) in rows:
            place = list(rows).index(str(chosen.folder))
        table.move_cursor(row=place, animate=False)
        self._compare()

    @on(DataTable.RowHighlighted)
    def _compare(self) -> None:
        """Tell what the run under the cursor is set to that the one you see isn't."""
        block, info, session = self.query_one("#differs", Block), self._chosen, self._shown
        told = ""
        if info and info.config and session and info.folder != session.folder:
            width = block.size.width
            told = differences(info.config, session.status.config, width, _DIFFERENCES)
        block.show(content(told, MUTED))

    @property
    def _shown(self) -> Session | None:
        """The run you see behind the dialog."""
        return self._controller.shown

    @property
    def _chosen(self) -> runs.RunInfo | None:
        """The run under the cursor."""
        table = self.query_one("#runs", DataTable)
        if not table.is_valid_coordinate(table.cursor_coordinate):
            return None
        key = table.coordinate_to_cell_key(table.cursor_coordinate).row_key
        return self._runs.get(str(key.value))

    @on(DataTable.RowSelected)
    def _selected(self, event: DataTable.RowSelected) -> None:
        info = self._runs[str(event.row_key.value)]
        if info.problem:
            self.notify(visible(info.problem), severity="warning", markup=False)
        else:
            self.dismiss(info.folder)

    def action_filter(self) -> None:
        """Type what the runs are to be found by."""
        self.query_one(Filter).focus()

    @on(Input.Submitted, "#filter")
    def _back_to_list(self) -> None:
        self.query_one("#runs").focus()

    # --- beside the run you see -----------------------------------------------------------------

    def action_beside(self) -> None:
        """Draw the loss of the run under the cursor beside that of the run you see, or no more."""
        info, controller = self._chosen, self._controller
        if info is None:
            return
        if controller.stands_beside(info.folder):
            controller.take_away(info.folder)
            self._say(f"{info.name} stands beside no more.")
        else:
            try:
                controller.put_beside(info.folder)
            except UserError as error:
                self._say(str(error))
                return
            self._say(f"{info.name} stands beside the run you see.")
        self._draw()

    # --- another name, and the trash ------------------------------------------------------------

    def action_rename(self) -> None:
        """Let a new name be typed for the run under the cursor."""
        if (info := self._movable()) is not None:
            self._doomed, self._renamed = None, info
            self._say("")
            field = self.query_one("#name", Input)
            field.display = True
            field.value = info.name
            field.cursor_position = len(field.value)
            field.focus()

    @on(Input.Submitted, "#name")
    def _rename(self, event: Input.Submitted) -> None:
        info, name = self._renamed, event.value.strip()
        if info is None or name == info.name:
            self._leave_name()
        elif (target := self._moved(lambda: runs.rename_run(info.folder, name))) is not None:
            self._controller.moved(info.folder, target)
            self._leave_name()
            self._say(f"{info.name} is called {name} now.")

    @on(Input.Changed, "#name")
    def _name_changed(self) -> None:
        self._say("")

    def _leave_name(self) -> None:
        self.query_one("#name").display = False
        self.query_one("#runs").focus()

    def action_delete(self) -> None:
        """Ask whether the run under the cursor is to be deleted."""
        if (info := self._movable()) is not None:
            self._doomed = info
            self._say(
                f"Delete {info.name}, {counted(info.step, 'step')}? y deletes it, esc doesn't."
            )

    def action_confirm(self) -> None:
        """Put the run that is to be deleted into the trash."""
        info, self._doomed = self._doomed, None
        if info is None:
            return
        trashed = self._moved(lambda: runs.trash_run(info.folder))
        if trashed is not None:
            self._controller.take_away(info.folder)
            self._deleted.append((info.folder, trashed))
            self._say(f"{info.name} is in {trashed} now; u brings it back.")

    def action_undo(self) -> None:
        """Bring the run back that was deleted last."""
        if not self._deleted:
            self._say(
                f"Nothing was deleted here. What was before is in {self._models}/{runs.TRASH}."
            )
            return
        folder, trashed = self._deleted[-1]
        if self._moved(lambda: runs.bring_back(trashed, folder)) is not None:
            self._deleted.pop()
            self._say(f"{folder.name} is back.")

    def action_close(self) -> None:
        """Leave what is asked or typed first, then the dialog."""
        if self._doomed is not None:
            self._doomed = None
            self._say("")
        elif self.query_one("#name").display:
            self._say("")
            self._leave_name()
        else:
            super().action_close()

    def _movable(self) -> runs.RunInfo | None:
        """The run under the cursor; where it can't be moved why is said."""
        info = self._chosen
        if info is not None and runs.is_live(info.folder):
            session = self._shown
            here = session is not None and session.folder == info.folder and not session.ended
            where = "is the run you see: open another one first" if here else _HELD
            self._say(f"{info.name} {where}.")
            return None
        return info

    def _moved(self, move: Callable[[], Path]) -> Path | None:
        """Move a run and list them anew; None where it can't be, which is said."""
        try:
            moved = move()
        except UserError as error:
            self._say(str(error))
            return None
        self._list()
        return moved

    def _say(self, told: str) -> None:
        asked = self.query_one("#asked", Block)
        asked.show(content(told))
        asked.set_class(bool(told), "-told")


def _last_steps(folders: list[Path]) -> dict[str, int]:
    """The newest step each has recorded, by folder."""
    from engine.runs.steps import last_step

    return {str(folder): last_step(folder) for folder in folders}


def _fitted(widths: list[int], room: int, padding: int) -> list[int]:
    """The columns' widths in so much room: names are cut, then columns left out, which get 0."""
    widths = list(widths)
    for dispensable in (None, *_DISPENSABLE):
        if dispensable is not None:
            widths[_COLUMNS.index(dispensable)] = 0
        over = sum(width + padding for width in widths if width) - room
        for cut, least in ((1, _LEAST_CORPUS), (0, _LEAST_NAME)):
            less = max(0, min(over, widths[cut] - least))
            widths[cut] -= less
            over -= less
        if over <= 0:
            break
    return widths


def _cells(info: runs.RunInfo, live_step: int | None, *, beside: bool) -> list[str]:
    """A run in words, a column each; the name of one that stands beside begins with a plus."""
    step = info.step if live_step is None else live_step
    state = "✗ damaged" if info.problem else "▶ live" if info.live else "■ saved"
    return [
        f"{'+ ' * beside}{visible(info.name)}",
        visible(Path(info.config.corpus.source).name) if info.config else "–",
        f"{step:,}",
        known_perplexity(info, 1) or "–",
        state if step or info.live or info.problem else "○ new",
        ago(time.time() - info.modified),
    ]


def ago(seconds: float) -> str:
    """How long ago."""
    return f"{duration(seconds)} ago" if seconds >= 60 else "just now"
