"""The forms and lists over the playground: what is found, told, kept, renamed and deleted."""

import asyncio
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.widgets import DataTable, Input, OptionList, Static

from engine import runs
from engine.config import RunConfig, get, preset, replace
from engine.runs.engines import hold
from engine.text.reading import Source
from engine.visible import visible
from tests.tui.fake_engine import CORPUS, Launch, built, step
from tests.tui.screen_help import Room, playground
from tests.tui.test_key_order import settled, together
from tests.tui.test_keys import RUNNING
from tui.recent import MOST, recent_sources, remember_source
from tui.run.session import Session
from tui.screens.new_run import NewRun
from tui.screens.open_model import OpenModel
from tui.screens.price import price
from tui.widgets.text import Block, fit_middle

CHANGED = replace(preset("toy"), {"optimiser.learning_rate": 0.02, "model.hidden_size": 48})


@pytest.fixture(autouse=True)
def _nothing_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runs.STATE_VARIABLE, str(tmp_path / "state"))


def shown(room: Room, selector: str) -> str:
    return str(room.app.screen.query_one(selector, Static).render())


def visible_settings(room: Room) -> set[str]:
    return {
        str(row.children[1].id)
        for row in room.app.screen.query(".field")
        if all(node.display for node in row.ancestors_with_self)
    }


# --- a new run --------------------------------------------------------------------------------


async def test_a_new_run_begins_from_the_present_one_with_what_was_changed_marked(
    tmp_path: Path,
) -> None:
    knobs = {"learning_rate": 0.02, "clip_threshold": CHANGED.clipping.threshold}
    launch = Launch(lambda folder: built(folder, config=CHANGED, **knobs))
    async with playground(tmp_path, launch) as room:
        await together(room, "r")
        form = room.app.screen
        marked = {row.children[1].id for row in form.query(".field.-changed")}
        assert marked == {"optimiser-learning_rate", "model-hidden_size"}
        assert shown(room, "#model-hidden_size-effect").endswith("Changed: toy has 32.")
        form.query_one("#model-hidden_size", Input).value = "32"
        form.query_one("#model-layers", Input).value = "2"
        await settled(room)
        marked = {row.children[1].id for row in form.query(".field.-changed")}
        assert marked == {"optimiser-learning_rate", "model-layers"}
        form.query_one("#name", Input).value = "next"
        await together(room, "ctrl+s")
        await room.until(lambda: (tmp_path / "next").exists())
        meant = replace(CHANGED, {"model.hidden_size": 32, "model.layers": 2})
        assert runs.load_config(tmp_path / "next") == meant


