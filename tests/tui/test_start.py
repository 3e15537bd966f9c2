"""The engine is on its way before the program loads what itself needs."""

import gc
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.errors import UserError
from engine.service import process
from tui.cli import cli


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """In turn: the engines started, and the screen or the training that was loaded."""
    told: list[Any] = []

    def screen(models: Path, folder: Path | None, **_: object) -> SimpleNamespace:
        told.append(("screen", folder, gc.isenabled()))
        return SimpleNamespace(run=lambda: None, return_code=0)

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


def test_where_no_run_can_be_made_the_screen_tells(
    told: list[Any],
) -> None:
    lstm_tui("--models-dir", "/dev/null/models")
    assert told == [("screen", None, False)]


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
