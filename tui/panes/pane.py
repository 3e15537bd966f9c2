"""What the panes of the playground and their views share: the run they show, and how they ask about
it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from textual import on
from textual.content import Content
from textual.css.query import NoMatches
from textual.message import Message
from textual.reactive import var
from textual.widget import Widget
from textual.widgets import Input
from typing_extensions import override

from engine.errors import UserError
from engine.messages import AnyAnswer, AnyQuery, AnyQuestion
from engine.service.client import EngineEnded
from tui.chart.widget import Chart
from tui.keys import shown
from tui.run.session import Session
from tui.widgets.room import Room
from tui.widgets.text import Block

if TYPE_CHECKING:
    Answers = AsyncGenerator[AnyAnswer, None]

ASKS_A_SECOND = 1
TYPING_PAUSE = 0.15
"""Seconds after a key in an input before its question is put."""


def displayed(widget: Widget) -> bool:
    """Whether nothing hides it: neither itself nor what it is in."""
    return all(node.display for node in widget.ancestors_with_self if isinstance(node, Widget))


class Drawn(Room):
    """A part of the playground, which calls `show` a few times a second.

    It is drawn anew as well whenever its size changes, or that of a block in it: what fits can be
    told only then.
    """

    session: Session | None = None
    stale = False
    """Whether there is something new to draw that the session doesn't tell."""
    _told_last: object = None
    """What the session told when it was shown last."""

    @property
    def seen(self) -> bool:
        """Whether it can be seen."""
        return self.is_mounted and displayed(self)

    def tells(self, _session: Session | None) -> object:
        """What of the session is drawn here: while that is equal to what it was, nothing is drawn
        anew. By default it never is."""
        return object()

    def is_new(self, session: Session | None) -> bool:
        """Whether there is anything to draw that isn't drawn yet."""
        return self.stale or session is not self.session or self.tells(session) != self._told_last

    def show(self, session: Session | None) -> None:
        """Show the session as it stands; None while there is none."""
        if not self.is_new(session):
            return
        if session is not self.session:
            self.session = session
            self.clear()
        self._told_last = self.tells(session)
        self.redraw()

    def redraw(self) -> None:
        """Draw what there is, if it can be seen."""
        self.stale = False
        if self.seen:
            self.draw(self.session)

    def draw(self, session: Session | None) -> None:
        """Put the session into the widgets, at the size they have. Must be quick."""
        raise NotImplementedError

    def clear(self) -> None:
        """Another run is shown: what the last one told goes."""

    def on_show(self) -> None:
        """Draw what changed while it was hidden."""
        self.redraw()

    def on_resize(self) -> None:
        """Draw what fits into the new size."""
        self.redraw()

    @on(Block.Resized)
    def _block_resized(self, event: Block.Resized) -> None:
        event.stop()
        self.redraw()


class Pane(Drawn):
    """A framed part of the playground. Its stylesheet lies beside its file, under its id."""

    ID: ClassVar[str]
    """What it is called, on the screen too."""
    KEY: ClassVar[str]
    """The key that goes to it, where it wasn't given another."""
    ABOUT: ClassVar[str]
    """A sentence: what it shows."""
    COLUMN: ClassVar[Literal["left", "right"]]
    """Where it stands when all are seen."""
    SHARE: ClassVar[int]
    """How much of its column's height it takes, in proportion to the others there."""

    zoomed: var[bool] = var(False, init=False)
    """Whether the whole screen is given to the current pane."""

    class Wanted(Message):
        """The pane has something to show and asks to be brought to the front."""

        def __init__(self, pane: "Pane") -> None:
            super().__init__()
            self.pane = pane

    def __init__(self) -> None:
        super().__init__(id=self.ID)
        self.styles.height = f"{self.SHARE}fr"

    @classmethod
    def key(cls) -> str:
        """The key that goes to it, as people know it."""
        return shown(f"show_{cls.ID}", cls.KEY)

    @property
    def hint(self) -> str:
        """What can be done in it, shown in the lower edge of its frame."""
        return ""

    @property
    def words(self) -> str:
        """What it says of its own: not the text of a corpus or a model."""
        said = [block.words for block in self.query(Block) if block.explains]
        return "\n".join([*said, *(chart.words for chart in self.query(Chart))])

    @property
    def tabs(self) -> Content:
        """Its views with their keys, where it shows some of several; they take the hint's place."""
        return Content("")

    @property
    def field(self) -> Input | None:
        """What typing goes into, if there is anything to be seen."""
        return next(filter(displayed, self.query(Input)), None)

    def on_mount(self) -> None:
        """Write its key and name, and what can be done in it, into its frame."""
        self.border_title = f"{self.key()} {self.ID}"
        self.border_subtitle = self.hint


