"""Killed without warning while somebody looks, twice: the run ends with the same bytes."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from engine import messages as p
from engine.config import RunConfig, replace
from engine.errors import UserError
from engine.events import StateChanged, Stepped
from engine.runs import create_run
from engine.service.client import Engine, EngineEnded, launch
from tests.faults.kill import saved, story

pytestmark = pytest.mark.usefixtures("real_processes")

CHANGES = {
    "training.steps": 160,  # more than two epochs
    "training.save_every": 25,
    "training.random_bptt": True,
    "optimiser.name": "nt-asgd",
    "optimiser.learning_rate": 5.0,
    "optimiser.trigger": 1,
    "clipping.mode": "adaptive",
}


async def train(folder: Path, until: int | None = None) -> None:
    """Train to the end; or past a step, looking all the while, and then kill the engine."""
    engine = await launch(folder)
    state, step = engine.welcome.status.state, engine.welcome.status.step
    looking: asyncio.Task[None] | None = None
    with suppress(EngineEnded):
        if state != "preparing":
            await engine.call(p.Start())
        async for batch in engine.events():
            for event in batch:
                if isinstance(event, Stepped):
                    step = event.step
                elif isinstance(event, StateChanged):
                    state = event.state
                    if state in ("ready", "paused"):
                        await engine.call(p.Start())
                        looking = asyncio.create_task(look(engine)) if until else None
            if until is not None and step > until:
                os.kill(engine.welcome.status.pid, signal.SIGKILL)
            if state == "finished":
                break
    if looking is not None:
        await looking
    await engine.close()
    assert (state == "finished") == (until is None)


async def look(engine: Engine) -> None:
    """Ask and let write until the engine is gone."""
    with suppress(EngineEnded):
        while True:
            with suppress(UserError):
                await engine.call(p.WordQuery(query="cat"))
                await engine.call(p.GradientFlow())
                async for _ in engine.stream(p.Generate(prompt="the", tokens=20)):
                    pass


async def test_a_run_killed_twice_while_it_is_watched_ends_with_the_same_bytes(
    tmp_path: Path, small_config: RunConfig
) -> None:
    config = replace(small_config, CHANGES)
    whole, killed = (create_run(tmp_path, name, config) for name in ("whole", "killed"))
    await train(whole)
    await train(killed, until=40)
    await train(killed, until=90)
    await train(killed)
    assert len([event for event in story(whole) if isinstance(event, Stepped)]) == 160
    assert story(killed) == story(whole)
    for name in ("model.safetensors", "state.safetensors"):
        assert saved(killed, name) == saved(whole, name), name
