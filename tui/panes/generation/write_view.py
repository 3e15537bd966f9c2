"""Writing: text from the live weights as it is written, and each of its tokens laid open."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

import msgspec
from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.css.query import NoMatches
from textual.widgets import Input
from textual.worker import Worker
from typing_extensions import override

from engine.config import GenerationSettings, Sampling, replace
from engine.errors import UserError
from engine.events import Sampled
from engine.messages import Alternative, AnyQuestion, Generate, WrittenToken
from engine.service.client import EngineEnded
from tui.keys import no_model, sentence
from tui.panes.generation.branches import MOST, Tree, candidates
from tui.panes.generation.knobs import KnobForm, row
from tui.panes.generation.pacing import paced
from tui.panes.generation.shades import bits, laid_out, legend, shade
from tui.panes.generation.text_view import LEAST_BESIDE, SPELLING, Aside, TextView
from tui.panes.laboratory import action
from tui.run.session import Session
from tui.sanitize import content, token, visible
from tui.widgets.flow import Flow
from tui.widgets.room import Room
from tui.widgets.text import MUTED, Block, PaneInput, Row, fit

if TYPE_CHECKING:
    from tui.panes.pane import Answers

PER_SECOND = 20.0
"""Tokens a second: as fast as people read along."""
_TOKENS = 100
_OVERRUN = 100
"""Tokens more, at most, for the end of a sentence."""
_BEATEN = 10
"""Other tokens that each is laid open with."""
_KEPT = 20
"""Earlier passages kept."""
_HOTTEST = 2.0
_BETWEEN_PASSAGES = 1.0
"""Seconds to read the end of a passage before the next begins."""
_FADED = "$foreground 75%"
_LEAST_WIDTH, _LEAST_ZOOMED = 19, 13
"""Columns for what the model does and its temperature, so that the prompt seldom moves; zoomed, its
temperature is among the knobs."""
_LEAST_FOR_SEED = 60
"""Columns from which on there is room for the seed beside what the model does."""
_AS_TRAINED = Sampling().temperature
"""At which training writes its samples."""
_NO_SEED = "by chance"
_SEEDS = r"[0-9]{0,18}", "A seed is a whole number of at most 18 digits."
_EMPTY = (
    "{generate} lets the model write from its weights as they are now:\n"
    "before any training, noise; after some, sentences."
)
_NO_TOKEN = (
    "{walk_back} {walk_on} walk over the text: how sure the model was of each token, and which "
    "others it beat. {by_hand} lets you choose each token yourself."
)


class Passage(msgspec.Struct, frozen=True):
    """A text with the number of steps its writer had taken, and the prompt it goes on from."""

    step: int
    text: str
    temperature: float
    prompt: str = ""
    note: str = ""
    """What there is to say of the prompt."""
    spelt: bool = False
    """Whether the text's white space is the model's own, to be shown as it was written."""


class Opened(Aside):
    """What the token under the cursor is laid open in; mounted in a laboratory, with its styles."""

    DEFAULT_CSS = """
    Opened {
        height: 45%;

        #token { width: 1fr; height: 1fr; }
        #branches { width: 40%; max-width: 34; height: 1fr; text-wrap: nowrap; }

        &.-roomy {
            #token { height: 14; }
            #branches { width: 1fr; max-width: 100%; padding: 1 0 0 0; }
        }
    }
    """


class WriteView(TextView):
    """Prompt, seed, knobs, and what the model writes. Zoomed, the text is a tree of branches, over
    which one walks."""

    ID = "write"
    NAME = "write"
    ABOUT = "What the model writes: how sure it is of each token, and the others that it beat."
    ACTIONS = (
        action("knobs", "k", "Turn the knobs of sampling", "Open the form of all knobs, or shut."),
        action("by_hand", "h", "Write by hand", "The model proposes, you pick each token; or not."),
        action("back", "backspace", "Go back a branch", "See the text that this was taken from."),
        action("next_branch", "b", "See the next branch", "Go through the ways the text went on."),
        action("branch_before", "B", "See the branch before", "Go back through the branches."),
        action("name_branch", "N", "Name the branch", "Give this way through the text a name."),
        action("copy_text", "C", "Copy the text", "Put prompt and text into the clipboard."),
        action("raw_tokens", "w", "See the raw tokens", "The tokens as the vocabulary has them."),
        action("shading", "j", "Shade the tokens, or don't", "Each by its probability."),
    )

    def __init__(self) -> None:
        super().__init__()
        self.settings = GenerationSettings()
        self._furnished = False
        self._naming: PaneInput | None = None
        """Where a branch is given a name. Made when that is wished for the first time, as is:"""
        self._form: KnobForm | None = None
        """Made when it is opened for the first time."""
        self._writer: Worker[None] | None = None
        self._write_along = True
        """Whether the model writes by itself while training runs and the view can be seen."""
        self._earlier: deque[Passage] = deque(maxlen=_KEPT)
        self._earlier_shown: list[Content] = []
        self._earlier_changed = False
        self._tree = Tree()
        self._cursor: int | None = None
        """The token that is laid open; behind the last one, the one that is to be picked."""
        self._choice: int | None = None
        """Which of the cursor's candidates is meant; None for the one that stands there."""
        self._by_hand = False
        self._proposal: WrittenToken | None = None
        """What the model would write next, where somebody picks each token."""
        self._raw = False
        self._shaded = True
        self._whole = False
        """Whether the passage has come to its end."""
        self._step = 0
        self._written_at = self.temperature
        self._seed: int | None = None
        self._prompt = ""
        self._note = ""
        self._spelt = False
        self._sampled: Sampled | None = None
        self._refusal = ""

    @property
    def temperature(self) -> float:
        """The one that the next token is drawn at."""
        return self.settings.sampling.temperature

    @property
    @override
    def hint(self) -> str:
        return sentence(
            "{walk_back} {walk_on} walk · {walk_up} {walk_down} {pick} take another · "
            "{back} back · {next_branch} branches · {by_hand} by hand · {raw_tokens} raw"
        )

    @override
    def compose(self) -> ComposeResult:
        with Row():
            yield PaneInput(label="prompt", placeholder="empty: a new sentence", id="prompt")
            yield PaneInput(label="seed", placeholder=_NO_SEED, allows=_SEEDS, id="seed")
            yield Block(id="temperature")
        with Room(id="laid"):
            yield Flow(id="passages")

    @override
    def furnish(self) -> None:
        if self._furnished:
            return
        self._furnished = True
        laid, opened = self.query_one("#laid"), Opened(id="opened")
        self.mount(Block(id="knobs", explains=False), before=laid)
        self.mount(Block(id="grades", explains=False))
        laid.mount(opened)
        opened.mount(Block(id="token", explains=False), Block(id="branches", explains=False))

    # --- drawing ------------------------------------------------------------------------------

    @override
    def draw(self, session: Session | None) -> None:
        self._spelt = session is not None and session.status.config.corpus.tokenizer in SPELLING
        self._take_samples(session)
        self._draw_head()
        self._draw_laboratory()
        if self._earlier_changed:
            self._earlier_changed = False
            self._earlier_shown = [_shown(passage, _FADED) for passage in self._earlier]
        flow = self.query_one(Flow)
        text, reach = self._current()
        flow.show(self._earlier_shown, text)
        if self.zoomed and self._cursor is not None:
            self.reveal(flow, reach, (self._tree.now, self._cursor))
        elif self._revealed is not None:
            self._revealed = None
            flow.to_end()
        if session is not None and self._flows(session) and not self.writing:
            self._start_writing(session)

    def has_room_for_seed(self, width: int) -> bool:
        """Whether its seed can be seen in so many columns."""
        return self.zoomed or width >= _LEAST_FOR_SEED

    def _draw_head(self) -> None:
        seed = self.query_one("#seed", PaneInput)
        seed.placeholder = _NO_SEED if self._seed is None else str(self._seed)
        seed.display = self.has_room_for_seed(self.content_size.width)
        running = self.session is not None and self.session.running
        held = running and not self._write_along and not self._by_hand
        settings = _settings(self.temperature, writing=self.writing, held=held)
        least = _LEAST_WIDTH
        if self.zoomed:
            settings, least = _doing(writing=self.writing, held=held), _LEAST_ZOOMED
        block = self.query_one("#temperature", Block)
        block.styles.width = max(least, settings.cell_length)
        block.show(settings)

    def _draw_laboratory(self) -> None:
        """What there is of it only while it is one."""
        if not self._furnished:
            return
        if self._naming is not None:
            typing = self.screen.focused is self._naming  # has_focus comes a moment later
            self._naming.display = typing and self.zoomed
        if self._form is not None:
            self._form.display = self._form.display and self.zoomed
        turning = self._form is not None and self._form.display
        roomy = self.content_size.width >= LEAST_BESIDE
        opened = self.query_one("#opened")
        opened.display = self.zoomed and (roomy or not turning)
        opened.set_class(roomy, "-roomy")
        knobs, grades = self.query_one("#knobs", Block), self.query_one("#grades", Block)
        knobs.display = self.zoomed
        grades.display = self.zoomed and self._shaded
        self.set_class(roomy, "-roomy")
        if not self.zoomed:
            return
        hint = sentence("{knobs} shuts" if turning else "{knobs} opens")
        knobs.show(row(self.settings, self.content_size.width, hint))
        grades.show(legend())
        block, branches = self.query_one("#token", Block), self.query_one("#branches", Block)
        block.show(self._laid_open(*block.size))
        branches.display = len(self._tree) > 1
        branches.show(_tree(self._tree, branches.size.width, max(1, branches.size.height)))

    def _current(self) -> tuple[Content, int]:
        """The text that is written, and how many of its characters reach to the cursor."""
        if self._refusal:
            return content(self._refusal, "$text-warning"), 0
        if not self._tokens and self._proposal is None:
            if self._earlier or self.writing:
                return Content(""), 0
            return Content.styled(sentence(_EMPTY), MUTED), 0
        if not self.zoomed:
            return _shown(self._passage, ""), 0
        head = _head(self._passage)
        prompt = content(self._prompt, "bold", keep_newlines=True)
        text, reach = laid_out(self._texts, self._styles, self._cursor)
        before = head + prompt
        return before + text, len(before.plain) + reach

    @property
    def _tokens(self) -> list[WrittenToken]:
        return self._tree.now.tokens

    @property
    def _texts(self) -> list[str]:
        tokens = [*self._tokens, *([self._proposal] if self._proposal is not None else [])]
        if not self._raw:
            return [each.text for each in tokens]
        return [f"{token(each.opened.raw if each.opened else each.text)} " for each in tokens]

    @property
    def _styles(self) -> Iterator[str]:
        for each in self._tokens:
            seen = self._shaded and each.opened is not None
            yield shade(bits(each.opened.probability)) if seen and each.opened else ""
        if self._proposal is not None:
            yield MUTED

    @property
    def _passage(self) -> Passage:
        """The one being written."""
        text = self._tree.now.text
        return Passage(self._step, text, self._written_at, self._prompt, self._note, self._spelt)

    # --- the token that is laid open ------------------------------------------------------------

    @property
    def _piece(self) -> WrittenToken | None:
        """The one the cursor is at."""
        if self._cursor is None:
            return None
        return self._tokens[self._cursor] if self._cursor < len(self._tokens) else self._proposal

    def _laid_open(self, width: int, height: int) -> Content:
        piece = self._piece
        if piece is None or piece.opened is None:
            told = "This token wasn't laid open: it was written before." if piece else ""
            if self._by_hand and self.writing:
                told = "What comes next? The model is being asked …"
            return Content.styled(told or sentence(_NO_TOKEN), MUTED)
        opened = piece.opened
        if piece is self._proposal:
            head = Content.styled(sentence("What comes next? {pick} picks it."), "bold")
        else:
            head = Content.assemble(
                (fit(token(opened.raw), max(4, width - 22)).rstrip(), "bold"),
                f"  rank {opened.rank:,} · {bits(opened.probability):.1f} bits",
            )
        entropy = Content.styled(f"entropy {opened.entropy:.1f} bits", MUTED)
        chosen = self._chosen(piece)
        found = list(enumerate(candidates(piece)))
        rows = max(1, height - 2)
        begin = max(0, min(chosen - rows // 2, len(found) - rows))
        lines = [
            _candidate(each, each.token == opened.token, place == chosen, width)
            for place, each in found[begin : begin + rows]
        ]
        return Content("\n").join([head, entropy, *lines])

    def _chosen(self, piece: WrittenToken) -> int:
        """Which candidate is meant: the one walked to, else the token itself, and of those that may
        come next the most probable."""
        if self._choice is not None:
            return self._choice
        if piece is self._proposal or piece.opened is None:
            return 0
        return [each.token for each in candidates(piece)].index(piece.opened.token)

    @override
    def walk(self, change: int) -> None:
        last = len(self._texts) - 1
        if last < 0:
            return
        here = self._cursor if self._cursor is not None else last + (change < 0)
        self._go_to(max(0, min(last, here + change)))

    @override
    def walk_to(self, *, first: bool) -> None:
        if first or self._by_hand:
            self._go_to(0 if first else len(self._tokens))
            return
        self._cursor = self._choice = None
        self._write_along = True
        self.redraw()
        self.query_one(Flow).to_end()

    def _go_to(self, place: int) -> None:
        """Lay open the token at this place: no other passage begins by itself any more."""
        if self._texts:
            self._cursor, self._choice, self._write_along = place, None, False
            self.redraw()

    @override
    def climb(self, change: int) -> None:
        piece = self._piece
        if piece is None:
            self.walk(-1)
            return
        if found := candidates(piece):
            self._choice = max(0, min(len(found) - 1, self._chosen(piece) + change))
            self.redraw()

    def pick(self) -> None:
        """Take the chosen candidate: the text goes on from there, in a branch of its own."""
        piece, session = self._piece, self.session
        if piece is None or piece.opened is None or session is None or not session.answering:
            return
        chosen = candidates(piece)[self._chosen(piece)]
        written = piece is not self._proposal
        if written and (chosen.token == piece.opened.token or not self._fork()):
            return
        self._tokens.append(_taken(piece, chosen))
        self._cursor = self._choice = self._proposal = None  # what comes next isn't known yet
        if self._by_hand:
            self._ask_next(session)
        else:
            self._go_on(session)

    def _fork(self) -> bool:
        """Begin another branch at the cursor. Returns whether there was room for it."""
        if self._tree.full:
            told = f"All {MOST} branches have names: {{name_branch}} takes one away, for room."
            self.notify(sentence(told), severity="warning", markup=False)
            return False
        self._halt()
        if self._tree.fork(self._cursor or 0) is not None:
            told = f"Only {MOST} branches are kept: the oldest without a name has gone."
            self.notify(told, markup=False)
        return True

    # --- branches -------------------------------------------------------------------------------

    def action_back(self) -> None:
        """See the text that this one was taken from."""
        fork = self._tree.now.fork
        self._leave_branch()
        if self._tree.back():
            self._go_to(fork)
        self._propose()

    def action_next_branch(self) -> None:
        """Go through the branches."""
        self._walk_branches(1)

    def action_branch_before(self) -> None:
        """Go back through the branches."""
        self._walk_branches(-1)

    def _walk_branches(self, change: int) -> None:
        self._leave_branch()
        self._tree.walk(change)
        if self._tree.now.parent is not None:
            self._go_to(self._tree.now.fork)
        self._propose()
        self.redraw()

    def _leave_branch(self) -> None:
        self._halt()
        self._cursor = self._choice = self._proposal = None

    async def action_name_branch(self) -> None:
        """Type a name for the present branch."""
        if self._naming is None:
            self._naming = PaneInput(label="name", placeholder="of this branch", id="branch-name")
            await self.mount(self._naming, after=self.query_one("#knobs"))
        self._naming.value = self._tree.now.name
        self._naming.display = True
        self.screen.set_focus(self._naming)

    @on(Input.Submitted, "#branch-name")
    def _named(self, event: Input.Submitted) -> None:
        event.stop()
        self._tree.now.name = event.value.strip()[:80]
        self.redraw()

    def on_descendant_blur(self) -> None:
        """A line that was typed into may go now."""
        self.redraw()

    def action_copy_text(self) -> None:
        """Put prompt and text into the terminal's clipboard."""
        text = self.text
        self.app.copy_to_clipboard(text)
        self.notify(f"Copied {len(text):,} characters.", markup=False)

    @property
    def text(self) -> str:
        """The prompt, and what is written after it in the present branch."""
        return self._prompt + self._tree.now.text

    # --- how it is seen -------------------------------------------------------------------------

    def action_raw_tokens(self) -> None:
        """The tokens as the vocabulary has them, or as they read."""
        self._raw = not self._raw
        self.redraw()

    def action_shading(self) -> None:
        """Shade each token by its probability, or none."""
        self._shaded = not self._shaded
        self.redraw()

    async def action_knobs(self) -> None:
        """Open the form of all knobs, or shut it."""
        if self._form is None:
            self._form = KnobForm(self.settings)
            await self.mount(self._form, after=self.query_one("#knobs"))
        else:
            self._form.display = not self._form.display
        if self._form.display:
            self._form.show(self.settings)
            self.screen.set_focus(self._form.first)
        self.redraw()

    @on(KnobForm.Turned)
    def _knobs_turned(self, event: KnobForm.Turned) -> None:
        event.stop()
        self._turn(event.settings)

    def warm(self, change: float) -> None:
        """Change the temperature, from 0 to 2."""
        warmth = round(min(_HOTTEST, max(0.0, self.temperature + change)), 1)
        self._turn(replace(self.settings, {"sampling.temperature": warmth}))

    def _turn(self, settings: GenerationSettings) -> None:
        """Choose otherwise from now on: a text under way goes on so, where its tokens are laid
        open, else it begins anew."""
        self.settings = settings
        if self._form is not None:
            self._form.show(settings)
        if self._by_hand:
            self._propose()
        elif self.writing and self.session is not None:
            if self.zoomed and self._tree.now.ids and not self._whole:
                self._go_on(self.session)
            else:
                self._start_writing(self.session)
        self.redraw()

    # --- what is asked --------------------------------------------------------------------------

    def request(self) -> Generate:
        """The next passage to ask for; what comes now belongs to it."""
        self.end_passage()
        self._refusal, self._whole = "", False
        self._prompt = self.query_one("#prompt", Input).value
        seed = self.query_one("#seed", Input).value
        return self._asking([], _TOKENS, int(seed) if seed else None)

    @property
    def question(self) -> Generate | None:
        """How the text of the moment is asked for, so that another model writes after the same
        prompt and by the same seed; None while there is none."""
        if self._seed is None or not self._tokens:
            return None
        return self._generate([], _TOKENS, self._seed)

    def _asking(self, given: list[int], tokens: int, seed: int | None) -> Generate:
        self._written_at = self.temperature
        return self._generate(given, tokens, seed)

    def _generate(self, given: list[int], tokens: int, seed: int | None) -> Generate:
        sampling = msgspec.structs.asdict(self.settings.sampling) | {"seed": seed}
        return Generate(
            **sampling,
            prompt=self._prompt,
            given=given,
            tokens=tokens,
            overrun=_OVERRUN,
            alternatives=_BEATEN,
            per_second=PER_SECOND,
        )

    def add(self, piece: WrittenToken) -> None:
        """Take in a piece of the current passage; it shows at the next draw."""
        if not self._tokens:
            self._step, self._seed, self._note = piece.step, piece.seed, piece.note
        self._tokens.append(piece)
        self.stale = True

    def end_passage(self) -> None:
        """What comes next is another passage."""
        if self._tokens:
            self._keep(self._passage)
        self._tree = Tree()
        self._cursor = self._choice = self._proposal = None

    @override
    def refused(self, _question: AnyQuestion, reason: str) -> None:
        self._refusal = reason

    def clear(self) -> None:
        """Another run is shown: what the last one wrote goes."""
        self._stop_writing()
        self._earlier.clear()
        self._earlier_changed = True
        self._tree = Tree()
        self._cursor = self._choice = self._proposal = None
        self._seed = self._sampled = None
        self._prompt = self._note = self._refusal = ""
        self._by_hand = False

    # --- writing ------------------------------------------------------------------------------

    @property
    def writing(self) -> bool:
        """Whether the model writes into the view."""
        return self._writer is not None and not self._writer.is_finished

    @on(Input.Submitted, "#prompt, #seed")
    def _submitted(self) -> None:
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
            self._tree = Tree()
            self._cursor = self._choice = self._proposal = None
        self.redraw()

    def action_generate(self) -> None:
        """Let the model write, or let it stop."""
        if self.writing:
            self._write_along = False
            self._stop_writing()
        else:
            self._write_along = True
            self._by_hand = False
            self._write_now()

    def action_by_hand(self) -> None:
        """Let the person pick each token, or the model again, from where the text is."""
        session = self.session
        if session is None or not session.answering:
            self._say_why_not()
            return
        self._by_hand, self._write_along = not self._by_hand, False
        self._stop_writing()
        self._proposal = self._cursor = self._choice = None
        if self._by_hand:
            if not self._tokens or self._tree.now.ids is None:
                self.request()  # a text of its own
            self._propose()
        else:
            self._go_on(session)
        self.redraw()

    def _propose(self) -> None:
        """Ask what would come next, where somebody picks each token."""
        if self._by_hand and self.session is not None and self.session.answering:
            self._ask_next(self.session)

    def _write_now(self) -> None:
        session = self.session
        if session is not None and session.answering:
            self._start_writing(session)
        else:
            self._say_why_not()

    def _say_why_not(self) -> None:
        self.notify(no_model(self.session), severity="warning", markup=False)

    def _start_writing(self, session: Session) -> None:
        if self.writing and not self._whole:
            self._tree.now.tokens.clear()  # what is broken off is no passage
        self._stop_writing()
        self._by_hand = False
        self._writer = self._write(session, None)

    def _flows(self, session: Session) -> bool:
        """Whether one passage after the other is written while training runs."""
        return session.running and self._write_along and self.seen

    def _go_on(self, session: Session) -> None:
        """Write on in the present branch."""
        given = self._tree.now.ids
        if given is None:
            self._start_writing(session)
            return
        self._halt()
        left = max(_TOKENS // 2, _TOKENS - len(given)) + bool(given)
        self._writer = self._write(session, self._asking(given, left, self._seed))

    def _ask_next(self, session: Session) -> None:
        """Ask what comes behind the present branch."""
        given = self._tree.now.ids
        if given is None:
            return
        self._halt()
        asking = self._asking(given, 1 + bool(given), self._seed)
        asking = msgspec.structs.replace(asking, overrun=0, beams=1, stop=(), per_second=0.0)
        self._writer = self._hear_next(session, asking)
        self.redraw()

    def _halt(self) -> None:
        """Stop writing; what there is of the branch stays."""
        self._stop_writing()
        self._refusal = ""

    def _stop_writing(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            self._writer = None

    @work(exclusive=True)
    async def _write(self, session: Session, going_on: Generate | None) -> None:
        """Stream passages into the view: one, or while training runs one by one. The first may go
        on from tokens that are given."""
        try:
            request = going_on or self.request()
            await self._stream(session, request)
            while self._flows(session):
                await asyncio.sleep(_BETWEEN_PASSAGES)
                if self._flows(session):  # nobody has begun to walk over it meanwhile
                    request = self.request()
                    await self._stream(session, request)
        except UserError as error:
            self.refused(request, str(error))
            self._write_along = False
        except (EngineEnded, NoMatches):
            pass  # it, or the screen, is being closed
        finally:
            self.stale = True

    async def _stream(self, session: Session, request: Generate) -> None:
        """Take in a passage. It is a generator: closing it early tells the engine to stop."""
        self._whole = False
        branch, known = self._tree.now, bool(request.given)
        answers = cast("Answers", session.engine.stream(request))
        async with aclosing(answers), aclosing(paced(answers, PER_SECOND)) as pieces:
            async for piece in pieces:
                if isinstance(piece, WrittenToken) and branch is self._tree.now:
                    if known:
                        self._tokens.pop()  # the engine tells the last one that was given
                    self.add(piece)
                    known = False
        self._whole = True

    @work(exclusive=True)
    async def _hear_next(self, session: Session, request: Generate) -> None:
        """What the model would write behind the last token, and how that one reads."""
        answers = [each async for each in self.hear(session, request)]
        pieces = [each for each in answers if isinstance(each, WrittenToken)]
        if pieces:
            if request.given:
                self._tokens[-1] = pieces[0]
            self._proposal = pieces[-1] if len(pieces) == 1 + bool(request.given) else None
            if self._seed is None:
                self._step, self._seed, self._note = pieces[0].step, pieces[0].seed, pieces[0].note
            self._cursor, self._choice = len(self._tokens), None
        self.redraw()

    def _take_samples(self, session: Session | None) -> None:
        """The samples training writes by itself join the passages."""
        samples = session.history.samples if session else []
        if samples and samples[-1] is not self._sampled:
            self._sampled = samples[-1]
            held = self.zoomed or self._cursor is not None or len(self._tree) > 1
            if not self.writing and not held:
                self.end_passage()  # what was written before the sample stays above it
            sample = samples[-1]
            self._keep(Passage(sample.step, sample.text, _AS_TRAINED, spelt=self._spelt))

    def _keep(self, passage: Passage) -> None:
        self._earlier.append(passage)
        self._earlier_changed = True


def _head(passage: Passage) -> Content:
    note = f"{passage.note}\n" if passage.note else ""
    return Content.assemble(
        (f"step {passage.step:,} · temp {passage.temperature:.1f}  ", f"italic {MUTED}"),
        content(note, "$text-warning", keep_newlines=True),
    )


def _shown(passage: Passage, style: str) -> Content:
    prompt, text = passage.prompt, passage.text
    if not passage.spelt:
        prompt, text = prompt.lstrip(), text.rstrip() if prompt.strip() else text.strip()
    written = content(prompt + text, style, keep_newlines=True)
    return _head(passage) + written.stylize("bold", 0, len(visible(prompt, keep_newlines=True)))


def _settings(temperature: float, *, writing: bool, held: bool = False) -> Content:
    return Content.assemble(
        _doing(writing=writing, held=held), ("temp ", MUTED), (f"{temperature:.1f}", "bold")
    )


def _doing(*, writing: bool, held: bool) -> Content:
    """That it writes; or which key lets it, where it would by itself but is held."""
    if writing:
        return Content.styled("▶ writing  ", "$text-success")
    return Content.styled(sentence("{generate} writes on  "), MUTED) if held else Content("")


def _taken(piece: WrittenToken, chosen: Alternative) -> WrittenToken:
    """The token that was chosen in this one's place, as far as is known before the engine tells how
    it reads."""
    opened = piece.opened
    if opened is None or opened.token == chosen.token:
        return piece
    opened = msgspec.structs.replace(
        opened, token=chosen.token, raw=chosen.text, probability=chosen.probability
    )
    return msgspec.structs.replace(piece, text=chosen.text, opened=opened)


def _candidate(each: Alternative, written: bool, chosen: bool, width: int) -> Content:
    """A line: whether it is meant, whether it was written, how probable it was, and the token."""
    bar = max(0, min(24, (width - 12) // 2 - 2))
    name = max(4, min(24, width - bar - 13))
    filled = round(bar * min(1.0, each.probability))
    return Content.assemble(
        ("▸" if chosen else " ", "bold $accent"),
        ("● " if written else "  ", "$text-success"),
        (fit(token(each.text), name), "bold" if written or chosen else ""),
        f" {_percent(each.probability)} ",
        ("━" * filled, "$accent"),
        ("╌" * (bar - filled), "$foreground 15%"),
    )


def _percent(share: float) -> str:
    return f"{share:7.2%}" if share >= 0.0001 or share == 0 else " <0.01%"


def _tree(tree: Tree, width: int, height: int) -> Content:
    """The branches, those around the present one where there are too many."""
    rows = list(tree.rows())
    here = next(place for place, (_, branch) in enumerate(rows) if branch is tree.now)
    begin = max(0, min(here - height // 2, len(rows) - height))
    lines = []
    for depth, branch in rows[begin : begin + height]:
        mark = "● " if branch is tree.now else "○ "
        words = branch.name or "".join(each.text for each in branch.tokens[branch.fork :])
        room = max(1, width - 2 * min(depth, 8) - 2)
        line = "  " * min(depth, 8) + mark + fit(words.strip() or "…", room).rstrip()
        lines.append(Content.styled(line, "bold" if branch is tree.now else MUTED))
    return Content("\n").join(lines)
