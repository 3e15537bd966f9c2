"""The program: its first screen and its styles, and what comes to it from outside."""

import asyncio
import gc
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from rich.console import RenderableType
from textual.app import SystemCommand
from textual.screen import Screen
from typing_extensions import override

from engine.service import client
from tui import keys
from tui.key_order import InOrder
from tui.panes.registry import STYLES
from tui.run.controller import Launcher, RunController
from tui.run.session import Session
from tui.screens.playground import Playground
from tui.settings import Layout, Settings, remember


class PlaygroundApp(InOrder[str]):
    """The playground. Its result, if any, is a line for the terminal it leaves behind."""

    TITLE = "lstm-tui"
    # Textual loads no stylesheet of a default screen, so it is named here.
    CSS_PATH: ClassVar = ["screens/playground.tcss", *STYLES]

    def __init__(
        self,
        models: Path,
        folder: Path | None = None,
        *,
        launch: Launcher = client.launch,
        settings: Settings | None = None,
        layout: Layout | None = None,
        note: str = "",
        zoomed: bool = False,
    ) -> None:
        """Without a `layout` none is remembered either. `note` is a sentence to begin with, and
        `zoomed` says whether the first pane has the whole screen then."""
        super().__init__()
        self._folder = folder
        self._settings = settings or Settings()
        self._layout = layout
        self._note = note
        self._zoomed = zoomed
        self._hung_up = False
        keys.remap(self._settings.keys)
        self.runs = RunController(models, launch)
        self.playground = Playground(self.runs, layout or Layout())

    @property
    def session(self) -> Session | None:
        """The run that is shown."""
        return self.runs.shown

    @override
    def get_default_screen(self) -> Playground:
        return self.playground

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What Textual offers that isn't an action of ours."""
        for command in super().get_system_commands(screen):
            if command.title in ("Theme", "Screenshot"):
                yield command

    def deliver_screenshot(
        self, filename: str | None = None, path: str | None = None, time_format: str | None = None
    ) -> str | None:
        """Into the working folder: a machine behind SSH has no folder for downloads."""
        return super().deliver_screenshot(filename, path or ".", time_format)

    def on_load(self) -> None:
        """The terminal is still as it was: from now on no signal can leave it otherwise."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._terminate)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def on_mount(self) -> None:
        """Put the user's keys, theme and notes in place, and begin behind the first frame."""
        self.set_keymap(self._settings.keys)
        if self._layout is not None and self._layout.theme in self.available_themes:
            self.theme = self._layout.theme
        if self._settings.problem:
            self.playground.say(self._settings.problem, warning=True)
        if self._note:
            self.playground.say(self._note)
        self.playground.zoomed = self._zoomed
        # The engine's process is started once the first frame is on the screen.
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        # What is there now stays until the end. Left to the garbage collector it is gone through
        # again and again, 50 ms each time, and a key pressed meanwhile waits.
        gc.freeze()
        gc.enable()  # see tui.commands.play.play
        self.runs.open(self._folder)

    def exit(
        self, result: str | None = None, return_code: int = 0, message: RenderableType | None = None
    ) -> None:
        """Leave, and remember how the screen is left."""
        if self._layout is not None:
            shown = self.playground
            remember(Layout(self.theme, shown.current, shown.views))
        super().exit(result, return_code, message)

    async def action_quit(self) -> None:
        """Leave the program, also from a dialog."""
        self.playground.quit()

    def _terminate(self) -> None:
        """The program is to end: what trains is saved and ends with it."""
        self.playground.quit_quietly("save", signal.SIGTERM)

    @override
    def panic(self, *renderables: RenderableType) -> None:
        """Leave with what is to be said of a fault. That a terminal which is gone can't be read is
        none: its SIGHUP may come only after that."""
        read = self._driver is not None and not self._driver.is_headless
        if read and (sys.__stdin__ is None or not sys.__stdin__.isatty()):
            self._hang_up()
        else:
            super().panic(*renderables)

    def _hang_up(self) -> None:
        """The terminal is gone: what trains goes on training. Nothing is written to it any more:
        Textual's writer thread dies of the first attempt, and further ones would wait for it
        forever."""
        if self._hung_up:
            return
        self._hung_up = True
        if self._driver is not None:
            setattr(self._driver, "write", lambda _: None)  # noqa: B010 - a method, to the type checker
        self.playground.quit_quietly("leave", signal.SIGHUP)
