"""The list: what was asked for, the best first."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.content import Content
from typing_extensions import override

from engine.messages import AnyAnswer, AnyQuery, Neighbour, Overlap, WordAnswer, WordQuery
from engine.text.queries import BadQuery, parse_query
from tui.keys import sentence
from tui.panes.neighbours.asked import Asked, WordView
from tui.run.session import Session
from tui.sanitize import content, drawn, token
from tui.widgets.text import MUTED, Block, fit

_MOST = 60
"""Words asked for, so that the question doesn't change with the room for them."""
_FEW = 10
"""Words looked through for one among them, and shared ones below which a list is noise."""
_NOISE = 5
_MEANING = {
    "neighbours": "cosine: 1 same direction, 0 unrelated",
    "centroid": "cosine with the mean of all",
    "analogy": "cosine with what is added, less what is taken away",
    "odd": "cosine with the mean of all: the last doesn't belong",
    "pair": "cosine: 1 same direction, 0 unrelated",
    "closer": "cosine with the first: all are nearer to it than the second",
}
GRAMMAR = (
    ("physicist", "its neighbours"),
    ("king - man + woman", "an analogy: what is added and taken away"),
    ("apple banana cherry", "the neighbours of their centroid"),
    ("odd: apple banana train", "which one doesn't belong"),
    ("cat ~ dog", "how near two are, and each one's rank in the other's list"),
    ("closer: cat dog", "the words nearer to the first than the second is"),
    ('"-"', "a word that is a sign, or holds a blank, in double quotes"),
)
_HOW = {"raw": "raw cosine", "mean-removed": "mean removed", "all-but-the-top": "all but the top"}
_TABLES = {
    "input": "input embedding",
    "output": "output layer",
    "both": "mean of embedding and output layer",
    "tied": "embedding and output layer, tied",
    "file": "vectors of a file",
}


class ListView(WordView):
    """▲ and ▼ mark what moved since the last look."""

    ID = "list"
    NAME = "list"
    ABOUT = "What was asked for as a list, the best first; which vectors, seen how; how sure it is."

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._answer: WordAnswer | None = None
        self._ranks: dict[str, int] = {}
        self._refusal = ""

    @override
    def compose(self) -> ComposeResult:
        yield Block(id="seen")
        yield Block(id="nearest", explains=False)
        yield Block(id="meaning")

    @override
    def furnish(self) -> None:
        if not self.query("#how"):
            self.mount(Block(id="how"), before="#nearest")

    @property
    @override
    def hint(self) -> str:
        return sentence("{table} table · {transformation} how · {words_only} filter · {pin} pin")

    @override
    def question(self) -> AnyQuery | None:
        if not self.asked.query or _mistake(self.asked.query) is not None:
            return None
        return WordQuery(
            query=self.asked.query,
            view=self.asked.view,
            top=_MOST,
            multiply=self.asked.multiply,
            at=self._at,
            compare=self.zoomed and self._at is None,
        )

    @property
    def _at(self) -> int | None:
        """The step of the past that is asked, in the laboratory."""
        return self.asked.at if self.zoomed else None

    @override
    def answered(self, answer: AnyAnswer) -> None:
        assert isinstance(answer, WordAnswer)
        previous = self._answer
        same = previous is not None and previous.word == answer.word
        self._ranks = ranks(previous.neighbours) if previous is not None and same else {}
        self._answer, self._refusal = answer, ""

    @override
    def refused(self, reason: str) -> None:
        self._refusal = reason

    @override
    def clear(self) -> None:
        self._answer, self._ranks, self._refusal = None, {}, ""

    @override
    def tells(self, session: Session | None) -> object:
        return session and (session.status.config, session.answering, session.running)

    @override
    def draw(self, session: Session | None) -> None:
        seen, *how, nearest, meaning = self.query(Block)
        for block in how:
            block.display = self.zoomed
            block.show(self._how())
        seen.show(self._seen(session))
        nearest.show(self._nearest(*nearest.content_size))
        kind = self._answer.kind if self._answer is not None else "neighbours"
        meaning.show(Content.styled(_MEANING[kind], MUTED))

    def _seen(self, session: Session | None) -> Content:
        query = self.asked.query
        if (mistake := _mistake(query)) is not None:
            return _marked(query, mistake)
        if self._refusal:
            return Content.styled("no answer", "$text-warning")
        if self._answer is None:
            return Content("")
        live = session is not None and session.running
        return _seen(self._answer, "as it was" if self._at is not None else "live" if live else "")

    def _how(self) -> Content:
        """Which vectors are asked and seen how, and how far the list agrees with others."""
        answer, asked = self._answer, self.asked
        if answer is None or self._refusal:
            return Content("\n")
        parts = [seen_how(answer.table, answer.transformation, answer.components)]
        if answer.kind == "analogy":
            parts.append("3CosMul" if answer.score == "3CosMul" else "3CosAdd")
        view = asked.view
        parts += [f"at least {view.min_count} times"] if view.min_count else []
        parts += [f"{self.unit}s only"] if view.words_only else []
        parts += [f"of {len(view.among):,} listed"] if view.among else []
        told = Content.styled(" · ".join(parts), MUTED)
        overlaps = _overlaps(answer.overlaps) if answer.overlaps else Content("")
        return Content("\n").join([told, overlaps])

    def _nearest(self, width: int, height: int) -> Content:
        mistake = _mistake(self.asked.query)
        if not self.asked.query and self.zoomed:
            return _grammar()
        if mistake is not None:
            return content(str(mistake), "$text-warning")
        if self._refusal:
            return content(self._refusal, "$text-warning")
        if self._answer is None:
            told = _nothing_yet(self.unit, asked=bool(self.asked.query))
            return Content.styled(self.waiting(told) if self.asked.query else told, MUTED)
        return _answered(self._answer, self._ranks, self.unit, width, max(1, height))


