"""Runs killed without warning, hundreds of times, at any moment, by one command.

    python -m tests.faults.kill [--points 200] [--seed N] [--minutes M]

A run is trained by real `lstm-tui train` processes. Each comes to a stage (see STAGES); a moment
later its engine, or the client itself, or who asks beside it, is killed, and the run is resumed,
until it finishes. Then its weights and all that it recorded have to be those of a run that was
never stopped, bit for bit. Run I of seed N is run 0 of seed N + I, so that `--seed` with its number
and `--points` with its number of points repeat it alone. Exit code 1 where there was a fault.
"""

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from engine import messages as p
from engine.errors import UserError
from engine.events import Evaluated, ExactLoss, NonFinite, Sampled, Stepped
from engine.runs import (
    is_live,
    latest_checkpoint,
    list_runs,
    load_config,
    load_standing,
    log_path,
    named_checkpoint,
    read_address,
    read_metrics,
)
from engine.runs.steps import open_steps
from engine.service.client import EngineEnded, attach, launch
from engine.service.worker import FIRST_CLIENT_SECONDS, GRACE_SECONDS
from engine.training.checkpoint import load_latest
from tests.recorded import write_old

ROOT = Path(__file__).parents[2]
LSTM_TUI = [sys.executable, "-m", "tui.cli"]
STEPS = 600
EVALUATE_EVERY = 50
SETTINGS = {
    "corpus.valid_fraction": 0.2,
    "model.embedding_size": 8,
    "model.hidden_size": 8,
    "model.layers": 2,
    "regularisation.embedding_dropout": 0.1,
    "regularisation.input_dropout": 0.2,
    "regularisation.layer_dropout": 0.2,
    "regularisation.output_dropout": 0.2,
    "regularisation.weight_drop": 0.2,
    "training.batch_size": 8,
    "training.bptt": 7,
    "training.evaluate_every": EVALUATE_EVERY,
    "training.save_every": 15,
    "training.threads": 1,
    "training.random_bptt": True,
    "optimiser.name": "nt-asgd",
    "optimiser.learning_rate": 5.0,
    "optimiser.trigger": 1,
    "clipping.mode": "adaptive",
}
"""An evaluation takes long enough to be caught in the act."""
LINES = 16_000
"""Of the text."""
MOST_POINTS = 9
"""Of one run; then it trains to its end."""
PATIENCE = 60.0
"""Seconds that anything may take here."""
ENDS = 15.0
"""Seconds in which a client has to notice that its engine is gone."""
MOST_FAULTS = 10
"""Then there is no more to learn."""
TEMPORARY = {f".{name}.tmp" for name in ("latest", "best", "config.json", "mark", "metrics.jsonl")}
TEMPORARY |= {".steps.bin.tmp", ".older.bin.tmp"}
"""What may lie half written in a run's folder after a kill."""


class Place:
    """A text, and folders of our own for runs, cache, state and what is temporary."""

    def __init__(self, folder: Path, steps: int) -> None:
        self.models, self.cache = folder / "models", folder / "cache"
        self.text, self.steps = folder / "text.txt", steps
        (folder / "tmp").mkdir()
        random = Random(0)
        words = [f"w{number}" for number in range(300)]
        lines = (" ".join(random.choices(words, k=12)) for _ in range(LINES))
        self.text.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.environment = {
            "PYTHONPATH": str(ROOT),  # without what tests/forking.py needs: real processes
            "TMPDIR": str(folder / "tmp"),
            "LSTM_TUI_MODELS": str(self.models),
            "LSTM_TUI_CACHE": str(self.cache),
            "LSTM_TUI_STATE": str(folder / "state"),
        }
        # The functions of engine that are called here have to find the same places.
        self._before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        self._whole: Path | None = None

    def close(self) -> None:
        for name, value in self._before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

    def whole(self) -> Path:
        """A run that was never stopped."""
        if self._whole is None:
            process = self.train("whole", resume=False)
            assert process.wait(PATIENCE) == 0, process.said()
            self._whole = self.models / "whole"
        return self._whole

    def train(self, name: str, *, resume: bool) -> "Command":
        settings = [f"--set={path}={value}" for path, value in SETTINGS.items()]
        how = ["--resume"] if resume else [f"--steps={self.steps}", *settings]
        return Command(["train", str(self.text), "--name", name, *how])


