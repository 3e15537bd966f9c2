"""The laboratory of texts: what its views show of given answers, and what their keys ask for."""

import random
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.widgets import Input

from engine import messages as p
from engine.config import Sampling, preset
from engine.events import Progress, Sampled, Saved, StateChanged
from engine.runs import create_run
from tests.tui.fake_engine import FakeEngine, Launch, built, step
from tests.tui.fake_text import UNITS, opened
from tests.tui.screen_help import Room, playground
from tui.panes.generation import beside_view, read_view
from tui.panes.generation.beside_view import BesideView, Other
from tui.panes.generation.branches import MOST, Tree, candidates
from tui.panes.generation.cell_view import CellView, _listed
from tui.panes.generation.knobs import KNOBS, name
from tui.panes.generation.pane import GenerationPane
from tui.panes.generation.read_view import ReadView
from tui.panes.generation.shades import _GRADES, laid_out, shade
from tui.panes.generation.time_view import TimeView
from tui.panes.generation.write_view import WriteView
from tui.run.session import Session
from tui.widgets.flow import Flow
from tui.widgets.text import Block

VIEWS = {view.ID: key for view, key in zip(GenerationPane.VIEWS, "56789", strict=True)}
ONE = (106, 44)
"""A size at which one view has all the room."""
HOSTILE = (
    "\x1b[31mred\x1b[0m",
    "\x1b]52;c;aGk=\x07",
    "\x9b2J",
    "[bold]markup[/bold] [/oops]",
    "👩‍👩‍👧 🇩🇪 ☺️",
    "漢字かな",
    "e\u0301\u0323\u0302",
    "\u0301",
    "\u202eright to left\u202c",
    "עברית العربية",
    "क्षि",
    "\ttab\r\n",
    "\x00\ud800",
)


async def laboratory(room: Room, view: str, *, opens: bool = True) -> None:
    """Zoom the generation at one of its views."""
    room.engine.opens = opens
    await room.press("4", VIEWS[view])
    await room.until(lambda: room.app.playground.zoomed)


def flow(room: Room, selector: str) -> str:
    """What a flow of the laboratory shows."""
    return room.app.playground.query_one(selector, Flow)._growing.plain


def rows(room: Room) -> list[str]:
    compositor = room.app.playground._compositor
    return [strip.text for strip in compositor.render_strips(room.app.size)]


async def written(room: Room, tokens: int = 100) -> WriteView:
    """A whole text of numbered words, laid open."""
    await laboratory(room, "write")
    view = room.app.playground.query_one(WriteView)
    await room.press("g")
    await room.until(lambda: view._whole and not view.writing)
    assert len(view._tokens) == tokens
    return view


# --- branches ------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["fork", "back", "walk", "name"]), max_size=120), st.randoms())
def test_a_tree_of_branches_stays_a_tree_whatever_is_done(moves: list[str], draw) -> None:
    tree = Tree()
    tree.now.tokens = [p.WrittenToken(text=f" {number}", step=1) for number in range(5)]
    for move in moves:
        match move:
            case "fork":
                if tree.full:
                    continue
                before = tree.now
                gone = tree.fork(draw.randint(0, len(before.tokens)))
                begun = tree.now
                assert begun.parent is before and begun.tokens == before.tokens[: begun.fork]
                begun.tokens.append(p.WrittenToken(text="x", step=1))
                assert gone is None or (gone is not before and not gone.name)
            case "name":
                tree.now.name = "named"
            case "back":
                parent = tree.now.parent
                assert tree.back() == (parent is not None)
            case "walk":
                tree.walk(draw.choice((-1, 1)))
        seen = [branch for _, branch in tree.rows()]
        assert tree.now in seen
        assert len(seen) == len(tree) <= MOST
        assert all(branch.parent is None or branch.parent in seen for branch in seen)
        for branch in seen:
            shared = [] if branch.parent is None else branch.parent.tokens[: branch.fork]
            assert branch.tokens[: branch.fork] == shared


def test_a_chain_of_branches_goes_on_for_ever_and_keeps_those_with_names() -> None:
    tree = Tree()
    tree.now.tokens = [p.WrittenToken(text="x", step=1)]
    for number in range(3 * MOST):
        gone = tree.fork(1)
        assert (gone is not None) == (number >= MOST - 1)
        if number in (0, 7):
            tree.now.name = "kept"
    assert [branch.name for _, branch in tree.rows()].count("kept") == 2
    for _, branch in tree.rows():
        branch.name = "named"
    assert tree.full


def test_the_candidates_are_the_token_and_those_it_beat_the_most_probable_first() -> None:
    piece = p.WrittenToken(text="x", step=1, opened=opened(4))
    found = candidates(piece)
    assert len(found) == 11
    assert sum(each.token == 4 for each in found) == 1
    assert [each.probability for each in found] == sorted(
        (each.probability for each in found), reverse=True
    )
    assert candidates(p.WrittenToken(text="x", step=1)) == []


