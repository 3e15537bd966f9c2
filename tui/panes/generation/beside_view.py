"""Beside: what another model writes after the same prompt, by the same seed."""

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec
from textual import work
from textual.app import ComposeResult
from textual.content import Content
from textual.worker import Worker
from typing_extensions import override

from engine import runs
from engine.errors import UserError
from engine.events import Progress
from engine.messages import Generate, WrittenToken
from engine.service.client import Engine, EngineEnded
from tui.keys import no_model, sentence
from tui.panes.generation.shades import bits, laid_out, shade
from tui.panes.generation.text_view import TextView
from tui.panes.generation.write_view import WriteView
from tui.run.asking import opened
from tui.run.session import Session
from tui.sanitize import content, visible
from tui.widgets.flow import Flow
from tui.widgets.text import MUTED, Block, fit

if TYPE_CHECKING:
    from tui.panes.pane import Answers

_LISTED = 6
"""Of those to choose from, seen at once."""
_CHOOSE = "{walk_up} {walk_down} choose who writes the same, after the same prompt; {pick} lets it."
_NONE = "There is no checkpoint and no other run yet: {save} saves one."


class Other(NamedTuple):
    """Who may write beside."""

    folder: Path
    """Of its run."""
    checkpoint: str
    """Which of the run that is shown; empty for what another run stands at."""
    step: int

    def is_as(self, other: "Other | None") -> bool:
        """Whether it is the same one, though it may be at another step by now."""
        return other is not None and self[:2] == other[:2]


