"""The neighbours: the words whose embeddings point most nearly the same way."""

import unicodedata

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input

from engine.events import CorpusSummary
from engine.messages import AnyAnswer, AnyQuery, Neighbour, NeighbourList, Neighbours
from tui.keys import sentence
from tui.panes.pane import AskingPane
from tui.run.session import Session
from tui.sanitize import content, token
from tui.units import UNITS
from tui.widgets.text import MUTED, Block, Labelled, PaneInput, fit

_FIRST_WORD = "mathematician"
_WITHIN_WORDS = frozenset("'’-‐‑\u200c\u200d")
_MOST = 60
"""Words asked for, so that the question doesn't change with the room for them."""
_MEANING = "cosine: 1 same direction, 0 unrelated"


class NeighboursPane(AskingPane):
    """Type a word, see the closest; ▲ and ▼ mark what moved since the last look."""

    ID = "neighbours"
    KEY = "3"
    ABOUT = "The words whose embeddings are closest to the one you type."
    COLUMN = "right"
    SHARE = 15

    def __init__(self) -> None:
        super().__init__()
        self._answer: NeighbourList | None = None
        self._suggested = _FIRST_WORD
        self._ranks: dict[str, int] = {}
        self._refusal = ""

    @property
    def hint(self) -> str:
        return sentence("{type_in} types · {leave_input} back")

    def compose(self) -> ComposeResult:
        yield Labelled("word", PaneInput(_FIRST_WORD, id="word"))
        yield Block(id="seen")
        yield Block(id="nearest", explains=False)
        yield Block(id="meaning")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#meaning", Block).show(Content.styled(_MEANING, MUTED))

    def _suggest(self, corpus: CorpusSummary | None) -> None:
        """For a corpus without the word that was suggested first, suggest a telling one of its."""
        word = self.query_one("#word", Input)
        tokens = [token for token, _ in corpus.frequent] if corpus else []
        if word.value != self._suggested or self._suggested in tokens or not tokens:
            return
        self._suggested = word.value = suggested(tokens)

    def draw(self, session: Session | None) -> None:
        self._suggest(session.status.corpus if session else None)
        seen = self.query_one("#seen", Block)
        nearest = self.query_one("#nearest", Block)
        if self._refusal:
            seen.show(Content.styled("not known", "$text-warning"))
            nearest.show(content(self._refusal))
        elif self._answer is None:
            seen.show(Content(""))
            nearest.show(Content.styled(_nothing_yet(session, asked=bool(self._word())), MUTED))
        else:
            seen.show(_seen(self._answer, session))
            rows = self._answer.neighbours[: max(1, nearest.size.height)]
            nearest.show(_nearest(rows, self._ranks, self.content_size.width))

    def _word(self) -> str:
        return self.query_one("#word", Input).value

    def question(self) -> AnyQuery | None:
        word = self._word()
        return Neighbours(word=word, top=_MOST) if word else None

    def answered(self, answer: AnyAnswer) -> None:
        assert isinstance(answer, NeighbourList)
        previous = self._answer
        same = previous is not None and previous.word == answer.word
        self._ranks = (
            {near.word: rank for rank, near in enumerate(previous.neighbours)}
            if previous is not None and same
            else {}
        )
        self._answer, self._refusal = answer, ""

    def refused(self, reason: str) -> None:
        self._refusal = reason

    def clear(self) -> None:
        self._answer, self._ranks, self._refusal = None, {}, ""


def suggested(tokens: list[str]) -> str:
    """The first of the tokens that tells most: a long word, else a word, else a number. Of pieces
    of words, whole ones and beginnings stand behind a space. Empty where there is none."""
    begin = [token[1:] for token in tokens if token[:1] == " "]
    tokens = begin if any(map(_is_word, begin)) else tokens
    words = [token for token in tokens if _is_word(token)]
    telling = [word for word in words if sum(map(str.isalpha, word)) > 4]
    numbers = [token for token in tokens if token.isdecimal()]
    return next(iter(telling or words or numbers), "")


def _nothing_yet(session: Session | None, *, asked: bool) -> str:
    """Why there are no neighbours to see."""
    unit = UNITS[session.status.config.corpus.tokenizer].one if session else "word"
    if not asked:
        return sentence(f"No {unit} is asked for: {{type_in}} types one.")
    return sentence(
        f"The closest {unit}s show here once the model is built.\n"
        "{start_pause} starts training: watch them come together."
    )


def _is_word(token: str) -> bool:
    """Whether it is spelt in letters, of any script: with vowel signs, points and joiners."""
    kinds = [unicodedata.category(character)[0] for character in token]
    return kinds[:1] == ["L"] and all(
        kind in "LM" or character in _WITHIN_WORDS
        for kind, character in zip(kinds, token, strict=True)
    )


def _seen(answer: NeighbourList, session: Session | None) -> Content:
    live = session is not None and session.running
    times = "once" if answer.count == 1 else f"{answer.count:,} times"
    return Content.assemble(
        f"step {answer.step:,}",
        (" · live" if live else "", "$text-success"),
        (f" · the text has it {times}", MUTED),
        content(f" · {answer.note}" if answer.note else "", "$text-warning"),
    )


def _nearest(rows: list[Neighbour], ranks: dict[str, int], width: int) -> Content:
    word = min(20, max((cell_len(token(near.word)) for near in rows), default=1))
    bar = max(4, width - word - 11)
    lines = []
    for rank, near in enumerate(rows):
        filled = round(bar * max(0.0, min(1.0, near.cosine)))
        lines.append(
            Content.assemble(
                _move(rank, near.word, ranks),
                f" {fit(token(near.word), word)} ",
                ("━" * filled, "$accent"),
                ("╌" * (bar - filled), "$foreground 15%"),
                f" {near.cosine:+.3f}",
            )
        )
    return Content("\n").join(lines)


def _move(rank: int, word: str, ranks: dict[str, int]) -> tuple[str, str]:
    """▲ where it came closer since the last look, ▼ where it fell back."""
    if not ranks:
        return " ", ""
    before = ranks.get(word, len(ranks))
    if rank < before:
        return "▲", "$text-success"
    return ("▼", "$text-warning") if rank > before else (" ", "")
