"""The way onto the screen."""

import gc
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UserError
from tui.output import OutputFailed

if TYPE_CHECKING:
    from tui.app import PlaygroundApp


def play(models: Path, folder: Path | None = None, note: str = "") -> int:
    """Open the playground, on a run if its folder is given: on its live engine, else from the disk.

    `note` is a sentence that is told there first. Returns the exit code.
    """
    require_terminal()
    gc.disable()  # most of what is loaded now stays: the app turns it on again
    if folder is None:
        folder = _started_first_run(models)
    from tui.app import PlaygroundApp
    from tui.panes.registry import ACTIONS
    from tui.settings import load_settings, remembered

    app = PlaygroundApp(
        models, folder, settings=load_settings(ACTIONS), layout=remembered(), note=note
    )
    return _run(app)


def look_at_words(models: Path, file: Path) -> int:
    """Open the laboratory of words on a file of vectors; other runs can be opened from there.
    Returns the exit code."""
    require_terminal()
    gc.disable()  # as `play` does
    from msgspec.structs import replace

    from engine.service import client
    from tui.app import PlaygroundApp
    from tui.panes.neighbours import NeighboursPane
    from tui.panes.registry import ACTIONS
    from tui.settings import load_settings, remembered

    async def launch(folder: Path) -> client.Engine:
        return await (client.ask_vectors if folder == file else client.launch)(folder)

    layout = replace(remembered(), pane=NeighboursPane.ID)
    settings = load_settings(ACTIONS)
    app = PlaygroundApp(models, file, launch=launch, settings=settings, layout=layout, zoomed=True)
    return _run(app)


def require_terminal() -> None:
    """Raises UserError where the playground can't be seen. It is drawn on standard error, in the
    size of standard output."""
    on_terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    if not on_terminal and "TEXTUAL_DRIVER" not in os.environ:
        raise UserError("The playground needs a terminal: `lstm-tui train` does without one.")


def _started_first_run(models: Path) -> Path | None:
    """A run whose engine starts while the screen is still being loaded.

    None where there can be none: the playground tells why, and offers others.
    """
    from engine.service.process import start_ahead
    from tui.first_run import first_run

    with suppress(UserError):
        folder = first_run(models)
        start_ahead(folder)
        return folder
    return None


def _run(app: "PlaygroundApp") -> int:
    from engine.service.process import end_unused

    try:
        farewell = app.run()
    finally:
        end_unused()
    try:
        if farewell:
            from tui.commands.shared import echo

            echo(farewell)
    except OutputFailed:
        if not app.return_code:  # else the terminal is gone, which SIGHUP's code tells
            raise
    return app.return_code or 0
