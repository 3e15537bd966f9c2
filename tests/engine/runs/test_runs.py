"""Runs on disk: names, listing, the record."""

import concurrent.futures
import errno
import os
from pathlib import Path

import msgspec
import pytest

from engine import runs
from engine.config import preset, replace
from engine.errors import UserError
from engine.events import AnyEvent, Evaluated, Progress, Sampled, StateChanged
from engine.runs import folders
from engine.service.record import Record
from engine.visible import visible

CONFIG = preset("toy")


def test_names_are_made_from_the_corpus(tmp_path: Path) -> None:
    def name(source: str) -> str:
        config = replace(CONFIG, {"corpus.source": source})
        return runs.create_run(tmp_path, None, config).name

    assert name("toy-world") == "toy-world-1"
    assert name("toy-world") == "toy-world-2"
    assert name("/some/where/my novel.txt") == "my-novel-1"
    assert name("/data/shakespeare/input.txt") == "shakespeare-1"
    assert name("/data/*") == "run-1"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-x", "a" * 81, "tab\t", "ü"])
def test_unusable_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="can't be a run's name"):
        runs.create_run(tmp_path, name, CONFIG)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_name_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    folder = runs.create_run(tmp_path, "mine", CONFIG)
    other = replace(CONFIG, {"model.layers": 3})
    with pytest.raises(UserError, match="There is a run 'mine' already"):
        runs.create_run(tmp_path, "mine", other)
    assert runs.load_config(folder) == CONFIG


def test_a_file_in_the_way_of_the_models_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(UserError, match="Can't write to"):
        runs.create_run(tmp_path / "models", None, CONFIG)


def test_the_models_folder_is_the_option_else_the_variable_else_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(runs.MODELS_VARIABLE, raising=False)
    assert runs.models_dir(None) == tmp_path / "saved_models"
    monkeypatch.setenv(runs.MODELS_VARIABLE, str(tmp_path / "there"))
    assert runs.models_dir(None) == tmp_path / "there"
    assert runs.models_dir(Path("here")) == tmp_path / "here"


def test_damaged_runs_are_listed_with_what_is_wrong(tmp_path: Path) -> None:
    runs.create_run(tmp_path, "good", CONFIG)
    bad = runs.create_run(tmp_path, "bad", CONFIG)
    (bad / "config.json").write_text("{")
    problems = {info.name: info.problem for info in runs.list_runs(tmp_path)}
    assert problems["good"] == ""
    assert "config.json is damaged" in problems["bad"]


def test_a_missing_run_is_one_sentence_with_near_names(tmp_path: Path) -> None:
    runs.create_run(tmp_path, "shakespeare-1", CONFIG)
    with pytest.raises(UserError, match=r"is it shakespeare-1\?"):
        runs.find_run(tmp_path, "shakespear-1")
    assert runs.find_run(tmp_path, "shakespeare-1") == tmp_path / "shakespeare-1"
    assert runs.find_run(tmp_path, str(tmp_path / "shakespeare-1")).name == "shakespeare-1"


def test_the_record_keeps_what_happened_and_only_the_newest_progress(tmp_path: Path) -> None:
    batches: list[list[AnyEvent]] = []
    record = Record(tmp_path, batches.append)
    evaluated = Evaluated(
        step=3, split="valid", loss=1.0, perplexity=2.718, tokens=10, seconds=0.1, best=True
    )
    for done in range(5):
        record.add(Progress(task="evaluating", done=done, total=5))
    record.add(evaluated)
    record.add(StateChanged(state="paused"))
    record.add(Sampled(step=3, text="\u2028 \x1b[31m\nend"))
    record.flush()
    assert [type(event).__name__ for event in batches[0]] == [
        "Progress",
        "Evaluated",
        "StateChanged",
        "Sampled",
    ]
    assert batches[0][0] == Progress(task="evaluating", done=4, total=5)
    assert record.extent.size == (tmp_path / "metrics.jsonl").stat().st_size
    past = list(runs.read_metrics(tmp_path))
    assert past == [batches[0][1], batches[0][3]]


def test_a_line_cut_short_by_a_crash_is_left_out_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    sampled = Sampled(step=1, text="x")
    line = msgspec.json.encode(sampled) + b"\n"
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(line + line[:-9])
    assert list(runs.read_metrics(tmp_path)) == [sampled]
    path.write_bytes(line + b"{nonsense}\n")
    with pytest.raises(UserError, match="damaged in line 2"):
        list(runs.read_metrics(tmp_path))
    assert list(runs.read_metrics(tmp_path / "nowhere")) == []


def test_a_record_cut_short_goes_on_after_its_last_whole_line(tmp_path: Path) -> None:
    sampled = Sampled(step=1, text="x")
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(msgspec.json.encode(sampled) + b"\n" + b'{"type":"Sam')
    record = Record(tmp_path, lambda _: None)
    record.rewind(1, "step-00000001")
    record.add(Sampled(step=2, text="y"))
    record.close()
    assert list(runs.read_metrics(tmp_path)) == [sampled, Sampled(step=2, text="y")]


