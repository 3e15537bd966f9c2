"""The list: the words whose embeddings point most nearly the same way."""

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.content import Content

from engine.messages import AnyAnswer, AnyQuery, Neighbour, NeighbourList, Neighbours
from tui.keys import sentence
from tui.panes.neighbours.asked import Asked, WordView
from tui.run.session import Session
from tui.sanitize import content, token
from tui.units import UNITS
from tui.widgets.text import MUTED, Block, fit

_MOST = 60
"""Words asked for, so that the question doesn't change with the room for them."""
_MEANING = "cosine: 1 same direction, 0 unrelated"


class ListView(WordView):
    """▲ and ▼ mark what moved since the last look."""

    ID = "list"
    NAME = "list"
    ABOUT = "What was asked for as a list, the best first."

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._answer: NeighbourList | None = None
        self._ranks: dict[str, int] = {}
        self._refusal = ""

    def compose(self) -> ComposeResult:
        yield Block(id="seen")
        yield Block(id="nearest", explains=False)
        yield Block(id="meaning")

    def on_mount(self) -> None:
        self.query_one("#meaning", Block).show(Content.styled(_MEANING, MUTED))

    def draw(self, session: Session | None) -> None:
        seen = self.query_one("#seen", Block)
        nearest = self.query_one("#nearest", Block)
        if self._refusal:
            seen.show(Content.styled("not known", "$text-warning"))
            nearest.show(content(self._refusal))
        elif self._answer is None:
            seen.show(Content(""))
            told = _nothing_yet(session, asked=bool(self.asked.query))
            nearest.show(Content.styled(told, MUTED))
        else:
            seen.show(_seen(self._answer, session))
            rows = self._answer.neighbours[: max(1, nearest.size.height)]
            nearest.show(_nearest(rows, self._ranks, nearest.content_size.width))

    def question(self) -> AnyQuery | None:
        word = self.asked.query
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


def _nothing_yet(session: Session | None, *, asked: bool) -> str:
    """Why there are no neighbours to see."""
    unit = UNITS[session.status.config.corpus.tokenizer].one if session else "word"
    if not asked:
        return sentence(f"No {unit} is asked for: {{type_in}} types one.")
    return sentence(
        f"The closest {unit}s show here once the model is built.\n"
        "{start_pause} starts training: watch them come together."
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
