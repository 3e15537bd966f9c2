"""The engine is on its way before the program loads what itself needs."""

import gc
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.config import preset, replace
from engine.errors import UserError
from engine.runs import create_run, load_config
from engine.service import process
from tui.commands.group import cli


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """In turn: the engines started, and the screen or the training that was loaded."""
    told: list[Any] = []

    def screen(models: Path, folder: Path | None, note: str = "", **_: object) -> SimpleNamespace:
        told.append(("screen", folder, gc.isenabled(), *filter(None, [note])))
        return SimpleNamespace(run=process._ahead.clear, return_code=0)

    def training(folder: Path, *_: object) -> SimpleNamespace:
        told.append(("training", folder))
        return SimpleNamespace(summary={}, run=finished)

    async def finished() -> int:
        return 0

    monkeypatch.setenv("TEXTUAL_DRIVER", "any, in place of a terminal")
    monkeypatch.setitem(sys.modules, "tui.app", SimpleNamespace(PlaygroundApp=screen))
    monkeypatch.setitem(sys.modules, "tui.headless", SimpleNamespace(Training=training))
    monkeypatch.setattr(process, "start", lambda folder: told.append(("engine", folder)))
    yield told
    gc.enable()
    process._ahead.clear()


def lstm_tui(*arguments: str) -> None:
    cli.main(arguments, standalone_mode=False)


def test_the_playground_s_first_engine_starts_before_the_screen_is_loaded(
    tmp_path: Path, told: list[Any]
) -> None:
    lstm_tui("--models-dir", str(tmp_path))
    folder = tmp_path / "toy-world-1"
    assert told == [("engine", folder), ("screen", folder, False)]


def test_a_screen_that_is_left_at_once_leaves_no_engine_and_no_run(
    tmp_path: Path, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_folder: Path) -> SimpleNamespace:
        return SimpleNamespace(kill=partial(told.append, "killed"), wait=lambda: None)

    left = SimpleNamespace(run=lambda: None, return_code=0)
    monkeypatch.setattr(process, "start", start)
    monkeypatch.setitem(
        sys.modules, "tui.app", SimpleNamespace(PlaygroundApp=lambda *_, **__: left)
    )
    lstm_tui("--models-dir", str(tmp_path))
    assert told == ["killed"]
    assert list(tmp_path.iterdir()) == []


def test_where_no_run_can_be_made_the_screen_tells(
    told: list[Any],
) -> None:
    lstm_tui("--models-dir", "/dev/null/models")
    assert told == [("screen", None, False)]


@pytest.mark.parametrize("named", ["models", "songs", "models/deep.txt"])
def test_a_text_opens_by_its_name_but_a_sub_command_comes_first(
    tmp_path: Path, told: list[Any], monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LSTM_TUI_MODELS", str(tmp_path / "saved"))
    for folder in ("models", "songs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "deep.txt").write_text("so deep is the sea\n" * 99)
    lstm_tui(named)
    if named == "models":
        assert told == []
        lstm_tui("./models")
    run = tmp_path / "saved" / f"{Path(named).stem}-1"
    assert told == [("engine", run), ("screen", run, False)]
    config = load_config(run)
    assert config.corpus.source == str(tmp_path / named)
    assert config == replace(preset("laptop"), {"corpus.source": config.corpus.source})


def test_the_toy_world_by_its_name_is_the_playground_s_first_run(
    tmp_path: Path, told: list[Any]
) -> None:
    lstm_tui("toy-world", "--models-dir", str(tmp_path))
    assert told[-1] == ("screen", tmp_path / "toy-world-1", False)
    assert load_config(tmp_path / "toy-world-1") == preset("toy")


def test_a_text_without_text_makes_no_run(tmp_path: Path, told: list[Any]) -> None:
    (tmp_path / "empty.txt").write_text(" \n")
    with pytest.raises(UserError, match="empty"):
        lstm_tui(str(tmp_path / "empty.txt"), "--models-dir", str(tmp_path / "models"))
    assert told == [] and not (tmp_path / "models").exists()


@pytest.mark.parametrize("command", ["open", "attach"])
def test_a_run_that_has_ended_is_opened_and_attach_says_so(
    tmp_path: Path, told: list[Any], command: str
) -> None:
    folder = create_run(tmp_path, "mine", preset("toy"))
    lstm_tui(command, "mine", "--models-dir", str(tmp_path))
    said = ["mine is not training any more: this is the run as it was saved."]
    assert told == [("screen", folder, False, *(said if command == "attach" else []))]


def test_an_engine_s_training_starts_before_its_client_is_loaded(
    tmp_path: Path, told: list[Any]
) -> None:
    lstm_tui("train", "toy-world", "--name", "mine", "--models-dir", str(tmp_path))
    assert told == [("engine", tmp_path / "mine"), ("training", tmp_path / "mine")]


@pytest.mark.parametrize(
    "arguments",
    [["settings"], ["models"], ["train", "no-such-text"], ["train", "toy-world", "--set", "x=1"]],
)
def test_what_trains_nothing_starts_no_engine(
    arguments: list[str], tmp_path: Path, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSTM_TUI_MODELS", str(tmp_path))
    with suppress(UserError):
        lstm_tui(*arguments)
    assert told == []
    assert list(tmp_path.iterdir()) == []