async def test_a_new_run_begins_with_the_knobs_as_they_were_turned(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        await together(room, "plus", "c", "r")
        form = room.app.screen
        session = room.app.session
        assert session is not None
        rate = form.query_one("#optimiser-learning_rate", Input).value
        assert (
            float(rate)
            == session.knob("learning_rate")
            != session.status.config.optimiser.learning_rate
        )
        marked = {row.children[1].id for row in form.query(".field.-changed")}
        assert {"optimiser-learning_rate", "clipping-mode"} <= marked


@pytest.mark.parametrize("key", ["o", "r"])
async def test_a_search_for_files_holds_no_key_up_and_ends_with_its_dialog(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    searching, ended = Event(), Event()

    def endless(_source: str, go_on: Callable[[], None]) -> Source:
        searching.set()
        try:
            while True:
                go_on()
                time.sleep(0.01)
        finally:
            ended.set()

    monkeypatch.setattr("tui.source.resolve", endless)
    async with playground(tmp_path) as room:
        await together(room, key)
        field = "#path" if key == "o" else "#corpus-source"
        room.app.screen.query_one(field, Input).value = "/anywhere/*"
        await room.press("ctrl+s")
        await room.until(searching.is_set)
        await room.until(lambda: "esc leaves off" in shown(room, "#error"))
        await room.press("escape")
        await room.until(lambda: room.app.screen is room.app.playground)
        await room.until(ended.is_set)
        assert not list(tmp_path.glob("anywhere*"))


async def test_a_run_of_a_preset_that_is_gone_opens_the_form(tmp_path: Path) -> None:
    config = msgspec.structs.replace(CHANGED, preset="of another version")
    launch = Launch(lambda folder: built(folder, config=config))
    async with playground(tmp_path, launch) as room:
        await together(room, "r")
        assert room.app.screen.query_one("#model-hidden_size", Input).value == "48"


async def test_settings_are_found_by_words(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await together(room, "r")
        everything = visible_settings(room)
        await together(room, "slash", *"dropout input")
        assert visible_settings(room) == {
            "regularisation-input_dropout",
            "regularisation-locked",
        }
        await together(room, "enter", "ctrl+a", "ctrl+k", *"0.3")
        assert room.app.screen.query_one("#regularisation-input_dropout", Input).value == "0.3"
        await together(room, "slash", *" nothing-of-that-name")
        assert visible_settings(room) == set()
        await together(room, "escape")
        assert visible_settings(room) == everything
        assert isinstance(room.app.screen, NewRun), "the first escape only shows all again"
        await together(room, "escape")
        assert room.app.screen is room.app.playground


async def test_a_slash_in_a_path_is_typed(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await together(room, "r")
        room.app.screen.query_one("#corpus-source", Input).focus()
        await together(room, "ctrl+u", *"a/b")
        assert room.app.screen.query_one("#corpus-source", Input).value == "a/b"


async def test_a_complaint_goes_when_it_is_corrected_and_not_before(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await together(room, "r")
        form = room.app.screen
        form.query_one("#corpus-test_fraction", Input).value = "0.49"
        for number, (path, wrong, right) in enumerate(
            (
                ("model-layers", "99", "2"),
                ("corpus-source", "/nowhere", "toy-world"),
                ("corpus-valid_fraction", "0.5", "0.1"),
            )
        ):
            field = form.query_one(f"#{path}", Input)
            field.value = wrong
            await together(room, "ctrl+s")
            assert shown(room, "#error"), path
            form.query_one("#training-bptt", Input).value = str(20 + number)
            await settled(room)
            assert shown(room, "#error"), f"that was not what is wrong: {path}"
            field.value = right
            await settled(room)
            assert shown(room, "#error") == "", path


async def test_the_price_follows_the_settings(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        await together(room, "r")
        form, told = room.app.screen, lambda: room.app.screen.query_one("#price", Block)
        pace = CORPUS.tokens["train"] / 48_210
        assert told().content.plain.endswith("an epoch: about 1 s") and 1 < pace < 2
        assert "at most" not in told().content.plain
        form.query_one("#model-hidden_size", Input).value = "64"
        await settled(room)
        assert told().content.plain.endswith("an epoch: not known yet")
        form.query_one("#corpus-source", Input).value = "python-docs"
        await settled(room)
        assert told().content.plain.startswith("at most ")
        form.query_one("#model-layers", Input).value = "many"
        await settled(room)
        assert "once every setting is in its range" in told().content.plain


def test_the_price_is_of_the_text_that_is_known(tmp_path: Path) -> None:
    from tests.tui.fake_engine import FakeEngine

    session = Session(FakeEngine(built(tmp_path)))
    toy = preset("toy")
    assert price(toy, session).exact and price(toy, session).epoch is None, "no step was taken"
    session.apply([step(1)])
    faster = replace(toy, {"optimiser.learning_rate": 1, "clipping.threshold": 3})
    assert price(faster, session).epoch == CORPUS.tokens["train"] / 48_210
    for other in (
        {"model.layers": 2},
        {"training.batch_size": 1},
        {"training.precision": "bfloat16"},
    ):
        assert price(replace(toy, other), session).epoch is None
    assert not price(replace(toy, {"corpus.min_count": 2}), session).exact
    assert not price(toy, None).exact


# --- a text -----------------------------------------------------------------------------------


async def test_a_text_opened_before_is_chosen_with_arrow_keys_and_enter(tmp_path: Path) -> None:
    texts = []
    for name in ("first.txt", "sec\x1b[2Jond.txt"):
        (tmp_path / name).write_text("one two three\n" * 50)
        texts.append(str(tmp_path / name))
        remember_source(texts[-1])
    async with playground(tmp_path / "models", size=(80, 24)) as room:
        await together(room, "o")
        recent = room.app.screen.query_one("#recent", OptionList)
        listed = [str(option.prompt) for option in recent.options]
        assert len(listed) == 2 and all(visible(text) == text for text in listed)
        await together(room, "down", "down", "enter")
        assert room.app.screen.query_one("#path", Input).value == texts[0]
        await together(room, "enter")
        await room.until(lambda: len(room.launch.engines) == 2)
        assert runs.load_config(room.engine.folder).corpus.source == texts[0]
        assert recent_sources() == texts, "the one opened last is first"


async def test_without_texts_opened_before_there_is_no_list(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await together(room, "o", "down", *"x.txt")
        assert not room.app.screen.query_one("#recent").display
        assert room.app.screen.query_one("#path", Input).value == "x.txt"


def test_what_is_remembered_of_texts_is_bounded() -> None:
    for number in range(3 * MOST):
        remember_source(f"/{'x' * 4000}/{number}")
        assert recent_sources()[0].endswith(f"/{number}")
    assert 1 < len(recent_sources()) <= MOST
    remember_source("/\udcff")
    assert "/\udcff" not in recent_sources()


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'["a"]' * 2, b"x" * 100_000])
def test_a_damaged_memory_of_texts_is_none(tmp_path: Path, data: bytes) -> None:
    remember_source("/a")
    (tmp_path / "state" / "recent.json").write_bytes(data)
    assert recent_sources() == []
    remember_source("/b")
    assert recent_sources() == ["/b"]


async def test_a_complaint_about_a_path_goes_as_soon_as_one_is_typed(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await together(room, "o", "enter")
        assert "Type the path" in shown(room, "#error")
        await together(room, "x")
        assert shown(room, "#error") == ""


async def test_a_look_at_a_text_ends_with_its_dialog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.screens.open_corpus._PAUSE", 0.01)
    looked: list[str] = []

    def glance(path: str) -> None:
        looked.append(path)

    monkeypatch.setattr("tui.screens.open_corpus.glance", glance)
    async with playground(tmp_path) as room:
        for _ in range(5):
            await together(room, "o", "x")
            dialog = room.app.screen
            await together(room, "escape")
            assert all(worker.node is not dialog for worker in room.app.workers)
            await asyncio.sleep(0.02)


# --- a model ----------------------------------------------------------------------------------


def table(room: Room) -> DataTable:
    return room.app.screen.query_one("#runs", DataTable)


def names(room: Room) -> list[str]:
    return [str(table(room).get_row_at(row)[0]) for row in range(table(room).row_count)]


def said(room: Room) -> str:
    return room.app.screen.query_one("#asked", Block).content.plain


def save_run(models: Path, name: str, age: float) -> Path:
    folder = runs.create_run(models, name, preset("toy"))
    os.utime(folder / "config.json", (1e9 - age, 1e9 - age))
    return folder


@pytest.mark.parametrize(("size", "columns"), [((80, 24), 6), ((160, 48), 6), ((40, 12), 3)])
async def test_long_names_are_cut_in_their_middle_and_the_table_fits(
    tmp_path: Path, size: tuple[int, int], columns: int
) -> None:
    save_run(tmp_path, "shakespeare-" + "very-" * 12 + "long-1", 1)
    async with playground(tmp_path, size=size) as room:
        await together(room, "m")
        assert table(room).max_scroll_x == 0
        assert len(table(room).columns) == columns
        [name] = [name for name in names(room) if name.startswith("shake")]
        assert "…" in name and name.endswith("-1")


@given(st.text(), st.integers(0, 40))
def test_a_text_cut_in_its_middle_has_its_ends(text: str, width: int) -> None:
    cut, whole = fit_middle(text, width), visible(text)
    assert cell_len(cut) <= width
    if cell_len(whole) <= width:
        assert cut == whole
    elif width:
        start, _, end = cut.rpartition("…")
        assert whole.endswith(end) and whole.startswith(start.rstrip())


async def test_a_live_run_shows_the_step_it_has_come_to(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        await together(room, "m")
        assert str(table(room).get_row_at(0)[2]) == "2"
        room.engine.push(*(step(number) for number in range(3, 1201)))
        await room.until(lambda: str(table(room).get_row_at(0)[2]) == "1,200")


async def test_runs_are_found_by_words(tmp_path: Path) -> None:
    for age, name in enumerate(("ptb-small", "ptb-large", "mine")):
        save_run(tmp_path, name, age)
    async with playground(tmp_path) as room:
        await together(room, "m", "slash", *"ptb LAR", "enter")
        assert names(room) == ["ptb-large"]
        await together(room, "enter")
        await room.until(lambda: room.engine.folder.name == "ptb-large")


async def test_a_run_is_deleted_after_a_question_and_brought_back(tmp_path: Path) -> None:
    folder = save_run(tmp_path, "mine", 1)
    async with playground(tmp_path) as room:
        await together(room, "m", "down", "d")
        assert said(room).startswith("Delete mine, 0 steps?") and folder.exists()
        await together(room, "escape")
        assert said(room) == "" and isinstance(room.app.screen, OpenModel)
        await together(room, "y")
        assert folder.exists(), "nothing is asked any more"
        await together(room, "d", "y")
        assert not folder.exists() and "mine" not in names(room)
        assert said(room) == f"mine is in {tmp_path}/.trash/mine now; u brings it back."
        await together(room, "u")
        assert folder.exists() and "mine" in names(room)
        assert said(room) == "mine is back."
        await together(room, "u")
        assert said(room).startswith("Nothing was deleted")


async def test_a_run_gets_another_name(tmp_path: Path) -> None:
    save_run(tmp_path, "mine", 1)
    save_run(tmp_path, "other", 2)
    async with playground(tmp_path) as room:
        await together(room, "m", "down", "n", "ctrl+u", *"other", "enter")
        assert "There is a run 'other' already" in said(room)
        await together(room, "s")
        assert said(room) == "", "it is corrected"
        await together(room, "enter")
        assert said(room) == "mine is called others now."
        assert "others" in names(room) and "mine" not in names(room)


async def test_the_run_whose_name_was_to_be_changed_gets_it(tmp_path: Path) -> None:
    save_run(tmp_path, "first", 1)
    save_run(tmp_path, "second", 2)
    async with playground(tmp_path) as room:
        await together(room, "m", "down", "n")
        table(room).move_cursor(row=2)
        await together(room, "ctrl+u", *"mine", "enter")
        assert {"mine", "second"} <= set(names(room)) and "first" not in names(room)


async def test_a_run_is_put_beside_and_taken_away_by_one_key(tmp_path: Path) -> None:
    for age, name in enumerate("abcd"):
        save_run(tmp_path, name, age)
    async with playground(tmp_path) as room:
        await together(room, "m", "b")
        assert "is the run you see" in said(room) and not room.app.runs.beside
        await together(room, "down", "b")
        assert names(room)[1:] == ["+ a", "b", "c", "d"]
        assert said(room) == "a stands beside the run you see."
        await together(room, "down", "b", "down", "b", "down", "b")
        assert said(room).startswith("3 runs stand beside already")
        assert names(room)[1:] == ["+ a", "+ b", "+ c", "d"]
        await together(room, "up", "b", "down", "b")
        assert names(room)[1:] == ["+ a", "+ b", "c", "+ d"]
        assert [other.name for other in room.app.runs.beside] == ["a", "b", "d"]


async def test_a_run_that_is_renamed_stays_beside_and_one_that_is_deleted_does_not(
    tmp_path: Path,
) -> None:
    save_run(tmp_path, "mine", 1)
    async with playground(tmp_path) as room:
        await together(room, "m", "down", "b", "n", "ctrl+u", *"ours", "enter")
        assert "+ ours" in names(room)
        assert [other.name for other in room.app.runs.beside] == ["ours"]
        await together(room, "d", "y")
        assert not room.app.runs.beside and said(room).startswith("ours is in")
        await together(room, "u")
        assert "ours" in names(room) and not room.app.runs.beside
        assert room.toasts == [], "it was taken away, not lost"


async def test_what_a_run_is_set_to_that_the_one_you_see_is_not_is_told(tmp_path: Path) -> None:
    other = replace(preset("toy"), {"clipping.mode": "off", "training.seed": 7})
    runs.create_run(tmp_path, "other", other)
    runs.create_run(tmp_path, "same", preset("toy"))
    long = {"corpus.source": "/a/\x1b[2J" + "b" * 200, "corpus.min_count": 3} | {
        f"model.{name}": 300 for name in ("embedding_size", "hidden_size", "last_size")
    }
    runs.create_run(tmp_path, "unlike", replace(other, long))
    async with playground(tmp_path, size=(80, 24)) as room:
        await together(room, "m")
        told = {}
        for row in range(4):
            table(room).move_cursor(row=row)
            await settled(room)
            told[names(room)[row]] = room.app.screen.query_one("#differs", Block).words
    assert told.pop("toy-world-1") == "", "it is the one you see"
    assert told["other"] == "clipping.mode off, here norm · training.seed 7, here 22"
    assert told["same"] == "set as the run you see"
    assert told["unlike"].startswith("corpus.source /a/␛[2Jbbb") and "…" in told["unlike"]
    assert re.search(r" · and \d more$", told["unlike"]) and len(told["unlike"]) <= 2 * 76


@pytest.mark.parametrize("key", ["d", "n"])
async def test_a_live_run_is_neither_deleted_nor_renamed_and_that_is_said(
    tmp_path: Path, key: str
) -> None:
    folder = save_run(tmp_path, "mine", 1)
    async with playground(tmp_path) as room:
        with hold(folder):
            await together(room, "m", "down", key, "y")
            assert said(room) == "mine is held by an engine: open it and end it there first."
        assert folder.exists()


def test_the_form_for_a_new_run_shows_every_setting_once() -> None:
    from engine.config import fields
    from tui.screens.new_run import _sections

    listed = [field.path for _, group in _sections() for field in group]
    assert sorted(listed) == sorted(field.path for field in fields(RunConfig))
    assert get(RunConfig(), listed[0]) == "toy-world"
