"""The corpus: what the text is, its most frequent words, and a sentence represented two ways."""

from collections.abc import Iterator
from itertools import groupby, islice

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input
from typing_extensions import override

from engine.events import CorpusSummary
from engine.messages import AnyAnswer, AnyQuery, Represent, Representation, TokenView
from tui.keys import sentence, shown
from tui.numbers import counted, rounded, size
from tui.panes.pane import AskingPane
from tui.remarks import on_screen, unknown
from tui.run.session import Session
from tui.sanitize import content, token
from tui.vector_rows import (
    LEVELS,
    NO_NUMBER,
    averaged,
    first_fitting,
    glyph,
    length_told,
    levels,
    one_hot,
    one_hot_width,
    scale_of,
    to_a_cell,
)
from tui.widgets.text import MUTED, Block, PaneInput, fit

EXAMPLE = "I am going to office."
_WORD = 14
"""Cells for a frequent word."""
_LEAST_ROWS = 7
"""For all that stands below the facts."""
_LEAST_FREQUENT = 2
"""For the frequent words."""
_LEAST_FOR_ALL = 12
"""Rows of the pane from which on there is room for more than a name above the sentence."""
_LEAST_FOR_COSTS = 7
"""Rows of a sentence from which on it is told what it costs."""
_WAITING = "A sentence's tokens show here once the model is built."
_ASK = "No sentence to show: {type_in} types one."
_LEAST_WORD = 8
"""Columns for a sentence's tokens, at most, where there is little room."""
_LEAST_STRIP = 10
"""Columns of a one-hot row that are always there."""
_FEW_CELLS = 12
"""Cells of an embedding row from which on a one-hot row may take the rest."""
_ABOVE, _BELOW = "#E69F00", "#56B4E9"


class CorpusPane(AskingPane):
    """The text the model learns from, and what a word is to a network."""

    ID = "corpus"
    KEY = "1"
    ABOUT = "The text: its size, its words, and a sentence as one-hot rows and as embeddings."
    COLUMN = "right"
    SHARE = 19

    def __init__(self) -> None:
        super().__init__()
        self._answer: Representation | None = None
        self._refusal = ""

    @property
    @override
    def hint(self) -> str:
        return sentence("{type_in} types · {leave_input} back")

    @override
    def compose(self) -> ComposeResult:
        yield Block(id="facts")
        yield Block(id="frequent", explains=False)
        yield PaneInput(EXAMPLE, label="sentence", id="sentence")
        yield Block(id="comparison")

    @override
    def tells(self, session: Session | None) -> object:
        return session and session.status.corpus

    @override
    def draw(self, session: Session | None) -> None:
        summary = session.status.corpus if session else None
        width, height = self.content_size
        facts, frequent = self.query_one("#facts", Block), self.query_one("#frequent", Block)
        told = _nothing_yet(session) if summary is None else self._facts(summary)
        facts.show(told)
        frequent.display = height >= _LEAST_FOR_ALL
        frequent.show(
            Content("") if summary is None else _frequent(summary, width, frequent.size.height)
        )
        comparison = self.query_one("#comparison", Block)
        above = _LEAST_FREQUENT * frequent.display + 1  # the sentence
        share = height * 6 // 10 if frequent.display else height
        most = max(2, min(share, height - facts.rows(told) - above))
        comparison.styles.max_height = most
        if self._refusal:
            comparison.show(content(self._refusal, "$text-warning"))
        elif self._answer is not None:
            comparison.show(_comparison(self._answer, width, most))
        else:
            text = _WAITING if self._typed else sentence(_ASK)
            comparison.show(Content.styled(text, MUTED))

    def _facts(self, summary: CorpusSummary) -> Content:
        """All of them, and where they'd take too much room how many remarks there are, or but what
        it is called; what the sentence is compared in gets the rest."""
        if self.content_size.height < _LEAST_FOR_ALL:
            return content(summary.source, "bold")
        facts = _facts(summary, in_full=True)
        rows = self.query_one("#facts", Block).rows(facts)
        if summary.remarks and rows > self.content_size.height - _LEAST_ROWS:
            return _facts(summary, in_full=False)
        return facts

    @property
    def _typed(self) -> str:
        return self.query_one("#sentence", Input).value

    @override
    def question(self) -> AnyQuery | None:
        return Represent(text=self._typed) if self._typed else None

    @override
    def answered(self, answer: AnyAnswer) -> None:
        assert isinstance(answer, Representation)
        self._answer, self._refusal = answer, ""

    @override
    def refused(self, reason: str) -> None:
        self._refusal = reason

    @override
    def clear(self) -> None:
        self._answer, self._refusal = None, ""


def _nothing_yet(session: Session | None) -> Content:
    text = "Reading the text…" if session else "The text shows here once the engine has read it."
    return Content.styled(f"{text}\n{shown('open_corpus')} opens a text of your own.", MUTED)


def _facts(summary: CorpusSummary, *, in_full: bool) -> Content:
    """What the text is, then the remarks on it, or how many there are."""
    tokens = ", ".join(f"{rounded(count)} {split}" for split, count in summary.tokens.items())
    files = f"{summary.files:,} files, " if summary.files > 1 else ""
    lines = [
        Content.assemble(
            content(summary.source, "bold"),
            f"  {files}{size(summary.bytes)}, {counted(summary.lines, 'line')}",
        ),
        content(summary.tokenizer, MUTED),
        Content.assemble(("tokens ", MUTED), tokens),
        Content.assemble(
            ("vocabulary ", MUTED),
            (f"{summary.vocabulary:,}", "bold"),
            ("  unknown ", MUTED),
            unknown(summary),
        ),
    ]
    if in_full:
        lines += [content(on_screen(remark), "$text-warning") for remark in summary.remarks]
    else:
        count = len(summary.remarks)
        told = f"{count} remark{'s' * (count != 1)} on this text: zoom ({shown('zoom')})"
        lines.append(Content.styled(told, "$text-warning"))
    return Content("\n").join(lines)


