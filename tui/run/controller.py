"""The runs that are open: how they come, are followed, and go. What is seen of them is not decided
here: messages tell what happened.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, Protocol

from textual.message import Message
from textual.worker import Worker

from engine import runs
from engine.errors import Advice, UserError
from engine.events import Extent, Rewound, RolledBack, SaveFailed, State
from engine.messages import (
    SILENCE,
    AnyCommand,
    AskStatus,
    Detach,
    Done,
    Save,
    SetKnob,
    Shutdown,
    Start,
    Status,
)
from engine.service.client import Engine, EngineEnded, said_nothing
from tui.first_run import first_run
from tui.run.session import Session

if TYPE_CHECKING:
    from tui.run.beside import OtherRun

Launcher = Callable[[Path], Awaitable[Engine]]
Leaving = Literal["save", "leave", "cancel"]
"""What becomes of a run that is left: it is saved and ends, goes on as it is, or isn't left."""
Ask = Callable[[Session, int], Awaitable[Leaving]]
"""Asks the user that; the number is how many other programs are connected to the run's engine."""

_BEFORE_COMING_BACK = 1.0
"""Seconds until a connection that was lost is made again."""
_AT_ONCE = 0.5
"""Seconds an engine may take to say who else is there."""
_LAST_CALL = 60.0
"""Seconds an engine has to save when the program is told to end by a signal."""
MOST_BESIDE = 3
"""Runs that may stand beside the one that is shown: each takes memory for a history, a colour, and
room in the legend."""
LOOK_AGAIN = 1.0
"""Seconds until the folder of a run that stands beside is looked at again, at least."""
_SHARE = 0.02
"""Of the time, what reading it may take."""


class Host(Protocol):
    """Who shows the runs: a screen or an app of Textual's."""

    def post_message(self, message: Message) -> bool:
        """Take a message to whoever handles it."""
        ...

    def run_worker(self, work: Coroutine[Any, Any, None], /) -> "Worker[None]":
        """Run this until it ends or the host does."""
        ...