def test_a_folder_that_holds_anything_else_is_never_removed(tmp_path: Path) -> None:
    mine = runs.create_run(tmp_path, "mine", CONFIG)
    (mine / "novel.txt").write_text("years of work")
    runs.remove_unbegun(mine)
    assert (mine / "novel.txt").exists()
    begun = runs.create_run(tmp_path, "begun", CONFIG)
    (begun / "checkpoints" / "step-00000001").mkdir(parents=True)
    runs.remove_unbegun(begun)
    assert (begun / "config.json").exists()
    blank = runs.create_run(tmp_path, "blank", CONFIG)
    runs.remove_unbegun(blank)
    assert not blank.exists()


def test_events_that_find_no_room_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clients hear them all the same, and saving says what is wrong."""
    told: list[AnyEvent] = []
    record = Record(tmp_path, told.extend)
    events = [Sampled(step=step, text="x") for step in (1, 2, 3)]

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for event in events[:2]:
            record.add(event)
            record.flush()
        with pytest.raises(OSError, match="No space left"):
            record.sync()
    assert told == events[:2]
    assert record.extent.size == 0
    assert list(runs.read_metrics(tmp_path)) == []
    record.add(events[2])
    record.sync()
    assert list(runs.read_metrics(tmp_path)) == events
    record.flush()
    assert told == events
    assert record.extent.size == (tmp_path / "metrics.jsonl").stat().st_size


NO_RUNS = [
    "",
    ".",
    "..",
    "/",
    "~",
    "~nosuch/x",
    "a\0b",
    "x" * 5000,
    "y/" * 5000,
    "\udcff",
    "\x1b[2J",
]


@pytest.mark.parametrize("name", NO_RUNS)
def test_what_names_no_run_is_one_short_sentence(tmp_path: Path, name: str) -> None:
    runs.create_run(tmp_path, "mine", CONFIG)
    with pytest.raises(UserError, match=r"There is no run .*: is it mine\?$") as caught:
        runs.find_run(tmp_path, name)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))
    assert visible(str(caught.value)) == str(caught.value)


@pytest.mark.parametrize("name", [*NO_RUNS, "a/b", "a b", "é", "a\n", "\u202ea"])
def test_what_can_be_no_run_s_name_leaves_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="can't be a run's name") as caught:
        runs.create_run(tmp_path / "models", name, CONFIG)
    assert len(str(caught.value)) < 200 and visible(str(caught.value)) == str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_utf_8_name_is_listed_with_its_problem(tmp_path: Path) -> None:
    folder = runs.create_run(tmp_path, "mine", CONFIG)
    bad = folder.rename(tmp_path / os.fsdecode(b"bad\xff"))
    good = runs.create_run(tmp_path, "good", CONFIG)
    problems = {info.folder: info.problem for info in runs.list_runs(tmp_path)}
    assert problems[good] == ""
    assert "rename its folder" in problems[bad]
    for name in (bad.name, str(bad)):
        with pytest.raises(UserError, match="rename its folder"):
            runs.find_run(tmp_path, name)
    assert runs.find_run(tmp_path, "good") == good


@pytest.mark.parametrize("name", [None, "mine"])
@pytest.mark.parametrize(
    ("failing", "place"), [("replace_file", "config.json"), ("sync", "models"), ("sync", "deep")]
)
def test_a_run_that_can_t_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, place: str, name: str | None
) -> None:
    def fail(path: Path, *_: object) -> None:
        if path.name == place:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(folders, failing, fail)
    with pytest.raises(UserError, match="No space left on device; choose another place"):
        runs.create_run(tmp_path / "models" / "deep", name, CONFIG)
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_json_can_t_hold_leaves_nothing(tmp_path: Path) -> None:
    corpus = msgspec.structs.replace(CONFIG.corpus, source="/texts/\udcff")
    config = msgspec.structs.replace(CONFIG, corpus=corpus)
    with pytest.raises(UserError, match="isn't UTF-8"):
        runs.create_run(tmp_path / "models", None, config)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source", ["/" + "x" * 5000, "/a/\x1b[2J\u202e.txt", "/...", "/", "/ü/ü"])
def test_a_name_can_be_made_from_any_source(tmp_path: Path, source: str) -> None:
    corpus = msgspec.structs.replace(CONFIG.corpus, source=source)
    folder = runs.create_run(tmp_path, None, msgspec.structs.replace(CONFIG, corpus=corpus))
    assert visible(folder.name) == folder.name and folder.name.isascii()
    assert runs.find_run(tmp_path, folder.name) == folder


def test_many_runs_made_at_once_disturb_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(runs.STATE_VARIABLE, str(tmp_path / "state"))
    gone = runs.create_run(tmp_path / "models", "gone", preset("toy"))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(
                lambda _: runs.create_run(tmp_path / "models", None, preset("toy")), range(100)
            )
        )
    assert len(set(made)) == 100
    assert all(runs.is_made_here(folder) for folder in made)
    assert runs.is_made_here(gone)
