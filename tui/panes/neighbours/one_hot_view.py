"""One-hot against embedding: how near a sentence's tokens are to one another, both ways."""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input
from typing_extensions import override

from engine.messages import AnyAnswer, AnyQuery, Similarities, SimilarityMatrix
from tui.keys import sentence
from tui.numbers import rounded, size
from tui.panes.corpus import EXAMPLE
from tui.panes.neighbours.asked import Asked, WordView
from tui.run.session import Session
from tui.sanitize import content, token
from tui.vector_rows import first_fitting
from tui.widgets.text import MUTED, Block, PaneInput, fit

_WAITING = "How near the tokens are to one another shows here once the model is built."
_ASK = "No sentence to compare: {type_in} types one."
_LABEL = 11
"""Columns for a token beside its row, at most."""
_NUMBER, _SHADE = 5, 2
"""Columns of a cosine as a number, and as a shade alone; a one-hot similarity needs no more."""
_BETWEEN = 3
"""Columns between the two matrices."""
_NEAR, _FAR = "#E69F00", "#56B4E9"
"""Above and below zero: two colours that are told apart with any kind of colour vision."""
_SHADES = " ░▒▓█"
_OPPOSITE = " ─=≡≡"
"""Below zero: strokes as of a minus, so that the sign is seen without colour too."""


class OneHotView(WordView):
    """One-hot rows know of no likeness; embeddings learn it."""

    ID = "one_hot"
    NAME = "one-hot"
    ABOUT = "A sentence's tokens compared: one-hot rows beside embeddings, and what each costs."
    DEFAULT_CSS = """
    OneHotView {
        #matrices { height: 1fr; text-wrap: nowrap; }
    }
    """

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._answer: SimilarityMatrix | None = None
        self._refusal = ""

    @override
    def compose(self) -> ComposeResult:
        yield PaneInput(EXAMPLE, label="sentence", id="compared")
        yield Block(id="matrices", explains=False)

    @on(Input.Changed, "#compared")
    def _typed(self, event: Input.Changed) -> None:
        self.asked.sentence = event.value
        self.ask()

    @override
    def question(self) -> AnyQuery | None:
        return Similarities(text=self.asked.sentence) if self.asked.sentence else None

    @override
    def answered(self, answer: AnyAnswer) -> None:
        assert isinstance(answer, SimilarityMatrix)
        self._answer, self._refusal = answer, ""

    @override
    def refused(self, reason: str) -> None:
        self._refusal = reason

    @override
    def clear(self) -> None:
        self._answer, self._refusal = None, ""

    @override
    def draw(self, _session: Session | None) -> None:
        block = self.query_one("#matrices", Block)
        if self._refusal:
            block.show(content(self._refusal, "$text-warning"))
        elif self._answer is None:
            told = self.waiting(_WAITING) if self.asked.sentence else sentence(_ASK)
            block.show(Content.styled(told, MUTED))
        else:
            block.show(_comparison(self._answer, *block.size))


def _comparison(answer: SimilarityMatrix, width: int, height: int) -> Content:
    """Both matrices, then what rows cost."""
    costs = [Content(""), *_costs(answer, width)]
    room = height - len(costs)
    matrices = _matrices(answer, width, room if room >= 4 else height)
    return Content("\n").join([*matrices, *costs])


def _costs(answer: SimilarityMatrix, width: int) -> list[Content]:
    """What rows of numbers take, in words that fit."""
    one_hot, embedding = (
        size(count)
        for count in (answer.vocabulary_one_hot_bytes, answer.vocabulary_embedding_bytes)
    )
    text, tokens = size(answer.text_one_hot_bytes), rounded(answer.text_tokens)
    told = [
        first_fitting(
            [
                f"the vocabulary as one-hot rows {one_hot}, as embeddings {embedding}",
                f"vocabulary: one-hot {one_hot}, embedding {embedding}",
                f"{one_hot} against {embedding}",
            ],
            width,
        ),
        first_fitting(
            [
                f"the training text's {tokens} tokens as one-hot rows {text}",
                f"the text as one-hot rows {text}",
            ],
            width,
        ),
    ]
    return [Content.styled(each, MUTED) for each in told[: 2 if answer.text_tokens else 1]]


def _matrices(answer: SimilarityMatrix, width: int, height: int) -> list[Content]:
    """A row of names, of tokens, and a row a token; with numbers, or but shades, or fewer tokens
    where there is too little room."""
    names = [token(text) for text in answer.tokens]
    label = min(_LABEL, max(map(cell_len, names), default=0) + 1)
    room = width - label - _BETWEEN
    count = min(len(names), max(1, height - 2))
    column = _NUMBER if count * (_SHADE + _NUMBER) <= room else _SHADE
    count = min(count, max(1, room // (_SHADE + column)))
    left = Content.styled(fit("", label) + fit("one-hot", count * _SHADE + _BETWEEN), "bold")
    right = Content.styled("embedding", "bold")
    heads = [
        fit("", label),
        *(_head(name, _SHADE) for name in names[:count]),
        " " * _BETWEEN,
        *(_head(name, column) for name in names[:count]),
    ]
    rows = [left + right, Content.styled("".join(heads), MUTED)]
    rows += [
        Content.assemble(
            f"{fit(names[place], label - 1)} ",
            *_one_hot(answer.ids[:count], place),
            " " * _BETWEEN,
            *(_cell(value, column) for value in answer.cosines[place][:count]),
        )
        for place in range(count)
    ]
    if count < len(names):
        left_out = len(names) - count
        rows[-1:] = [Content.styled(f"… {left_out + 1} more tokens", MUTED)]
    return rows


def _head(name: str, column: int) -> str:
    """The beginning of a token above its column."""
    return set_cell_size(name, column - 1) + " "


def _one_hot(ids: Sequence[int], place: int) -> list[tuple[str, str]]:
    """Similarities of one-hot rows: 1 of the same token, else 0."""
    cells = (f"{int(other == ids[place])}" for other in ids)
    styles = {"0": "dim", "1": f"bold on {_NEAR} 60%"}
    return [(f"{cell:<{_SHADE}}", styles[cell]) for cell in cells]


def _cell(cosine: float | None, column: int) -> tuple[str, str]:
    if cosine is None:
        return f"{'×':<{column}}", "$text-error"
    strength = round(abs(cosine) * 4)
    hue = _NEAR if cosine >= 0 else _FAR
    shade = f"on {hue} {round(60 * abs(cosine))}%"
    if column == _SHADE:
        return (_SHADES if cosine >= 0 else _OPPOSITE)[strength] * _SHADE, f"{hue} {shade}"
    number = f"{cosine:+.2f}".replace("0.", ".")
    return f"{number[: column - 1]:<{column}}", shade