class RunController:
    """The run that is open, and its engine; and other runs that stand beside it, of which only the
    records are read.

    Its messages go to its host, in whose workers the runs are followed.
    """

    host: Host

    class Shown(Message):
        """Another run is shown than before, or none."""

    class Changed(Message):
        """Something is to be drawn anew: at once, or when it next suits."""

        def __init__(self, *, at_once: bool = False) -> None:
            super().__init__()
            self.at_once = at_once

    class Said(Message):
        """The user is to be told a sentence, and the advice that goes with it."""

        def __init__(
            self, text: str, *, advice: Advice = "", warning: bool = False, topic: str = ""
        ) -> None:
            super().__init__()
            self.text = text
            self.advice: Advice = advice
            self.warning = warning
            self.topic = topic
            """What it is about, where more such sentences may follow at once."""

    def __init__(self, models: Path, launch: Launcher) -> None:
        self.models = models
        self.shown: Session | None = None
        """Commands go to it."""
        self.beside: tuple[OtherRun, ...] = ()
        """They stay when another run is shown; one of them may be it."""
        self.start_when_ready = False
        """The user has pressed start while the engine was still preparing."""
        self._launch = launch
        self._at_work: Worker[None] | None = None
        """Opens and follows the run that is shown."""
        self._failure = ""
        self._doing = "starting the engine…"
        self._connected = asyncio.Event()
        """Set while no engine is on its way up."""

    # --- what there is to say of the run that is shown --------------------------------------------

    @property
    def note(self) -> str:
        """What the program itself is doing, if anything."""
        if self.start_when_ready:
            return f"{self._doing}  starts when ready".strip()
        return self._doing

    @property
    def problem(self) -> str:
        """Why the run can't go on, in a few lines; empty while all is well."""
        session = self.shown
        if session is None:
            return self._failure
        if session.silence:
            return said_nothing(session.status, session.silence)
        return session.status.reason if session.stuck else ""

    @property
    def advice(self) -> Advice:
        """What helps with the problem."""
        session = self.shown
        return session.status.advice if session and not session.silence else ""

    # --- a run's life -----------------------------------------------------------------------------

    def open(self, folder: Path | None) -> None:
        """Show a run, or a fresh one on the toy world, and follow it until its engine ends. The one
        shown before is let go."""
        self.let_go()
        self._at_work = self.host.run_worker(self._open(folder))

    def let_go(self) -> None:
        """Leave the run that is shown, or on its way, to its engine: nothing is told it."""
        if self._at_work is not None:
            self._at_work.cancel()

    async def _open(self, folder: Path | None) -> None:
        self._failure, self._doing = "", "starting the engine…"
        self._show(None)
        try:
            session = await self._reach(folder or first_run(self.models))
        except UserError as error:
            self._fail(str(error))
            return
        finally:
            self._settled()
        self._show(session)
        goes_on = True
        while goes_on:
            try:
                goes_on = await self._follow(session)
            finally:
                await session.engine.close()
            goes_on = goes_on and await self._come_back(session)

    async def _reach(self, folder: Path) -> Session:
        """The run, with an engine and its past. Raises UserError."""
        self._connected.clear()
        # The history takes numpy, which is loaded while the engine starts.
        loading = asyncio.to_thread(import_module, "tui.run.history")
        try:
            engine, _ = await asyncio.gather(self._launch(folder), loading)
            session = Session(engine)
            await self._recall(session, engine.welcome.recorded)
        except EngineEnded as ended:
            raise UserError(ended.reason) from None
        return session

    async def _come_back(self, session: Session) -> bool:
        """Connect again to the engine of a run that is shown: what is seen stays until there is
        news. Returns whether it could be."""
        self._connected.clear()
        self._doing = "coming back to the engine…"
        try:
            await asyncio.sleep(_BEFORE_COMING_BACK)
            session.go_on_as(await self._reach(session.folder))
        except UserError as error:
            session.end(str(error), orderly=False)
            return False
        finally:
            self._settled()
        return True

    def _settled(self) -> None:
        """No engine is on its way up any more."""
        self._doing = ""
        self._connected.set()
        self._post(self.Changed(at_once=True))

    def _fail(self, reason: str) -> None:
        """The run that was wanted can't be opened, so nothing starts when it is ready."""
        self._failure, self.start_when_ready = reason, False

    async def _recall(self, session: Session, extent: Extent | None) -> None:
        """Take in the run's past, all of it or as far as its record is said to hold it. A file of
        vectors has none."""
        if session.folder.is_file():
            return
        past = runs.open_past(session.folder, extent)
        try:
            for span in past.spans():
                session.recall(span)
                await asyncio.sleep(0)
        except UserError as error:
            self._warn(str(error))
        if left_out := session.history.strays + past.damaged + past.lost:
            self._warn(
                f"The run's record is damaged: {left_out:,} of its entries can't be read, or tell "
                "of steps the run can't have come to, and are left out."
            )

    def _show(self, session: Session | None) -> None:
        self.shown = session
        self._stand(self.beside)
        self._post(self.Shown())

    async def _follow(self, session: Session) -> bool:
        """Take in what happens in the run until its engine ends; or until it lets this screen go,
        which had not kept up: then it goes on, and what was missed is on the disk."""
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
                        self._warn(event.reason)
                    elif isinstance(event, RolledBack):
                        self._warn(
                            f"Step {event.from_step:,} was not finite: back to step "
                            f"{event.step:,}, on at a learning rate of {event.learning_rate:g}."
                        )
                self._post(self.Changed(at_once=_phase(session) != before))
        except EngineEnded as ended:
            if session.leaving:
                return False
            if not ended.orderly and runs.is_live(session.folder):
                return True
            self.start_when_ready = False
            session.end(ended.reason, orderly=ended.orderly)
            self._post(self.Changed())
        return False

    def _start_if_wished(self, session: Session) -> None:
        if self.start_when_ready and session.status.state != "preparing":
            self.start_when_ready = False
            if session.status.state != "failed":
                self.send(Start())

    def send(self, command: AnyCommand) -> None:
        """Send a command to the run that is shown; a refusal is told, and so is what the engine has
        to say about it."""
        if self.shown is not None:
            self.host.run_worker(self._send(self.shown, command))

    async def _send(self, session: Session, command: AnyCommand) -> None:
        await self.carry_out(session, command)

    async def carry_out(self, session: Session, command: AnyCommand) -> bool:
        """Have a run do something, as `send` does. Returns whether it is done."""
        try:
            answer = await session.engine.call(command)
        except UserError as error:
            session.forget_wishes()
            topic = command.knob if isinstance(command, SetKnob) else ""
            self._post(self.Said(str(error), advice=error.advice, warning=True, topic=topic))
            return False
        except EngineEnded:
            return False  # the reader of its events tells
        if isinstance(answer, Done) and answer.note:
            saved = isinstance(command, Save)
            self._post(self.Said(f"Saved as {answer.note}." if saved else answer.note))
        return True

    def _post(self, message: Message) -> None:
        self.host.post_message(message)

    def _warn(self, text: str) -> None:
        self._post(self.Said(text, warning=True))

    # --- beside it --------------------------------------------------------------------------------

    def stands_beside(self, folder: Path) -> bool:
        """Whether the run stands beside the one that is shown, or would if that were another."""
        return any(other.folder == folder for other in self.beside)

    def put_beside(self, folder: Path) -> None:
        """Look at a run's record beside the run that is shown. Raises UserError where it can't be,
        or there are too many."""
        from tui.run.beside import OtherRun  # with numpy, which the first frame does without

        if self.shown is not None and self.shown.folder == folder:
            raise UserError(f"{folder.name} is the run you see: its loss is drawn already.")
        if len(self.beside) >= MOST_BESIDE:
            raise UserError(
                f"{MOST_BESIDE} runs stand beside already: take one of them away first."
            )
        other = OtherRun(folder, runs.load_config(folder))
        self._stand((*self.beside, other))
        self.host.run_worker(self._watch(other))

    def take_away(self, folder: Path) -> None:
        """Let a run stand beside no more."""
        self._stand(tuple(other for other in self.beside if other.folder != folder))

    def moved(self, folder: Path, target: Path) -> None:
        """A run has another name now."""
        for other in self.beside:
            if other.folder == folder:
                other.folder = target
        self._post(self.Changed())

    def _stand(self, beside: "tuple[OtherRun, ...]") -> None:
        self.beside = beside
        if (session := self.shown) is not None:
            session.beside = tuple(other for other in beside if other.folder != session.folder)
        self._post(self.Changed())

    async def _watch(self, other: "OtherRun") -> None:
        """Read the record of a run again whenever it has changed, as long as it stands beside."""
        while other in self.beside:
            began, folder = monotonic(), other.folder
            reading, gone = await asyncio.to_thread(lambda: (other.news(), other.gone))
            if other not in self.beside:
                return
            if gone and other.folder == folder:  # else it was given another name meanwhile
                self.take_away(folder)
                self._warn(f"{other.name} is gone, so it stands beside no more.")
            elif reading is not None:
                other.take(reading)
                if reading.damage and not other.told_of_damage:
                    other.told_of_damage = True
                    self._warn(reading.damage)
                self._post(self.Changed())
            await asyncio.sleep(max(LOOK_AGAIN, (monotonic() - began) / _SHARE))

    # --- leaving ----------------------------------------------------------------------------------

    async def switch(self, folder: Path, ask: Ask) -> bool:
        """Leave the run that is shown, as the user chooses, and open another. False: they stay.

        One that has exploded is opened anew, from its last checkpoint.
        """
        session = self.shown
        stays = session is not None and not session.ended and not session.exploded
        if stays and session is not None and session.folder == folder:
            return True
        if await self.leave(ask) == "cancel":
            return False
        self.start_when_ready = False
        self.open(folder)
        return True

    async def leave(self, ask: Ask) -> Leaving:
        """End or leave the run that is shown; "cancel" if the user would rather stay."""
        await self._connected.wait()
        session = self.shown
        if session is None or session.ended:
            return "save"
        others = await self._others(session)
        choice: Leaving = "leave" if others else "save"
        if session.unsaved or (session.running and not session.exploded):
            choice = await ask(session, others)
        if choice != "cancel" and not await self._take_leave(session, choice):
            return "cancel"
        return choice

    async def leave_quietly(self, wish: Leaving) -> Leaving:
        """Leave without a question: a run that isn't training is saved, whatever is wished, and one
        that can't be saved is left to its engine, which holds it. Returns what became of it."""
        session = self.shown
        if session is None or session.ended:
            return "save"
        choice: Leaving = wish if session.running else "save"
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_CALL):
                if not await self._take_leave(session, choice):
                    choice = "leave"
                    await self._take_leave(session, choice)
                return choice
        return "leave"

    async def _take_leave(self, session: Session, choice: Leaving) -> bool:
        """Tell the engine. False where it can't save: then the user stays with what there is."""
        session.leaving = True
        session.engine.patience = SILENCE
        self._doing = "saving…" if choice == "save" and session.unsaved else ""
        self._post(self.Changed())
        try:
            await session.engine.call(Detach() if choice == "leave" else Shutdown(save=True))
        except EngineEnded:
            pass
        except UserError as error:
            session.leaving, session.engine.patience = False, None
            self._warn(str(error))
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


def _phase(session: Session) -> tuple[State, bool]:
    """What is shown as soon as it changes: the state, and that there is a step."""
    return session.status.state, session.status.step > 0
