"""Whether memory grows while a run trains on and on: the playground on toy-world at full speed.

    python -m tests.benchmarks.growth [--minutes 10]

In a pseudo-terminal whose output is not drawn, with text written all the while. Prints what is
resident of the screen's process and of the engine's at minute 2 and at every minute after it, and
how much it grew by the end.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from engine.runs import read_address
from tests.benchmarks.machine import tell_machine
from tests.benchmarks.screen import LSTM_TUI, ROOT, last_step, open_program, wait_for_bytes

FIRST = 2
"""The minute from which on nothing should grow."""
AIM = 2.0
"""Percent, at most."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=int, default=10)
    options = parser.parse_args()
    tell_machine("textual", "torch", "numpy")
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as place:
        measure(Path(place), options.minutes)


def measure(place: Path, minutes: int) -> None:
    """Train so many minutes, and tell what is resident."""
    folder = place / "models" / "toy-world-1"
    environment = {
        "PYTHONPATH": str(ROOT),
        "LSTM_TUI_MODELS": f"{place}/models",
        "LSTM_TUI_CACHE": f"{place}/cache",
        "LSTM_TUI_STATE": f"{place}/state",
    }
    os.environ.update(environment)  # where the engine listens is looked up here too
    with open_program(LSTM_TUI, environment) as program:
        wait_for_bytes(program, 0.0, b"toy-world-1")
        program.send("space")
        wait_for_bytes(program, 0.0, b"running", 60)
        began = time.monotonic()
        address = read_address(folder)
        assert address is not None
        pids = {"screen": program.process.pid, "engine": address.pid}
        print(f"{'minute':>6} {'steps':>9}" + "".join(f"{name + ' MB':>12}" for name in pids))
        first: dict[str, float] = {}
        last: dict[str, float] = {}
        for minute in range(1, minutes + 1):
            while (left := began + 60 * minute - time.monotonic()) > 0:
                time.sleep(min(left, 1))
                program.chunks.clear()  # of what it wrote nothing is wanted
            last = {name: resident(pid) / 1e6 for name, pid in pids.items()}
            if minute == FIRST:
                first = last
            told = "".join(f"{megabytes:12.2f}" for megabytes in last.values())
            print(f"{minute:6} {last_step(folder):9,}{told}", flush=True)
        for name, megabytes in first.items():
            growth = 100 * (last[name] / megabytes - 1)
            print(f"{name}: {growth:+.1f}% since minute {FIRST} (aim: at most {AIM:g}%)")
        program.send("q")
        time.sleep(1)
        program.send("s")
        program.wait(60)


def resident(pid: int) -> int:
    """Bytes of a process in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
