"""Measuring: how far the cosines agree with people's scores, and how many analogies are solved."""

from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input
from typing_extensions import override

from engine.errors import UserError
from engine.events import Progress
from engine.messages import (
    AnalogyScore,
    AnyQuestion,
    MeasureAnalogies,
    MeasureSimilarity,
    SimilarityScore,
    View,
)
from engine.paths import named_path
from tui.keys import sentence
from tui.panes import laboratory
from tui.panes.laboratory import action
from tui.panes.neighbours.asked import Asked
from tui.panes.neighbours.list_view import seen_how
from tui.panes.pane import Hearing
from tui.run.session import Session
from tui.sanitize import content, token
from tui.widgets.text import MUTED, Block, PaneInput, fit

_EMPTY = (
    "{type_in} types the path of a file, enter measures:\n"
    "pairs of words with the scores people gave them (WordSim, SimLex), or\n"
    "questions in the format of word2vec's questions-words.txt."
)
_NO_MODEL = "There is no model to measure yet."
_NAME = 32
"""Columns of a section's name, at most."""


class MeasureView(laboratory.View, Hearing):
    """The vectors as they stand, seen as the laboratory sees them, measured by a file."""

    ID = "measure"
    NAME = "measure"
    ABOUT = "How far cosines agree with people's scores of pairs, or how many analogies are solved."
    DEFAULT_CSS = """
    MeasureView {
        #measured { height: 1fr; }
    }
    """
    ACTIONS = (
        action("measure", "M", "Measure again", "By the same file, the vectors as they stand now."),
    )

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self._asked = asked
        self._score: SimilarityScore | AnalogyScore | None = None
        self._progress: Progress | None = None
        self._refusal = ""

    @property
    @override
    def hint(self) -> str:
        return sentence("{type_in} file · {measure} again")

    @override
    def compose(self) -> ComposeResult:
        yield PaneInput(label="file", placeholder="pairs, or questions", id="measured-by")
        yield Block(id="measured")

    # --- what is asked ------------------------------------------------------------------------

    @on(Input.Submitted, "#measured-by")
    def action_measure(self) -> None:
        """Measure by the file that is named, as the vectors stand now."""
        name, session = self.query_one("#measured-by", Input).value.strip(), self.session
        self.clear()
        if not name:
            self.redraw()
        elif session is None or not session.answering:
            self._refuse(_NO_MODEL)
            self.redraw()
        else:
            self._measure(session, name)

    @work(exclusive=True)
    async def _measure(self, session: Session, name: str) -> None:
        self._progress = Progress(task="measuring", done=0, total=0)
        self.stale = True
        try:
            question = _question(named_path(name, "The file"), self._asked.view)
        except UserError as error:
            self._refuse(str(error))
            return
        async for answer in self.hear(session, question):
            match answer:
                case Progress():
                    self._progress = answer
                case SimilarityScore() | AnalogyScore():
                    self._score, self._progress = answer, None

    @override
    def refused(self, _question: AnyQuestion, reason: str) -> None:
        self._refuse(reason)

    def _refuse(self, reason: str) -> None:
        self._refusal, self._progress = reason, None
        self.stale = True

    @override
    def clear(self) -> None:
        self.workers.cancel_node(self)
        self._score, self._progress, self._refusal = None, None, ""

    # --- what is drawn ------------------------------------------------------------------------

    @override
    def draw(self, _session: Session | None) -> None:
        block = self.query_one("#measured", Block)
        block.show(self._told(*block.size))

    def _told(self, width: int, height: int) -> Content:
        if self._refusal:
            return content(self._refusal, "$text-warning")
        if self._progress is not None:
            return Content.styled(_under_way(self._progress), MUTED)
        match self._score:
            case SimilarityScore() as score:
                return Content("\n").join([*_similarity(score), *_seen(score)])
            case AnalogyScore() as score:
                below = _seen(score)
                return Content("\n").join([*_analogies(score, width, height - len(below)), *below])
        return Content.styled(sentence(_EMPTY), MUTED)


def _question(path: Path, view: View) -> MeasureSimilarity | MeasureAnalogies:
    """By the file: that of analogies begins with the name of a section."""
    if path.is_file():
        try:
            with path.open("rb") as file:
                begin = file.read(1024).decode("utf-8-sig", "replace")
        except OSError:
            begin = ""  # the engine says why
        if begin.lstrip().startswith(":"):
            return MeasureAnalogies(questions=str(path), view=view)
    return MeasureSimilarity(pairs=str(path), view=view)


def _under_way(progress: Progress) -> str:
    share = f" {progress.done / progress.total:.0%}" if progress.total else ""
    return f"{progress.task} …{share}"


def _similarity(score: SimilarityScore) -> list[Content]:
    total = score.used + score.unknown
    return [
        Content.assemble(
            ("Spearman ", MUTED), (_correlation(score.spearman), "bold"),
            (" · Pearson ", MUTED), (_correlation(score.pearson), "bold"),
        ),
        Content.styled(
            f"coverage {score.used / total:.1%}: of {total:,} pairs {score.used:,} have words "
            "that are known",
            MUTED,
        ),
    ]  # fmt: skip


def _correlation(value: float | None) -> str:
    return "undefined (all alike)" if value is None else f"{value:+.4f}"


def _analogies(score: AnalogyScore, width: int, height: int) -> list[Content]:
    """All together first, then as many sections as there is room for."""
    total = score.asked + score.unknown
    rows = [
        Content.assemble(
            ("analogies solved ", MUTED), (_share(score.correct, score.asked), "bold"),
            (f": {score.correct:,} of {score.asked:,}", MUTED),
        ),
        Content.styled(
            f"coverage {_share(score.asked, total)}: of {total:,} questions {score.asked:,} have "
            "words that are known",
            MUTED,
        ),
        Content(""),
    ]  # fmt: skip
    room = max(0, height - len(rows))
    sections = score.sections
    shown = sections if len(sections) <= room else sections[: max(0, room - 1)]
    name = max(4, min(_NAME, width - 24))
    for each in shown:
        told = f" {_share(each.correct, each.asked):>6}  {each.correct:,} of {each.asked:,}"
        rows.append(content(fit(token(each.name), name)) + Content.styled(told, MUTED))
    if len(shown) < len(sections):
        rows.append(Content.styled(f"and {len(sections) - len(shown):,} sections more", MUTED))
    return rows


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _seen(score: SimilarityScore | AnalogyScore) -> list[Content]:
    """Of which vectors this is, and what of the file was left out."""
    how = seen_how(score.table, score.transformation, score.components)
    told = [Content(""), Content.styled(f"step {score.step:,} · {how}", MUTED)]
    if score.bad_lines:
        left_out = f"lines left out, being of another form: {score.bad_lines:,}"
        told.append(Content.styled(left_out, "$text-warning"))
    return told
