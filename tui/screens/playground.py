"""The playground: one screen with all panes, a line above them and the keys below.

Narrow terminals show one pane at a time behind a strip of tabs; wide ones show all. It is one set
of widgets either way: classes on the screen and its stylesheet decide.
"""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, get_args

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.reactive import var
from textual.screen import Screen
from textual.widget import Widget
from typing_extensions import override

from engine.config import ClipMode
from engine.messages import (
    Evaluate,
    GoBack,
    Knob,
    Pause,
    Save,
    SetKnob,
    SetKnobs,
    Start,
    Step,
    Stop,
)
from engine.runs import remove_unbegun
from engine.service.client import said_nothing
from tui import ladder
from tui.advice import on_screen
from tui.keys import Action, can, keys_of, sentence
from tui.palette import ActionCommands
from tui.panes.laboratory import Laboratory
from tui.panes.pane import Drawn, Pane, displayed
from tui.panes.registry import ACTIONS, BY_ID, FIRST, PANES, bindings
from tui.run.controller import Ask, Leaving, RunController
from tui.run.session import Session
from tui.sanitize import content, visible
from tui.settings import Layout
from tui.widgets.key_bar import KeyBar
from tui.widgets.room import Room
from tui.widgets.status_line import StatusLine
from tui.widgets.tab_strip import TabStrip
from tui.widgets.text import MUTED, Block, take_key

DRAWS_A_SECOND = 4
"""At most; fewer where that would take more than SHARE of a core from the training beside it."""
SHARE = 0.03
SLOWEST = 1.0
"""Seconds between two draws, at most."""
TOAST = 5.0
"""Seconds a sentence stays, in which it isn't said again."""
_TROUBLE_LINES = 6
_CLIP_MODES = get_args(ClipMode)
_EXPLOSIVE, _HIGHEST_RATE = 1000, 1000.0
"""How many times its learning rate makes a run explode, by any optimiser, and the most there is."""
_NOTHING_OPEN = "No run is open: {open_model} opens a model, {open_corpus} a text."
_EXPLODES = (
    "Clipping is off and the learning rate is {rate:g}: watch loss and gradient norm shoot up. "
    "{{start_pause}} pauses, then {{go_back}} goes back to the checkpoint just saved."
)


