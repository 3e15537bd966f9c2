"""The generation: text from the live weights as it is written, earlier passages above it."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input
from textual.worker import Worker

from engine.errors import UserError
from engine.events import Sampled
from engine.messages import AnyAnswer, Generate, TextPiece
from engine.service.client import EngineEnded
from tui.keys import sentence
from tui.panes.pane import Pane
from tui.run.session import Session
from tui.sanitize import content, visible
from tui.widgets.flow import Flow
from tui.widgets.text import MUTED, Block, Labelled, PaneInput

if TYPE_CHECKING:
    Pieces = AsyncGenerator[AnyAnswer, None]

PER_SECOND = 20.0
"""Tokens a second: as fast as people read along."""
_TOKENS = 100
_OVERRUN = 100
"""Tokens more, at most, for the end of a sentence."""
_KEPT = 20
"""Earlier passages kept."""
_HOTTEST = 2.0
SPELLING = ("character", "subword")
"""Tokenizers whose tokens spell the text out, white space too."""
_BETWEEN_PASSAGES = 1.0
"""Seconds to read the end of a passage before the next begins."""
_FADED = "$foreground 75%"


@dataclass(frozen=True, slots=True)
class Passage:
    """A text with the number of steps its writer had taken, and the prompt it goes on from."""

    step: int
    text: str
    temperature: float | None = None
    """None where the run wrote it by itself."""
    prompt: str = ""
    note: str = ""
    """What there is to say of the prompt."""
    spelt: bool = False
    """Whether the text's white space is the model's own, to be shown as it was written."""


_LEAST_WIDTH = 19
"""Columns for what the model does and its temperature, so that the prompt seldom moves."""
_LEAST_FOR_SEED = 60
"""Columns of the pane from which on there is room for the seed."""
_NO_SEED = "by chance"


class SeedInput(PaneInput):
    """A whole number, or nothing; then it shows the one that chance drew."""

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(placeholder=_NO_SEED, id=id)
        self.restrict = r"[0-9]{0,18}"

    def restricted(self) -> None:
        """Something else was typed."""
        self.notify("A seed is a whole number of at most 18 digits.", severity="warning")


class GenerationPane(Pane):
    """Prompt, seed, temperature, and what the model writes."""

    ID = "generation"
    KEY = "4"
    ABOUT = "Text written by the model, live."
    COLUMN = "left"
    SHARE = 10

    def __init__(self) -> None:
        super().__init__()
        self.temperature = 1.0
        self._writer: Worker[None] | None = None
        self._write_along = True
        """Whether the model writes by itself while training runs and the pane can be seen."""
        self._earlier: deque[Passage] = deque(maxlen=_KEPT)
        self._earlier_shown: list[Content] = []
        self._earlier_changed = False
        self._pieces: list[str] = []
        self._whole = False
        """Whether they have come to their end."""
        self._step = 0
        self._written_at = self.temperature
        self._seed: int | None = None
        self._prompt = ""
        self._note = ""
        self._spelt = False
        self._sampled: Sampled | None = None
        self._refusal = ""

    @property
    def hint(self) -> str:
        return sentence("{type_in} prompt · {cooler} {warmer} temp · tab seed")

    def compose(self) -> ComposeResult:
        prompt = PaneInput(placeholder="empty: a new sentence", id="prompt")
        seed = Labelled("seed", SeedInput(id="seed"))
        yield Labelled("prompt", prompt, seed, Block(id="temperature"))
        yield Flow(id="passages")

    def draw(self, session: Session | None) -> None:
        self._spelt = session is not None and session.status.config.corpus.tokenizer in SPELLING
        self._take_samples(session)
        seed = self.query_one("#seed", SeedInput)
        seed.placeholder = _NO_SEED if self._seed is None else str(self._seed)
        if isinstance(seed.parent, Labelled):
            seed.parent.display = self.content_size.width >= _LEAST_FOR_SEED
        settings = _settings(self.temperature, self.writing)
        block = self.query_one("#temperature", Block)
        block.styles.width = max(_LEAST_WIDTH, settings.cell_length)
        block.show(settings)
        if self._earlier_changed:
            self._earlier_changed = False
            self._earlier_shown = [_shown(passage, _FADED) for passage in self._earlier]
        self.query_one(Flow).show(self._earlier_shown, self._current())
        if session is not None and session.running and self._write_along and not self.writing:
            self._start_writing(session)

    def _current(self) -> Content:
        if self._refusal:
            return content(self._refusal, "$text-warning")
        if self._pieces:
            return _shown(self._passage, "")
        if self._earlier or self.writing:
            return Content("")
        return Content.styled(
            sentence("{generate} lets the model write from its weights as they are now:\n")
            + "before any training, noise; after some, sentences.",
            MUTED,
        )

    @property
    def _passage(self) -> Passage:
        """The one being written."""
        text = "".join(self._pieces)
        return Passage(self._step, text, self._written_at, self._prompt, self._note, self._spelt)

    def request(self) -> Generate:
        """The next passage to ask for; what comes now belongs to it."""
        self.end_passage()
        self._refusal, self._whole = "", False
        self._prompt, self._written_at = self.query_one("#prompt", Input).value, self.temperature
        seed = self.query_one("#seed", Input).value
        return Generate(
            prompt=self._prompt,
            tokens=_TOKENS,
            overrun=_OVERRUN,
            temperature=self.temperature,
            seed=int(seed) if seed else None,
            per_second=PER_SECOND,
        )

    def add(self, piece: TextPiece) -> None:
        """Take in a piece of the current passage; it shows at the next draw."""
        if not self._pieces:
            self._step, self._seed, self._note = piece.step, piece.seed, piece.note
        self._pieces.append(piece.text)
        self.stale = True

    def end_passage(self) -> None:
        """What comes next is another passage."""
        if self._pieces:
            self._keep(self._passage)
            self._pieces.clear()

    def refused(self, reason: str) -> None:
        """The engine would not write, for this reason, a sentence."""
        self._refusal = reason

    def warm(self, change: float) -> None:
        """Change the temperature, from 0 to 2: a passage under way begins anew."""
        self.temperature = round(min(_HOTTEST, max(0.0, self.temperature + change)), 1)
        if self.writing and self.session is not None:
            self._start_writing(self.session)
        self.redraw()

    def clear(self) -> None:
        """Another run is shown: what the last one wrote goes."""
        self._stop_writing()
        self._earlier.clear()
        self._earlier_changed = True
        self._pieces.clear()
        self._seed = self._sampled = None
        self._prompt = self._note = self._refusal = ""

    # --- writing ------------------------------------------------------------------------------

    @property
    def writing(self) -> bool:
        """Whether the model writes into the pane."""
        return self._writer is not None and not self._writer.is_finished

    def on_input_submitted(self) -> None:
        self._write_now()

    @on(Input.Changed, "#prompt")
    def _prompt_changed(self, event: Input.Changed) -> None:
        """Where the prompt is erased, what is being written after it goes, and what was said of
        it."""
        if event.value or not self._prompt:
            return
        self._prompt = self._note = self._refusal = ""
        if self.writing:
            self._stop_writing()  # while training runs the next draw begins anew
        if not self._whole:
            self._pieces.clear()
        self.redraw()

    def action_generate(self) -> None:
        """Let the model write, or let it stop."""
        if self.writing:
            self._write_along = False
            self._stop_writing()
        else:
            self._write_along = True
            self._write_now()

    def action_cooler(self) -> None:
        """Lower the temperature by a tenth."""
        self.warm(-0.1)

    def action_warmer(self) -> None:
        """Raise the temperature by a tenth."""
        self.warm(0.1)

    def _write_now(self) -> None:
        session = self.session
        if session is not None and session.answering:
            if not self.display:
                self.post_message(self.Wanted(self))
            self._start_writing(session)

    def _start_writing(self, session: Session) -> None:
        if self.writing and not self._whole:
            self._pieces.clear()  # what is broken off is no passage
        self._stop_writing()
        self._writer = self._write(session)

    def _stop_writing(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            self._writer = None

    @work(exclusive=True)
    async def _write(self, session: Session) -> None:
        """Stream passages into the pane: one, or while training runs one by one."""
        try:
            while True:
                # It is a generator: closing it early tells the engine to stop.
                stream = cast("Pieces", session.engine.stream(self.request()))
                async with aclosing(stream) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, TextPiece):
                            self.add(piece)
                self._whole = True
                if not (session.running and self._write_along and self.display):
                    break
                await asyncio.sleep(_BETWEEN_PASSAGES)
        except UserError as error:
            self.refused(str(error))
            self._write_along = False
        except EngineEnded:
            pass
        finally:
            self.stale = True

    def _take_samples(self, session: Session | None) -> None:
        """The samples training writes by itself join the passages."""
        samples = session.history.samples if session else []
        if samples and samples[-1] is not self._sampled:
            self._sampled = samples[-1]
            if not self.writing:
                self.end_passage()  # what was written before the sample stays above it
            self._keep(Passage(samples[-1].step, samples[-1].text, spelt=self._spelt))

    def _keep(self, passage: Passage) -> None:
        self._earlier.append(passage)
        self._earlier_changed = True


def _shown(passage: Passage, style: str) -> Content:
    prompt, text = passage.prompt, passage.text
    if not passage.spelt:
        prompt, text = prompt.lstrip(), text.rstrip() if prompt.strip() else text.strip()
    written = content(prompt + text, style, keep_newlines=True)
    warmth = "" if passage.temperature is None else f" · temp {passage.temperature:.1f}"
    return Content.assemble(
        (f"step {passage.step:,}{warmth}  ", f"italic {MUTED}"),
        content(f"{passage.note}\n" if passage.note else "", "$text-warning", keep_newlines=True),
        written.stylize("bold", 0, len(visible(prompt, keep_newlines=True))),
    )


def _settings(temperature: float, writing: bool) -> Content:
    return Content.assemble(
        ("▶ writing  " if writing else "", "$text-success"),
        ("temp ", MUTED),
        (f"{temperature:.1f}", "bold"),
    )
