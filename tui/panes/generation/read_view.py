"""Reading: how surprising each token of a text is, what simpler models make of it, and what of it
was copied from the training text."""

from collections.abc import Iterable

from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input
from typing_extensions import override

from engine.events import Progress
from engine.messages import (
    AnyQuestion,
    Copies,
    FindCopies,
    Surprise,
    SurprisePart,
    SurpriseTotals,
)
from tui.chart.data import ChartData, Line, XAxis, YAxis
from tui.chart.widget import Chart
from tui.keys import no_model, sentence
from tui.numbers import counted, grouped
from tui.panes.generation.shades import COPIED, UNKNOWN, laid_out, legend, shade
from tui.panes.generation.text_view import LEAST_BESIDE, Aside, TextView
from tui.panes.generation.write_view import WriteView
from tui.panes.laboratory import action
from tui.run.session import Session
from tui.sanitize import content, token, visible
from tui.widgets.flow import Flow
from tui.widgets.room import Room
from tui.widgets.text import MUTED, Block, PaneInput, Row, fit

_SHOWN = 1_500
"""Tokens of a long text that are seen at once, around the cursor."""
_MOST = 100_000
"""Tokens that are kept: the rest of a longer text counts in the totals alone."""
_LISTED = 200
"""Of the most surprising tokens."""
_COPIES = 3
"""Copies that are listed: the longest."""
_LEAST_COPY = 4
"""Tokens of a stretch that counts as copied."""
_CURVE = 400
"""Points of the running curve."""
_LEAST_FOR_CURVE = 26
"""Rows from which on there is room for the running curve."""
_EMPTY = (
    "{type_in} takes a text to read, typed or pasted, and Tab a file; enter reads it.\n"
    "{read_written} reads what the model wrote."
)


class Compared(Aside):
    """What others make of the text that is read."""

    DEFAULT_CSS = "Compared { height: 55%; }"


