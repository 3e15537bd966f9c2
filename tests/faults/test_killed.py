"""The real engine process, killed without warning, and kept from running twice."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine import messages as p
from engine import runs
from engine.config import RunConfig, replace
from engine.events import AnyEvent, Saved, SaveFailed, StateChanged, Stepped
from engine.runs.steps import last_step
from engine.service.client import Engine, EngineEnded, attach, launch
from engine.training.checkpoint import load_latest

pytestmark = pytest.mark.usefixtures("real_processes")

ROUNDS = 3


async def prepared(folder: Path) -> Engine:
    """An engine that can be started."""
    engine = await launch(folder)
    if engine.welcome.status.state == "preparing":
        async for batch in engine.events():
            if any(isinstance(event, StateChanged) for event in batch):
                break
    return engine


async def kill(engine: Engine) -> list[Saved]:
    """Kill it, and return what it had told of as saved."""
    told: list[Saved] = []
    os.kill(engine.welcome.status.pid, signal.SIGKILL)
    try:
        async for batch in engine.events():
            told += [event for event in batch if isinstance(event, Saved)]
    except EngineEnded:
        pass
    await engine.close()
    return told


async def reopened(engine: Engine) -> p.Welcome:
    """How a second client is greeted."""
    other = await attach(engine.folder)
    await other.close()
    return other.welcome


async def test_killed_while_it_saves_at_every_step_it_goes_on_where_it_was(
    tmp_path: Path, small_config: RunConfig
) -> None:
    changes = {"training.save_every": 1, "training.evaluate_every": 5}
    folder = runs.create_run(tmp_path, "run", replace(small_config, changes))
    chance = random.Random()
    before = 0
    for _ in range(ROUNDS):
        engine = await prepared(folder)
        status = await engine.call(p.AskStatus())
        assert isinstance(status, p.Status)
        assert status.step == before
        assert status.state == ("paused" if before else "ready")
        await engine.call(p.Start())
        await asyncio.sleep(chance.uniform(0.3, 1.0))
        told = await kill(engine)
        checkpoint, note = load_latest(folder)
        assert checkpoint is not None
        assert note == ""
        assert told
        assert told[-1].step <= checkpoint.training.step
        assert checkpoint.training.step >= before
        before = checkpoint.training.step
        steps = [event.step for event in runs.read_metrics(folder) if isinstance(event, Stepped)]
        assert steps[:before] == list(range(1, before + 1)), "the record was synced before it"
    assert before > 0
    engine = await prepared(folder)
    recorded = (await reopened(engine)).recorded
    past = runs.read_metrics(folder, recorded)
    steps = [event.step for event in past if isinstance(event, Stepped)]
    assert steps == list(range(1, before + 1))
    left = {path.name for path in folder.iterdir() if path.name.startswith(".")}
    assert left <= {".latest.tmp", ".best.tmp"}
    await engine.call(p.Step())
    async for batch in engine.events():
        if any(isinstance(event, Saved) for event in batch):
            break
    names = [path.name for path in (folder / "checkpoints").iterdir()]
    assert not any(name.startswith(".") for name in names), "nothing half written is left"
    await kill(engine)


async def test_a_terminated_engine_ends_also_where_it_can_not_save(
    tmp_path: Path, small_config: RunConfig
) -> None:
    folder = runs.create_run(tmp_path, "run", small_config)
    engine = await prepared(folder)
    await engine.call(p.Step())
    async for batch in engine.events():
        if any(isinstance(event, Stepped) for event in batch):
            break
    (folder / "checkpoints").write_text("in the way")
    os.kill(engine.welcome.status.pid, signal.SIGTERM)
    told: list[AnyEvent] = []
    with pytest.raises(EngineEnded, match="The engine was terminated"):
        async with asyncio.timeout(30):
            async for batch in engine.events():
                told += batch
    assert any(isinstance(event, SaveFailed) for event in told)
    await engine.close()


async def test_a_second_engine_is_refused(tmp_path: Path, small_config: RunConfig) -> None:
    folder = runs.create_run(tmp_path, "run", small_config)
    engine = await prepared(folder)
    command = [sys.executable, "-m", "engine.service.worker", str(folder)]
    second = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, timeout=60
    )
    assert second.returncode == 2
    assert "Another engine serves run." in second.stderr
    assert "Traceback" not in second.stderr
    status = await engine.call(p.AskStatus())
    assert isinstance(status, p.Status)
    assert status.state == "ready", "the first one goes on"
    await kill(engine)


async def test_a_run_killed_before_its_first_checkpoint_does_not_vanish_when_it_is_left(
    tmp_path: Path, small_config: RunConfig
) -> None:
    folder = runs.create_run(tmp_path, "run", replace(small_config, {"training.save_every": 10**6}))
    engine = await prepared(folder)
    await engine.call(p.Start())
    async with asyncio.timeout(60):
        while last_step(folder) == 0:
            await asyncio.sleep(0.05)
    await kill(engine)
    for _ in range(2):  # the first cuts off steps that are void
        engine = await prepared(folder)
        await engine.call(p.Evaluate())
        await engine.call(p.Shutdown(save=True))
        await engine.close()
        while runs.is_live(folder):
            await asyncio.sleep(0.05)
    assert runs.load_config(folder).training.save_every == 10**6
