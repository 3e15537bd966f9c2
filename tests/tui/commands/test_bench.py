"""`lstm-tui bench`, with the measuring left out."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from engine.bench.results import Lookup, Memory, Message, Race
from engine.errors import UserError
from engine.events import Progress
from tui.commands import bench

RACE = Race(
    what="training",
    vocabulary=10_000,
    device="cpu",
    threads=2,
    reference_threads=1,
    ours=6000.4,
    reference=4000.0,
    ratio=1.5,
    least=1.4,
    greatest=1.62,
    pairs=12,
)
ANSWERS: dict[str, Message] = {
    "training-10000": RACE,
    "memory-33278": Memory(vocabulary=33_278, ours=100 << 20, reference=400 << 20),
    "neighbours-33278": Lookup(
        vocabulary=33_278, size=200, median=0.002, percentile_99=0.0031, queries=900
    ),
}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each section answers at once."""

    def messages(command: list[str]) -> Iterator[Message]:
        yield Progress(task="measuring", done=1, total=2)
        yield ANSWERS[command[-1]]

    monkeypatch.setattr("engine.bench.results.SECTIONS", tuple(ANSWERS))
    monkeypatch.setattr(bench, "_messages", messages)


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(bench.bench, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.usefixtures("measured")
def test_it_tells_the_machine_and_a_line_a_section() -> None:
    machine, *lines = invoke().splitlines()
    assert f"Python {'.'.join(map(str, sys.version_info[:3]))}" in machine
    training, memory, neighbours = lines
    assert training == (
        "training    10,000 words  6,000 tokens/s on cpu (2 threads), plain PyTorch 4,000 "
        "(1 thread): 1.50 times, 1.40 to 1.62 in 12 pairs"
    )
    assert memory == (
        "memory      33,278 words  100 MiB on top at the peak of a step, plain PyTorch 400: "
        "0.25 times"
    )
    assert neighbours == "neighbours  33,278 words  2.0 ms, 99th percentile 3.1 ms of 900"


@pytest.mark.usefixtures("measured")
def test_json_is_one_document_with_every_number() -> None:
    told: dict[str, Any] = json.loads(invoke("--json"))
    assert set(told["machine"]) >= {"processor", "cores", "python", "torch", "numpy", "textual"}
    assert told["results"] == msgspec.to_builtins(list(ANSWERS.values()))


def test_a_process_tells_its_messages_and_its_progress_is_passed_on() -> None:
    told = [Progress(task="a", done=1, total=2), RACE]
    lines = [msgspec.json.encode(each).decode() for each in told]
    command = [sys.executable, "-c", "import sys; print(*sys.argv[1:], sep='\\n')", *lines]
    assert list(bench._messages(command)) == told


def test_a_process_that_fails_is_one_sentence() -> None:
    script = "raise MemoryError('no room')"
    with pytest.raises(UserError, match=r"^Measuring failed: MemoryError: no room\.$"):
        list(bench._messages([sys.executable, "-c", script]))


def test_a_process_does_not_outlive_its_listener(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    script = (
        f"import os, pathlib, time; pathlib.Path({str(file)!r}).write_text(str(os.getpid()));"
        f"print({msgspec.json.encode(RACE).decode()!r}, flush=True); time.sleep(100)"
    )
    messages = bench._messages([sys.executable, "-c", script])
    next(messages)
    began = time.monotonic()
    messages.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 50
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


def test_a_real_section_is_measured_by_the_program() -> None:
    command = [sys.executable, "-P", "-m", "engine.bench", "neighbours-50"]
    *progress, result = bench._messages(command)
    assert all(isinstance(told, Progress) for told in progress)
    assert isinstance(result, Lookup)
    assert result.vocabulary == 50


def test_what_it_tells_needs_no_torch() -> None:
    script = "import sys, engine.bench.results, engine.bench.machine; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
