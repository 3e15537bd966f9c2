"""What a record costs: to write, to keep, and to open in the screen's process.

    python -m tests.benchmarks.record [--steps 1000000] [--old | --generate]

A run of so many steps, with an evaluation, a sample and a save every 500, is written through the
engine's own `Record`, batch by batch as at full speed. Then a fresh process that has loaded the
screen's modules reads it into a `History`. `--old` writes the lines of versions before steps.bin.
`--generate` times `lstm-tui generate` on a run with such a record, in turns with a fresh one.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from math import sin
from pathlib import Path

import msgspec

from engine.events import AnyRecorded, Evaluated, Sampled, Saved, Stepped
from engine.service.record import Record
from tests.benchmarks.machine import tell_machine

GROUPS = ("embedding", "lstm.0", "output")
BATCH = 25
"""Steps written at once: as many as 500 a second give in a batch."""
READ = """
import sys, time
from pathlib import Path
import tui.app, tui.run.history, engine.runs.past
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
before, began = resident(), time.perf_counter()
history, most = tui.run.history.History(), 0.0
past = engine.runs.past.Past(Path(sys.argv[1]))
for span in past.spans():
    history.recall(span)
    most = max(most, resident())
seconds = time.perf_counter() - began
began = time.perf_counter()
history.loss.envelope(0, history.step, 480)
drawn = time.perf_counter() - began
print(f"opened {history.step:,} steps in {seconds:.3f} s, drawn in {1000 * drawn:.1f} ms; resident "
      f"{before:.0f} MB before, {most:.0f} MB at most, {resident():.0f} MB after")
"""


def events(steps: int) -> Iterator[list[AnyRecorded]]:
    """Batches of what happens in a run of so many steps."""
    batch: list[AnyRecorded] = []
    for step in range(1, steps + 1):
        norm = 1 + 0.1 * sin(step)
        batch.append(
            Stepped(
                step=step,
                epoch=step / 137,
                loss=4.0 + 0.01 * sin(step),
                learning_rate=0.005,
                norm_before=norm,
                norm_after=min(norm, 1.0),
                groups_before=dict.fromkeys(GROUPS, norm / 2),
                groups_after=dict.fromkeys(GROUPS, min(norm, 1.0) / 2),
                norm_median=1.003212345678901,
                norm_p90=1.0912345678901234,
                norm_p99=1.1012345678901234,
                clip_mode="norm",
                clip_threshold=1.0,
                clipped=norm > 1,
                clip_fraction=step // 2 / step,
                seconds=step * 0.0019,
                tokens_per_second=270_000.12345,
            )
        )
        if step % 500 == 0:
            batch += [
                Evaluated(
                    step=step, split="valid", loss=4.0, perplexity=55.0, tokens=9999, seconds=0.05
                ),
                Sampled(step=step, text="the physicist solved the open problem " * 5),
                Saved(step=step, checkpoint=f"step-{step:08d}", seconds=0.01),
            ]
        if step % BATCH == 0:
            yield batch
            batch = []
    yield batch


def write(folder: Path, steps: int) -> float:
    """Write such a record. Returns the seconds that recording took."""
    record, spent = Record(folder, lambda batch: None), 0.0
    for batch in events(steps):
        began = time.perf_counter()
        for event in batch:
            record.add(event)
        record.flush()
        spent += time.perf_counter() - began
    record.close()
    return spent


def write_old(folder: Path, steps: int) -> float:
    """Write the lines of versions before steps.bin."""
    encode, spent = msgspec.json.Encoder().encode, 0.0
    file = os.open(folder / "metrics.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for batch in events(steps):
        began = time.perf_counter()
        os.write(file, b"".join(encode(event) + b"\n" for event in batch))
        spent += time.perf_counter() - began
    os.close(file)
    return spent


def race_generate(place: Path, steps: int, rounds: int = 7) -> None:
    """Print how long `generate` takes on a run of 20 steps, and on one that tells of so many."""
    os.environ |= {"LSTM_TUI_CACHE": f"{place}/cache", "LSTM_TUI_STATE": f"{place}/state"}
    program = [str(Path(sys.executable).with_name("lstm-tui"))]
    models = ["--models-dir", str(place / "models")]
    train = ["train", "toy-world", "--steps", "20", "--name", "fresh"]
    subprocess.run([*program, *train, *models], check=True, capture_output=True)
    shutil.copytree(place / "models" / "fresh", place / "models" / "long")
    write(place / "models" / "long", steps)
    spent: dict[str, list[float]] = {"fresh": [], "long": []}
    for _ in range(rounds):
        for name, times in spent.items():
            began = time.perf_counter()
            subprocess.run(
                [*program, "generate", name, *models], check=True, stdout=subprocess.DEVNULL
            )
            times.append(time.perf_counter() - began)
    for name, times in spent.items():
        print(f"generate, {name}: {statistics.median(times):.2f} s ({min(times):.2f} to "
              f"{max(times):.2f})")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--old", action="store_true")
    parser.add_argument("--generate", action="store_true")
    options = parser.parse_args()
    tell_machine("numpy", "msgspec")
    with tempfile.TemporaryDirectory() as name:
        folder, steps = Path(name), options.steps
        if options.generate:
            race_generate(folder, steps)
            return
        spent = (write_old if options.old else write)(folder, steps)
        sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
        print(f"{steps:,} steps, {len(GROUPS)} groups: {1e9 * spent / steps:,.0f} ns a step")
        for file, size in sizes.items():
            print(f"{file}: {size:,} bytes")
        print(f"{sum(sizes.values()) / steps:.1f} bytes a step")
        for _ in range(3):
            subprocess.run([sys.executable, "-c", READ, name], check=True)


if __name__ == "__main__":
    main()
