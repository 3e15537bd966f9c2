"""How long it takes to begin. Run by hand, on an idle machine (about five minutes):

    python -m tests.benchmarks.start

1. The first frame of `lstm-tui`, beside that of a Textual app with one empty widget.
2. The first step of `lstm-tui train toy-world`, beside `python -c "import torch"`.
3. The first step shown by `lstm-tui` where space is pressed at its first frame, beside the same.

Each is a fresh start of the program, in turns with what it is beside. The corpus cache is empty
the first time alone, which compiles modules and fills the caches of the system too, and doesn't
count. The second figure is processor time, user and system, of all processes up to that moment:
other programs move it less.
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from engine.runs import STATE_VARIABLE, is_live, read_address
from engine.runs.steps import open_steps
from tests.benchmarks.machine import tell_machine
from tests.drive import Program, cpu_seconds

ROOT = Path(__file__).parents[2]
COLUMNS, ROWS = 120, 36
LSTM_TUI = [sys.executable, "-m", "tui.cli"]
IMPORT_TORCH = [sys.executable, "-c", "import torch"]
EMPTY_APP = """
from textual.app import App
from textual.widget import Widget

class Empty(App):
    BINDINGS = [("q", "quit", "quit")]
    def compose(self):
        yield Widget()

Empty().run()
"""
LAST_PAINTED = re.compile(rb"4 generation")
A_STEP = re.compile(rb"step [1-9]")
PATIENCE = 60.0
"""Seconds."""
T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """Of a beginning, in seconds."""

    wall: float
    processor: float


class Starts:
    """Starts programs in a place of their own."""

    def __init__(self, place: Path) -> None:
        self.models = place / "models"
        os.environ[STATE_VARIABLE] = str(place / "state")  # this program looks there too
        self.environment = {
            "PYTHONPATH": str(ROOT),
            # Modules are compiled once, as with every user, whatever is usual where this runs.
            "PYTHONDONTWRITEBYTECODE": "",
            "LSTM_TUI_MODELS": str(self.models),
            "LSTM_TUI_CACHE": str(place / "cache"),
        }

    def empty_frame(self) -> Cost:
        with self._on_screen([sys.executable, "-c", EMPTY_APP]) as program:
            painted = wait_for_output(program, re.compile(b""))
            cost = Cost(painted - program.started, program.cpu_seconds())
            program.send("q")
            program.wait()
        return cost

    def first_frame(self) -> Cost:
        with self._on_screen(LSTM_TUI) as program:
            painted = wait_for_output(program, LAST_PAINTED)
            cost = Cost(painted - program.started, program.cpu_seconds())
            program.send("q")
            program.wait()
        self._wait_for_engines()
        return cost

    def import_torch(self) -> Cost:
        began = time.perf_counter()
        process = subprocess.Popen(IMPORT_TORCH)
        _, process.returncode, used = os.wait4(process.pid, 0)
        return Cost(time.perf_counter() - began, used.ru_utime + used.ru_stime)

    def first_step_trained(self) -> Cost:
        before = set(self.models.glob("*"))
        command = [*LSTM_TUI, "train", "toy-world", "--preset", "toy"]
        began = time.perf_counter()
        with subprocess.Popen(
            [*command, "--set", "training.steps=1", "--json"],
            env=os.environ | self.environment,
            stdout=subprocess.DEVNULL,
        ) as process:
            run = wait_for(lambda: next(iter(set(self.models.glob("*")) - before), None))
            wait_for(lambda: steps_of(run) > 0)
            return Cost(time.perf_counter() - began, cpu_seconds(process.pid) + engine_seconds(run))

    def first_step_shown(self) -> Cost:
        before = set(self.models.glob("*"))
        with self._on_screen(LSTM_TUI) as program:
            wait_for_output(program, LAST_PAINTED)
            program.send("space")
            shown = wait_for_output(program, A_STEP)
            (run,) = set(self.models.glob("*")) - before
            cost = Cost(shown - program.started, program.cpu_seconds() + engine_seconds(run))
            address = read_address(run)
            assert address is not None
            os.kill(address.pid, signal.SIGKILL)
        self._wait_for_engines()
        return cost

    def _on_screen(self, command: list[str]) -> Program:
        return Program(
            command, columns=COLUMNS, rows=ROWS, environment=self.environment, emulate=False
        )

    def _wait_for_engines(self) -> None:
        """No engine must slow the next start."""
        for folder in self.models.glob("*"):
            wait_for(lambda run=folder: not is_live(run))


def wait_for(look: Callable[[], T | None]) -> T:
    """The first answer that is true. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE:g} s")
        time.sleep(0.002)
    return found


def wait_for_output(program: Program, shows: re.Pattern[bytes]) -> float:
    """When so much was written as a painted screen takes, and a text in it."""
    last, written = 0.0, b""
    while len(written) < COLUMNS * ROWS // 2 or not shows.search(written):
        chunk = program.wait_for_output(last, PATIENCE)
        last, written = chunk.time, written + chunk.data
    return last


def steps_of(run: Path) -> int:
    """Steps in the run's record."""
    steps = open_steps(run)
    if steps is None:
        return 0
    steps.close()
    return steps.rows


def engine_seconds(run: Path) -> float:
    """Processor time of the run's engine."""
    address = read_address(run)
    assert address is not None
    return cpu_seconds(address.pid)


def compare(
    name: str, aim: float, ours: Callable[[], Cost], beside: str, theirs: Callable[[], Cost],
    rounds: int,
) -> None:  # fmt: skip
    """Print medians over so many starts of each, in turns, after one that doesn't count."""
    pairs = [(ours(), theirs()) for _ in range(rounds + 1)][1:]
    own, other = (
        Cost(
            statistics.median(cost.wall for cost in costs),
            statistics.fmean(cost.processor for cost in costs),
        )
        for costs in zip(*pairs, strict=True)
    )
    ratios = sorted(one.wall / another.wall for one, another in pairs)
    print(
        f"{name}: {own.wall * 1000:,.0f} ms, {beside} {other.wall * 1000:,.0f} ms: "
        f"{own.wall / other.wall:.2f} times (aim: at most {aim:g}); "
        f"pair by pair {statistics.median(ratios):.2f}, from {ratios[0]:.2f} to {ratios[-1]:.2f}"
    )
    print(
        f"    processor time {own.processor * 1000:,.0f} and {other.processor * 1000:,.0f} ms: "
        f"{own.processor / other.processor:.2f} times",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=15, help="starts of each program")
    options = parser.parse_args()
    tell_machine("textual", "torch", "msgspec")
    print(f"{COLUMNS}x{ROWS}; medians of {options.rounds} starts")
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as place:
        starts = Starts(Path(place))
        torch = ("import torch", starts.import_torch)
        first = ("an empty app", starts.empty_frame)
        compare("first frame", 1.6, starts.first_frame, *first, options.rounds)
        compare("first step of train", 1.5, starts.first_step_trained, *torch, options.rounds)
        compare("first step shown", 1.5, starts.first_step_shown, *torch, options.rounds)


if __name__ == "__main__":
    main()
