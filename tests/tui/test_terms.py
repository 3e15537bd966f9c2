"""Every term on the screen is explained: by a key, and by a tooltip where it stands."""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from textual.widgets import Static

from engine.config import ClipMode, TokenizerName
from engine.events import AnyEvent, Averaging, NonFinite, RolledBack
from engine.messages import Representation, TokenView
from tests.tui.fake_engine import CORPUS, step
from tests.tui.panes.test_training_pane import evaluated, session, steps
from tests.tui.screen_help import Room, playground
from tui.panes import corpus, training
from tui.panes.generation import write_view
from tui.panes.neighbours import list_view
from tui.screens.help import Help
from tui.screens.terms import Terms
from tui.terms import TERMS, terms_in

_HINTS = re.compile(
    "^(press space|space goes|space shows|n takes|g writes|m opens|m reopens|lower the rate|"
    "r begins|asked only|on at rate)"
)
"""Sentences with keys: they say what to do."""


def training_labels(mode: ClipMode, tokenizer: TokenizerName, sampled: bool) -> Iterator[str]:
    """All that the training pane may say, in its numbers and on its charts."""
    turns: list[AnyEvent] = [
        *steps(1500, mode=mode),
        step(1501, sampled=sampled, clip_mode=mode),
        evaluated(1000, 4.5),
        Averaging(step=900),
        NonFinite(step=1501, tensor="embedding.weight", value="nan", in_a_row=1),
    ]
    back = RolledBack(step=1000, from_step=1501, learning_rate=10.0, stale=0)
    settings = {"corpus.tokenizer": tokenizer, "training.patience": 5, "training.epochs": 7}
    scheduled = settings | {"schedule.name": "cosine"}
    for events, more, state in (
        ([], settings, "ready"),
        (turns, settings, "running"),
        (turns, scheduled, "paused"),
        ([*turns, back, *steps(10)], settings, "running"),
    ):
        made = session(state, events, settings=more, clip_mode=mode)
        for row in training._rows(made, 1000, roomy=True):
            yield from row.plain.split(" · ")
        x = training._x_axis(made, "most", "step")
        loss = training._loss_chart(made, x, "most", None, 100, log=False)
        norms = training._norms_chart(made, x)
        for chart in (loss, norms):
            yield chart.title
            yield from (curve.name for curve in (*chart.curves, *chart.points))
            yield from ([chart.rule.name] if chart.rule else [])
            yield from training._MARKS.values()
            yield from (mark.label for mark in chart.marks if mark.topic not in training._MARKS)


@pytest.mark.parametrize("mode", ["off", "norm", "value", "layer", "adaptive"])
@pytest.mark.parametrize(("tokenizer", "sampled"), product(["word", "character"], [False, True]))
def test_what_the_training_pane_says_is_explained(
    mode: ClipMode, tokenizer: TokenizerName, sampled: bool
) -> None:
    labels = {label for label in training_labels(mode, tokenizer, sampled) if label}
    assert len(labels) > 20
    left_over = {label for label in labels if not _HINTS.match(label) and not terms_in(label)}
    assert {re.sub(r"[\d.,]+ ", "", label) for label in left_over} <= {
        "s left",
        "min left",
        "h left",
    }


def test_what_the_other_panes_say_is_explained() -> None:
    views = [TokenView(text="going", id=3, known=False, embedding=[0.1] * 8)]
    answer = Representation(
        tokens=views, vocabulary=64, embedding_size=8, one_hot_bytes=256, embedding_bytes=32
    )
    settings = write_view._settings(0.7, writing=False).plain
    labels = {
        *re.findall("[a-z]+(?= )", corpus._facts(CORPUS, in_full=True).plain.split("\n", 2)[2]),
        *re.split("  +", corpus._comparison(answer, 100, 20).plain.split("\n")[2]),
        *re.findall("[a-z]+", settings),
        *(line.split()[0] for line in corpus._comparison(answer, 100, 20).plain.split("\n")[:2]),
        *list_view._MEANING.values(),
        *("Spearman", "Pearson", "coverage", "analogies solved"),
        "prompt",
        "seed",
    } - {"", "none"}
    assert {"vocabulary", "unknown", "tokens", "id", "one-hot row", "temp", "seed"} <= labels
    left_over = [label for label in labels if not terms_in(label)]
    assert [label for label in left_over if not re.fullmatch("[0-9]+ numbers", label)] == []