# --- shades --------------------------------------------------------------------------------------


def test_each_grade_is_told_without_colour() -> None:
    letters = [" ".join(grade.partition("on #")[0].split()) for grade in _GRADES]
    assert len(set(letters)) == len(letters)


@given(st.floats(0, 40), st.floats(0, 40))
def test_a_more_surprising_token_is_shaded_no_less(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert _GRADES.index(shade(low)) <= _GRADES.index(shade(high))


@given(st.lists(st.one_of(st.text(max_size=8), st.sampled_from(HOSTILE)), max_size=12))
def test_tokens_laid_out_hold_nothing_that_a_terminal_obeys(texts: list[str]) -> None:
    for cursor in (None, *range(len(texts))):
        shown, reach = laid_out(texts, [""] * len(texts), cursor)
        assert all(each == "\n" or (each >= " " and each != "\x7f") for each in shown.plain)
        assert not set(shown.plain) & set("\u202e\u202c\u200f\x9b\ufeff")
        assert 0 <= reach <= len(shown.plain)


# --- writing -------------------------------------------------------------------------------------


async def test_walking_over_a_text_lays_each_token_open(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await written(room)
        await room.press("home", "right", "right", "right", "right")
        await room.until(lambda: "word4" in room.text("#token"))
        told = room.text("#token").split("\n")
        assert "rank 2" in told[0] and "2.5 bits" in told[0]
        assert "entropy 3.2 bits" in told[1]
        assert len(told) == 2 + 11
        assert sum("●" in line for line in told) == 1


async def test_another_token_is_taken_and_the_text_goes_on_from_there(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        view = await written(room)
        await room.press("home", *["right"] * 4, "up", "p")
        await room.until(lambda: len(room.engine.asked(p.Generate)) == 2)
        asked = room.engine.asked(p.Generate)[-1]
        taken = candidates(p.WrittenToken(text="", step=0, opened=opened(4)))[0].token
        assert asked.given == [0, 1, 2, 3, taken]
        assert asked.seed == 7, "the same random numbers go on"
        await room.until(lambda: view._whole and not view.writing)
        texts = [piece.text for piece in view._tokens[:6]]
        assert texts == [" word0", " word1", " word2", " word3", f" word{taken}", " word5"]
        await room.until(lambda: room.text("#branches").count("\n") == 1)
        await room.press("backspace")
        assert [piece.text for piece in view._tokens[:5]][-1] == " word4"
        await room.press("b")
        assert view._tokens[4].text == f" word{taken}"
        await room.press("N", *"mine", "enter")
        await room.until(lambda: "● mine" in room.text("#branches"))
        await room.press("z")
        await room.press("z")
        assert "● mine" in room.text("#branches"), "all of it stays when the pane shrinks again"


async def test_the_text_is_copied_with_its_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with playground(tmp_path, size=ONE) as room:
        copied: list[str] = []
        monkeypatch.setattr(room.app, "copy_to_clipboard", copied.append)
        room.app.playground.query_one("#prompt", Input).value = "once"
        await written(room)
        await room.press("C")
        assert copied[0].startswith("once word0 word1") and copied[0].endswith("word49")


async def test_by_hand_the_model_proposes_and_the_person_picks(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "write")
        view = room.app.playground.query_one(WriteView)
        await room.press("h")
        await room.until(lambda: "What comes next?" in room.text("#token"))
        first = room.engine.asked(p.Generate)[-1]
        assert (first.given, first.tokens) == ([], 1)
        best = candidates(p.WrittenToken(text="", step=0, opened=opened(0)))
        await room.press("down", "p")
        await room.until(lambda: len(view._tokens) == 1)
        assert view._tokens[0].opened is not None
        assert view._tokens[0].opened.token == best[1].token
        await room.until(lambda: view._cursor == 1)
        await room.press("p")
        await room.until(lambda: len(view._tokens) == 2)
        assert room.engine.asked(p.Generate)[-1].given[0] == best[1].token
        await room.press("h")
        await room.until(lambda: view._whole and not view.writing)
        assert len(view._tokens) == 100, "the model goes on from there"


async def test_a_chain_of_picks_is_bounded_and_says_what_goes(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        view = await written(room)
        for _ in range(MOST - 1):
            view._tree.fork(4)
        await room.press("right", "home", "down", "p")
        await room.until(lambda: any("has gone" in toast for toast in room.toasts))
        await room.until(lambda: view._whole and not view.writing)
        for _, branch in view._tree.rows():
            branch.name = "named"
        await room.press("home", "down", "down", "p")
        await room.until(lambda: any("N takes one away" in toast for toast in room.toasts))
        assert len(view._tree) == MOST


async def test_a_token_picked_by_hand_is_there_at_once_and_no_other_key_loses_it(
    tmp_path: Path,
) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "write")
        view = room.app.playground.query_one(WriteView)
        await room.press("h")
        await room.until(lambda: "What comes next? p" in room.text("#token"))
        room.engine.unhurried = True
        await room.press("p", "p", "p")
        assert len(view._tokens) == 1, "what comes behind it can't be picked before it is seen"
        await room.until(lambda: "The model is being asked" in room.text("#token"))
        room.engine.unhurried = False
        await room.press(".")
        await room.until(lambda: "What comes next? p" in room.text("#token"))
        best = candidates(p.WrittenToken(text="", step=0, opened=opened(0)))[0].token
        assert view._tree.now.ids == room.engine.asked(p.Generate)[-1].given == [best]
        assert view.text == f" word{best}"


async def test_a_knob_that_is_turned_counts_from_the_next_token_on(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "write")
        view = room.app.playground.query_one(WriteView)
        room.engine.unhurried = True
        await room.press("g")
        await room.until(lambda: len(view._tokens) == 100)
        await room.press(".")
        await room.until(lambda: len(room.engine.asked(p.Generate)) == 2)
        asked = room.engine.asked(p.Generate)[-1]
        assert asked.temperature == 1.1
        assert len(asked.given) == 100, "the text stays, and goes on"


async def test_every_knob_has_a_field_that_counts_as_soon_as_it_is_in_range(
    tmp_path: Path,
) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "write")
        view = room.app.playground.query_one(WriteView)
        await room.press("k")
        await room.until(lambda: view.query_one("#form").display)
        assert room.app.focused is view.query_one("#form LineInput")
        fields = {field.id for field in view.query("KnobForm LineInput")}
        assert fields == {f"knob-{name(knob)}" for knob in KNOBS}
        assert len(KNOBS) == len(Sampling.__struct_fields__) - 1, "all but the seed"
        top_k = view.query_one("#knob-top-k", Input)
        top_k.value = "-3"
        await room.until(lambda: "top_k can't be" in room.text("#knob-fault"))
        top_k.value = "40"
        await room.until(lambda: view.settings.sampling.top_k == 40)
        assert not view.query_one("#knob-fault").display
        await room.until(lambda: "top-k 40" in room.text("#knobs"))
        await room.press("escape", ".")
        await room.until(lambda: view.query_one("#knob-temperature", Input).value == "1.1")
        await room.press("g")
        await room.until(lambda: room.engine.asked(p.Generate))
        asked = room.engine.asked(p.Generate)[-1]
        assert (asked.top_k, asked.temperature) == (40, 1.1)


async def test_raw_tokens_are_those_of_the_vocabulary(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await written(room)
        await room.until(lambda: "word0 word1" in flow(room, "#passages"))
        await room.press("w")
        await room.until(lambda: "word0 word1 word2 " in flow(room, "#passages"))


async def test_no_other_passage_begins_while_one_walks_over_a_text(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        view = await written(room)
        await room.press("left")
        asked = len(room.engine.asked(p.Generate))
        await room.happens(StateChanged(state="running"), step(1), step(2))
        await room.happens(step(3))
        assert len(room.engine.asked(p.Generate)) == asked
        assert view._cursor == 99


@pytest.mark.parametrize("size", [(80, 16), (100, 30), (160, 48)])
async def test_the_end_is_seen_again_once_one_is_back_from_walking(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with playground(tmp_path, size=size) as room:
        view = await written(room)
        text = room.app.playground.query_one("#passages", Flow)
        await room.press("z")
        for _ in range(4):  # more than the window holds
            await room.press("g")
            await room.until(lambda: view._whole and not view.writing)
        await room.press("z", "home")
        await room.until(lambda: view._revealed)
        await room.press("z")
        await room.until(lambda: not view.zoomed and text.max_scroll_y)
        await room.until(lambda: text.scroll_offset.y == text.max_scroll_y)
        await room.press("g")
        await room.until(lambda: view._whole and not view.writing)
        assert text.scroll_offset.y == text.max_scroll_y


async def test_a_passage_that_one_begins_to_walk_over_is_not_replaced(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "write")
        view = room.app.playground.query_one(WriteView)
        await room.happens(StateChanged(state="running"), step(1))
        await room.until(lambda: view._whole)
        assert view.writing, "another is to begin in a second"
        await room.press("left")
        await room.until(lambda: not view.writing)
        assert view._cursor == 99 and len(view._tokens) == 100
        await room.press("end", "z")
        await room.happens(step(2))
        await room.until(lambda: len(room.engine.asked(p.Generate)) >= 2)


async def test_the_pane_says_how_the_text_flows_again(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await laboratory(room, "write")
        view = room.app.playground.query_one(WriteView)
        await room.happens(StateChanged(state="running"), step(1))
        await room.until(lambda: view._whole)
        await room.press("left", "z")
        await room.until(lambda: "g writes on  temp 1.0" in room.text("#temperature"))


async def test_a_view_that_wasn_t_seen_as_a_laboratory_yet_takes_the_keys_typed_ahead(
    tmp_path: Path,
) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await room.press("4", "6")
        pane = room.app.playground.query_one(GenerationPane)
        pane.choose("write")
        await pane.write.action_knobs()
        assert pane.write.query_one("KnobForm").display


async def test_the_line_for_a_name_stays_while_the_focus_is_on_its_way(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        view = await written(room)
        await view.action_name_branch()
        view.redraw()
        name = view.query_one("#branch-name", Input)
        assert name.display


async def test_the_seed_has_room_in_every_laboratory_and_is_named_only_where_it_has(
    tmp_path: Path,
) -> None:
    for size in ((120, 36), (52, 14)):
        async with playground(tmp_path, size=size) as room:
            pane = room.app.playground.query_one(GenerationPane)
            await room.press("4")
            seed = pane.query_one("#seed", Input)
            await room.until(
                lambda pane=pane, seed=seed: (
                    ("tab seed" in str(pane.border_subtitle))
                    == (pane.content_size.width >= 60)
                    == seed.display
                )
            )
            await room.press("z")
            await room.until(lambda seed=seed: seed.display)


async def test_a_sample_of_the_training_tells_its_temperature(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(step(7), Sampled(step=7, text="the owl flew"))
        await room.until(lambda: "step 7 · temp 1.0  the owl flew" in room.earlier)


async def test_enter_goes_to_no_field_that_is_hidden_and_says_so(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "through_time")
        await room.press("enter", *"abc")
        assert room.app.playground.query_one("#prompt", Input).value == ""
        await room.until(lambda: any("nothing to type" in toast for toast in room.toasts))


async def test_without_a_model_a_prompt_and_a_text_say_why_nothing_comes(tmp_path: Path) -> None:
    launch = Launch(lambda folder: built(folder, state="preparing", parameters=0, corpus=None))
    async with playground(tmp_path, launch, size=ONE) as room:
        await laboratory(room, "write")
        await room.press("enter", "a", "enter")
        await room.until(lambda: "The model isn't built yet." in room.toasts)
        await room.press(VIEWS["read"], "enter", "a", "enter")
        await room.until(lambda: "The model isn't built yet." in flow(room, "#read-flow"))
        for view, block in (("through_time", "#time-head"), ("cell", "#heat")):
            await room.press(VIEWS[view])
            await room.until(lambda block=block: "The model isn't built yet." in room.text(block))
        room.engine.die("gone")
        await room.until(lambda: "The engine has ended." in room.text("#heat"))
        await room.press(VIEWS["through_time"])
        await room.until(lambda: "The engine has ended." in room.text("#time-head"))


# --- reading -------------------------------------------------------------------------------------


async def read(room: Room, text: str) -> ReadView:
    await laboratory(room, "read")
    view = room.app.playground.query_one(ReadView)
    room.app.playground.query_one("#read-text", Input).value = text
    await room.press("enter", "enter")
    await room.until(lambda: view._totals is not None and view._ranked)
    return view


async def test_a_text_is_read_with_totals_baselines_and_its_most_surprising_words(
    tmp_path: Path,
) -> None:
    async with playground(tmp_path, size=ONE) as room:
        view = await read(room, "the owl saw a zebra extraordinarily late")
        assert room.engine.asked(p.Surprise)[-1].text.startswith("the owl")
        await room.until(lambda: "perplexity" in room.text("#totals"))
        assert "6 tokens (1 unknown)" in room.text("#totals")
        told = room.text("#baselines")
        assert all(each in told for each in ("the model", "uniform", "unigram", "gzip", "xz"))
        await room.until(lambda: "zebra unknown" in room.text("#surprising"))
        listed = room.text("#surprising").split("\n")
        assert "16.0 bits extraordinarily" in listed[1]
        assert "zebra unknown" in listed[2]
        await room.press("down")
        await room.until(lambda: "extraordinarily: 16.00 bits" in room.text("#totals"))
        await room.press("down")
        await room.until(lambda: "zebra: 6.00 bits, unknown" in room.text("#totals"))
        await room.press("home")
        await room.until(lambda: "the: not predicted" in room.text("#totals"))
        assert view._cursor == 0


async def test_what_was_written_is_read_and_what_was_copied_is_marked(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(160, 48)) as room:
        await written(room)
        await room.press(VIEWS["read"], "R")
        await room.until(lambda: room.app.playground.query_one(ReadView)._totals is not None)
        assert room.engine.asked(p.Surprise)[-1].text.startswith(" word0 word1")
        await room.press("i")
        await room.until(lambda: "4 tokens at 34%" in room.text("#baselines"))
        assert "distinct-1 1.00" in room.text("#baselines")
        assert len(room.engine.asked(p.FindCopies)) == 1
        await room.press("i", "i")
        assert len(room.engine.asked(p.FindCopies)) == 1, "found once, it is kept"


async def test_a_file_is_read_by_its_path_and_a_refusal_is_told(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "read")
        room.engine.refusals[p.Surprise] = "There is no file /\x1b[1m."
        field = room.app.playground.query_one("#read-file", Input)
        field.value = "/a"
        await field.action_submit()
        await room.until(lambda: "There is no file /␛[1m." in flow(room, "#read-flow"))
        assert room.engine.asked(p.Surprise)[-1].source == "/a"


async def test_what_was_scrolled_to_stays_while_training_draws_on(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(106, 20)) as room:
        await read(room, "owl " * 900)
        text = room.app.playground.query_one("#read-flow", Flow)
        await room.press("right")
        await room.until(lambda: text.max_scroll_y > 20)
        text.scroll_to(y=20, animate=False)
        await room.happens(StateChanged(state="running"), *(step(number) for number in range(1, 4)))
        assert text.scroll_offset.y == 20
        await room.press("end")
        await room.until(lambda: text.scroll_offset.y == text.max_scroll_y)


async def test_an_engine_that_ends_while_it_reads_leaves_no_progress(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "read")
        room.engine.unhurried = True
        view = room.app.playground.query_one(ReadView)
        view._read(text="the owl")
        await room.until(lambda: view._texts)
        view._progress = Progress(task="reading", done=2, total=5, unit="tokens")
        room.engine.die("gone")
        await room.until(lambda: view._progress is None)


async def test_a_refused_search_for_copies_leaves_the_reading_as_it_is(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        view = await read(room, "the owl saw it")
        room.engine.refusals[p.FindCopies] = "The text is missed."
        await room.press("i")
        await room.until(lambda: "The text is missed." in room.toasts)
        assert "perplexity" in room.text("#totals")
        assert not view._seeing_copies
        view.refused(p.FindCopies(text="another text"), "Late.")
        assert "Late." not in room.toasts


async def test_what_is_left_out_of_a_long_text_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_view, "_MOST", 4)
    async with playground(tmp_path, size=ONE) as room:
        view = await read(room, "the owl saw it and flew on")
        await room.until(lambda: "… 3 tokens more" in flow(room, "#read-flow"))
        await room.until(lambda: "of the first 4 tokens" in room.text("#surprising"))
        await room.press("i")
        await room.until(lambda: view._copies is not None)
        assert view._copies is not None
        copies = [*view._copies.copies] * 5
        view._copies = msgspec.structs.replace(view._copies, copies=copies)
        view.redraw()
        assert "… and 2 more" in room.text("#baselines")


# --- through time --------------------------------------------------------------------------------


async def test_samples_are_leafed_through_and_one_is_kept_beside(tmp_path: Path) -> None:
    launch = Launch(lambda folder: built(folder, step=500, state="paused"))
    async with playground(tmp_path, launch, size=ONE) as room:
        await laboratory(room, "through_time")
        await room.until(lambda: "at step 500" in flow(room, "#leafed-text"))
        assert "at step 100" in flow(room, "#kept-text"), "the first beside the newest"
        assert "5 samples · seed 3 · after “the owl”" in room.text("#time-head")
        await room.press("left", "left", "p")
        await room.until(lambda: "at step 300" in flow(room, "#kept-text"))
        await room.press("right")
        await room.until(lambda: "at step 400" in flow(room, "#leafed-text"))
        await room.press("home")
        await room.until(lambda: "at step 100" in flow(room, "#leafed-text"))
        await room.press("end")
        await room.until(lambda: "step 500  5 of 5" in room.text("#leafed-head"))
        assert len(room.engine.asked(p.ThroughTime)) == 1
        await room.happens(Sampled(step=501, text="the owl"))
        await room.until(lambda: len(room.engine.asked(p.ThroughTime)) == 2)


async def test_without_samples_it_says_how_there_will_be_some(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "through_time")
        await room.until(lambda: "No sample is written yet" in room.text("#time-head"))


# --- beside --------------------------------------------------------------------------------------


def saved(models: Path, name: str, *steps: int) -> Path:
    """A run with checkpoints as far as a list of them looks."""
    folder = models / name if (models / name).exists() else create_run(models, name, preset("toy"))
    for number in steps:
        checkpoint = folder / "checkpoints" / f"step-{number:08}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "training.json").write_text(f'{{"step": {number}}}')
    return folder


async def test_another_checkpoint_writes_after_the_same_prompt_by_the_same_seed(
    tmp_path: Path,
) -> None:
    folder = saved(tmp_path, "mine", 10, 20)
    async with playground(tmp_path, folder=folder, size=(160, 44)) as room:
        room.app.playground.query_one("#prompt", Input).value = "once"
        await written(room)
        await room.press(VIEWS["beside"])
        await room.until(lambda: "this run at step 10" in room.text("#others"))
        assert "p lets it" in flow(room, "#beside-text")
        await room.press("down", "p")
        await room.until(lambda: "seed 7  once word0 word1" in flow(room, "#beside-text"))
        first, other = room.engine.asked(p.Generate)
        assert (other.checkpoint, other.seed) == ("step-00000010", 7)
        same = {"checkpoint": "", "seed": None, "alternatives": first.alternatives}
        assert msgspec.structs.replace(other, **same) == first
        assert "▸● this run at step 10" in room.text("#others")
        room.engine.refusals[p.Generate] = "It is gone."
        await room.press("p")
        await room.until(lambda: "It is gone." in flow(room, "#beside-text"))
        room.engine.refusals.clear()
        await room.press(".", "g")
        await room.until(lambda: "seed 7  once word0" in flow(room, "#beside-text"))
        assert room.engine.asked(p.Generate)[-1].temperature == 1.1


async def test_who_may_write_beside_is_listed_anew_after_a_save(tmp_path: Path) -> None:
    folder = saved(tmp_path, "mine", 10, 20, 30)
    async with playground(tmp_path, folder=folder, size=ONE) as room:
        await laboratory(room, "beside")
        await room.until(lambda: "▸  this run at step 30" in room.text("#others"))
        await room.press("down")
        await room.until(lambda: "▸  this run at step 20" in room.text("#others"))
        shutil.rmtree(folder / "checkpoints" / "step-00000010")
        saved(tmp_path, "mine", 40)
        await room.happens(Saved(step=40, checkpoint="step-00000040", seconds=0.1))
        await room.until(lambda: "this run at step 40" in room.text("#others"))
        assert "step 10" not in room.text("#others")
        assert "▸  this run at step 20" in room.text("#others"), "the choice is kept"


async def test_another_run_is_asked_through_an_engine_of_its_own_until_it_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives: list[tuple[FakeEngine, str]] = []

    @asynccontextmanager
    async def opened(folder: Path, tell: object) -> AsyncIterator[FakeEngine]:
        engine = FakeEngine(built(folder))
        engine.opens = True
        lives.append((engine, "began"))
        try:
            yield engine
        finally:
            lives.append((engine, "ended"))

    monkeypatch.setattr(beside_view, "opened", opened)
    folder, other = saved(tmp_path, "mine"), saved(tmp_path, "other", 30)
    async with playground(tmp_path, folder=folder, size=(160, 44)) as room:
        await written(room)
        await room.press(VIEWS["beside"])
        await room.until(lambda: "other at step 30" in room.text("#others"))
        await room.press("p")
        await room.until(lambda: "seed 7   word0" in flow(room, "#beside-text"))
        engine, state = lives[0]
        assert (engine.folder, state, len(lives)) == (other, "began", 1)
        assert len(engine.asked(p.Generate)) == 1
        assert len(room.engine.asked(p.Generate)) == 1, "the run that is shown isn't asked for it"
        await room.press("z")
        await room.until(lambda: lives[-1] == (engine, "ended"))
        await room.press("z")
        await room.until(lambda: lives[-1][1] == "began")
        await room.until(lambda: "seed 7   word0" in flow(room, "#beside-text"))
    assert lives[-1][1] == "ended"


# --- the inside of the cell ----------------------------------------------------------------------


async def test_units_are_rows_and_can_be_picked_and_sorted(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "cell")
        view = room.app.playground.query_one(CellView)
        room.app.playground.query_one("#cell-text", Input).value = "the owl saw it"
        await room.until(lambda: len(view._rows) == 5)
        assert room.text("#heat").count("\n") == UNITS
        await room.until(lambda: flow(room, "#cell-flow") == "the owl saw it")
        await room.press("down", "down", "right", "right")
        await room.until(lambda: f"unit 2 {view._rows[2][2]:+.3f}" in room.text("#cell-head"))
        await room.press("F")
        await room.until(lambda: "▸    5 +0.90" in room.text("#heat"))
        assert "inside quotes" in room.text("#cell-head")
        await room.press("L", "M")
        await room.until(lambda: room.engine.asked(p.TraceCell)[-1].layers == [1])
        await room.until(lambda: room.engine.asked(p.TraceCell)[-1].quantities == ["hidden"])
        await room.until(lambda: "layer 2 of 2 · hidden" in room.text("#cell-head"))


async def test_how_far_back_is_asked_of_the_token_at_the_cursor(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "cell")
        view = room.app.playground.query_one(CellView)
        room.app.playground.query_one("#cell-text", Input).value = "the owl saw it"
        await room.until(lambda: len(view._rows) == 5)
        await room.press("H")
        await room.until(lambda: "how far back: owl" in room.text("#cell-head"))
        assert room.engine.asked(p.HowFarBack)[-1].position is None
        await room.press("end")
        await room.until(lambda: room.engine.asked(p.HowFarBack)[-1].position == 3)
        await room.press("S")
        await room.until(lambda: "3 of 24" in room.text("#heat"))
        assert "25%   50%" in room.text("#heat")


async def test_a_plain_rnn_is_set_beside_how_far_back_it_looks(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "cell")
        view = room.app.playground.query_one(CellView)
        room.app.playground.query_one("#cell-text", Input).value = "the owl saw it"
        await room.until(lambda: len(view._rows) == 5)
        await room.happens(*map(step, range(1, 9)))
        room.engine.unhurried = True
        await room.press("E")
        await room.until(lambda: "step 2 of 8; E stops it" in room.text("#heat"))
        room.engine.unhurried = False
        await room.press("E")
        await room.until(lambda: room.engine.cancelled)
        await room.press("E")
        await room.until(lambda: "for 8 steps, loss 1.75 nats" in room.text("#heat"))
        lines = room.text("#heat").split("\n")
        lstm, plain = (next(line for line in lines if name in line) for name in ("LSTM", "plain"))
        columns = [lstm.rindex("█"), lstm.rindex("█", 0, lstm.rindex("█") - 8)]
        assert [plain[each] for each in columns] == ["█", "█"]
        await room.press("end")
        await room.until(lambda: room.engine.asked(p.PlainFarBack)[-1].position == 3)
        asked = len(room.engine.asked(p.PlainFarBack))
        await room.press("E", "left")
        await room.until(lambda: room.engine.asked(p.HowFarBack)[-1].position == 2)
        assert "plain RNN" not in room.text("#heat")
        assert len(room.engine.asked(p.PlainFarBack)) == asked


async def test_places_where_the_same_units_are_on_are_listed_with_their_context(
    tmp_path: Path,
) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "cell")
        room.app.playground.query_one("#cell-text", Input).value = "the owl saw it"
        await room.press("P")
        await room.until(lambda: "places like it" in room.text("#cell-head"))
        assert room.engine.asked(p.FindPlaces)[-1].position is None
        await room.press("home", "right", "right", "L")
        await room.until(lambda: "places like owl" in room.text("#cell-head"))
        asked = room.engine.asked(p.FindPlaces)[-1]
        assert (asked.text, asked.position, asked.layer) == ("the owl saw it", 1, 1)
        lines = room.text("#heat").split("\n")
        assert lines[0].strip().startswith("9 units on; of 1,000 tokens searched")
        assert "7 of 9" in lines[1] and "saw it before owl  the owl saw it" in lines[1]
        assert len(lines) == 1 + asked.top
        found = room.app.playground.query_one(CellView)._places
        assert _listed(found, None, 80, 5).plain.split("\n")[4] == f"… and {asked.top - 3} more"
        asked_before = len(room.engine.asked(p.FindPlaces))
        await room.happens(StateChanged(state="running"), *(step(number) for number in range(1, 9)))
        assert len(room.engine.asked(p.FindPlaces)) == asked_before, "it is no search for ever"
        room.engine.unhurried = True
        await room.press("left")
        await room.until(lambda: "searching again … 50%" in room.text("#heat"))


async def test_the_head_names_what_is_seen_not_what_is_still_asked_for(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "cell")
        await room.until(lambda: "layer 1 of 2 · cell" in room.text("#cell-head"))
        room.engine.unhurried = True
        await room.press("L")
        await room.until(
            lambda: "layer 1 of 2 · cell → layer 2 · cell …" in room.text("#cell-head")
        )


async def test_cells_of_another_run_are_not_taken_in(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "cell")
        view = room.app.playground.query_one(CellView)
        await room.until(lambda: view._rows)
        view.clear()
        other = Session(FakeEngine(built(tmp_path / "other")))
        assert not await view._trace(other, view._trace_question())
        assert view._rows == []


async def test_while_training_cells_are_asked_now_and_then_and_long_stretches_seldom(
    tmp_path: Path,
) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "cell")
        await room.happens(StateChanged(state="running"))
        await room.press("F", "S", "S")
        await room.until(lambda: room.engine.asked(p.FindUnits) and room.engine.asked(p.Saturation))
        began = time.monotonic()
        for number in range(1, 30):
            await room.happens(step(number))
            room.app.playground.draw()
        seconds = time.monotonic() - began
        assert len(room.engine.asked(p.TraceCell)) <= 2 + seconds
        assert len(room.engine.asked(p.FindUnits)) == 1
        assert len(room.engine.asked(p.Saturation)) == 1


async def test_a_text_too_long_for_the_cells_says_so(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "cell")
        room.app.playground.query_one("#cell-text", Input).value = "owl " * 125
        await room.until(lambda: "the first 400 of 500 characters" in room.text("#cell-head"))


# --- all of them ---------------------------------------------------------------------------------


async def filled(room: Room, view: str, text: str) -> None:
    """Let a view show this text, in all that it tells of one."""
    await laboratory(room, view)
    shown = room.app.playground
    match view:
        case "write":
            piece = p.WrittenToken(text=text, step=1, seed=1, note=text, opened=opened(3))
            write = shown.query_one(WriteView)
            write._prompt = text
            for _ in range(20):
                write.add(piece)
            write._tree.fork(3)
            write._tree.now.name = text
            write.add(piece)
            write.walk(-1)
        case "read":
            await read(room, f"a{text} b{text} c{text}")
        case "through_time":
            time = shown.query_one(TimeView)
            sample = p.Sample(1, text * 20)
            time._samples = p.Samples(prompt=text, seed=1, total=2, samples=[sample, sample])
            time.redraw()
        case "beside":
            beside = shown.query_one(BesideView)
            beside._others = [Other(room.engine.folder / text.replace("\0", ""), "", 1)] * 9
            beside._other, beside._told = beside._others[0], ""
            beside._question = p.Generate(prompt=text, seed=1)
            beside._pieces = [p.WrittenToken(text=text, step=1, note=text, opened=opened(3))] * 20
            beside.redraw()
        case "cell":
            shown.query_one("#cell-text", Input).value = f"a{text} b{text}"
            cell = shown.query_one(CellView)
            await room.until(lambda: cell._rows)
            if cell._mode == "units" and len(text) % 2:
                cell.action_places()
                await room.until(lambda: cell._places is not None)
    await room.pilot.pause(0.1)


@pytest.mark.parametrize("view", list(VIEWS))
async def test_hostile_text_leaves_every_border_straight(tmp_path: Path, view: str) -> None:
    draw = random.Random(view)
    async with playground(tmp_path, size=(112, 30)) as room:
        mixed = draw.sample(HOSTILE, len(HOSTILE))
        for text in ("".join(mixed[begin::4]) for begin in range(4)):
            await filled(room, view, text)
            seen = rows(room)
            assert all(cell_len(row) == 112 for row in seen)
            frame = room.app.playground.query_one(GenerationPane).region
            for row in seen[frame.y + 1 : frame.bottom - 1]:
                assert row[0] == "┃" and row[-1] == "┃", (text, row)
            assert all(each >= " " and each not in "\x7f\x9b\u202e" for row in seen for each in row)


@pytest.mark.parametrize("view", list(VIEWS))
@pytest.mark.parametrize("size", [(52, 14), (120, 36)])
async def test_a_view_looks_the_same_whichever_size_it_had_before(
    tmp_path: Path, view: str, size: tuple[int, int]
) -> None:
    def launch() -> Launch:
        return Launch(lambda folder: built(folder, step=500, state="paused"))

    looks = []
    for first in (size, (100, 30)):
        async with playground(tmp_path, launch(), folder=tmp_path / "run", size=first) as room:
            await filled(room, view, "the quick owl")
            await room.pilot.resize_terminal(*size)
            before: list[str] = []
            same = 0
            while same < 6:
                await room.pilot.pause(0.1)
                now = rows(room)
                same, before = (same + 1 if now == before else 0), now
            looks.append("\n".join(before))
    assert looks[0] == looks[1]


async def test_a_screen_that_is_taken_apart_while_the_model_writes_is_no_fault(
    tmp_path: Path,
) -> None:
    async with playground(tmp_path) as room:
        await room.happens(StateChanged(state="running"), step(1))
        view = room.app.playground.query_one(WriteView)
        await room.until(lambda: view.writing and view._whole)
        await room.app.playground.query_one("#prompt").remove()
        await room.until(lambda: not view.writing)


async def test_an_empty_view_says_what_to_press(tmp_path: Path) -> None:
    async with playground(tmp_path, size=ONE) as room:
        await laboratory(room, "write")
        assert "g lets the model write" in flow(room, "#passages")
        await room.press(VIEWS["read"])
        await room.until(lambda: "enter takes a text to read" in flow(room, "#read-flow"))
        block = room.app.playground.query_one("#token", Block)
        assert block.id == "token"
