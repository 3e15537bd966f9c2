"""The inside of the cell: what gates and states of a layer do while a text is read, what single
units follow, how far back a prediction looks, and how saturated the gates are."""

import math
import struct
import textwrap
import time
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from rich.cells import cell_len
from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input
from textual.worker import Worker
from typing_extensions import override

from engine.errors import UserError
from engine.events import Progress
from engine.messages import (
    AnyAnswer,
    AnyQuestion,
    CellPart,
    CellTokens,
    FindPlaces,
    FindUnits,
    FollowingUnits,
    HowFarBack,
    InputGradients,
    LayerSaturation,
    LayerSaturations,
    PlainFarBack,
    PlainGradients,
    Saturation,
    SimilarPlace,
    SimilarPlaces,
    TraceCell,
)
from engine.messages.cell import Quantity
from engine.service.client import EngineEnded
from tui.keys import no_model, sentence
from tui.numbers import counted
from tui.panes.generation.shades import (
    CURSOR,
    HUE,
    OTHER,
    SHARES,
    coloured,
    grade,
    laid_out,
    legend,
    signed,
)
from tui.panes.generation.text_view import TextView
from tui.panes.generation.write_view import WriteView
from tui.panes.laboratory import action
from tui.run.session import Session
from tui.sanitize import content, token, visible
from tui.widgets.flow import Flow
from tui.widgets.text import MUTED, Block, PaneInput, fit

QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
Mode = Literal["units", "how far back", "saturation", "places"]
_MOST = 400
"""Characters of a text whose cells are kept: the first ones."""
_MOST_ROWS = _MOST + 1
"""Tokens whose cells are kept, with the one that the text begins after."""
_PACES = {FindUnits: 30.0, Saturation: 30.0, FindPlaces: math.inf, PlainFarBack: math.inf}
"""Seconds until that is asked anew because the weights are others, for what takes long; a second
for anything else."""
_LABEL = 14
"""Columns for a unit's number, and how well it follows what units are sorted by."""
_NARROW, _WIDE = 2, 8
"""Columns of a token in the heat map, by how many there are."""
_SIGNS = "  ▓ >0  ≡ <0 "
"""How numbers above and below zero look."""
_EXAMPLE = 'She said "this (or that) was long ago", and left.'
_FLOOR = 1e-4
"""A gradient so small beside the largest one counts as vanished."""
_BARS = " ▁▂▃▄▅▆▇█"
_TALLEST = 10
"""Lines of a bar."""