def test_a_term_is_a_sentence_and_its_own() -> None:
    names = [term.name for term in TERMS]
    assert len(set(names)) == len(names)
    for term in TERMS:
        assert re.fullmatch(r"[A-Z0-9].{20,190}\.", term.meaning), term.name
        assert term in terms_in(f"x {term.name} 3")
        if term.name.isalpha():
            assert term not in terms_in(f"x{term.name}y"), "only words of their own are terms"


def test_what_a_learner_asks_for_is_there() -> None:
    told = " ".join(f"{term.name} {term.labels} {term.meaning}" for term in TERMS)
    for word in (
        *("perplexity", "pre-clip", "post-clip", "norm 0.17 → 0.15", "p90", "clip fraction"),
        *("nats", "bits per character", "unknown", "bptt", "carried state", "temperature"),
        *("top-k", "top-p", "tied weights", "held-out loss", "one-hot", "embedding", "cosine"),
        *("exploding", "vanishing", "NaN"),
    ):
        assert word in told, word


def shown(room: Room) -> list[str]:
    return [str(block.render()) for block in room.app.screen.query(Static)]


async def test_the_terms_of_the_current_pane_come_first(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.happens(*(step(number) for number in range(1, 50)))
        for key, heading, first in (
            ("2", "In training", {"clip fraction", "loss", "before and after clipping"}),
            ("3", "In neighbours", {"cosine"}),
            ("4", "In generation", {"temperature"}),
            ("1", "In corpus", {"vocabulary", "unknown", "one-hot row"}),
        ):
            await room.press(key)
            await room.pilot.pause()
            if key == "1":
                await room.until(lambda: "one-hot row" in room.text("#comparison"))
            await room.press("t")
            await room.until(lambda: isinstance(room.app.screen, Terms))
            lines = shown(room)
            assert lines[0] == heading
            assert first <= set(lines[: lines.index("Others")])
            assert len(lines) == 2 + 2 * len(TERMS), "each once, with what it means"
            await room.press("t")
            await room.until(lambda: room.app.screen is room.app.playground)


async def test_the_help_screen_explains_all_of_them(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.press("?")
        await room.until(lambda: isinstance(room.app.screen, Help))
        await room.press("t")
        await room.until(lambda: isinstance(room.app.screen, Terms))
        assert set(shown(room)) >= {term.meaning for term in TERMS}
        await room.press("escape")
        await room.until(lambda: isinstance(room.app.screen, Help))


@pytest.mark.parametrize(
    ("block", "line", "named", "not_named"),
    [
        ("#numbers", "clipped", "clip fraction", "perplexity"),
        ("#numbers", "perplexity", "perplexity", "clip fraction"),
        ("#norms", "", "before and after clipping", "perplexity"),
        ("#meaning", "", "cosine", "loss"),
    ],
)
async def test_a_tooltip_explains_the_line_under_the_mouse(
    tmp_path: Path, block: str, line: str, named: str, not_named: str
) -> None:
    async with playground(tmp_path, size=(160, 48)) as room:
        await room.happens(*(step(number) for number in range(1, 50)), evaluated(49, 1.5))
        widget = room.app.playground.query_one(block)
        await room.until(lambda: widget.size.height)
        texts = [widget.render_line(y).text for y in range(widget.size.height)]
        row = next(y for y, text in enumerate(texts) if line in text)
        await room.pilot.hover(block, offset=(2, row))
        await room.until(lambda: widget.tooltip is not None)
        tooltip = str(widget.tooltip)
        assert named in tooltip and f"{not_named}  " not in tooltip


async def test_words_of_the_text_are_no_terms(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(160, 48)) as room:
        assert room.app.playground.query_one("#nearest").explains is False
        assert room.app.playground.query_one("#frequent").explains is False