class BesideView(TextView):
    """Another checkpoint of the run, or another run: it writes whatever the model writes."""

    ID = "beside"
    NAME = "beside"
    ABOUT = "What another checkpoint or run writes after the same prompt, by the same seed."
    DEFAULT_CSS = """
    BesideView {
        #others { height: auto; text-wrap: nowrap; padding: 0 0 1 0; }
    }
    """

    def __init__(self, write: WriteView) -> None:
        super().__init__()
        self._write = write
        self._others: list[Other] = []
        self._saved = 0
        """The run's newest checkpoint as they were looked for: older ones may be gone since."""
        self._choice = 0
        self._other: Other | None = None
        """The one that writes."""
        self._question: Generate | None = None
        self._asked = asyncio.Event()
        """Set when there is another question."""
        self._pieces: list[WrittenToken] = []
        self._told = ""
        """What keeps it from writing, or how far it is with that."""
        self._writer: Worker[None] | None = None

    @property
    @override
    def hint(self) -> str:
        return sentence("{walk_up} {walk_down} {pick} choose who writes · {generate} write")

    @override
    def compose(self) -> ComposeResult:
        yield Block(id="others", explains=False)
        yield Flow(id="beside-text")

    @override
    def draw(self, session: Session | None) -> None:
        self._keep_up()
        if session is not None and session.saved_step != self._saved:
            self._look_around()
        self.query_one("#others", Block).show(self._list(self.content_size.width))
        flow = self.query_one("#beside-text", Flow)
        if told := no_model(session) or self._told:
            flow.show((), content(told, "$text-warning"))
        elif self._other is None or self._question is None:
            nothing = _NONE if not self._others else _CHOOSE if self._other is None else ""
            told = nothing or "{generate} lets both write."
            flow.show((), Content.styled(sentence(told), MUTED))
        else:
            flow.show((), self._text(self._question))

    def _list(self, width: int) -> Content:
        begin = max(0, min(self._choice - _LISTED // 2, len(self._others) - _LISTED))
        lines = []
        for place, each in enumerate(self._others[begin : begin + _LISTED], start=begin):
            name = "this run" if each.checkpoint else each.folder.name
            writes = each.is_as(self._other)
            mark = f"{'▸' if place == self._choice else ' '}{'●' if writes else ' '} "
            line = fit(f"{mark}{visible(name)} at step {each.step:,}", width)
            lines.append(Content.styled(line, "bold" if writes else MUTED))
        return Content("\n").join(lines)

    def _text(self, question: Generate) -> Content:
        styles = [shade(bits(each.opened.probability)) for each in self._pieces if each.opened]
        text, _ = laid_out([each.text for each in self._pieces if each.opened], styles)
        first = self._pieces[0] if self._pieces else None
        step = f"step {first.step:,} · " if first is not None else ""
        head = Content.styled(f"{step}seed {question.seed}  ", f"italic {MUTED}")
        note = content(f"{first.note}\n", "$text-warning") if first and first.note else Content("")
        return head + note + content(question.prompt, "bold", keep_newlines=True) + text

    # --- choosing -----------------------------------------------------------------------------

    @override
    def climb(self, change: int) -> None:
        self._choice = max(0, min(len(self._others) - 1, self._choice + change))
        self.redraw()

    def pick(self) -> None:
        """Let the chosen one write."""
        if self._others:
            self._other = self._others[self._choice]
            self._begin()
            self.redraw()

    @override
    def on_show(self) -> None:
        self._look_around()
        self._begin()

    def on_hide(self) -> None:
        """What nobody sees is not written, and an engine of its own ends."""
        self._end()

    @override
    def clear(self) -> None:
        self._end()
        self._others, self._choice, self._other = [], 0, None
        if self.seen:
            self._look_around()

    @work(exclusive=True, group="around")
    async def _look_around(self) -> None:
        """See who there is to choose from."""
        if (session := self.session) is not None:
            self._saved = session.saved_step
            found = await asyncio.to_thread(_others, session.folder)
            if session is self.session:
                self._list_anew(found)
                self.stale = True

    def _list_anew(self, found: list[Other]) -> None:
        """Take in who there is, and keep the choice."""
        chosen = self._others[self._choice : self._choice + 1]
        self._others = found
        same = [place for place, each in enumerate(found) if chosen and each.is_as(chosen[0])]
        self._choice = same[0] if same else max(0, min(self._choice, len(found) - 1))

    # --- writing ------------------------------------------------------------------------------

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
        self._writer = self._question = None
        self._pieces, self._told = [], ""

    def _begin(self) -> None:
        self._end()
        if self._other is not None and self.session is not None:
            self._told = "Opening it …"
            self._writer = self._write_as(self.session, self._other)

    def _keep_up(self) -> None:
        """Ask for the same as soon as the model writes something else."""
        wanted, other = self._write.question, self._other
        if wanted is None or other is None:
            return
        wanted = msgspec.structs.replace(wanted, checkpoint=other.checkpoint, alternatives=0)
        if wanted != self._question:
            self._question = wanted
            self._asked.set()

    @work(exclusive=True, group="writing")
    async def _write_as(self, session: Session, other: Other) -> None:
        """Let it write what is asked for, until it is left."""
        try:
            async with self._engine(session, other) as engine:
                self._told = ""
                while True:
                    self.stale = True
                    await self._asked.wait()
                    self._asked.clear()
                    await self._stream(engine)
        except UserError as error:
            self._told = str(error)
        except EngineEnded as ended:
            self._told = ended.reason
        finally:
            self.stale = True

    def _engine(self, session: Session, other: Other) -> AbstractAsyncContextManager[Engine]:
        """That of the run that is shown has its checkpoints; another run is asked through one of
        its own, which ends when it is left."""
        if other.checkpoint:
            return nullcontext(session.engine)
        return opened(other.folder, self._opening)

    def _opening(self, progress: Progress) -> None:
        self._told, self.stale = f"{progress.task} …", True

    async def _stream(self, engine: Engine) -> None:
        """Write as long as nothing else is asked for. It is a generator: closing it early tells the
        engine to stop."""
        question, self._pieces, self._told = self._question, [], ""
        if question is None:
            return
        try:
            async with aclosing(cast("Answers", engine.stream(question))) as pieces:
                async for piece in pieces:
                    if question is not self._question:
                        return
                    if isinstance(piece, WrittenToken):
                        self._pieces.append(piece)
                        self.stale = True
        except UserError as error:
            self._told = str(error)


def _others(folder: Path) -> list[Other]:
    """The checkpoints of a run, then the other runs in its folder that were saved, the one changed
    last first."""
    try:
        own = [
            Other(folder, path.name, runs.place(path.name)[0])
            for path in runs.saved_checkpoints(folder)
        ]
    except OSError:
        own = []
    infos = [each for each in runs.list_runs(folder.parent) if each.step and not each.problem]
    return own + [Other(each.folder, "", each.step) for each in infos if each.name != folder.name]
