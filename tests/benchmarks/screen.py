"""What the screen costs, measured through a pseudo-terminal. Run by hand, on an idle machine:

    python -m tests.benchmarks.screen CORPUS     (Penn Treebank's folder; about 5 minutes)
    python -m tests.benchmarks.screen CORPUS --keys 3z77/     (the map of 500 words alone)

While `ptb-small` trains: from key press to the repaint it causes; processor time of the screen, and
how often it redraws; tokens per second with the screen against none, in turns within one run.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.runs.steps import open_steps
from tests.benchmarks.machine import tell_machine
from tests.drive import Program

ROOT = Path(__file__).parents[2]
COLUMNS, ROWS = 120, 36
LSTM_TUI = [sys.executable, "-m", "tui.cli"]
PANES = {"1": b"1 corpus", "2": b"2 training", "3": b"3 neighbours", "4": b"4 generation"}
"""Each pane's key, and the title in its border, painted anew when it gets the focus."""
WARM_UP = 5.0
"""Seconds of training before a measurement begins."""
NAME = "watched"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("corpus", type=Path, help="the text ptb-small trains on")
    parser.add_argument("--rounds", type=int, default=6, help="with the screen")
    parser.add_argument("--seconds", type=float, default=12, help="of a measurement")
    parser.add_argument("--presses", type=int, default=200)
    parser.add_argument("--keys", default="", help="pressed before each measurement")
    options = parser.parse_args()
    tell_machine("textual", "torch", "msgspec")
    print(f"{COLUMNS}x{ROWS}")
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as place:
        environment = {
            "PYTHONPATH": str(ROOT),
            "LSTM_TUI_MODELS": f"{place}/models",
            "LSTM_TUI_CACHE": f"{place}/cache",
            "LSTM_TUI_STATE": f"{place}/state",  # the pane that was looked at last is there too
        }
        measure_training(options, Path(place, "models"), environment)


@contextmanager
def open_program(command: list[str], environment: dict[str, str]) -> Iterator[Program]:
    """A program whose output is timed but not drawn, which would take time from the training."""
    program = Program(command, columns=COLUMNS, rows=ROWS, environment=environment, emulate=False)
    with program:
        yield program


def wait_for_bytes(program: Program, since: float, shows: bytes, timeout: float = 20) -> float:
    """When the output after `since` held a text. Raises TimeoutError."""
    written, last = b"", since
    deadline = time.perf_counter() + timeout
    while shows not in written:
        if time.perf_counter() > deadline:
            raise TimeoutError(f"no {shows.decode()} on the screen after {timeout:g} s")
        chunk = program.wait_for_output(last, timeout)
        written, last = written + chunk.data, chunk.time
    return last


def measure_training(
    options: argparse.Namespace, models: Path, environment: dict[str, str]
) -> None:
    """One run that trains on, watched and left again: each watch between two times without."""
    folder = models / NAME
    command = [*LSTM_TUI, "train", str(options.corpus.absolute()), "--preset", "ptb-small"]
    with subprocess.Popen(
        [*command, "--name", NAME], env=os.environ | environment, stdout=subprocess.DEVNULL
    ) as training:
        wait_for_step(folder, 1)
        time.sleep(WARM_UP)
        training.send_signal(signal.SIGHUP)  # the engine trains on
    headless = [tokens_per_second(folder, options.seconds)]
    kept, shares, redraws, delays = [], [], [], []
    for number in range(1, options.rounds + 1):
        last = number == options.rounds
        with open_program([*LSTM_TUI, "attach", NAME], environment) as program:
            wait_for_bytes(program, 0.0, b"running")
            for key in options.keys:
                program.send(key)
                time.sleep(1)
            time.sleep(WARM_UP)
            cpu, began = program.cpu_seconds(), time.perf_counter()
            screened = tokens_per_second(folder, options.seconds)
            spent = time.perf_counter() - began
            shares.append((program.cpu_seconds() - cpu) / spent)
            redraws.append(redraws_since(program, began) / spent)
            if last and not options.keys:
                delays = key_delays(program, options.presses)
            program.send("q")
            time.sleep(1)
            program.send("s" if last else "l")  # save and stop, or leave it training
            program.wait(60)
        if not last:
            headless.append(tokens_per_second(folder, options.seconds))
        kept.append(screened / statistics.mean(headless[-2:]))
        print(
            f"round {number}: headless {headless[-1]:,.0f}, with the screen {screened:,.0f} "
            f"tokens/s; the screen takes {shares[-1]:.1%} of a core",
            flush=True,
        )
    print(f"training keeps {statistics.median(kept):.1%} of the headless tokens/s, in the median")
    print(
        f"the screen takes {statistics.median(shares):.1%} of a core (aim: at most 4%, 6% with the "
        f"map) for {statistics.median(redraws):.1f} redraws a second"
    )
    if not delays:
        return
    percentiles = statistics.quantiles(delays, n=100)
    print(
        f"key press to repaint, {len(delays)} presses: median {percentiles[49] * 1000:.1f} ms, "
        f"99th percentile {percentiles[98] * 1000:.1f} ms (aim: at most 60), "
        f"most {max(delays) * 1000:.1f} ms"
    )


def redraws_since(program: Program, began: float) -> int:
    """How often more than a line was written since a moment: what comes within 50 ms is one."""
    redraws, last, size = 0, 0.0, 0
    for chunk in program.chunks:
        if chunk.time < began:
            continue
        if chunk.time - last > 0.05:
            size = 0
        redraws += size < COLUMNS <= size + len(chunk.data)
        size, last = size + len(chunk.data), chunk.time
    return redraws


def key_delays(program: Program, presses: int) -> list[float]:
    """Seconds from pressing a pane's key until its title is painted anew, at random moments."""
    delays, current = [], "2"
    program.send(current)
    time.sleep(1)
    for _ in range(presses):
        time.sleep(random.uniform(0.15, 0.45))
        current = random.choice([key for key in PANES if key != current])
        pressed = time.perf_counter()
        program.send(current)
        delays.append(wait_for_bytes(program, pressed, PANES[current], timeout=5) - pressed)
    return delays


def wait_for_step(folder: Path, step: int, timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while last_step(folder) < step:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{folder.name} has not reached step {step}")
        time.sleep(0.1)


def tokens_per_second(folder: Path, seconds: float) -> float:
    """By the clock on the wall, from the steps in the run's record."""
    training = json.loads((folder / "config.json").read_bytes())["training"]
    first, began = last_step(folder), time.perf_counter()
    time.sleep(seconds)
    last, ended = last_step(folder), time.perf_counter()
    return float((last - first) * training["batch_size"] * training["bptt"] / (ended - began))


def last_step(folder: Path) -> int:
    """The newest step recorded; 0 before the first."""
    steps = open_steps(folder)
    if steps is None:
        return 0
    last = [int(rows["step"][-1]) for rows in steps.blocks(max(0, steps.rows - 1))]
    steps.close()
    return last[-1] if last else 0


if __name__ == "__main__":
    main()
