"""The real program in a pseudo-terminal, with the real engine: a user's first sessions."""

import json
import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.runs import is_live, load_standing, read_address
from engine.runs.engines import log_path
from engine.text.toy_world import CLASSES
from tests.drive import Program

LSTM_TUI = [sys.executable, "-m", "tui.cli"]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A place of its own for models and caches. No engine outlives the test, passed or failed."""
    yield {
        "LSTM_TUI_MODELS": str(tmp_path / "models"),
        "LSTM_TUI_CACHE": str(tmp_path / "cache"),
        "LSTM_TUI_STATE": os.environ["LSTM_TUI_STATE"],
    }
    for folder in (tmp_path / "models").glob("*"):
        if is_live(folder) and (address := read_address(folder)) is not None:
            os.kill(address.pid, signal.SIGKILL)


def wait_until(condition: Callable[[], bool], what: str, timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.02)


def shown_step(screen: str) -> int:
    """The step in the status line, the first row; 0 before the first."""
    found = re.search(r"step ([\d,]+)", screen.split("\n", 1)[0])
    return int(found[1].replace(",", "")) if found else 0


def nearest(screen: str) -> list[str]:
    """The words in the neighbours pane, the closest first."""
    return re.findall(r"([a-z]+) +━[━╌]* +\+\d\.\d{3}", screen)


def saved_step(folder: Path) -> int:
    standing = load_standing(folder)
    return standing.step if standing else 0


def test_a_first_session_from_start_to_reopening(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "models" / "toy-world-1"

    with Program(LSTM_TUI, environment=environment) as program:
        program.wait_for("toy-world-1")
        program.send("space")
        program.wait_for(lambda screen: shown_step(screen) > 0, timeout=60)
        seen = shown_step(program.text())
        program.wait_for(lambda screen: shown_step(screen) > seen + 50)

        program.wait_for(lambda screen: nearest(screen)[:1] == ["physicist"])
        program.send("3", "enter")
        program.wait_for("back to the keys")
        program.send("ctrl+u", "library", "enter")
        program.wait_for(lambda screen: set(nearest(screen)[:1]) & set(CLASSES["place"]))

        program.send("4", "enter")
        program.wait_for("back to the keys")
        program.send("the physicist", "enter")
        program.wait_for("▶ writing")
        program.wait_for(re.compile(r"step [\d,]+ · temp 1\.0 +the physicist [a-z]+ [a-z]+"))

        program.send("s")
        program.wait_for("Saved as step-")
        wait_until(lambda: saved_step(folder) > 0, "a checkpoint is on the disk")
        program.send("space")
        program.wait_for("‖ paused")
        step = shown_step(program.text())
        while saved_step(folder) >= step:  # paused just where it was saved: nothing to choose yet
            program.send("n")
            program.wait_for(lambda screen, before=step: shown_step(screen) > before)
            step = shown_step(program.text())
        program.send("q")
        program.wait_for(f"step {step:,}.")
        program.send("s")
        assert program.wait() == 0
        assert program.raw().rstrip().endswith(b"\x1b[?1006l")  # the terminal is as it was
    wait_until(lambda: not is_live(folder), "the engine has ended")
    assert saved_step(folder) == step

    with Program(LSTM_TUI, environment=environment) as program:
        program.wait_for("toy-world-")
        program.send("m")
        program.wait_for(re.compile(rf"toy-world-1 .* {step:,} .*■ saved"))
        select_run(program, "toy-world-1")
        program.wait_for(lambda screen: shown_step(screen) == step, timeout=60)
        program.wait_for("‖ paused")
        program.send("q")
        assert program.wait() == 0

    written = subprocess.run(
        [*LSTM_TUI, "generate", "toy-world-1", "--tokens", "5", "--json"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(written.stdout)["step"] == step


def select_run(program: Program, name: str) -> None:
    """In the list of runs, the newest first: go down to a run and open it."""
    names = re.findall(r"(toy-world-\d+) .* just now", program.text())
    program.send(*["down"] * names.index(name), "enter")


def test_left_training_and_attached_to_again(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "models" / "toy-world-1"
    with Program(LSTM_TUI, columns=80, rows=24, environment=environment) as program:
        program.wait_for("toy-world-1")
        program.send("space")
        program.wait_for(lambda screen: shown_step(screen) > 0, timeout=60)
        program.send("q")
        program.wait_for("leave it training")
        program.send("l")
        assert program.wait() == 0
        assert b"lstm-tui attach toy-world-1" in program.raw().rsplit(b"\x1b", 1)[1]
        left_at = shown_step(program.text())
    assert is_live(folder)

    with Program([*LSTM_TUI, "attach"], environment=environment) as program:
        program.wait_for(lambda screen: shown_step(screen) > left_at)
        program.wait_for("▶ running")
        program.resize(80, 24)
        program.wait_for(lambda screen: len(screen.split("\n")) == 24 and "▶ running" in screen)
        address = read_address(folder)
        assert address is not None
        os.kill(address.pid, signal.SIGKILL)
        program.wait_for(f"The engine (process {address.pid}) is gone", timeout=5)
        program.send("q")
        assert program.wait() == 0


RESTORED = b"\x1b[?1049l"
"""The terminal shows again what it did before the program."""


def test_told_to_end_it_saves_what_trains_and_leaves_the_terminal_as_it_was(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "models" / "toy-world-1"
    with Program(LSTM_TUI, environment=environment) as program:
        before = termios.tcgetattr(program._master)
        program.wait_for("toy-world-1")
        assert termios.tcgetattr(program._master) != before
        program.send("space")
        program.wait_for(lambda screen: shown_step(screen) > 20, timeout=60)
        program.send("?")  # also from a dialog
        program.wait_for("esc close")
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 128 + signal.SIGTERM
        assert RESTORED in program.raw()
        assert termios.tcgetattr(program._master) == before
    wait_until(lambda: not is_live(folder), "the engine has ended")
    assert saved_step(folder) > 20


@pytest.mark.parametrize("paused", [False, True])
def test_told_to_end_before_training_or_at_rest_it_leaves_at_once(
    tmp_path: Path, environment: dict[str, str], paused: bool
) -> None:
    folder = tmp_path / "models" / "toy-world-1"
    with Program(LSTM_TUI, environment=environment) as program:
        program.wait_for("toy-world-1")
        step = 0
        if paused:
            program.wait_for("ready", timeout=60)
            program.send("n", "n")
            program.wait_for(lambda screen: shown_step(screen) == 2)
            step = 2
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 128 + signal.SIGTERM
        assert RESTORED in program.raw()
    wait_until(lambda: not is_live(folder), "the engine has ended")
    assert saved_step(folder) == step


def test_a_text_and_a_saved_run_are_opened_by_name(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    text = tmp_path / "sea.txt"
    text.write_text("".join(f"so deep is the sea of {n}\n" for n in range(2000)))
    with Program([*LSTM_TUI, "sea.txt"], environment=environment, folder=tmp_path) as program:
        program.wait_for("sea-1")
        program.wait_for("ready", timeout=60)
        program.send("n")
        program.wait_for(lambda screen: shown_step(screen) == 1)
        program.send("s")
        program.wait_for("Saved as step-")
        program.send("q")
        assert program.wait() == 0
    wait_until(lambda: not is_live(tmp_path / "models" / "sea-1"), "the engine has ended")
    for command, said in (("open", ""), ("attach", "not training any more")):
        with Program([*LSTM_TUI, command, "sea-1"], environment=environment) as program:
            if said:  # it goes after some seconds
                program.wait_for(said, timeout=60)
            program.wait_for(lambda screen: shown_step(screen) == 1, timeout=60)
            program.send("q")
            assert program.wait() == 0
        wait_until(lambda: not is_live(tmp_path / "models" / "sea-1"), "the engine has ended")


@pytest.mark.usefixtures("real_processes")
def test_a_lost_terminal_leaves_the_training_running(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "models" / "toy-world-1"
    with Program(LSTM_TUI, environment=environment) as program:
        program.wait_for("toy-world-1")
        program.send("space")
        program.wait_for(lambda screen: shown_step(screen) > 0, timeout=60)
        program.send("3")
        program.wait_for("enter types")
        program.send("enter")
        program.wait_for("back to the keys")
        address = read_address(folder)
        assert address is not None
        # An engine that is long in answering, while the input's cursor blinks on no terminal.
        os.kill(address.pid, signal.SIGSTOP)
        program.hang_up()
        time.sleep(8)
        os.kill(address.pid, signal.SIGCONT)
        assert program.process.wait(20) == 128 + signal.SIGHUP, log_path(folder).read_text()
    assert is_live(folder), log_path(folder).read_text()
    os.kill(address.pid, signal.SIGTERM)
    wait_until(lambda: not is_live(folder), "the engine has saved and ended")
    assert saved_step(folder) > 0, log_path(folder).read_text()