def seen_how(table: str, transformation: str, components: int) -> str:
    """Which vectors were asked, seen how."""
    how = _HOW[transformation] + (f" {components}" if components else "")
    return f"{_TABLES[table]} · {how}"


def _mistake(query: str) -> BadQuery | None:
    """What is wrong with a query, if anything."""
    if not query:
        return None
    try:
        parse_query(query)
    except BadQuery as error:
        return error
    return None


def _marked(query: str, mistake: BadQuery) -> Content:
    """The query with the part that is to blame."""
    begin, end = mistake.begin, max(mistake.end, mistake.begin + 1)
    return Content.styled(drawn(query)).stylize("bold reverse $text-error", begin, end)


def _grammar() -> Content:
    """What may be asked."""
    word = max(len(query) for query, _ in GRAMMAR)
    rows = [
        Content.assemble((f"{query:<{word}}", "bold"), (f"  {meaning}", MUTED))
        for query, meaning in GRAMMAR
    ]
    types = sentence("{type_in} types into the line above; → takes the word it completes.")
    return Content("\n").join([*rows, Content(""), Content.styled(types, MUTED)])


def _nothing_yet(unit: str, *, asked: bool) -> str:
    """Why there are no neighbours to see."""
    if not asked:
        return sentence(f"No {unit} is asked for: {{type_in}} types one.")
    return sentence(
        f"The closest {unit}s show here once the model is built.\n"
        "{start_pause} starts training: watch them come together."
    )


def _seen(answer: WordAnswer, when: str) -> Content:
    times = "once" if answer.count == 1 else f"{answer.count:,} times"
    composed = [f"{word.word}: {' + '.join(word.pieces)}" for word in answer.words if word.pieces]
    notes = " · ".join([*answer.notes, *composed])
    return Content.assemble(
        f"step {answer.step:,}",
        (f" · {when}" if when else "", "$text-success" if when == "live" else "$text-warning"),
        (f" · the text has it {times}" if answer.kind == "neighbours" else "", MUTED),
        content(f" · {notes}" if notes else "", "$text-warning"),
    )


def _overlaps(overlaps: Sequence[Overlap]) -> Content:
    """How far the list agrees with others; where that is little it is noise."""
    parts = []
    for overlap in overlaps:
        name = "checkpoint" if overlap.other == "checkpoint" else overlap.other
        parts.append(f"{overlap.shared} of {overlap.of} as {name} at step {overlap.step:,}")
    noise = min(overlap.shared * 10 < _NOISE * overlap.of for overlap in overlaps)
    told = content(" · ".join(parts), MUTED)
    return told + Content.styled(": still noise", "$text-warning") if noise else told


def _answered(
    answer: WordAnswer, before: dict[str, int], unit: str, width: int, height: int
) -> Content:
    if answer.kind == "pair":
        return _pair(answer)
    rows = _bars(answer.neighbours[:height], before, width)
    if answer.kind == "odd" and len(rows) == len(answer.neighbours):
        rows[-1] = rows[-1].stylize("bold $text-warning")
    if answer.kind == "closer" and not rows:
        first, second = (each.word for each in answer.words[:2])
        return content(f"No {unit} is nearer to {token(first)} than {token(second)} is.")
    return Content("\n").join(rows)


def _pair(answer: WordAnswer) -> Content:
    """How near two words are, and each one's rank in the other's list."""
    one, other = (token(each.word) for each in answer.words[:2])
    ahead, back = answer.ranks or (0, 0)
    cosine = 0.0 if answer.cosine is None else answer.cosine
    return Content("\n").join(
        [
            Content.assemble(("cosine ", MUTED), (f"{cosine:+.3f}", "bold")),
            _rank(other, one, ahead, answer.among),
            _rank(one, other, back, answer.among),
        ]
    )


def _rank(word: str, of: str, rank: int, among: int) -> Content:
    return Content.assemble(
        word, (" is ", MUTED), (f"{rank:,}", "bold"), (f" of {among:,} nearest to ", MUTED), of
    )


def ranks(neighbours: Sequence[Neighbour]) -> dict[str, int]:
    """The place of each word in a list."""
    return {near.word: rank for rank, near in enumerate(neighbours)}


def _bars(rows: Sequence[Neighbour], before: dict[str, int], width: int) -> list[Content]:
    word = min(20, max((cell_len(token(near.word)) for near in rows), default=1))
    bar = max(4, width - word - 11)
    lines = []
    for rank, near in enumerate(rows):
        filled = round(bar * max(0.0, min(1.0, near.cosine)))
        lines.append(
            Content.assemble(
                _move(rank, near.word, before),
                f" {fit(token(near.word), word)} ",
                ("━" * filled, "$accent"),
                ("╌" * (bar - filled), "$foreground 15%"),
                f" {near.cosine:+.3f}",
            )
        )
    return lines


def _move(rank: int, word: str, ranks: dict[str, int]) -> tuple[str, str]:
    """▲ where it came closer since the last look, ▼ where it fell back."""
    if not ranks:
        return " ", ""
    before = ranks.get(word, len(ranks))
    if rank < before:
        return "▲", "$text-success"
    return ("▼", "$text-warning") if rank > before else (" ", "")