class CellView(TextView):
    """A heat map over time: a row a unit, a column a token."""

    ID = "cell"
    NAME = "cell"
    ABOUT = "Gates and states of a layer while a text is read: a row a unit, a column a token."
    DEFAULT_CSS = """
    CellView {
        #cell-head { height: 1; text-wrap: nowrap; }
        #heat { height: 1fr; text-wrap: nowrap; }
        #cell-flow { height: 6; }
    }
    """
    ACTIONS = (
        action("next_layer", "L", "See the next layer", "Go through the layers."),
        action("next_quantity", "M", "See another gate or state", "Gates, cell, hidden in turn."),
        action(
            "follow", "F", "Sort units by what they follow", "Quotes, brackets, lines, capitals."
        ),
        action("far_back", "H", "See how far back it looks", "The gradient of one prediction."),
        action("plain_rnn", "E", "Set a plain RNN beside it", "Trained as the run was, to see it."),
        action("saturation", "S", "See how saturated gates are", "Shares near 0 and 1, by layer."),
        action("places", "P", "Find such places", "Where in the corpus the same units are on."),
        action("cell_written", "W", "Take what was written", "Read the beginning of that text."),
    )

    def __init__(self, write: WriteView) -> None:
        super().__init__()
        self._write = write
        self._text = ""
        self._layer = 0
        self._quantity: Quantity = "cell"
        self._mode: Mode = "units"
        self._feature = ""
        """What units are sorted by; empty for their numbers."""
        self._unit = 0
        """Which unit is picked: its place among the rows."""
        self._cursor: int | None = None
        """The token that is walked to."""
        self._tokens: CellTokens | None = None
        self._rows: list[tuple[float, ...]] = []
        """For each token the values of all units."""
        self._found: FollowingUnits | None = None
        self._gradients: InputGradients | None = None
        self._beside = False
        """Whether a plain RNN is to be seen beside the model."""
        self._plain: PlainGradients | None = None
        self._saturations: LayerSaturations | None = None
        self._places: SimilarPlaces | None = None
        self._progress: Progress | None = None
        self._traced = self._trace_question()
        """The question that the rows answer."""
        self._answered: dict[type, tuple[AnyQuestion, int, float]] = {}
        """By its kind the question answered last, at which step, and when."""
        self._refused: dict[type, str] = {}
        """Why it was none, where it wasn't."""
        self._hearing: list[AnyQuestion] = []
        """What is wanted by the worker that asks, if there is one."""
        self._asker: Worker[None] | None = None

    @property
    @override
    def hint(self) -> str:
        return sentence(
            "{type_in} text · {next_layer} layer · {next_quantity} gate or state · {walk_up} "
            "{walk_down} unit · {follow} sort · {far_back} how far back · {plain_rnn} beside "
            "a plain RNN · {saturation} saturation · {places} such places"
        )

    @override
    def compose(self) -> ComposeResult:
        yield PaneInput(label="text", placeholder=_EXAMPLE, id="cell-text")
        yield Block(id="cell-head", explains=False)
        yield Block(id="heat", explains=False)
        yield Flow(id="cell-flow", follows=False)

    # --- drawing ------------------------------------------------------------------------------

    @override
    def draw(self, session: Session | None) -> None:
        if session is not None and session.answering:
            self._keep_up(session)
        refusal = next(filter(None, (self._refused.get(type(q)) for q in self._questions())), "")
        told = no_model(session) or refusal
        head, heat = self.query_one("#cell-head", Block), self.query_one("#heat", Block)
        width = self.content_size.width
        head.show(self._head().truncate(width, ellipsis=True))
        if told:
            heat.show(content(told, "$text-warning" if refusal else MUTED))
            self.query_one("#cell-flow", Flow).show((), Content(""))
            return
        if self._mode == "saturation":
            heat.show(_saturated(self._saturations, heat.size.width))
        elif self._mode == "places":
            heat.show(_listed(self._places, self._progress, *heat.size))
        elif self._mode == "how far back" and self._beside:
            heat.show(self._profiles(*heat.size))
        else:
            heat.show(self._map(*heat.size))
        self._draw_text()

    def _head(self) -> Content:
        if self._mode == "saturation":
            return Content.styled("gates of all layers", "bold")
        layers = len(self._tokens.units) if self._tokens is not None else 0
        of = f" of {layers}" if layers else ""
        told = Content.styled(_seen(self._traced, of), "bold")
        if self._traced != (wanted := self._trace_question()):
            told += Content.styled(f" → {_seen(wanted)} …", MUTED)
        if self._mode == "how far back" and self._gradients is not None:
            predicted = fit(token(self._gradients.predicted), 20).rstrip()
            share = f" {self._gradients.probability:.1%}"
            told += Content.assemble(" · how far back: ", (predicted, "bold"), (share, MUTED))
        elif self._mode == "places" and self._places is not None:
            meant = fit(token(self._places.token), 20).rstrip()
            told += Content.assemble(" · places like ", (meant, "bold"))
        elif self._mode == "units" and self._unit_number is not None:
            value = self._value(self._cursor)
            at = "" if value is None else f" {value:+.3f}"
            told += Content.assemble(" · ", (f"unit {self._unit_number}{at}", "bold"))
            if self._feature:
                none = self._found is not None and self._order[0][1] is None
                how = f"nothing {self._sorted_by}" if none else f"sorted: {self._sorted_by}"
                told += Content.styled(f" · {how}", MUTED)
        if self._tokens is not None:
            told += Content.styled(f" · step {self._tokens.step:,}{self._cut}", MUTED)
        return told

    @property
    def _cut(self) -> str:
        """What of the text isn't seen."""
        if (characters := len(self.query_one("#cell-text", Input).value)) > _MOST:
            return f" · the first {_MOST} of {characters:,} characters"
        tokens = len(self._tokens.raw) if self._tokens is not None else 0
        return f" · the first {_MOST_ROWS:,} of {tokens:,} tokens" if tokens > _MOST_ROWS else ""

    @property
    def _sorted_by(self) -> str:
        names = {"quotes": "inside quotes", "brackets": "inside brackets"}
        return names.get(self._feature, self._feature.replace("_", " "))

    def _value(self, place: int | None) -> float | None:
        number = self._unit_number
        if place is None or number is None or place >= len(self._rows):
            return None
        return self._rows[place][number]

    @property
    def _order(self) -> list[tuple[int, float | None]]:
        """The units as they are seen, with how well each follows what they are sorted by."""
        units = len(self._rows[0]) if self._rows else 0
        found = self._found
        if not self._feature or found is None:
            return [(unit, None) for unit in range(units)]
        feature = next((each for each in found.features if each.name == self._feature), None)
        best = [(each.unit, each.correlation) for each in feature.units] if feature else []
        known = {unit for unit, _ in best}
        rest = [(unit, None) for unit in range(units) if unit not in known]
        return [*((unit, each) for unit, each in best if unit < units), *rest]

    @property
    def _unit_number(self) -> int | None:
        order = self._order
        return order[min(self._unit, len(order) - 1)][0] if order else None

    def _map(self, width: int, height: int) -> Content:
        """A row of tokens, and one for each unit, those around the picked one."""
        if not self._rows or self._tokens is None:
            return Content.styled("Reading …", MUTED)
        order = self._order
        rows = max(1, height - 1)
        begin = max(0, min(self._unit - rows // 2, len(order) - rows))
        places, cell = self._columns(width)
        lines = [self._names(places, cell, _SIGNS)]
        for number, (unit, follows) in enumerate(order[begin : begin + rows], start=begin):
            lines.append(self._unit_row(number, unit, follows, places, cell))
        return Content("\n").join(lines)

    def _profiles(self, width: int, height: int) -> Content:
        """How much each token matters for the model, and for the plain RNN: two rows of bars."""
        if self._tokens is None or self._gradients is None:
            return Content.styled("Reading …", MUTED)
        places, cell = self._columns(width)
        told = textwrap.wrap(self._compared(), max(1, width))
        tall = max(1, min(_TALLEST, (height - 3 - len(told)) // 2))
        lines = [self._names(places, cell, "")]
        for name, found, hue in (("LSTM", self._gradients, HUE), ("plain RNN", self._plain, OTHER)):
            lines += _bars(name, found.norms if found else [], places, cell, tall, hue)
            lines.append(Content(""))
        return Content("\n").join([*lines, *(Content.styled(line, MUTED) for line in told)])

    def _compared(self) -> str:
        """What is set beside the model."""
        found, progress = self._plain, self._progress
        if found is None:
            done = f" step {progress.done:,} of {progress.total:,};" if progress else ""
            return sentence(f"Training a plain RNN as the run was …{done} {{plain_rnn}} stops it.")
        loss = "" if found.loss is None else f", loss {found.loss:.2f} nats a token"
        trained = f"trained as the run was for {counted(found.steps, 'step')}{loss}"
        scale = "A bar: the gradient beside the largest, from 1/10,000 up, on a log scale."
        return f"A plain RNN of the same sizes, {trained}. {scale}"

    def _columns(self, width: int) -> tuple[range, int]:
        """The tokens that there is room for, around the cursor, and the columns of each."""
        cell = max(_NARROW, min(_WIDE, (width - _LABEL) // len(self._rows)))
        columns = max(1, (width - _LABEL) // cell)
        here = self._cursor or 0
        first = max(0, min(here - columns // 2, len(self._rows) - columns))
        return range(first, min(first + columns, len(self._rows))), cell

    def _names(self, places: Sequence[int], cell: int, label: str) -> Content:
        """The beginning of each token above its column."""
        assert self._tokens is not None
        parts = []
        for place in places:
            name = token(self._tokens.raw[place]).strip() or " "
            shown = fit(name if cell > _NARROW else name[:1], cell - 1)
            parts.append((f"{shown} ", CURSOR if place == self._cursor else MUTED))
        return Content.assemble((fit(label, _LABEL), MUTED), *parts)

    def _unit_row(
        self, number: int, unit: int, follows: float | None, places: Sequence[int], cell: int
    ) -> Content:
        picked = number == min(self._unit, len(self._order) - 1)
        label = f"{'▸' if picked else ' '}{unit:>5}"
        label += f" {follows:+.2f}" if follows is not None else ""
        cells = (signed(self._scaled(self._rows[place][unit])) for place in places)
        return Content.assemble(
            (fit(label, _LABEL), "bold" if picked else MUTED),
            *((glyph * cell, style) for glyph, style in cells),
        )

    def _scaled(self, value: float) -> float:
        """From -1 to 1: a cell's state, which has no bound, as the output gate sees it."""
        return math.tanh(value) if self._traced.quantities == ["cell"] else value

    def _draw_text(self) -> None:
        """The text, coloured by the picked unit, or by how much each token matters."""
        flow, tokens = self.query_one("#cell-flow", Flow), self._tokens
        if tokens is None or self._mode == "saturation":
            flow.show((), Content(""))
            return
        texts = tokens.texts[1 : len(self._rows)]
        at = None if self._cursor in (None, 0) else (self._cursor or 0) - 1
        text, reach = laid_out(texts, self._styles(len(texts)), at)
        if self._mode == "how far back":
            meant = Content.styled("\n\nof the greatest gradient ", MUTED)
            text = Content.assemble(text, meant, legend(SHARES))
        flow.show((), text)
        self.reveal(flow, reach if at is not None else 1, at)

    def _styles(self, count: int) -> Iterator[str]:
        if self._mode == "how far back":
            norms = self._gradients.norms[1:] if self._gradients is not None else []
            most = max((each for each in norms if math.isfinite(each)), default=0.0)
            for place in range(count):
                norm = norms[place] if place < len(norms) else 0.0
                yield grade(_relative(norm, most)) if place < len(norms) else MUTED
            return
        unit = self._unit_number
        for row in self._rows[1 : count + 1]:
            yield coloured(self._scaled(row[unit])) if unit is not None else ""

    # --- walking ------------------------------------------------------------------------------

    @override
    def walk(self, change: int) -> None:
        if self._rows:
            here = 0 if self._cursor is None else self._cursor
            self._cursor = max(0, min(len(self._rows) - 1, here + change))
            self.redraw()

    @override
    def walk_to(self, *, first: bool) -> None:
        if self._rows:
            self._cursor = 0 if first else len(self._rows) - 1
            self.redraw()

    @override
    def climb(self, change: int) -> None:
        if self._rows:
            self._unit = max(0, min(len(self._rows[0]) - 1, self._unit + change))
            self.redraw()

    # --- what is seen -------------------------------------------------------------------------

    def action_next_layer(self) -> None:
        """Go through the layers."""
        if self._tokens is not None:
            self._layer = (self._layer + 1) % len(self._tokens.units)
            self._found, self._unit = None, 0
        self.redraw()

    def action_next_quantity(self) -> None:
        """Go through gates and states."""
        at = QUANTITIES.index(self._quantity)
        self._quantity = QUANTITIES[(at + 1) % len(QUANTITIES)]
        self._found = None
        self.redraw()

    def action_follow(self) -> None:
        """Sort units by the next thing they may follow, at the end by number again."""
        names = ["", "quotes", "brackets", "line_position", "line_length", "capitals"]
        self._feature = names[(names.index(self._feature) + 1) % len(names)]
        self._unit = 0
        self._mode = "units"
        self.redraw()

    def action_far_back(self) -> None:
        """See how much each token matters for the prediction at the cursor, or the units again."""
        self._mode = "units" if self._mode == "how far back" else "how far back"
        self.redraw()

    def action_plain_rnn(self) -> None:
        """See how far back a plain RNN looks, too; or no more, which ends its training."""
        self._beside = not (self._beside and self._mode == "how far back")
        self._mode = "how far back"
        self._answered.pop(PlainFarBack, None)  # the run may have gone on
        if self._asker is not None:
            self._asker.cancel()
        self.redraw()

    def action_saturation(self) -> None:
        """See how far gates are shut or open, or the units again."""
        self._mode = "units" if self._mode == "saturation" else "saturation"
        self.redraw()

    def action_places(self) -> None:
        """See where in the corpus the same units are on as at the cursor, or the units again."""
        self._mode = "units" if self._mode == "places" else "places"
        self._answered.pop(FindPlaces, None)  # the weights may be others by now
        self.redraw()

    def action_cell_written(self) -> None:
        """Read the beginning of what the model wrote."""
        if self._write.text:
            self.query_one("#cell-text", Input).value = self._write.text
            self._typed()
        else:
            self.notify(sentence("Nothing is written yet: {generate} writes."), markup=False)

    @on(Input.Changed, "#cell-text")
    def _typed(self) -> None:
        self._text = self.query_one("#cell-text", Input).value[:_MOST]
        self._cursor = self._found = self._gradients = self._plain = self._places = None
        self._revealed = None
        self.redraw()

    @override
    def clear(self) -> None:
        self._tokens = self._found = self._gradients = self._saturations = None
        self._places = self._plain = self._progress = None
        self._beside = False
        self._rows, self._hearing = [], []
        self._answered.clear()
        self._refused.clear()
        self._cursor, self._unit, self._layer = None, 0, 0
        self._traced = self._trace_question()

    @override
    def refused(self, question: AnyQuestion, reason: str) -> None:
        self._refused[type(question)] = reason

    # --- what is asked --------------------------------------------------------------------------

    def _trace_question(self) -> TraceCell:
        text = self._text or _EXAMPLE
        return TraceCell(text=text, layers=[self._layer], quantities=[self._quantity])

    def _questions(self) -> Iterator[AnyQuestion]:
        """All that what is seen takes, the trace first."""
        if self._mode == "saturation":
            yield Saturation()
            return
        trace = self._trace_question()
        yield trace
        text = trace.text
        if self._mode == "places":
            at = self._cursor - 1 if self._cursor else None
            yield FindPlaces(text=text, position=at, layer=self._layer, quantity=self._quantity)
        elif self._mode == "how far back":
            at = None if self._cursor is None or self._cursor < 2 else self._cursor - 1
            yield HowFarBack(text=text, position=at)
            if self._beside:
                yield PlainFarBack(text=text, position=at)
        elif self._feature:
            # Of the text that is seen where it was typed; else of the run's own held-out text.
            yield FindUnits(text=self._text, layer=self._layer, quantity=self._quantity, top=1_000)

    def _keep_up(self, session: Session) -> None:
        """Ask at once what is another question than before, and now and then what may have another
        answer, for the weights are others."""
        questions = list(self._questions())
        busy = self._asker is not None and not self._asker.is_finished
        if busy and questions == self._hearing:
            return
        if due := [each for each in questions if self._is_due(each, session.status.step)]:
            self._hearing = questions
            self._asker = self._hear(session, due)

    def _is_due(self, question: AnyQuestion, step: int) -> bool:
        before, at, when = self._answered.get(type(question), (None, 0, 0.0))
        pace = _PACES.get(type(question), 1.0)
        return question != before or (step != at and time.monotonic() - when >= pace)

    @work(exclusive=True)
    async def _hear(self, session: Session, questions: Sequence[AnyQuestion]) -> None:
        for question in questions:
            step = session.status.step
            try:
                if isinstance(question, TraceCell):
                    answered = await self._trace(session, question)
                elif isinstance(question, FindPlaces | PlainFarBack):
                    answered = await self._wait(session, question)
                else:
                    answered = self._keep(session, await session.engine.call(question))
            except UserError as error:
                answered = False
                self.refused(question, str(error))
            except EngineEnded:
                return
            if session is not self.session:
                return
            if answered:
                self._refused.pop(type(question), None)
            self._answered[type(question)] = question, step, time.monotonic()
            self.stale = True

    async def _trace(self, session: Session, question: TraceCell) -> bool:
        """Take in the rows once all are there. Returns whether they came."""
        tokens: CellTokens | None = None
        rows: list[tuple[float, ...]] = []
        async for answer in self.hear(session, question):
            match answer:
                case CellTokens():
                    tokens = answer
                case CellPart() if len(rows) < _MOST_ROWS:
                    rows += _unpacked(answer)
        if tokens is None or not rows or session is not self.session:
            return False
        self._traced, self._tokens, self._rows = question, tokens, rows[:_MOST_ROWS]
        return True

    async def _wait(self, session: Session, question: FindPlaces | PlainFarBack) -> bool:
        """Take in what takes long, telling how far it is. Returns whether it came."""
        found: AnyAnswer | None = None
        async for answer in self.hear(session, question):
            if isinstance(answer, Progress):
                self._progress = answer
            else:
                found = answer
        self._progress = None
        return found is not None and self._keep(session, found)

    def _keep(self, session: Session, answer: AnyAnswer) -> bool:
        """Take in the answer to a question that has one, if it is the shown run's."""
        if session is not self.session:
            return False
        match answer:
            case FollowingUnits():
                self._found = answer
            case InputGradients():
                self._gradients = answer
            case LayerSaturations():
                self._saturations = answer
            case SimilarPlaces():
                self._places = answer
            case PlainGradients():
                self._plain = answer
        return True


def _seen(question: TraceCell, of: str = "") -> str:
    """Which layer's what, and of how many it is."""
    return f"layer {question.layers[0] + 1}{of} · {question.quantities[0].replace('_', ' ')}"


def _unpacked(part: CellPart) -> list[tuple[float, ...]]:
    """Its rows, each the values of all units."""
    values = struct.unpack(f"<{len(part.values) // 4}f", part.values)
    units = len(values) // max(1, part.rows)
    return [values[begin : begin + units] for begin in range(0, len(values), max(1, units))]


def _relative(norm: float, most: float) -> float:
    """How much a gradient is of the largest one, on a logarithmic scale: 0 for a vanished one."""
    if not math.isfinite(norm):
        return norm
    share = norm / most if most > 0 else 0.0
    return 0.0 if share <= _FLOOR else 1 - math.log(share) / math.log(_FLOOR)


def _bars(
    name: str, norms: Sequence[float], places: Sequence[int], cell: int, tall: int, hue: str
) -> Iterator[Content]:
    """Lines of bars, each as high as a token's gradient is beside the largest one."""
    most = max(filter(math.isfinite, norms), default=0.0)
    steps = len(_BARS) - 1
    shares = [_relative(norms[place], most) if place < len(norms) else 0.0 for place in places]
    levels = [round(steps * tall * each) if math.isfinite(each) else 0 for each in shares]
    for line in reversed(range(tall)):
        parts = [_BARS[max(0, min(steps, each - steps * line))] * (cell - 1) for each in levels]
        label = fit(name if line == 0 else "", _LABEL)
        yield Content.assemble((label, "bold"), (" ".join(parts), hue))


def _saturated(found: LayerSaturations | None, width: int) -> Content:
    if found is None:
        return Content.styled("Reading a stretch of the training text …", MUTED)
    lines = [
        Content.styled(
            fit(f"{'':<9}{'input':>15}{'forget':>17}{'output':>17}   units that", width), MUTED
        ),
        Content.styled(
            fit(f"{'':<9}" + f"{'<0.1':>9}{'>0.9':>6}  " * 3 + "  never change", width), MUTED
        ),
    ]
    lines += [_layer(number, each) for number, each in enumerate(found.layers, start=1)]
    told = f"over {counted(found.tokens, 'token')} of the training text, at step {found.step:,}"
    return Content("\n").join([*lines, Content(""), Content.styled(told, MUTED)])


def _listed(
    found: SimilarPlaces | None, progress: Progress | None, width: int, height: int
) -> Content:
    """A line a place: how alike it is, how far into the training text, and what stands there."""
    share = progress.done / progress.total if progress is not None else 0.0
    if found is None:
        return Content.styled(f"Searching the training text … {share:.0%}", MUTED)
    told = f"{counted(len(found.on), 'unit')} on; of {counted(found.tokens, 'token')} searched "
    told += f"at step {found.step:,}"
    told += f" · searching again … {share:.0%}" if progress is not None else " · the most alike:"
    lines = [Content.styled(fit(told, width), MUTED)]
    lines += [_place(each, len(found.on), width) for each in found.places[: max(0, height - 1)]]
    if len(found.places) > height - 1:
        more = len(found.places) - height + 2
        lines[-1:] = [Content.styled(f"… and {more:,} more", MUTED)]
    return Content("\n").join(lines)


def _place(each: SimilarPlace, on: int, width: int) -> Content:
    told = f"{each.common:>4} of {on:<4} at {each.share:>4.0%}  "
    here = visible(each.token).strip() or "·"
    side = max(0, (width - cell_len(told + here) - 2) // 2)
    before, after = visible(each.before), visible(each.after)
    return Content.assemble(
        (told, MUTED), _end(before, side), " ", (here, "bold reverse"), f" {fit(after, side)}"
    )


def _end(text: str, width: int) -> str:
    """The end of a text, in exactly this many cells."""
    while cell_len(text) > width:
        text = text[1:]
    return " " * (width - cell_len(text)) + text


def _layer(number: int, each: LayerSaturation) -> Content:
    gates = (each.input_gate, each.forget_gate, each.output_gate)
    shares = [f"{gate.near_zero:>9.0%}{gate.near_one:>6.0%}  " for gate in gates]
    still = f"  {each.still:,} of {each.units:,}"
    return Content.assemble((f"layer {number:<3}", "bold"), *shares, (still, "bold"))