class ReadView(TextView):
    """A text, its tokens shaded by how surprising they are to the model."""

    ID = "read"
    NAME = "read"
    ABOUT = "A text of yours: how surprising each token is in bits, and what of it was copied."
    DEFAULT_CSS = """
    ReadView {
        #read-file { width: 40%; margin: 0 0 0 1; }
        #totals { height: 2; text-wrap: nowrap; }
        #baselines { width: 1fr; height: 1; text-wrap: nowrap; }
        #running { height: 8; }
        #surprising { width: 1fr; height: 1fr; text-wrap: nowrap; }
        #read-grades { height: 1; text-wrap: nowrap; }

        &.-roomy #read-body { layout: horizontal; }
    }
    """
    ACTIONS = (
        action("read_written", "R", "Read what was written", "Read prompt and text as written."),
        action("copies", "i", "Find what was copied", "Mark what stands in the training text."),
    )

    def __init__(self, write: WriteView) -> None:
        super().__init__()
        self._write = write
        self._texts: list[str] = []
        self._bits: list[float | None] = []
        self._unknown: set[int] = set()
        self._not_kept = 0
        """Tokens behind those that are."""
        self._totals: SurpriseTotals | None = None
        self._copies: Copies | None = None
        self._seeing_copies = False
        self._progress: Progress | None = None
        self._refusal = ""
        self._asked = ""
        """The text that was read, where it was typed."""
        self._cursor: int | None = None
        self._ranked: list[int] = []
        """The places of the most surprising tokens, these first."""

    @property
    @override
    def hint(self) -> str:
        return sentence(
            "{type_in} text · {read_written} what was written · {walk_back} {walk_on} walk · "
            "{walk_up} {walk_down} most surprising · {copies} copies"
        )

    @override
    def compose(self) -> ComposeResult:
        with Row():
            yield PaneInput(label="text", placeholder="a text to read", id="read-text")
            yield PaneInput(label=" or file", placeholder="its path", id="read-file")
        yield Block(id="totals")
        with Room(id="read-body"):
            yield Flow(id="read-flow", follows=False)
            with Compared(id="read-beside"):
                yield Block(id="baselines", explains=False)
                yield Chart(id="running")
                yield Block(id="surprising", explains=False)
        yield Block(id="read-grades", explains=False)

    # --- drawing ------------------------------------------------------------------------------

    @override
    def draw(self, _session: Session | None) -> None:
        width, height = self.content_size
        roomy = width >= LEAST_BESIDE
        self.set_class(roomy, "-roomy")
        totals = Content("\n").join([self._summary(width), self._here(width)])
        self.query_one("#totals", Block).show(totals)
        empty = not self._texts
        beside = self.query_one("#read-beside")
        beside.display = not empty
        beside.set_class(roomy, "-roomy")
        self._draw_text(empty)
        if empty:
            self.query_one("#read-grades", Block).show(Content(""))
            return
        self.query_one("#read-grades", Block).show(legend())
        baselines = self.query_one("#baselines", Block)
        compared = self._compared(baselines.size.width)
        baselines.styles.height = compared.plain.count("\n") + 1 if roomy else "1fr"
        baselines.show(compared)
        chart = self.query_one("#running", Chart)
        chart.display = roomy and height >= _LEAST_FOR_CURVE and len(self._bits) > 2
        if chart.display:
            chart.show(self._curve())
        listed = self.query_one("#surprising", Block)
        listed.show(self._list(*listed.size))

    def _draw_text(self, empty: bool) -> None:
        flow = self.query_one("#read-flow", Flow)
        if empty:
            told = content(self._refusal, "$text-warning") if self._refusal else Content("")
            told = told or Content.styled(self._waiting or sentence(_EMPTY), MUTED)
            flow.show((), told)
            return
        here = self._cursor or 0
        begin = max(0, min(here - _SHOWN // 2, len(self._texts) - _SHOWN))
        end = min(len(self._texts), begin + _SHOWN)
        texts = self._texts[begin:end]
        at = None if self._cursor is None else self._cursor - begin
        text, reach = laid_out(texts, self._styles(range(begin, end)), at)
        before = Content.styled(f"… {counted(begin, 'token')} before\n" if begin else "", MUTED)
        left_out = len(self._texts) - end + self._not_kept
        behind = Content.styled(f"\n… {counted(left_out, 'token')} more" if left_out else "", MUTED)
        flow.show((), before + text + behind)
        self.reveal(flow, len(before.plain) + (reach if at is not None else 1), self._cursor)

    @property
    def _waiting(self) -> str:
        progress = self._progress
        if progress is None:
            return ""
        if progress.total:
            return f"{progress.task} … {progress.done / progress.total:.0%}"
        return f"{progress.task} …"

    def _styles(self, places: Iterable[int]) -> Iterable[str]:
        copied = self._copied if self._seeing_copies and self._copies is not None else None
        for place in places:
            if copied is not None:
                yield COPIED if place in copied else "dim"
            elif place in self._unknown:
                yield UNKNOWN
            else:
                yield shade(self._bits[place])

    @property
    def _copied(self) -> set[int]:
        found = self._copies.copies if self._copies is not None else []
        return {place for each in found for place in range(each.begin, each.begin + each.length)}

    def _summary(self, width: int) -> Content:
        totals = self._totals
        if self._texts and self._refusal:
            return content(self._refusal, "$text-warning").truncate(width, ellipsis=True)
        if totals is None or self._progress is not None:
            return Content.styled(self._waiting if self._texts else "", MUTED)
        told = Content.assemble(
            ("perplexity ", MUTED),
            (grouped(totals.perplexity, 1), "bold"),
            *_per_character(totals.bits_per_character),
        )
        return told.truncate(width, ellipsis=True)

    def _here(self, width: int) -> Content:
        """The token at the cursor; without one, what was read."""
        totals, place = self._totals, self._cursor
        if place is not None and place < len(self._bits):
            of = self._bits[place]
            bits = "not predicted" if of is None else f"{of:.2f} bits"
            unknown = ", unknown" if place in self._unknown else ""
            name = fit(token(self._texts[place]), 20).strip()
            return Content.styled(f"{name}: {bits}{unknown}", "bold").truncate(width, ellipsis=True)
        if totals is None:
            return Content("")
        unknown = f" ({totals.unknown:,} unknown)" if totals.unknown else ""
        read = counted(totals.tokens, "token")
        told = f"{read}{unknown} · step {totals.step:,} · {totals.convention}"
        return Content.styled(told, MUTED).truncate(width, ellipsis=True)

    def _compared(self, width: int) -> Content:
        """The model beside simpler ones: bits for all of the text, as bars; then what was
        copied."""
        totals = self._totals
        if totals is None:
            return Content("")
        rows = [("the model", totals.bits, totals.bits_per_character, totals.perplexity)]
        rows += [
            (each.name, each.bits, each.bits_per_character, each.perplexity)
            for each in totals.baselines
        ]
        most = max(bits for _, bits, _, _ in rows)
        lines = [_baseline(*each, most=most, width=width) for each in rows]
        head = Content.styled("bits/character and perplexity a token", MUTED)
        return Content("\n").join([head, *lines, *self._of_copies(width)])

    def _of_copies(self, width: int) -> list[Content]:
        copies = self._copies
        if copies is None:
            hint = sentence("{copies} finds what was copied") if self._asked else ""
            return [Content.styled(hint, MUTED)] if hint else []
        share = Content.assemble(
            (f"{copies.copied:.0%}", "bold"),
            (f" copied, of {copies.least} tokens and more", MUTED),
        )
        lines = [share, *(Content.styled(told, MUTED) for told in _repeats(copies, width))]
        for each in copies.copies[:_COPIES]:
            told = f"{each.length} tokens at {each.share:.0%}: "
            lines.append(Content(told) + content(fit(each.text, max(4, width - len(told)))))
        if (more := len(copies.copies) - _COPIES) > 0:
            lines.append(Content.styled(f"… and {more:,} more", MUTED))
        return [line.truncate(width, ellipsis=True) for line in lines]

    def _curve(self) -> ChartData:
        """The mean bits of a token up to each place."""
        bits = [each for each in self._bits if each is not None]
        apart = max(1, len(bits) // _CURVE)
        places, means, total = [], [], 0.0
        for number, each in enumerate(bits, start=1):
            total += each
            if number % apart == 0:
                places.append(float(number))
                means.append(total / number)
        return ChartData(
            "bits a token so far",
            XAxis(1.0, float(max(2, len(bits))), "token"),
            curves=(Line(places, means, "mean", "primary"),),
            y=YAxis(robust=True),
        )

    def _list(self, width: int, height: int) -> Content:
        """The most surprising tokens, the one the cursor is at among them."""
        if height < 2:
            return Content("")
        at = self._ranked.index(self._cursor) if self._cursor in self._ranked else 0
        begin = max(0, min(at - height // 2, len(self._ranked) - height + 1))
        among = f" of the first {len(self._texts):,} tokens" if self._not_kept else ""
        lines = [Content.styled(f"most surprising{among}", MUTED)]
        for place in self._ranked[begin : begin + height - 1]:
            bits = self._bits[place]
            name = fit(token(self._texts[place].strip() or self._texts[place]), max(4, width - 18))
            mark = " unknown" if place in self._unknown else ""
            style = "bold reverse" if place == self._cursor else ""
            lines.append(Content.styled(f"{bits or 0.0:6.1f} bits {name.rstrip()}{mark}", style))
        return Content("\n").join(lines)

    # --- walking ------------------------------------------------------------------------------

    @override
    def walk(self, change: int) -> None:
        if self._texts:
            here = -1 if self._cursor is None else self._cursor
            self._cursor = max(0, min(len(self._texts) - 1, here + change))
            self.redraw()

    @override
    def walk_to(self, *, first: bool) -> None:
        if self._texts:
            self._cursor = 0 if first else len(self._texts) - 1
            self.redraw()

    @override
    def climb(self, change: int) -> None:
        if self._ranked:
            at, last = self._cursor, len(self._ranked) - 1
            here = self._ranked.index(at) + change if at in self._ranked else 0
            self._cursor = self._ranked[max(0, min(last, here))]
            self.redraw()

    # --- what is asked --------------------------------------------------------------------------

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.value:
            file = event.input.id == "read-file"
            self._read(source=event.value if file else "", text="" if file else event.value)

    def action_read_written(self) -> None:
        """Read what the model wrote, with its prompt."""
        if self._write.text:
            self._read(text=self._write.text)
        else:
            self.notify(sentence("Nothing is written yet: {generate} writes."), markup=False)

    def action_copies(self) -> None:
        """Mark what stands in the training text, or the surprise again."""
        if not self._asked:
            self.notify("Copies are looked for in a text that was typed.", markup=False)
            return
        self._seeing_copies = not self._seeing_copies
        if self._seeing_copies and self._copies is None:
            self._look_for_copies()
        self.redraw()

    @override
    def clear(self) -> None:
        self._forget()
        self.workers.cancel_node(self)

    def _forget(self) -> None:
        self._texts, self._bits, self._unknown, self._not_kept = [], [], set(), 0
        self._revealed = None
        self._totals = self._copies = self._progress = self._cursor = None
        self._seeing_copies, self._refusal, self._asked, self._ranked = False, "", "", []

    @override
    def refused(self, question: AnyQuestion, reason: str) -> None:
        if not isinstance(question, FindCopies):
            self._refusal, self._progress = reason, None
        elif question.text == self._asked:
            self._seeing_copies, self._progress = False, None
            self.notify(visible(reason), severity="warning", markup=False)

    def _read(self, *, text: str = "", source: str = "") -> None:
        session = self.session
        if session is None or not session.answering:
            self._forget()
            self._refusal = no_model(session)
            self.redraw()
            return
        self._read_with(session, text, source)

    @work(exclusive=True, group="reading")
    async def _read_with(self, session: Session, text: str, source: str) -> None:
        self._forget()
        self._asked = text
        self._progress = Progress(task="reading", done=0, total=0, unit="tokens")
        self.stale = True
        async for answer in self.hear(session, Surprise(text=text, source=source)):
            match answer:
                case Progress():
                    self._progress = answer
                case SurprisePart():
                    self._keep(answer)
                case SurpriseTotals():
                    self._totals, self._progress = answer, None
        found = (place for place, bits in enumerate(self._bits) if bits is not None)
        self._ranked = sorted(found, key=lambda place: -(self._bits[place] or 0.0))[:_LISTED]
        self._progress = None  # also where the engine has ended on the way
        self.stale = True

    def _keep(self, part: SurprisePart) -> None:
        known = len(self._texts)
        room = max(0, _MOST - known)
        self._texts += part.texts[:room]
        self._bits += part.bits[:room]
        self._unknown |= {known + place for place in part.unknown if place < room}
        self._not_kept += len(part.texts[room:])

    @work(exclusive=True, group="copies")
    async def _look_for_copies(self) -> None:
        session, text = self.session, self._asked
        if session is None or not session.answering:
            return
        async for answer in self.hear(session, FindCopies(text=text, least=_LEAST_COPY)):
            if text != self._asked:
                return
            match answer:
                case Progress():
                    self._progress = answer
                case Copies():
                    self._copies = answer
        if text == self._asked:
            self._progress = None


def _per_character(bits: float | None) -> list[tuple[str, str]]:
    if bits is None:
        return []
    return [(" · ", MUTED), (f"{bits:.3f}", "bold"), (" bits per character", MUTED)]


def _baseline(
    name: str,
    bits: float,
    per_character: float | None,
    perplexity: float,
    *,
    most: float,
    width: int,
) -> Content:
    each = "      " if per_character is None else f"{per_character:6.2f}"
    bar = max(0, min(30, width - 30))
    filled = round(bar * bits / most) if most > 0 else 0
    style = "bold" if name == "the model" else ""
    return Content.assemble(
        (f"{name:<10}", style),
        (f"{each} {grouped(perplexity, 1):>9} ", style),
        ("━" * filled, "$accent" if style else "$foreground 60%"),
    )


def _repeats(copies: Copies, width: int) -> list[str]:
    """How much a text repeats itself, in lines of whole parts."""
    parts = [
        f"distinct-{size} {share:.2f}"
        for size, share in enumerate(copies.distinct, start=1)
        if share is not None
    ]
    if copies.repetition is not None:
        parts.append(f"4-grams repeated {copies.repetition:.0%}")
    lines = parts[:1]
    for part in parts[1:]:
        longer = f"{lines[-1]} · {part}"
        lines[-1:] = [longer] if len(longer) <= width else [lines[-1], part]
    return lines
