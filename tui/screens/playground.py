"""The playground: one screen with four panes, a line above them and the keys below.

Narrow terminals show one pane at a time behind a strip of tabs; wide ones show all four. It is one
set of widgets either way: classes on the screen and its stylesheet decide.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast, get_args

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.reactive import var
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input
from textual.worker import Worker

from engine import runs
from engine.config import ClipMode
from engine.errors import UserError
from engine.service.client import EngineEnded
from engine.service.protocol import (
    AnyAnswer,
    Evaluate,
    GoBack,
    Knob,
    Pause,
    Save,
    SetKnob,
    Start,
    Step,
    Stop,
    TextPiece,
)
from tui import ladder
from tui.actions import ACTIONS, BY_ID, bindings
from tui.palette import ActionCommands
from tui.sanitize import content
from tui.session import Session
from tui.widgets.corpus_pane import CorpusPane
from tui.widgets.generation_pane import GenerationPane
from tui.widgets.key_bar import KeyBar
from tui.widgets.neighbours_pane import NeighboursPane
from tui.widgets.pane import MUTED, AskingPane, Block, Pane, take_key
from tui.widgets.status_line import StatusLine
from tui.widgets.tab_strip import TabStrip
from tui.widgets.training_pane import TrainingPane

if TYPE_CHECKING:
    from tui.app import PlaygroundApp

    Pieces = AsyncGenerator[AnyAnswer, None]

DRAWS_A_SECOND = 4
"""At most; fewer where that would take more than SHARE of a core from the training beside it."""
SHARE = 0.03
SLOWEST = 1.0
"""Seconds between two draws, at most."""
ASKS_A_SECOND = 1
_TYPING_PAUSE = 0.15
"""Seconds after a key in an input before its question is put."""
_BETWEEN_PASSAGES = 1.0
"""Seconds to read the end of a passage before the next begins."""
_TROUBLE_LINES = 6
_CLIP_MODES = get_args(ClipMode)


class Playground(Screen[None]):
    """Layout, drawing, and the actions behind the keys. State is the app's."""

    BINDINGS: ClassVar[list[BindingType]] = bindings()
    COMMANDS: ClassVar = {ActionCommands}
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide"), (180, "-generous")]  # noqa: RUF012 - no ClassVar in Textual
    AUTO_FOCUS = ""  # no input takes the letters at first

    current: var[str] = var("training", init=False)
    """The id of the pane that keys such as zoom and enter are about."""
    zoomed: var[bool] = var(False, toggle_class="-zoomed")

    def __init__(self) -> None:
        super().__init__()
        self.stale = True
        """Whether anything is to be drawn anew."""
        self._processor_time = time.process_time()
        self._availability: list[bool] = []
        self._writing: Worker[None] | None = None
        self._write_along = True
        """Whether the model writes by itself while training runs and its pane can be seen."""

    @property
    def playground_app(self) -> "PlaygroundApp":
        return cast("PlaygroundApp", self.app)

    @property
    def session(self) -> Session | None:
        return self.playground_app.session

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        yield Block(id="trouble")
        yield TabStrip(id="tabs")
        with Container(id="panes"):
            yield TrainingPane(id="training")
            yield CorpusPane(id="corpus")
            yield NeighboursPane(id="neighbours")
            yield GenerationPane(id="generation")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        first = self.query_one(f"#{self.current}", Pane)
        first.add_class("-current")
        self._show_tab(first)
        self._draw_on_time()
        for pane in self.query(AskingPane):
            self.run_worker(self._keep_asking(pane), group=f"asking-{pane.id}")

    # --- drawing ------------------------------------------------------------------------------

    def _draw_on_time(self) -> None:
        """Draw, and again a little later; while training runs the later, the more time it takes."""
        now = time.process_time()
        spent, self._processor_time = now - self._processor_time, now
        self.tick()
        fair = spent / SHARE if self.session is not None and self.session.running else 0.0
        self.set_timer(min(SLOWEST, max(1 / DRAWS_A_SECOND, fair)), self._draw_on_time)

    def tick(self) -> None:
        """Draw now, if there is anything to draw."""
        if self.session is not None and self.session.silence:
            self.stale = True  # it grows
        if self.stale and self.is_current:
            self.draw()

    def draw(self) -> None:
        """Show the state as it is now, in the panes that can be seen."""
        self.stale = False
        session = self.session
        with self.app.batch_update():
            self.query_one(StatusLine).draw(session, self.playground_app.note)
            self._draw_trouble(session)
            for pane in self.query(Pane):
                pane.show(session)
        self._write_along_training(session)
        availability = [action.available(session) for action in ACTIONS]
        if availability != self._availability:
            self._availability = availability
            self.refresh_bindings()

    def change_session(self) -> None:
        """Another run is shown, or none: what the last one answered goes."""
        self._stop_writing()
        for pane in self.query(Pane):
            pane.show(self.session)
        self.stale = True

    def _draw_trouble(self, session: Session | None) -> None:
        """Why the run can't go on, or was paused."""
        trouble = self.query_one("#trouble", Block)
        reason = self.playground_app.problem
        trouble.display = bool(reason)
        trouble.show(_trouble(reason, session))

    @on(Block.Resized)
    def _block_resized(self) -> None:
        self.draw()

    def on_screen_resume(self) -> None:
        self.stale = True

    # --- asking -------------------------------------------------------------------------------

    async def _keep_asking(self, pane: AskingPane) -> None:
        """Put the pane's question when it was edited, and now and then while weights change."""
        asked: object = None
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(1 / ASKS_A_SECOND):
                    await pane.edited.wait()
                await asyncio.sleep(_TYPING_PAUSE)
            pane.edited.clear()
            session = self.session
            if session is None or not session.answering or not pane.display:
                continue
            question = pane.question()
            if question is None or (session, session.status.step, question) == asked:
                continue
            asked = (session, session.status.step, question)
            try:
                answer = await session.engine.call(question)
            except UserError as error:
                pane.refused(str(error))
            except EngineEnded:
                continue
            else:
                if session is self.session:
                    pane.answered(answer)
            self.stale = True

    @work(exclusive=True, group="writing")
    async def _write(self, session: Session) -> None:
        """Stream passages into the generation pane: one, or while training runs one by one."""
        pane = self.query_one(GenerationPane)
        pane.writing = True
        try:
            while True:
                # It is a generator: closing it early tells the engine to stop.
                stream = cast("Pieces", session.engine.stream(pane.request()))
                async with aclosing(stream) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, TextPiece):
                            pane.add(piece)
                            self.stale = True
                if not (session.running and self._write_along and pane.display):
                    break
                await asyncio.sleep(_BETWEEN_PASSAGES)
        except UserError as error:
            pane.refused(str(error))
            self._write_along = False
        except EngineEnded:
            pass
        finally:
            pane.writing = False
            self.stale = True

    # --- keys and focus -----------------------------------------------------------------------

    async def _on_key(self, event: events.Key) -> None:
        await take_key(self, event)

    def watch_current(self, before: str, now: str) -> None:
        old, new = self.query_one(f"#{before}", Pane), self.query_one(f"#{now}", Pane)
        # The class matters to the frames alone: restyling all that is in them takes long.
        old.remove_class("-current", update=False)
        new.add_class("-current", update=False)
        self.app.stylesheet.update_nodes((old, new))
        self._show_tab(new)
        self.stale = True

    def _show_tab(self, pane: Pane) -> None:
        tabs = self.query_one(TabStrip)
        tabs.current, tabs.hint = self.current, pane.hint

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self._come_to(event.widget)

    def on_click(self, event: events.Click) -> None:
        if event.widget is not None:
            self._come_to(event.widget)

    def _come_to(self, widget: Widget) -> None:
        for each in widget.ancestors_with_self:
            if isinstance(each, Pane) and each.id:
                self.current = each.id

    def show_pane(self, id: str) -> None:  # noqa: A002
        """Bring a pane to the front."""
        self.set_focus(None)
        self.current = id

    def check_action(self, action: str, _parameters: tuple[object, ...]) -> bool | None:
        """Grey out what can't be done now."""
        if action in BY_ID and not BY_ID[action].available(self.session):
            return None
        return True

    # --- actions: panes -----------------------------------------------------------------------

    def action_show_corpus(self) -> None:
        self.show_pane("corpus")

    def action_show_training(self) -> None:
        self.show_pane("training")

    def action_show_neighbours(self) -> None:
        self.show_pane("neighbours")

    def action_show_generation(self) -> None:
        self.show_pane("generation")

    def action_zoom(self) -> None:
        self.zoomed = not self.zoomed

    def action_log_axis(self) -> None:
        self.query_one(TrainingPane).toggle_log_axis()
        self.stale = True

    def action_type_in(self) -> None:
        for field in self.query_one(f"#{self.current}").query(Input):
            self.set_focus(field)

    def action_leave_input(self) -> None:
        self.set_focus(None)

    # --- actions: training --------------------------------------------------------------------

    def action_start_pause(self) -> None:
        app, session = self.playground_app, self.session
        if session is None or session.status.state == "preparing":
            app.start_when_ready = not app.start_when_ready
            self.stale = True
            self.tick()
        elif session.status.asking:
            self._allow_text(session)
        else:
            app.send(Pause() if session.running else Start())

    @work(exclusive=True, group="dialog")
    async def _allow_text(self, session: Session) -> None:
        """Ask whether a run that came from elsewhere may read the text it names; then train it."""
        from tui.screens.allow_text import AllowText, may_read

        app, folder = self.playground_app, session.engine.folder
        source = session.status.config.corpus.source
        if may_read(folder, source):
            reason = session.status.reason or "Its folder can't be written to."
            app.say(f"{session.name} can be asked, not trained. {reason}", warning=True)
        elif await self.app.push_screen_wait(AllowText(folder, source)):
            app.start_when_ready = True
            app.open_run(folder)

    @work(exclusive=True, group="dialog")
    async def action_go_back(self) -> None:
        from tui.screens.go_back import BackTo

        if (session := self.session) is not None:
            to = await self.app.push_screen_wait(BackTo(session))
            if to is not None:
                self.playground_app.send(GoBack(to=to))

    def action_single_step(self) -> None:
        self.playground_app.send(Step())

    def action_stop_training(self) -> None:
        self.playground_app.send(Stop())

    def action_rate_up(self) -> None:
        self._turn("learning_rate", ladder.up)

    def action_rate_down(self) -> None:
        self._turn("learning_rate", ladder.down)

    def action_threshold_up(self) -> None:
        self._turn("clip_threshold", ladder.up)

    def action_threshold_down(self) -> None:
        self._turn("clip_threshold", ladder.down)

    def action_clip_mode(self) -> None:
        self._turn("clip_mode", lambda mode: _next_of(_CLIP_MODES, mode))

    def _turn(self, knob: Knob, change: Callable[[Any], float | str]) -> None:
        if (session := self.session) is not None:
            value = change(session.knob(knob))
            session.wish(knob, value)
            self.playground_app.send(SetKnob(knob=knob, value=value))

    @work(exclusive=True, group="dialog")
    async def action_find_rate(self) -> None:
        from tui.screens.find_rate import FindRate

        if (session := self.session) is not None:
            rate = await self.app.push_screen_wait(FindRate(session))
            if rate is not None:
                self._turn("learning_rate", lambda _: rate)

    def action_gradient_flow(self) -> None:
        from tui.screens.gradient_flow import GradientFlow

        if (session := self.session) is not None:
            self.app.push_screen(GradientFlow(session))

    def action_evaluate(self) -> None:
        self.playground_app.send(Evaluate())

    def action_save(self) -> None:
        self.playground_app.send(Save())

    # --- actions: generation ------------------------------------------------------------------

    def action_generate(self) -> None:
        self._write_along = not self.query_one(GenerationPane).writing
        if self._write_along:
            self._start_writing()
        else:
            self._stop_writing()

    def _write_along_training(self, session: Session | None) -> None:
        """While training runs the model writes by itself, unless it was told to stop."""
        pane = self.query_one(GenerationPane)
        if self._write_along and session and session.running and pane.display and not pane.writing:
            self._writing = self._write(session)

    @on(GenerationPane.Prompted)
    def _start_writing(self) -> None:
        session = self.session
        if session is not None and session.answering:
            if not self.query_one(GenerationPane).display:
                self.show_pane("generation")
            self._writing = self._write(session)

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()

    def action_cooler(self) -> None:
        self._warm(-0.1)

    def action_warmer(self) -> None:
        self._warm(0.1)

    def _warm(self, change: float) -> None:
        """A new temperature holds from the next passage; one under way begins anew."""
        pane = self.query_one(GenerationPane)
        pane.warm(change)
        self.stale = True
        if pane.writing:
            self._start_writing()

    # --- actions: runs and the program ----------------------------------------------------------

    @work(exclusive=True, group="dialog")
    async def action_new_run(self) -> None:
        from tui.screens.new_run import NewRun

        await self._open_made(NewRun(self.playground_app.models))

    @work(exclusive=True, group="dialog")
    async def action_open_corpus(self) -> None:
        from tui.screens.open_corpus import OpenCorpus

        await self._open_made(OpenCorpus(self.playground_app.models))

    @work(exclusive=True, group="dialog")
    async def action_open_model(self) -> None:
        from tui.screens.open_model import OpenModel

        folder = await self.app.push_screen_wait(OpenModel(self.playground_app.models))
        if folder is not None:
            await self.playground_app.switch_to(folder)

    async def _open_made(self, dialog: Screen[Path | None]) -> None:
        """Open the run a dialog has made; it goes again where the user would rather stay."""
        folder = await self.app.push_screen_wait(dialog)
        if folder is not None and not await self.playground_app.switch_to(folder):
            runs.remove_unbegun(folder)

    def action_help(self) -> None:
        from tui.screens.help import Help

        self.app.push_screen(Help())


def _next_of(modes: tuple[str, ...], mode: str) -> str:
    return modes[(modes.index(mode) + 1) % len(modes)]


def _trouble(reason: str, session: Session | None) -> Content:
    """A few lines: what happened, and where it can't go on the keys that help."""
    if not reason:
        return Content("")
    failed = session is None or session.ended or session.status.state == "failed"
    glyph, style = ("✗", "$text-error") if failed else ("!", "$text-warning")
    if session is not None and session.orderly:
        glyph, style = "■", MUTED
    lines = reason.strip().split("\n")[:_TROUBLE_LINES]
    return Content("\n").join(
        [
            Content.assemble((f"{glyph} ", style), content(lines[0], "bold")),
            *(content(f"  {line}", MUTED) for line in lines[1:]),
            *([Content.styled("  r new run · m open a model · q quit", MUTED)] if failed else []),
        ]
    )