class Command:
    """A `lstm-tui` process, its output in a file."""

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = arguments
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `said`'s last reader
        self.process = subprocess.Popen(
            [*LSTM_TUI, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def wait(self, seconds: float) -> int:
        """Its exit code, once it has ended by itself. Fails where it doesn't, or was at fault."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.arguments[0]} hangs: {self.said()}") from None
        assert "Traceback" not in self.said(), self.said()
        return code

    def said(self) -> str:
        return os.pread(self._output.fileno(), 1 << 16, 0).decode("utf-8", "replace")


def engines(folder: Path) -> list[int]:
    """The processes that serve a run, or answer questions about it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"engine.service.worker" in words and os.fsencode(folder) in words:
                found.append(int(path.parent.name))
    return found


def kill(pids: list[int]) -> None:
    """Kill processes, and wait until they are gone."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert until(lambda: not any(_is_there(pid) for pid in pids), 10)


def _is_there(pid: int) -> bool:
    """Whether a process runs: one that nobody has waited for has no command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait for a condition. Returns whether it was met in time."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.002)
    return True


@dataclass(frozen=True)
class Stage:
    """When to kill: a condition of the run, and seconds after it at most."""

    seen: Callable[["Run"], object]
    delay: float
    before: Callable[["Run"], None] = lambda run: None
    """What is to be done to the run before it is opened."""
    beside: Callable[["Run"], list[str]] | None = None
    """Who asks beside, once the run trains."""
    at_start: bool = False
    """Whether it is met only while a run is being opened."""


class Run:
    """A run that is killed again and again."""

    def __init__(self, place: Place, name: str, random: Random, counts: Counter[str]) -> None:
        self.place, self.name, self.random, self.counts = place, name, random, counts
        self.folder = place.models / name
        self.client: Command | None = None
        self.asker: Command | None = None
        self.kept = -1
        """The step of the newest checkpoint so far."""
        self.begun = False
        """Whether a step was recorded."""

    def go(self, points: int) -> None:
        """Kill it so many times, or until it is finished, and compare."""
        done = 0
        stages = list(STAGES)
        while done < points and not self.finished:
            choice = [name for name in stages if self.client is None or not STAGES[name].at_start]
            name = self.random.choice(choice)
            if name == "asking":
                done += self.ask_and_kill()
            else:
                done += self.come_to(name)
        self.end()

    @property
    def finished(self) -> bool:
        return self.client is None and self.kept == self.place.steps

    # --- one point ----------------------------------------------------------------------------

    def come_to(self, name: str) -> bool:
        """Train until a stage, and kill there. Returns whether it came to that."""
        stage = STAGES[name]
        if self.client is None:
            stage.before(self)
            self.client = self.place.train(self.name, resume=self.may_resume)
        delay = stage.delay * self.random.random()
        victim = self.random.choice(["engine", "engine", "client"])
        if stage.beside:
            victim = self.random.choice(["engine", "client", "asker"])
            until(lambda: self.trains or not self.client_runs, PATIENCE)
            self.asker = Command(stage.beside(self))
        until(lambda: stage.seen(self) or not self.client_runs, PATIENCE)
        time.sleep(delay)
        if not self.client_runs:
            self.leave_finished()
            return False
        self.counts[f"{name}: {victim}"] += 1
        getattr(self, f"kill_{victim}")()
        return True

    @property
    def client_runs(self) -> bool:
        return self.client is not None and self.client.runs

    @property
    def may_resume(self) -> bool:
        """A run that never took a step may have ended by itself, and another take its place."""
        if not (self.folder / "config.json").exists():
            assert not self.begun, "the run is lost"
            shutil.rmtree(self.folder, ignore_errors=True)
            return False
        return True

    def kill_engine(self) -> None:
        """The client has to notice and to say so."""
        assert self.client is not None
        kill(engines(self.folder))
        code, said = self.client.wait(ENDS), self.client.said()
        self.client = None
        self.let_asker_end()
        self.check()
        told = code == 1 and "was killed by SIGKILL" in said
        assert told or (code == 0 and self.finished), f"exit code {code}: {said}"

    def kill_client(self) -> None:
        """The engine goes on for a while, saves and ends; or somebody comes back to it."""
        assert self.client is not None
        self.client.kill()
        self.client = None
        then = self.random.choices(["attach", "kill", "wait"], [4, 4, 1])[0]
        if then == "kill":
            time.sleep(self.random.random())
            kill(engines(self.folder))
        elif then == "attach":
            asyncio.run(self.end_from_another_client())
        self.let_asker_end()
        alone = GRACE_SECONDS if self.kept >= 0 else FIRST_CLIENT_SECONDS
        assert until(lambda: not engines(self.folder), alone + PATIENCE), "an engine is left over"
        self.check()

    async def end_from_another_client(self) -> None:
        """Attach to the engine, if there is one, and end it."""
        while engines(self.folder):
            try:
                engine = await attach(self.folder)
            except UserError:  # it does not listen yet, or no longer
                await asyncio.sleep(0.02)
                continue
            with suppress(EngineEnded):
                await engine.call(p.Shutdown(save=self.random.random() < 0.5))
            await engine.close()
            return

    def kill_asker(self) -> None:
        """Training goes on as if nobody had asked."""
        assert self.asker is not None
        self.asker.kill()
        self.asker = None
        step = self.last_step
        assert until(lambda: self.last_step > step or not self.client_runs, PATIENCE)
        if not self.client_runs:
            self.leave_finished()

    def let_asker_end(self) -> None:
        if self.asker is not None:
            assert self.asker.wait(PATIENCE) in (0, 1), self.asker.said()
            self.asker = None

    def leave_finished(self) -> None:
        """The client has ended by itself, so the run is finished."""
        assert self.client is not None
        code = self.client.wait(0)
        assert code == 0, f"exit code {code}: {self.client.said()}"
        self.client = None
        self.let_asker_end()
        self.check()
        assert self.finished, f"it ended at step {self.kept}"

    def ask_and_kill(self) -> bool:
        """Ask a run that nobody serves, and kill who asks or who answers: nothing changes."""
        if self.client is not None or self.kept < 0:
            return False
        before = contents(self.folder)
        asker = Command(self.random.choice([generate, evaluate])(self))
        until(lambda: engines(self.folder), PATIENCE)
        time.sleep(2.5 * self.random.random())
        if not asker.runs:
            return False
        victim = self.random.choice(["asker", "engine"])
        self.counts[f"asking: {victim}"] += 1
        if victim == "asker":
            asker.kill()
        else:
            kill(engines(self.folder))
            assert asker.wait(ENDS) in (0, 1), asker.said()
        assert until(lambda: not engines(self.folder), PATIENCE), "an engine is left over"
        assert contents(self.folder) == before, "asking changed the run"
        return True

    # --- what has to hold ---------------------------------------------------------------------

    def check(self) -> None:
        """Nothing is lost that was there, and nobody holds it."""
        assert until(lambda: not is_live(self.folder), 10), "the run is still held"
        if not (self.folder / "config.json").exists():
            assert not self.begun, "the run is lost"
            return
        load_config(self.folder)
        standing = load_standing(self.folder)
        step = -1 if standing is None else standing.step
        assert step >= self.kept, f"step {self.kept} was saved, {step} is left"
        self.kept = step
        checkpoint, note = load_latest(self.folder)
        assert note == "", note
        assert (checkpoint is None) == (step < 0)
        best = named_checkpoint(self.folder / "best")
        assert best is None or best.is_dir(), "the best is lost"
        hidden = {path.name for path in self.folder.iterdir() if path.name.startswith(".")}
        assert hidden <= TEMPORARY, hidden
        self.begun = self.begun or self.last_step > 0

    def end(self) -> None:
        """Train to the end, and compare with the run that was never stopped."""
        if self.client is None and not self.finished:
            self.client = self.place.train(self.name, resume=self.may_resume)
        if self.client is not None:
            self.client.wait(PATIENCE)
            self.leave_finished()
        whole = self.place.whole()
        for name in ("model.safetensors", "state.safetensors"):
            assert saved(self.folder, name) == saved(whole, name), f"another {name}"
        ours, theirs = story(self.folder), story(whole)
        assert len(ours) == len(theirs), f"{len(ours)} events recorded, not {len(theirs)}"
        for one, other in zip(ours, theirs, strict=True):
            assert one == other, f"recorded: {one}\nnot: {other}"
        assert self.name in {info.name for info in list_runs(self.place.models) if not info.problem}
        if half_written(self.folder):
            asyncio.run(save_once_more(self.folder))
            assert not half_written(self.folder), half_written(self.folder)
        assert until(lambda: not engines(self.folder), 10), "an engine is left over"
        shutil.rmtree(self.folder)

    def give_up(self) -> None:
        """End all that is left of a run that failed."""
        for command in (self.client, self.asker):
            if command is not None:
                command.kill()
        kill(engines(self.folder))

    # --- what is seen -------------------------------------------------------------------------

    @property
    def log(self) -> str:
        try:
            return log_path(self.folder).read_text()
        except OSError:
            return ""

    @property
    def listens(self) -> bool:
        """The address of the engine before is forgotten as this one starts."""
        address = read_address(self.folder)
        return address is not None and _is_there(address.pid)

    @property
    def is_prepared(self) -> bool:
        return self.listens and any(
            f"{state} after step" in self.log for state in ("ready", "paused", "running")
        )

    @property
    def trains(self) -> bool:
        return self.listens and "running after step" in self.log

    @property
    def saves(self) -> bool:
        return any((self.folder / "checkpoints").glob(".step-*.tmp"))

    @property
    def evaluates(self) -> bool:
        """The steps up to an evaluation are written while it goes on."""
        return self.trains and self.last_step > 0 and self.last_step % EVALUATE_EVERY == 0

    @property
    def last_step(self) -> int:
        """The newest step in the record; 0 before the first."""
        try:
            steps = open_steps(self.folder)
        except OSError:
            return 0
        if steps is None:
            return 0
        last = [int(rows["step"][-1]) for rows in steps.blocks(max(0, steps.rows - 1))]
        steps.close()
        return last[-1] if last else 0


def forget_cache(run: Run) -> None:
    """The text has to be read and encoded anew."""
    shutil.rmtree(run.place.cache, ignore_errors=True)


def make_old(run: Run) -> None:
    """Half of the time: a record of an earlier version, which is converted at the first write."""
    if run.random.random() < 0.5 and (run.folder / "steps.bin").exists():
        write_old(run.folder, list(read_metrics(run.folder)))
        (run.folder / "steps.bin").unlink()


def generate(run: Run) -> list[str]:
    return ["generate", run.name, "--tokens", "300", "--seed", "1"]


def evaluate(run: Run) -> list[str]:
    return ["evaluate", run.name, str(run.place.text), "--split", "valid", "--dynamic"]


STAGES = {
    "start": Stage(lambda run: engines(run.folder), 0.2, at_start=True),
    "loading": Stage(lambda run: run.listens, 1.5, at_start=True),
    "encoding": Stage(lambda run: run.listens, 0.7, before=forget_cache, at_start=True),
    "first write": Stage(lambda run: run.is_prepared, 0.05, before=make_old, at_start=True),
    "training": Stage(lambda run: run.trains, 0.4),
    "saving": Stage(lambda run: run.trains and run.saves, 0.03),
    "evaluation": Stage(lambda run: run.evaluates, 0.1),
    "generation": Stage(lambda run: run.asker and run.asker.said(), 0.3, beside=generate),
    "evaluating": Stage(lambda run: run.trains, 1.0, beside=evaluate),
    "asking": Stage(lambda run: True, 0),
}
"""Start-up before the engine listens; while torch loads; while the text is encoded; the record's
first write, which cuts or converts it; and so on, to questions beside training, and to those to a
run that nobody trains."""


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def half_written(folder: Path) -> set[str]:
    """What is left of writing that was cut off."""
    places = (folder, folder / "checkpoints")
    return {path.name for place in places for path in place.iterdir() if path.name[0] == "."}


async def save_once_more(folder: Path) -> None:
    engine = await launch(folder)
    while True:
        status = await engine.call(p.AskStatus())
        assert isinstance(status, p.Status)
        if status.state != "preparing":
            break
        await asyncio.sleep(0.05)
    await engine.call(p.Save())
    await engine.call(p.Shutdown(save=False))
    await engine.close()


def saved(folder: Path, name: str) -> bytes:
    checkpoint = latest_checkpoint(folder)
    assert checkpoint is not None
    return (checkpoint / name).read_bytes()


def story(folder: Path) -> list[Any]:
    """What the record tells of the training, without what the clock says."""
    told: list[Any] = []
    for event in read_metrics(folder):
        match event:
            case Stepped():
                told.append(msgspec.structs.replace(event, seconds=0, tokens_per_second=0))
            case Evaluated():
                told.append(msgspec.structs.replace(event, seconds=0))
            case Sampled() | NonFinite() | ExactLoss():
                told.append(event)
    return told


# --- many runs ----------------------------------------------------------------------------------


@dataclass
class Report:
    """What came of it."""

    runs: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """Kills by stage and victim."""
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        counts = sorted(self.counts.items())
        return (
            f"{', '.join(f'{name} {count}' for name, count in counts)}\n"
            f"{self.counts.total()} kills of {self.runs} runs in {self.seconds:.0f} s: "
            f"{self.runs - len(self.faults)} ended as if never stopped, {len(self.faults)} faults"
        )


def run(points: int, seed: int, seconds: float = float("inf"), steps: int = STEPS) -> Report:
    """Kill so many times, fewer where the time is up."""
    report, began = Report(), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="lstm-tui-kill-"))
    place = Place(folder, steps)
    try:
        while (
            report.counts.total() < points
            and time.monotonic() - began < seconds
            and len(report.faults) < MOST_FAULTS
        ):
            number = seed + report.runs
            one = Run(place, f"run-{number}", random := Random(number), report.counts)
            before = report.counts.total()
            try:
                one.go(min(random.randint(3, MOST_POINTS), points - before))
            except Exception:
                at = max(1, report.counts.total() - before)
                report.faults.append(f"--seed {number} --points {at}\n{traceback.format_exc()}")
                one.give_up()
            report.runs += 1
    finally:
        place.close()
    report.seconds = time.monotonic() - began
    if report.faults:
        print(f"What is left lies in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
    report = run(options.points, options.seed, 60 * options.minutes)
    print(*report.faults, report, sep="\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
