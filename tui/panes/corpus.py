"""The corpus: what the text is, its most frequent words, and a sentence represented two ways."""

from itertools import islice

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input

from engine.events import CorpusSummary
from engine.messages import AnyAnswer, AnyQuery, Represent, Representation, TokenView
from tui.keys import sentence, shown
from tui.numbers import signed
from tui.panes.pane import AskingPane
from tui.remarks import on_screen, unknown
from tui.run.session import Session
from tui.sanitize import content, token
from tui.widgets.text import MUTED, Block, Labelled, PaneInput, fit

EXAMPLE = "I am going to office."
_WORD = 14
"""Cells for a frequent word."""
_LEAST_ROWS = 7
"""For all that stands below the facts."""
_STRIP_SHARE = 3
"""A one-hot row takes one part in this many of the width."""


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
    def hint(self) -> str:
        return sentence("{type_in} types · {leave_input} back")

    def compose(self) -> ComposeResult:
        yield Block(id="facts")
        yield Block(id="frequent", explains=False)
        yield Labelled("sentence", PaneInput(EXAMPLE, id="sentence"))
        yield Block(id="comparison")

    def draw(self, session: Session | None) -> None:
        summary = session.status.corpus if session else None
        width = self.content_size.width
        frequent = self.query_one("#frequent", Block)
        if summary is None:
            self.query_one("#facts", Block).show(_nothing_yet(session))
            frequent.show(Content(""))
        else:
            self._show_facts(summary)
            frequent.show(_frequent(summary, width, frequent.size.height))
        comparison = self.query_one("#comparison", Block)
        if self._refusal:
            comparison.show(content(self._refusal, "$text-warning"))
        elif self._answer is not None:
            comparison.show(_comparison(self._answer, width))
        else:
            comparison.show(
                Content.styled("A sentence's tokens show here once the model is built.", MUTED)
            )

    def _show_facts(self, summary: CorpusSummary) -> None:
        """All of them, and where they'd take too much room how many remarks there are; what the
        sentence is compared in gets the rest."""
        block, height = self.query_one("#facts", Block), self.content_size.height
        facts = _facts(summary, in_full=True)
        if block.rows(facts) > height - _LEAST_ROWS and summary.remarks:
            facts = _facts(summary, in_full=False)
        block.show(facts)
        most = min(height * 6 // 10, height - block.rows(facts) - 3)
        self.query_one("#comparison", Block).styles.max_height = max(2, most)

    def question(self) -> AnyQuery | None:
        text = self.query_one("#sentence", Input).value
        return Represent(text=text) if text else None

    def answered(self, answer: AnyAnswer) -> None:
        assert isinstance(answer, Representation)
        self._answer, self._refusal = answer, ""

    def refused(self, reason: str) -> None:
        self._refusal = reason

    def clear(self) -> None:
        self._answer, self._refusal = None, ""


def _nothing_yet(session: Session | None) -> Content:
    text = "Reading the text…" if session else "The text shows here once the engine has read it."
    return Content.styled(f"{text}\n{shown('open_corpus')} opens a text of your own.", MUTED)


def _facts(summary: CorpusSummary, *, in_full: bool) -> Content:
    """What the text is, then the remarks on it, or how many there are."""
    tokens = ", ".join(f"{short(count)} {split}" for split, count in summary.tokens.items())
    files = f"{summary.files:,} files, " if summary.files > 1 else ""
    lines = [
        Content.assemble(
            content(summary.source, "bold"),
            f"  {files}{size(summary.bytes)}, {summary.lines:,} lines",
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


def _comparison(answer: Representation, width: int) -> Content:
    """What the sentence costs both ways, then a row a token: its id, its one-hot row with the
    single 1, and the first numbers of its embedding."""
    count = len(answer.tokens)
    one_hot, embedding = f"{count} × {answer.vocabulary:,}", f"{count} × {answer.embedding_size:,}"
    factors = max(len(one_hot), len(embedding))
    word = min(12, max((cell_len(token(view.text)) for view in answer.tokens), default=1) + 2)
    digits = len(str(answer.vocabulary))
    strip = max(8, (width - word - digits) // _STRIP_SHARE)
    numbers = max(0, (width - word - digits - strip - 4) // 6)
    rows = [
        _cost("one-hot", f"{one_hot:>{factors}}", answer.one_hot_bytes),
        _cost("embedding", f"{embedding:>{factors}}", answer.embedding_bytes),
        Content.styled(
            f"{'':{word}}{'id':>{digits}}  {'one-hot row':<{strip}}  embedding row", MUTED
        ),
    ]
    rows += [
        _token(view, answer.vocabulary, word, digits, strip, numbers) for view in answer.tokens
    ]
    if not all(view.known for view in answer.tokens):
        rows.append(Content.styled("* not in the vocabulary: <unk> to the model", "$text-warning"))
    return Content("\n").join(rows)


def _cost(name: str, factors: str, count: int) -> Content:
    return Content.assemble(
        (f"{name:<9} ", MUTED), f"{factors} × 4 bytes = ", (size(count), "bold")
    )


def _token(
    view: TokenView, vocabulary: int, word: int, digits: int, strip: int, numbers: int
) -> Content:
    place = min(strip - 1, view.id * strip // max(1, vocabulary))
    shown = " ".join(map(signed, view.embedding[:numbers]))
    text = fit(token(view.text), word - 2).rstrip() + ("" if view.known else "*")
    return Content.assemble(
        (f"{text}{' ' * (word - cell_len(text))}", "" if view.known else "$text-warning"),
        (f"{view.id:>{digits}}  ", MUTED),
        ("0" * place, "dim"),
        ("1", "bold $accent"),
        ("0" * (strip - place - 1), "dim"),
        f"  {shown}",
    )


def short(count: int) -> str:
    """A count for people: exact up to 99,999, then three digits."""
    if count < 100_000:
        return f"{count:,}"
    thousands = count / 1000
    return f"{thousands:.0f}k" if thousands < 1000 else f"{thousands / 1000:.3g}M"


def size(count: int) -> str:
    """A number of bytes for people."""
    value, unit = float(count), "bytes"
    for bigger in ("kB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, bigger
    return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:.3g} {unit}"