def _frequent(summary: CorpusSummary, width: int, height: int) -> Content:
    """The most frequent tokens with bars, in as many columns as fit."""
    if not summary.frequent or width < 20 or height < 1:
        return Content("")
    columns = max(1, width // 34)
    cell = width // columns
    words = summary.frequent
    most = words[0][1]
    digits = len(f"{most:,}")
    bar = max(1, cell - _WORD - digits - 4)
    height = min(height, -(-len(words) // columns))
    rows = []
    for row in range(height):
        parts: list[Content | tuple[str, str] | str] = []
        for word, count in islice(words, row, height * columns, height):
            filled = max(1, round(bar * count / most))
            parts += [
                f"{fit(token(word), _WORD)} ",
                ("━" * filled, "$accent"),
                f"{'':{bar - filled}} ",
                (f"{count:>{digits},}  ", MUTED),
            ]
        rows.append(Content.assemble(*parts))
    return Content("\n").join(rows)


def _comparison(answer: Representation, width: int, height: int) -> Content:
    """What the sentence costs both ways, then a row a token: its id, its one-hot row with the
    single 1, and its embedding as cells; as many as there are rows for."""
    count = len(answer.tokens)
    one_hot, embedding = f"{count} × {answer.vocabulary:,}", f"{count} × {answer.embedding_size:,}"
    factors = max(len(one_hot), len(embedding))
    rows = [
        _cost("one-hot", f"{one_hot:>{factors}}", answer.one_hot_bytes),
        _with_legend(_cost("embedding", f"{embedding:>{factors}}", answer.embedding_bytes), width),
    ]
    if height < _LEAST_FOR_COSTS:
        rows = []
    notes = []
    if not all(view.known for view in answer.tokens):
        told = "* not in the vocabulary: <unk> to the model"
        told = told if len(told) <= width else "* unknown: <unk> to the model"
        notes.append(Content.styled(told, "$text-warning"))
    room = height - len(rows) - 1 - len(notes)
    shown = answer.tokens if count <= room else answer.tokens[: max(0, room - 1)]
    if shown:
        rows += _table(answer, shown, width)
    if len(shown) < count:
        rows.append(Content.styled(f"… {count - len(shown):,} more", MUTED))
    return Content("\n").join(rows + notes)


def _cost(name: str, factors: str, count: int) -> Content:
    return Content.assemble(
        (f"{name:<9} ", MUTED), f"{factors} × 4 bytes = ", (size(count), "bold")
    )


def _with_legend(cost: Content, width: int) -> Content:
    """What the cells of embeddings mean, behind what they cost, where there is room."""
    above, below = LEVELS - 1, 1 - LEVELS
    for one, other in ((" above zero ", " below"), ("+ ", "−")):
        legend = Content.assemble(
            "  ",
            (glyph(above) * len(one.split()), _colour(above)),
            (one, MUTED),
            (glyph(below) * len(one.split()), _colour(below)),
            (other, MUTED),
        )
        if cost.cell_length + legend.cell_length <= width:
            return cost + legend
    return cost


def _table(answer: Representation, views: list[TokenView], width: int) -> list[Content]:
    """Rows of tokens below a row of headings."""
    vocabulary = answer.vocabulary
    longest = max(cell_len(token(view.text)) for view in views)
    word = min(max(_LEAST_WORD, width // 6), longest + 2)
    digits = len(str(vocabulary - 1))
    room = width - word - digits - 4
    wished = min(_FEW_CELLS, answer.embedding_size)
    strip = one_hot_width(vocabulary, max(_LEAST_STRIP, room - wished))
    cells = max(0, room - strip)
    sent = max(len(view.embedding) for view in views)
    count = to_a_cell(sent, cells)
    vectors = [averaged(view.embedding, count) if cells else [] for view in views]
    scale = scale_of(vectors)
    told = length_told(answer.embedding_size, sent, count, cells) if sent else ""
    heading = fit(first_fitting(("one-hot row", "one-hot"), strip), strip)
    rows = [Content.styled(f"{'':{word}}{'id':>{digits}}  {heading}  {told}", MUTED)]
    for view, vector in zip(views, vectors, strict=True):
        name = fit(token(view.text), word - 2).rstrip() + ("" if view.known else "*")
        before, mark, after = one_hot(view.id, vocabulary, strip)
        gap = " " * (strip - len(before + mark + after))
        rows.append(
            Content.assemble(
                (f"{name}{' ' * (word - cell_len(name))}", "" if view.known else "$text-warning"),
                (f"{view.id:>{digits}}  ", MUTED),
                (before, "dim"),
                (mark, "bold $accent"),
                (f"{after}{gap}  ", "dim"),
                *_cells(levels(vector, scale)),
            )
        )
    return rows


def _cells(row: list[int]) -> Iterator[tuple[str, str]]:
    """The cells of a vector: neighbours of one level in one piece."""
    for level, same in groupby(row):
        yield glyph(level) * len(list(same)), _colour(level)


def _colour(level: int) -> str:
    """One hue below zero and one above, the stronger the farther; they are told apart with any kind
    of colour vision."""
    if level == NO_NUMBER:
        return "$text-error"
    if level == 0:
        return "$foreground 40%"
    hue = _ABOVE if level > 0 else _BELOW
    return f"{hue} on {hue} {20 + 20 * abs(level)}%"
