"""Drift: the neighbours of pinned words as they were and are, and how near they came when."""

import math
import textwrap
from bisect import bisect_left
from collections.abc import Iterator, Sequence

import msgspec
from textual.app import ComposeResult
from textual.content import Content
from typing_extensions import override

from engine.messages import (
    AnyAnswer,
    AnyQuery,
    Drift,
    Neighbour,
    PinWords,
    WordAnswer,
    WordDrift,
    WordPast,
    WordQuery,
)
from tui.chart.data import ChartData, Line, Mark, Points, XAxis
from tui.chart.widget import Chart
from tui.keys import sentence
from tui.numbers import counted, size
from tui.panes.laboratory import action
from tui.panes.neighbours.asked import Asked, WordView, typed
from tui.panes.neighbours.list_view import ranks
from tui.run.session import Session
from tui.sanitize import content, token, visible
from tui.widgets.text import MUTED, Block, fit, one_wide

_MOST = 20
"""Neighbours of a word that are asked for."""
_CURVES = 6
"""Neighbours whose past is drawn."""
_COLUMN = 26
"""Columns for a word and its neighbours, at least."""
_APART = 1.08
"""The past is kept at steps so far apart, each in proportion to the one before."""
_WAITING = "The neighbours of what is pinned show here once the model is built."
_NONE = "{type_in} types a %s, {pin} pins it: its neighbours stay here while the model learns."
_SLIDER = 8
"""Columns of the scrubber, at least."""
_NO_PAST = "No past is kept yet: it grows while training runs."