class Hearing(Drawn):
    """A part that puts a question when it is told to, and hears the answers as they come."""

    def refused(self, question: AnyQuestion, reason: str) -> None:
        """Keep the engine's refusal, a sentence, for the next draw."""

    async def hear(self, session: Session, question: AnyQuestion) -> AsyncGenerator[AnyAnswer]:
        """The answers to a question, as long as its run is the one that is shown. A refusal is
        kept; leaving early tells the engine to stop."""
        try:
            async with aclosing(cast("Answers", session.engine.stream(question))) as answers:
                async for answer in answers:
                    if session is not self.session:
                        return
                    yield answer
                    self.stale = True
        except UserError as error:
            if session is self.session:
                self.refused(question, str(error))
        except EngineEnded:
            pass
        finally:
            self.stale = True


class Asking(Drawn):
    """A part whose content is the engine's answer to what the user asked there.

    It puts `question()` whenever something was typed, and about once a second while the weights
    change, as long as it can be seen.
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._edited = asyncio.Event()

    def question(self) -> AnyQuery | None:
        """What to ask now; None while there is nothing to ask."""
        raise NotImplementedError

    def questions(self) -> Sequence[AnyQuery]:
        """All there is to ask now, in this order."""
        question = self.question()
        return () if question is None else (question,)

    def answered(self, answer: AnyAnswer) -> None:
        """Keep the answer for the next draw."""
        raise NotImplementedError

    def heard(self, _question: AnyQuery, answer: AnyAnswer) -> None:
        """Keep the answer to one of several questions."""
        self.answered(answer)

    def refused(self, reason: str) -> None:
        """Keep the engine's refusal, a sentence, for the next draw."""
        raise NotImplementedError

    def unheard(self, _question: AnyQuery, reason: str) -> None:
        """Keep the refusal of one of several questions."""
        self.refused(reason)

    def on_mount(self) -> None:
        """Begin to ask."""
        self.run_worker(self._keep_asking())

    def ask(self) -> None:
        """Put the question soon: it may be another one now, or none."""
        if not self.questions():
            self.clear()  # what was asked for is erased, so the answer goes
        self.redraw()
        self._edited.set()

    @override
    def on_show(self) -> None:
        self._edited.set()

    def on_input_changed(self) -> None:
        """Ask as soon as the typing rests."""
        self.ask()

    def on_input_submitted(self) -> None:
        """Ask once more, though nothing was changed."""
        self.ask()

    @override
    def show(self, session: Session | None) -> None:
        if session is not self.session:
            self._edited.set()
        super().show(session)

    async def _keep_asking(self) -> None:
        asked: object = None
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(1 / ASKS_A_SECOND):
                    await self._edited.wait()
                await asyncio.sleep(TYPING_PAUSE)
            self._edited.clear()
            try:
                session, questions = self.session, self.questions()
            except NoMatches:
                return  # the screen is being closed
            if not questions:
                asked = None
            if not questions or session is None or not session.answering or not self.seen:
                continue
            asking = (session, session.status.step, questions)
            if asking != asked:
                try:
                    await self._put(session, questions)
                    asked = asking
                except EngineEnded:
                    asked = None  # another connection may come

    async def _put(self, session: Session, questions: Sequence[AnyQuery]) -> None:
        """Put questions one by one. Raises EngineEnded."""
        for question in questions:
            try:
                answer = await session.engine.call(question)
            except UserError as error:
                if self._still_asks(session):
                    self.unheard(question, str(error))
            else:
                if self._still_asks(session):
                    self.heard(question, answer)
            self.stale = True

    def _still_asks(self, session: Session) -> bool:
        """Whether an answer is still wished for: the run is shown, and nothing was erased."""
        return session is self.session and bool(self.questions())


class AskingPane(Pane, Asking):
    """A pane whose content is the engine's answer to what the user typed into it."""
