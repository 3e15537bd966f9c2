"""Words about a text on the screen: in the dialog before it is opened, in the corpus pane after."""

import gzip
from pathlib import Path

import msgspec
import pytest
from textual.widgets import Input

from engine.errors import UserError
from engine.events import Remark
from tests.tui.fake_engine import CORPUS, Launch, built
from tests.tui.screen_help import Room, playground
from tui import source
from tui.numbers import size
from tui.panes.corpus import CorpusPane
from tui.remarks import in_dialog, on_screen
from tui.screens.open_corpus import OpenCorpus
from tui.source import glance
from tui.widgets.choice import Choice
from tui.widgets.text import Block

PTB = "mr. <unk> of elsevier n.v. is \x1b[2Jchairman of [/oops] the dutch group for N years\n"
REMARKS = [
    Remark(
        kind="pre-tokenised",
        sentence="It is\x1b so, [/oops] and that at such length that it has to be wrapped.",
        settings=["corpus.tokenizer=whitespace"],
    ),
    Remark(
        kind="unknown",
        sentence="And there is more to be said of this text, in some words, and in some more.",
        settings=["corpus.tokenizer=subword", "corpus.tokenizer=character"],
    ),
]


# --- before it is opened -----------------------------------------------------------------------


def test_a_glance_at_a_file_and_at_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(PTB.encode() * 99))
    seen = glance(f" {tmp_path}/a.txt.gz ")
    assert seen is not None
    assert (seen.files, seen.size) == (1, (tmp_path / "a.txt.gz").stat().st_size)
    assert seen.first_lines == [PTB.rstrip("\n")] * 3
    assert seen.look.unknown > 0
    (tmp_path / "b.txt").write_text("\n\n  \nsecond\n")
    seen = glance(str(tmp_path))
    assert seen is not None and seen.files == 2
    assert glance(str(tmp_path / "*.txt")) == (1, 12, ["second"], glance(f"{tmp_path}/b.txt").look)


@pytest.mark.parametrize("name", ["nothing", "a.txt/x", "*.nothing", "sub/nothing"])
def test_where_there_is_nothing_yet_a_glance_says_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.txt").write_text("text")
    assert glance(str(tmp_path / name)) is None


def test_a_glance_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.bin").write_bytes(b"\0")
    with pytest.raises(UserError, match="isn't text"):
        glance(str(tmp_path / "a.bin"))
    with pytest.raises(UserError, match="once it is opened"):
        glance(f"{tmp_path}/**/*.txt")
    monkeypatch.setattr(source, "GLANCE", -1.0)
    for name in ("", "*.bin"):
        with pytest.raises(UserError, match="once it is opened"):
            glance(f"{tmp_path}/{name}")


def look_of(room: Room) -> str:
    block = room.app.screen.query_one("#look", Block)
    return block.content.plain if block.display else ""


async def test_the_dialog_tells_of_a_text_before_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(PTB * 99)
    (tmp_path / "b.bin").write_bytes(b"\0")
    async with playground(tmp_path / "models", size=(80, 24)) as room:
        await room.press("o")
        await room.until(lambda: isinstance(room.app.screen, OpenCorpus))
        form = room.app.screen
        assert look_of(room) == ""
        path, tokenizer = form.query_one("#path", Input), form.query_one("#tokenizer", Choice)
        path.value = str(tmp_path / "a.txt")
        told = size(len(PTB * 99))
        await room.until(lambda: look_of(room).startswith(f"{told}, beginning with\n  mr. <unk>"))
        assert "␛[2Jchairman of [/oops]" in look_of(room)
        assert look_of(room).endswith("Try whitespace.")
        block = form.query_one("#look", Block)
        assert block.size.height == block.rows(block.content), "all of it is seen"
        tokenizer.value = "whitespace"
        await room.until(lambda: "Try" not in look_of(room) and "beginning" in look_of(room))
        form.query_one("#source", Choice).value = "toy-world"
        await room.until(lambda: look_of(room) == "")
        form.query_one("#source", Choice).value = "a file or folder"
        await room.until(lambda: "beginning" in look_of(room))
        path.value = str(tmp_path / "b.bin")
        await room.until(lambda: "isn't text" in look_of(room))
        path.value = str(tmp_path / "nothing")
        await room.until(lambda: look_of(room) == "")


# --- in the corpus pane ------------------------------------------------------------------------


@pytest.mark.parametrize("room_size", [(80, 24), (100, 30), (120, 36), (200, 60)])
@pytest.mark.parametrize("count", [0, 2])
async def test_the_corpus_pane_cuts_no_remark_off(
    tmp_path: Path, room_size: tuple[int, int], count: int
) -> None:
    corpus = msgspec.structs.replace(
        CORPUS,
        source="/a/long/way/" * 9,
        unknown_rate={"train": 0.051, "valid": 0.0001, "test": 0.2},
        too_long={"train": 3},
        remarks=REMARKS[:count],
    )
    launch = Launch(lambda folder: built(folder, corpus=corpus))
    async with playground(tmp_path, launch, size=room_size) as room:
        await room.press("1")
        pane = room.app.playground.query_one(CorpusPane)
        facts = pane.query_one("#facts", Block)

        def settled() -> bool:
            return facts.size.height == facts.rows(facts.content) > 0

        def told() -> str:
            return facts.content.plain

        comparison = pane.query_one("#comparison", Block)
        await room.until(lambda: "one-hot" in comparison.content.plain and settled())
        await room.until(lambda: comparison.size.height >= 2)
        await room.until(lambda: comparison.region.bottom <= pane.content_region.bottom)
        assert "5.1% of train, <0.1% of valid, 20.0% of test, 3 as longer than 128" in told()
        in_full = "␛ so, [/oops] and that at such length" in told()
        pointer = f"{count} remark{'s' * (count > 1)} on this text: zoom (z)"
        assert (in_full + (pointer in told())) == (count > 0)
        await room.press("z")
        await room.until(lambda: settled() and pointer not in told())
        for remark in REMARKS[:count]:
            assert on_screen(remark).replace("\x1b", "␛") in told()


def test_what_helps_is_said_in_the_words_of_the_place() -> None:
    [one, two] = REMARKS
    assert on_screen(one).endswith("Try corpus.tokenizer=whitespace in a new run (r).")
    assert in_dialog(two).endswith("Try subword or character.")
    pattern = Remark(kind="passed-over", sentence="So.", source="code/*.py")
    assert on_screen(pattern) == "So. Try code/*.py (o opens it)."
    assert in_dialog(pattern) == "So. Try code/*.py."
    alone = Remark(kind="says-unknown", sentence="So.")
    assert on_screen(alone) == in_dialog(alone) == "So."