class DriftView(WordView):
    """Marks tell what changed since the last step of the past before the one that is seen."""

    ID = "drift"
    NAME = "drift"
    ABOUT = "The neighbours of pinned words through the past: who came, left, rose, and when."
    DEFAULT_CSS = """
    DriftView {
        #past { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        #pinned { height: 4fr; text-wrap: nowrap; }
        #growth { height: 5fr; }
    }
    """
    ACTIONS = (
        action(
            "earlier",
            "less_than_sign",
            "Go back in the past",
            "See the neighbours as they were at the step kept before.",
        ),
        action(
            "later",
            "greater_than_sign",
            "Go on towards now",
            "See the neighbours as they were at the step kept next; at the end as they are.",
        ),
        action(
            "next_pin", "semicolon", "Ask for the next pinned word", "Go through the pinned words."
        ),
    )

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._past: WordPast | None = None
        self._sent: list[str] = []
        """Words that the engine was told of."""
        self._drift: Drift | None = None
        self._lists: dict[tuple[str, int | None], WordAnswer | str] = {}
        """Neighbours by query and step, None for now; or why there are none."""
        self._refusal = ""

    @property
    @override
    def hint(self) -> str:
        return sentence("{pin} pin · {earlier} {later} past · {next_pin} next pin")

    @override
    def compose(self) -> ComposeResult:
        yield Block(id="past")
        yield Block(id="pinned", explains=False)
        yield Chart(id="growth")

    # --- what is asked ------------------------------------------------------------------------

    @property
    def _words(self) -> list[str]:
        """Those whose neighbours are seen: the pinned ones, and the one that is asked for."""
        pins, word = self.asked.pins, self.asked.word
        return pins if not word or word in pins else [word, *pins]

    @property
    def _followed(self) -> str:
        """The one whose past is drawn."""
        return self.asked.word or next(iter(self.asked.pins), "")

    @override
    def questions(self) -> Sequence[AnyQuery]:
        words = self._words
        if not words:
            return ()
        view = msgspec.structs.replace(self.asked.view, table="input")  # whose past is kept
        lists = [
            WordQuery(query=typed(word), view=view, top=_MOST, at=at)
            for word in words
            for at in self._seen_at
        ]
        return (*self._pinning(), *lists, *self._following())

    @override
    def question(self) -> AnyQuery | None:
        return next(iter(self.questions()), None)

    def _pinning(self) -> Iterator[AnyQuery]:
        """The engine keeps the past of the words that are pinned here, where it trains them: once
        it has told which were pinned before."""
        trains = self.session is not None and self.session.trains
        pins = self.asked.pins
        news = trains and self._past is not None and pins != self._sent
        yield PinWords(words=list(pins) if news else None)

    def _following(self) -> Iterator[AnyQuery]:
        """How the followed word's neighbours came near it, again as soon as more is kept."""
        if self._followed and self._is_due:
            yield WordDrift(word=self._followed, top=_CURVES)

    @property
    def _is_due(self) -> bool:
        drift, session = self._drift, self.session
        if drift is None or session is None or drift.word != self._followed:
            return True
        last = drift.steps[-1] if drift.steps else 0
        return session.status.step >= max(last + 1, math.ceil(last * _APART))

    @property
    def _steps(self) -> list[int]:
        return self._past.steps if self._past is not None else []

    @property
    def _seen_at(self) -> tuple[int | None, ...]:
        """The step that is seen, and the one before, with which it is compared."""
        at, steps = self.asked.at, self._steps
        before = bisect_left(steps, at) if at is not None else len(steps)
        return (at, steps[before - 1]) if before > 0 else (at,)

    @override
    def heard(self, question: AnyQuery, answer: AnyAnswer) -> None:
        self._refusal = ""
        match question, answer:
            case PinWords(words=words), WordPast():
                self._take(answer, words)
            case _, Drift():
                self._drift = answer
            case WordQuery(query=query, at=at), WordAnswer():
                self._lists[query, at] = answer

    def _take(self, past: WordPast, sent: list[str] | None) -> None:
        """What is kept of the past. Words that were pinned when the run was left are so still."""
        if self._past is None:
            self._sent = list(past.pinned)
            self.asked.pins[:0] = [word for word in past.pinned if word not in self.asked.pins]
        elif sent is not None:
            self._sent = sent
        self._past = past

    @override
    def refused(self, reason: str) -> None:
        self._refusal = reason

    @override
    def unheard(self, question: AnyQuery, reason: str) -> None:
        if isinstance(question, WordQuery):
            self._lists[question.query, question.at] = reason
        else:
            self.refused(reason)

    @override
    def clear(self) -> None:
        self._past = self._drift = None
        self._sent = []
        self._lists.clear()
        self._refusal = ""

    # --- the past -----------------------------------------------------------------------------

    def action_earlier(self) -> None:
        """Go to the moment before."""
        steps, at = self._steps, self.asked.at
        before = len(steps) if at is None else bisect_left(steps, at)
        if before > 0:
            self._go_to(steps[before - 1])

    def action_later(self) -> None:
        """Go to the next moment; behind the last one is now."""
        steps, at = self._steps, self.asked.at
        if at is not None:
            after = bisect_left(steps, at) + 1
            self._go_to(steps[after] if after < len(steps) else None)

    def _go_to(self, at: int | None) -> None:
        self.asked.at = at
        self.post_message(self.Changed())

    def action_next_pin(self) -> None:
        """Show the neighbours of the next pinned word."""
        pins, word = self.asked.pins, self.asked.word
        if pins:
            place = pins.index(word) + 1 if word in pins else 0
            self.post_message(self.Ask(typed(pins[place % len(pins)])))

    # --- what is drawn ------------------------------------------------------------------------

    @override
    def draw(self, _session: Session | None) -> None:
        past, pinned = self.query(Block)
        chart = self.query_one(Chart)
        words = self._words
        if not words:
            past.show(Content(""))
            pinned.show(Content.styled(sentence(_NONE % self.unit), MUTED))
        else:
            past.show(self._past_told(past.size.width))
            pinned.show(self._pinned(words, *pinned.size))
        drift = self._drift
        if drift is not None and drift.steps and drift.word in words:
            chart.show(_growth(drift, self.asked.at))
        else:
            chart.show(_NO_PAST if words and self._past and not self._steps else "")

    def _past_told(self, width: int) -> Content:
        """Where in the past, and what is kept of it."""
        past, at = self._past, self.asked.at
        if past is None or not past.steps:
            return Content("")
        place = len(past.steps) if at is None else bisect_left(past.steps, at)
        told = f"as at step {at:,}" if at is not None else "as of now"
        steps, words = counted(len(past.steps), "step"), counted(past.kept, self.unit)
        taken, most = size(past.bytes), size(past.most_bytes)
        ways = [
            f"{steps} of {words} kept, {taken} of {most} at most",
            f"{steps} × {words}: {taken} of {most}",
            f"{steps} × {words}: {taken}",
        ]
        room = width - len(told) - _SLIDER - 4
        kept = next((way for way in ways if len(way) <= room), ways[-1])
        slider = max(_SLIDER, min(24, width - len(told) - len(kept) - 4))
        knob = round((slider - 1) * place / len(past.steps))
        return Content.assemble(
            ("─" * knob, MUTED),
            ("●", "bold $accent"),
            ("─" * (slider - 1 - knob), MUTED),
            (f" {told}", "bold" if at is None else "bold $text-warning"),
            (f" · {kept}", MUTED),
        )

    def _pinned(self, words: Sequence[str], width: int, height: int) -> Content:
        """Columns of words with their neighbours, as many as fit."""
        if self._refusal and not self._lists:
            return content(self._refusal, "$text-warning")
        if not self._lists:
            return Content.styled(self.waiting(_WAITING), MUTED)
        count = max(1, min(len(words), width // _COLUMN))
        column = min(2 * _COLUMN, width // count)
        columns = [self._column(word, column - 1, height) for word in words[:count]]
        rows = [
            Content(" ").join(column[row] for column in columns) for row in range(max(1, height))
        ]
        return Content("\n").join(rows)

    def _column(self, word: str, width: int, height: int) -> list[Content]:
        """A word, its neighbours and those that have just left, in so many rows."""
        now, *before = (self._lists.get((typed(word), at)) for at in self._seen_at)
        mark = "●" if word in self.asked.pins else "○"
        rows = [Content.styled(fit(f"{mark} {token(word)}", width), "bold")]
        if isinstance(now, str):
            lines = textwrap.wrap(visible(now), max(1, width))
            rows += [Content.styled(fit(line, width), "$text-warning") for line in lines]
        elif now is not None:
            then = before[0] if before else None
            earlier = then.neighbours if isinstance(then, WordAnswer) else []
            rows += _neighbours(now.neighbours, earlier, width, height - 1)
        return [*rows, *[Content(" " * width)] * height][: max(1, height)]


def _neighbours(
    now: Sequence[Neighbour], before: Sequence[Neighbour], width: int, height: int
) -> list[Content]:
    """Those of now with what has changed, then some that have left."""
    room = max(1, height - 2) if before and height > 4 else height
    places = ranks(before)
    rows = []
    for rank, near in enumerate(now[:room]):
        mark, style = _change(rank, places.get(near.word), compared=bool(before))
        name = fit(token(near.word), max(1, width - 10))
        rows.append(Content.assemble((f"{mark:<3}", style), f"{name} {near.cosine:+.3f}"))
    stay = {near.word for near in now[:room]}
    gone = [near for near in before[:room] if near.word not in stay]
    rows += [
        Content.styled(fit(f"−  {token(near.word)}", width), MUTED)
        for near in gone[: max(0, height - len(rows))]
    ]
    return [row.pad_right(max(0, width - row.cell_length)) for row in rows]


def _change(rank: int, before: int | None, *, compared: bool) -> tuple[str, str]:
    """What has become of a neighbour: a newcomer, or by how many places it rose or fell."""
    if not compared:
        return "", ""
    if before is None:
        return "+", "bold $text-success"
    if rank < before:
        return f"▲{before - rank}", "$text-success"
    return (f"▼{rank - before}", "$text-warning") if rank > before else ("", "")


def _growth(drift: Drift, at: int | None) -> ChartData:
    """When each of today's neighbours arrived, and how its cosine grew."""
    first, last = max(1, drift.steps[0]), max(2, drift.step, drift.steps[-1])
    steps = [max(1, step) for step in drift.steps]
    lines, arrivals = [], []
    for near in drift.neighbours[:_CURVES]:
        cosines = [math.nan if value is None else value for value in near.cosines]
        lines.append(Line([*steps, last], [*cosines, near.cosine], one_wide(near.word)))
        if near.arrived is not None:
            place = drift.steps.index(near.arrived)
            arrivals.append((steps[place], cosines[place]))
    return ChartData(
        title=f"cosine with {one_wide(drift.word)}",
        x=XAxis(first, last, log=last > 20 * first),
        curves=tuple(lines),
        points=(Points([x for x, _ in arrivals], [y for _, y in arrivals], "arrived", "◇"),)
        if arrivals
        else (),
        marks=(Mark(max(1, at), "seen"),) if at is not None else (),
    )
