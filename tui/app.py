"""The program: which run is on the screen, and how it comes and goes. What it looks like is in
`tui.screens.playground`.
"""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import App, SystemCommand
from textual.screen import Screen

from engine import runs
from engine.errors import UserError
from engine.events import Extent, Rewound, RolledBack, SaveFailed, State
from engine.messages import (
    SILENCE,
    AnyCommand,
    AskStatus,
    Detach,
    Done,
    Save,
    Shutdown,
    Start,
    Status,
)
from engine.service import client
from engine.service.client import Engine, EngineEnded, said_nothing
from tui.advice import on_screen
from tui.first_run import first_run
from tui.sanitize import visible
from tui.screens.playground import Playground
from tui.session import Session

if TYPE_CHECKING:
    from tui.screens.quit import Leaving

Launcher = Callable[[Path], Awaitable[Engine]]

_BEFORE_COMING_BACK = 1.0
"""Seconds until a connection that was lost is made again."""
_AT_ONCE = 0.5
"""Seconds an engine may take to say who else is there."""
_LAST_CALL = 60.0
"""Seconds an engine has to save when the program is told to end by a signal."""


class PlaygroundApp(App[str]):
    """The playground. Its result, if any, is a line for the terminal it leaves behind."""

    TITLE = "lstm-tui"
    # Textual loads no stylesheet of a default screen, so it is named here.
    CSS_PATH: ClassVar = [
        "screens/playground.tcss",
        "widgets/corpus_pane.tcss",
        "widgets/neighbours_pane.tcss",
        "widgets/generation_pane.tcss",
        "widgets/training_pane.tcss",
    ]

    def __init__(
        self, models: Path, folder: Path | None = None, *, launch: Launcher = client.launch
    ) -> None:
        super().__init__()
        self.models = models
        self.session: Session | None = None
        self.start_when_ready = False
        """The user has pressed start while the engine was still preparing."""
        self._folder = folder
        self._launch = launch
        self._failure = ""
        self._doing = "starting the engine…"
        self._connected = asyncio.Event()
        """Set while no engine is on its way up."""
        self._leaving = False
        self.playground = Playground()

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

    def on_mount(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end_by_signal, "save")
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        # The engine's process is started once the first frame is on the screen.
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        # What is there now stays until the end. Left to the garbage collector it is gone through
        # again and again, 50 ms each time, and a key pressed meanwhile waits.
        gc.freeze()
        gc.enable()  # see tui.commands.runs.play
        self.open_run(self._folder)

    # --- what the screen shows ------------------------------------------------------------------

    @property
    def note(self) -> str:
        """What the program itself is doing, if anything."""
        if self.start_when_ready:
            return f"{self._doing}  starts when ready".strip()
        return self._doing

    @property
    def problem(self) -> str:
        """Why the run can't go on, in a few lines; empty while all is well."""
        session = self.session
        if session is None:
            return self._failure
        status = session.status
        if session.silence:
            return said_nothing(status, session.silence)
        if not (session.ended or status.advice or status.state in ("failed", "paused")):
            return ""
        return f"{status.reason}\n{on_screen(status.advice)}".strip()

    def say(self, text: str, *, warning: bool = False) -> None:
        """Tell the user a sentence."""
        self.notify(visible(text), severity="warning" if warning else "information", markup=False)

    # --- a run's life -----------------------------------------------------------------------------

    @work(exclusive=True, group="run")
    async def open_run(self, folder: Path | None) -> None:
        """Show a run, or a fresh one on the toy world, until it ends or another is opened."""
        self._failure, self._doing = "", "starting the engine…"
        self._show(None)
        self._connected.clear()
        try:
            if folder is None:
                folder = first_run(self.models)
            # The history takes numpy, which is loaded while the engine starts.
            loading = asyncio.to_thread(import_module, "tui.history")
            engine, _ = await asyncio.gather(self._launch(folder), loading)
            session = Session(engine)
            await self._recall(session, session.engine.welcome.recorded)
            self._show(session)
        except UserError as error:
            self._failure = str(error)
            return
        except EngineEnded as ended:
            self._failure = ended.reason
            return
        finally:
            self._doing = ""
            self.playground.stale = True
            self._connected.set()
        self.playground.tick()
        try:
            await self._follow(session)
        finally:
            await session.engine.close()

    async def _recall(self, session: Session, extent: Extent | None) -> None:
        """Take in the run's past as far as its record is said to hold it."""
        past = runs.open_past(session.engine.folder, extent)
        try:
            for piece in past.pieces():
                session.recall(piece)
                await asyncio.sleep(0)
        except UserError as error:
            self.say(str(error), warning=True)
        if left_out := session.history.strays + past.damaged + past.lost:
            self.say(
                f"The run's record is damaged: {left_out:,} of its entries can't be read, or tell "
                "of steps the run can't have come to, and are left out.",
                warning=True,
            )

    def _show(self, session: Session | None) -> None:
        self.session = session
        self.playground.change_session()

    async def _follow(self, session: Session) -> None:
        """Take in what happens in the run until its engine ends."""
        try:
            self._start_if_wished(session)
            async for events in session.engine.events():
                before = _phase(session)
                for event in events:
                    if isinstance(event, Rewound):  # nothing was recorded before it in this life
                        session.forget_past()
                        await self._recall(session, event.recorded)
                session.apply(events)
                self._start_if_wished(session)
                for event in events:
                    if isinstance(event, SaveFailed):
                        self.say(event.reason, warning=True)
                    elif isinstance(event, RolledBack):
                        self.say(
                            f"Step {event.from_step:,} was not finite: back to step "
                            f"{event.step:,}, on at a learning rate of {event.learning_rate:g}.",
                            warning=True,
                        )
                self.playground.stale = True
                if _phase(session) != before:
                    self.playground.tick()
        except EngineEnded as ended:
            if session.leaving:
                return
            if not ended.orderly and runs.is_live(session.engine.folder):
                # It let this screen go, which had not kept up: what was missed is on the disk.
                await asyncio.sleep(_BEFORE_COMING_BACK)
                self.open_run(session.engine.folder)
                return
            session.end(ended.reason, orderly=ended.orderly)
            self.playground.stale = True

    def _start_if_wished(self, session: Session) -> None:
        if self.start_when_ready and session.status.state != "preparing":
            self.start_when_ready = False
            if session.status.state != "failed":
                self.send(Start())

    def send(self, command: AnyCommand) -> None:
        """Send a command; a refusal is told, and so is what the engine has to say about it."""
        if self.session is not None:
            self.run_worker(self._send(self.session, command), group="commands")

    async def _send(self, session: Session, command: AnyCommand) -> None:
        try:
            answer = await session.engine.call(command)
        except UserError as error:
            session.forget_wishes()
            self.say(f"{error} {on_screen(error.advice)}".strip(), warning=True)
        except EngineEnded:
            pass  # the reader of its events tells
        else:
            if isinstance(answer, Done) and answer.note:
                self.say(f"Saved as {answer.note}." if isinstance(command, Save) else answer.note)

    # --- leaving --------------------------------------------------------------------------------

    async def switch_to(self, folder: Path) -> bool:
        """Leave the run that is shown, as the user chooses, and open another. False: they stay.

        One that has exploded is opened anew, from its last checkpoint.
        """
        session = self.session
        same = session is not None and session.engine.folder == folder
        if same and session is not None and not session.ended and not session.exploded:
            return True
        if await self._let_go("Open another run") == "cancel":
            return False
        self.start_when_ready = False
        self.open_run(folder)
        return True

    async def action_quit(self) -> None:
        """Leave the program, after asking where there is something to lose. Again: at once."""
        self._quit()

    @work(group="leaving")
    async def _quit(self) -> None:
        from tui.screens.quit import Leave

        if isinstance(self.screen, Leave):
            return
        if self._leaving:
            self.exit()
            return
        self._leaving = True
        session = self.session
        if session is None or session.silence:
            # Whatever the engine is doing, the program is left at once.
            self.workers.cancel_group(self, "run")
            self.exit(said_nothing(session.status, session.silence) if session else None)
            return
        choice = await self._let_go("Quit")
        self._leaving = False
        if choice != "cancel":
            self.exit(_farewell(session, choice))

    async def _let_go(self, title: str) -> "Leaving":
        """End or leave the run that is shown; "cancel" if the user would rather stay."""
        from tui.screens.quit import Leave

        await self._connected.wait()
        session = self.session
        if session is None or session.ended:
            return "save"
        others = await self._others(session)
        choice: Leaving = "leave" if others else "save"
        if session.unsaved or (session.running and not session.exploded):
            choice = await self.push_screen_wait(Leave(title, session, others))
        if choice != "cancel" and not await self._take_leave(session, choice):
            return "cancel"
        return choice

    async def _take_leave(self, session: Session, choice: "Leaving") -> bool:
        """Tell the engine. False where it can't save: then the user stays with what there is."""
        session.leaving = True
        session.engine.patience = SILENCE
        self._doing = "saving…" if choice == "save" and session.unsaved else ""
        self.playground.stale = True
        try:
            await session.engine.call(Detach() if choice == "leave" else Shutdown(save=True))
        except EngineEnded:
            pass
        except UserError as error:
            session.leaving, session.engine.patience = False, None
            self.say(str(error), warning=True)
            return False
        finally:
            self._doing = ""
        return True

    async def _others(self, session: Session) -> int:
        """How many other programs are connected to the engine, as far as it says at once."""
        with suppress(TimeoutError, EngineEnded, UserError):
            async with asyncio.timeout(_AT_ONCE):
                status = await session.engine.call(AskStatus())
                return status.others if isinstance(status, Status) else 0
        return 0

    def _hang_up(self) -> None:
        """The terminal is gone. Nothing is written to it any more: Textual's writer thread dies of
        the first attempt, and further ones would wait for it forever."""
        setattr(self._driver, "write", lambda _: None)  # noqa: B010 - a method, to the type checker
        self._end_by_signal("leave")

    def _end_by_signal(self, wish: "Leaving") -> None:
        self.run_worker(self._leave_quietly(wish), group="leaving")

    async def _leave_quietly(self, wish: "Leaving") -> None:
        """SIGTERM: save and end. SIGHUP, the terminal is gone: what trains goes on training."""
        session = self.session
        if session is not None and not session.ended:
            choice: Leaving = wish if session.running else "save"
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_CALL):
                    await self._take_leave(session, choice)
        self.exit()


def _phase(session: Session) -> tuple[State, bool]:
    """What is shown as soon as it changes: the state, and that there is a step."""
    return session.status.state, session.status.step > 0


def _farewell(session: Session, choice: "Leaving") -> str | None:
    """What the terminal is told of a run that goes on without this screen."""
    if choice != "leave" or session.ended:
        return None
    name = visible(session.name)
    goes_on = "goes on training" if session.running else "stays as it is"
    return f"{name} {goes_on}. Come back to it with: lstm-tui attach {name}"