class Playground(Screen[None]):
    """Layout, drawing, and the actions behind the keys. What runs there are is the controller's."""

    BINDINGS: ClassVar[list[BindingType]] = bindings()
    COMMANDS: ClassVar = {ActionCommands}
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide"), (180, "-generous")]  # noqa: RUF012 - no ClassVar in Textual
    AUTO_FOCUS = ""  # no input takes the letters at first

    current: var[str] = var(FIRST.ID, init=False)
    """The id of the pane that keys such as zoom and enter are about."""
    zoomed: var[bool] = var(False, toggle_class="-zoomed")

    def __init__(self, runs: RunController, layout: Layout) -> None:
        super().__init__()
        if layout.pane in {pane.ID for pane in PANES}:
            self.set_reactive(Playground.current, layout.pane)
        self.runs = runs
        runs.host = self
        self._layout = layout
        self.stale = True
        """Whether all is to be drawn anew."""
        self._due: deque[list[Pane]] = deque()
        """The panes that are to be drawn next, then those after them."""
        self._parts = 1
        """How many such parts there were at first."""
        self._processor_time = time.process_time()
        self._availability: list[bool] = []
        self._silence = 0.0
        """Seconds without a word of the engine, as they were drawn last."""
        self._said: dict[str, float] = {}
        """When what was said, by its topic."""
        self._quitting = False

    @property
    def session(self) -> Session | None:
        """The run that is shown."""
        return self.runs.shown

    @override
    def compose(self) -> ComposeResult:
        self._show_size()
        yield StatusLine(id="status")
        yield Block(id="trouble")
        yield TabStrip([(pane.ID, pane.key()) for pane in PANES], id="tabs")
        with Room(id="panes"):
            for column in ("left", "right"):
                members = {pane.ID: self._made(pane) for pane in PANES if column == pane.COLUMN}
                box = Room(*members.values(), id=column, classes="column")
                if (first := members.get(self.current)) is not None:
                    for node in (first, box):
                        node.add_class("-current", update=False)
                yield box
        yield KeyBar(list(BY_ID), id="keys")

    def _made(self, pane: type[Pane]) -> Pane:
        """The pane, as it was left the last time."""
        made = pane()
        if isinstance(made, Laboratory):
            made.arrange_as(self._layout.views.get(pane.ID, ()))
        return made

    def _show_size(self) -> None:
        """Take the class that the width has before anything is styled. Textual sets it only after
        the first frame, which then would be styled and painted twice."""
        width = self.app.size.width
        _, name = max(point for point in self.HORIZONTAL_BREAKPOINTS if point[0] <= width)
        self.add_class(name, update=False)

    @property
    def views(self) -> dict[str, list[str]]:
        """What each laboratory shows zoomed, for the next time."""
        return {each.ID: each.arrangement for each in self.query(Laboratory)}

    def on_mount(self) -> None:
        """Show the pane that is current, and draw from now on."""
        self._show_tab(self.query_one(f"#{self.current}", Pane))
        self.watch_zoomed()
        self.draw()
        self._draw_on_time()

    # --- what the runs tell -------------------------------------------------------------------

    @on(RunController.Shown)
    def _run_shown(self) -> None:
        for pane in self.query(Pane):
            pane.show(self.session)
        self.stale = True

    @on(RunController.Changed)
    def _run_changed(self, event: RunController.Changed) -> None:
        self.stale = True
        if event.at_once and self.is_current:
            self.draw()

    @on(RunController.Said)
    def _run_said(self, event: RunController.Said) -> None:
        told = f"{event.text} {on_screen(event.advice)}".strip()
        self.say(told, warning=event.warning, topic=event.topic)

    def say(self, text: str, *, warning: bool = False, topic: str = "") -> None:
        """Tell the user a sentence, unless it is there to be read still, or one on its topic."""
        topic, now = topic or text, time.monotonic()
        before = self._said.get(topic, -TOAST)
        self._said = {said: when for said, when in self._said.items() if now - when < TOAST}
        self._said[topic] = now
        if now - before >= TOAST:
            self.notify(
                visible(text),
                severity="warning" if warning else "information",
                timeout=TOAST,
                markup=False,
            )

    # --- drawing ------------------------------------------------------------------------------

    def _draw_on_time(self) -> None:
        """Draw a part of what is new, so that a key waits for no more than that, and the next one a
        little later; while training runs the later, the more time drawing takes."""
        now = time.process_time()
        spent, self._processor_time = now - self._processor_time, now
        if self.is_current:
            with self.app.batch_update():
                if not self._due:
                    self._look()
                for pane in self._due.popleft() if self._due else ():
                    pane.show(self.session)
        fair = spent / SHARE if self.session is not None and self.session.running else 0.0
        pause = max(1 / DRAWS_A_SECOND / self._parts, fair)
        self.set_timer(min(SLOWEST / self._parts, pause), self._draw_on_time)

    def _look(self) -> None:
        """Draw what stands around the panes, where it may be another. Those that have something new
        are to follow: the first, whose charts take as long as all else, then the others."""
        session = self.session
        silence = session.silence if session is not None else 0.0
        everything = self.stale or silence != self._silence
        self.stale, self._silence = False, silence
        if everything:
            self._draw_head()

        def has_news(pane: Pane) -> bool:
            parts = pane, *pane.query(Drawn)
            return any(part.is_new(session) if everything else part.stale for part in parts)

        new = [pane for pane in self.query(Pane) if displayed(pane) and has_news(pane)]
        self._due.extend(filter(None, (new[:1], new[1:])))
        self._parts = max(1, len(self._due))

    @property
    def drawn(self) -> bool:
        """Whether what it shows is how things are."""
        return not self.stale and not self._due

    def draw(self) -> None:
        """Show the state as it is now, in all panes that can be seen."""
        self.stale = False
        self._due.clear()
        with self.app.batch_update():
            self._draw_head()
            for pane in self.query(Pane):
                pane.show(self.session)

    def _draw_head(self) -> None:
        """What stands above and below the panes."""
        session = self.session
        self.query_one(StatusLine).draw(session, self.runs.note)
        self._draw_trouble(session)
        availability = [can(session, action) for action in ACTIONS]
        if availability != self._availability:
            self._availability = availability
            self.refresh_bindings()

    def _draw_trouble(self, session: Session | None) -> None:
        """Why the run can't go on, or was paused."""
        trouble = self.query_one("#trouble", Block)
        reason = f"{self.runs.problem}\n{on_screen(self.runs.advice)}".strip()
        trouble.display = bool(reason)
        trouble.show(_trouble(reason, session))

    @on(Block.Resized)
    def _block_resized(self) -> None:
        self.draw()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """A dialog is closed: what came meanwhile is to be drawn."""
        event.refresh_styles = False  # what is mounted has been styled
        self.stale = True

    # --- keys and focus -----------------------------------------------------------------------

    async def _on_key(self, event: events.Key) -> None:
        if not await take_key(self, event):
            self._say_why_not(event.key)

    def _say_why_not(self, key: str) -> None:
        """Say why what the key stands for can't be done now."""
        for action in ACTIONS:
            if key in keys_of(action) and (reason := action.why_not(self.session)):
                self.say(reason)

    def watch_current(self, before: str, now: str) -> None:
        """Let frames, tabs and keys show which pane is current."""
        old, new = self.query_one(f"#{before}", Pane), self.query_one(f"#{now}", Pane)
        # The class matters to the frames alone: restyling all that is in them takes long.
        changed: list[Widget] = [old, new]
        if (left := old.parent) is not (entered := new.parent):
            changed += [column for column in (left, entered) if isinstance(column, Widget)]
        for node in changed:
            node.set_class(node in (new, entered), "-current", update=False)
        self.app.stylesheet.update_nodes(changed)
        self._show_tab(new)
        self.refresh_bindings()

    def _show_tab(self, pane: Pane) -> None:
        tabs = self.query_one(TabStrip)
        tabs.current, tabs.hint, tabs.views = self.current, pane.hint, pane.tabs

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Make the pane current that is typed into."""
        self._come_to(event.widget)

    def on_click(self, event: events.Click) -> None:
        """Make the pane current that is clicked."""
        if event.widget is not None:
            self._come_to(event.widget)

    def _come_to(self, widget: Widget) -> None:
        for each in widget.ancestors_with_self:
            if isinstance(each, Pane) and each.id:
                self.current = each.id

    @on(Pane.Wanted)
    def _pane_wanted(self, event: Pane.Wanted) -> None:
        self.action_show_pane(event.pane.ID)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what can't be done now."""
        known = self._action(action, parameters)
        if known is not None and known.local and not self._is_here(known):
            return False
        return True if known is None or can(self.session, known) else None

    @staticmethod
    def _action(name: str, parameters: tuple[object, ...]) -> Action | None:
        local = name in ("in_pane", "in_laboratory")
        return BY_ID.get(str(parameters[1]) if local else name)

    # --- actions: panes -----------------------------------------------------------------------

    def action_show_pane(self, id: str) -> None:  # noqa: A002
        """Bring a pane to the front."""
        self.set_focus(None)
        self.current = id

    def action_in_pane(self, pane: str, action: str) -> None:
        """Do what a pane does, whichever is current."""
        getattr(self.query_one(f"#{pane}", Pane), f"action_{action}")()

    async def action_zoom(self) -> None:
        """Give the whole screen to the current pane, or show all again."""
        self.zoomed = not self.zoomed
        await self._ready()

    def watch_zoomed(self) -> None:
        """Tell the panes: some show more then."""
        for pane in self.query(Pane):
            pane.zoomed = self.zoomed

    async def action_in_laboratory(self, pane: str, action: str) -> None:
        """Do what the current pane does as a laboratory. Going to a view zooms it."""
        await self.query_one(f"#{pane}", Laboratory).perform(BY_ID[action])
        self.zoomed = True
        await self._ready()

    async def _ready(self) -> None:
        """Wait until the current pane can show all it is to: the next key may be about that."""
        pane = self.query_one(f"#{self.current}", Pane)
        if isinstance(pane, Laboratory):
            await pane.ready()

    def _is_here(self, action: Action) -> bool:
        """Whether what a laboratory does is to be done now: it must be the current one."""
        if action.pane != self.current:
            return False
        return self.query_one(f"#{action.pane}", Laboratory).can(action)

    @on(Laboratory.Rearranged)
    def _rearranged(self) -> None:
        self._show_tab(self.query_one(f"#{self.current}", Pane))
        self.refresh_bindings()

    def action_type_in(self) -> None:
        """Go to what typing goes into in the current pane."""
        if (field := self.query_one(f"#{self.current}", Pane).field) is not None:
            self.set_focus(field)
        else:
            self.say("There is nothing to type into here.")

    def action_leave_input(self) -> None:
        """Let letters be keys again."""
        self.set_focus(None)

    # --- actions: training --------------------------------------------------------------------

    def action_start_pause(self) -> None:
        """Start, pause or go on; while there is nothing to start yet, wish it or not."""
        session = self.session
        if session is None and self.runs.problem:
            self.say(sentence(_NOTHING_OPEN), warning=True)
        elif session is None or session.status.state == "preparing":
            self.runs.start_when_ready = not self.runs.start_when_ready
            self.draw()
        elif session.status.asking:
            self._allow_text(session)
        else:
            self.runs.send(Pause() if session.running else Start())

    @work(exclusive=True, group="dialog")
    async def _allow_text(self, session: Session) -> None:
        """Ask whether a run that came from elsewhere may read the text it names; then train it."""
        from tui.screens.allow_text import AllowText, may_read

        folder, source = session.folder, session.status.config.corpus.source
        if may_read(folder, source):
            reason = session.status.reason or "Its folder can't be written to."
            self.say(f"{session.name} can be asked, not trained. {reason}", warning=True)
        elif await self.app.push_screen_wait(AllowText(folder, source)):
            self.runs.start_when_ready = True
            self.runs.open(folder)

    @work(exclusive=True, group="dialog")
    async def action_go_back(self) -> None:
        """Ask to which checkpoint, and go back to it."""
        from tui.screens.go_back import BackTo

        if (session := self.session) is not None:
            to = await self.app.push_screen_wait(BackTo(session))
            if to is not None:
                self.runs.send(GoBack(to=to))

    def action_single_step(self) -> None:
        """Take one step and wait."""
        self.runs.send(Step())

    def action_stop_training(self) -> None:
        """End training and save."""
        self.runs.send(Stop())

    def action_rate_up(self) -> None:
        """Turn the learning rate up."""
        self._turn("learning_rate", ladder.up)

    def action_rate_down(self) -> None:
        """Turn the learning rate down."""
        self._turn("learning_rate", ladder.down)

    def action_threshold_up(self) -> None:
        """Turn the clip threshold up."""
        self._turn("clip_threshold", ladder.up)

    def action_threshold_down(self) -> None:
        """Turn the clip threshold down."""
        self._turn("clip_threshold", ladder.down)

    def action_clip_mode(self) -> None:
        """Clip in the next way there is."""
        self._turn("clip_mode", lambda mode: _next_of(_CLIP_MODES, mode))

    def _turn(self, knob: Knob, change: Callable[[Any], float | str]) -> None:
        if (session := self.session) is not None:
            value = change(session.knob(knob))
            session.wish(knob, value)
            self.runs.send(SetKnob(knob=knob, value=value))

    @work(exclusive=True, group="explosion")
    async def action_explode(self) -> None:
        """Let the run explode, once there is a checkpoint to go back to."""
        if (session := self.session) is None or not await self.runs.carry_out(session, Save()):
            return
        rate = min(_HIGHEST_RATE, _EXPLOSIVE * session.knob("learning_rate"))
        values: dict[Knob, float | str] = {"clip_mode": "off", "learning_rate": rate}
        if await self.runs.carry_out(session, SetKnobs(values=values)):
            self.say(sentence(_EXPLODES.format(rate=rate)))

    @work(exclusive=True, group="dialog")
    async def action_find_rate(self) -> None:
        """Let the engine try rates, and take over the one that is chosen."""
        from tui.screens.find_rate import FindRate

        if (session := self.session) is not None:
            rate = await self.app.push_screen_wait(FindRate(session))
            if rate is not None:
                self._turn("learning_rate", lambda _: rate)

    def action_gradient_flow(self) -> None:
        """Show how far back the gradient reaches."""
        from tui.screens.gradient_flow import GradientFlow

        if (session := self.session) is not None:
            self.app.push_screen(GradientFlow(session))

    def action_evaluate(self) -> None:
        """Measure the loss of the validation text."""
        self.runs.send(Evaluate())

    def action_save(self) -> None:
        """Write a checkpoint."""
        self.runs.send(Save())

    # --- actions: runs and the program ----------------------------------------------------------

    @work(exclusive=True, group="dialog")
    async def action_new_run(self) -> None:
        """Open the form of a new run, and the run it makes."""
        from tui.screens.new_run import NewRun

        await self._open_made(NewRun(self.runs.models, self.session))

    @work(exclusive=True, group="dialog")
    async def action_open_corpus(self) -> None:
        """Ask for a text, and open the run that is begun on it."""
        from tui.screens.open_corpus import OpenCorpus

        await self._open_made(OpenCorpus(self.runs.models))

    @work(exclusive=True, group="dialog")
    async def action_open_model(self) -> None:
        """Ask for a saved run, and open it."""
        from tui.screens.open_model import OpenModel

        folder = await self.app.push_screen_wait(OpenModel(self.runs))
        if folder is not None:
            await self.runs.switch(folder, self._asking("Open another run"))

    async def _open_made(self, dialog: Screen[Path | None]) -> None:
        """Open the run a dialog has made; it goes again where the user would rather stay."""
        folder = await self.app.push_screen_wait(dialog)
        if folder is None or await self.runs.switch(folder, self._asking("Open another run")):
            return
        remove_unbegun(folder)

    def _asking(self, title: str) -> Ask:
        """Asks, under this title, what becomes of the run that is left."""
        from tui.screens.quit import Leave

        async def ask(session: Session, others: int) -> Leaving:
            return await self.app.push_screen_wait(Leave(title, session, others))

        return ask

    @work(group="leaving")
    async def quit(self) -> None:
        """Leave the program, after asking where there is something to lose. Again: at once."""
        from tui.screens.quit import Leave

        if isinstance(self.app.screen, Leave):
            return
        if self._quitting:
            self.app.exit()
            return
        self._quitting = True
        session = self.session
        if session is None or session.silence:
            # Whatever the engine is doing, the program is left at once.
            self.runs.let_go()
            self.app.exit(said_nothing(session.status, session.silence) if session else None)
            return
        choice = await self.runs.leave(self._asking("Quit"))
        self._quitting = False
        if choice != "cancel":
            self.app.exit(_farewell(session, choice))

    @work(group="leaving")
    async def quit_quietly(self, wish: Leaving, signal: int) -> None:
        """Leave the program without a question, as a signal asks, and with its exit code."""
        session = self.session
        choice = await self.runs.leave_quietly(wish)
        # Where the terminal is gone there is nobody to be told.
        told = _farewell(session, choice) if session and wish == "save" else None
        self.app.exit(told, return_code=128 + signal)

    def action_terms(self) -> None:
        """Explain the terms in the current pane."""
        from tui.screens.terms import Terms

        pane = self.query_one(f"#{self.current}", Pane)
        self.app.push_screen(Terms(pane.ID, pane.words))

    def action_help(self) -> None:
        """Show every key."""
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
    lines = reason.strip().split("\n")
    if (left_out := len(lines) - _TROUBLE_LINES) > 0:
        lines = [*lines[:_TROUBLE_LINES], f"… and {left_out} more line{'s' * (left_out != 1)}"]
    keys = sentence("  {new_run} new run · {open_model} open a model · {quit} quit")
    return Content("\n").join(
        [
            Content.assemble((f"{glyph} ", style), content(lines[0], "bold")),
            *(content(f"  {line}", MUTED) for line in lines[1:]),
            *([Content.styled(keys, MUTED)] if failed else []),
        ]
    )


def _farewell(session: Session, choice: Leaving) -> str | None:
    """What the terminal is told of a run that goes on without this screen."""
    if choice != "leave" or session.ended:
        return None
    name = visible(session.name)
    goes_on = "goes on training" if session.running else "stays as it is"
    return f"{name} {goes_on}. Come back to it with: lstm-tui attach {name}"
