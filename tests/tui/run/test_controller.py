"""The controller of runs, without a screen: what it tells, and several runs beside each other."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import messages as p
from engine.config import preset
from engine.errors import UserError
from engine.events import StateChanged
from engine.runs import create_run
from tests.tui.fake_engine import Launch, step
from tui.run.controller import Leaving, RunController
from tui.run.session import Session


class Host:
    """Keeps the messages, and runs what is to be run."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.tasks: list[asyncio.Task[None]] = []

    def post_message(self, message: object) -> bool:
        self.told.append(message)
        return True

    def run_worker(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    def said(self) -> list[str]:
        return [each.text for each in self.told if isinstance(each, RunController.Said)]


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[RunController]:
    controller = RunController(tmp_path, Launch())
    controller.host = Host()
    yield controller
    for task in controller.host.tasks:
        task.cancel()
    await asyncio.gather(*controller.host.tasks, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


async def save(_session: Session, _others: int) -> Leaving:
    return "save"


async def cancel(_session: Session, _others: int) -> Leaving:
    return "cancel"


async def test_a_run_is_opened_followed_and_told_of(runs: RunController, tmp_path: Path) -> None:
    assert runs.note == "starting the engine…"
    runs.open(tmp_path / "one")
    await until(lambda: runs.shown)
    assert runs.note == runs.problem == "" and runs.open_runs == [runs.shown]
    engine = runs.shown.engine
    engine.push(StateChanged(state="running"), step(1))
    await until(lambda: runs.shown.status.step == 1)
    told = [type(each) for each in runs.host.told]
    assert told.count(RunController.Shown) == 2, "none, then the run"
    changes = [each for each in runs.host.told if isinstance(each, RunController.Changed)]
    assert changes[-1].at_once, "the state is another"
    engine.refusals[p.Save] = "The disk is full."
    runs.send(p.Save())
    await until(lambda: "The disk is full." in runs.host.said())


async def test_another_run_takes_the_place_of_the_one_shown(
    runs: RunController, tmp_path: Path
) -> None:
    runs.open(tmp_path / "one")
    await until(lambda: runs.shown)
    first = runs.shown
    first.engine.push(StateChanged(state="running"), step(1))
    await until(lambda: first.status.step)
    assert await runs.switch(tmp_path / "one", cancel), "it is there already"
    assert not await runs.switch(tmp_path / "two", cancel)
    assert runs.shown is first
    assert await runs.switch(tmp_path / "two", save)
    await until(lambda: runs.shown is not None and runs.shown is not first)
    await until(lambda: first.engine.closed)
    assert first.engine.asked(p.Shutdown) and runs.open_runs == [runs.shown]


async def test_several_runs_are_followed_beside_each_other(
    runs: RunController, tmp_path: Path
) -> None:
    runs.open(tmp_path / "one")
    await until(lambda: runs.shown)
    first = runs.shown
    runs.open(tmp_path / "two", beside=True)
    await until(lambda: len(runs.open_runs) == 2)
    first.engine.push(step(1))
    runs.shown.engine.push(step(1), step(2))
    await until(lambda: [each.history.step for each in runs.open_runs] == [1, 2])
    assert not first.engine.closed


async def test_a_record_is_looked_at_without_an_engine(runs: RunController, tmp_path: Path) -> None:
    folder = create_run(tmp_path, "past", preset("toy"))
    lines = [msgspec.json.encode(step(number)) + b"\n" for number in range(1, 51)]
    (folder / "metrics.jsonl").write_bytes(b"".join(lines))
    record = await runs.look(folder)
    assert record.config == preset("toy") and record.history.step == 50
    assert runs.records == {folder: record} and runs.shown is None
    with pytest.raises(UserError):
        await runs.look(tmp_path / "nothing")


async def test_a_launch_that_fails_is_a_problem(runs: RunController, tmp_path: Path) -> None:
    runs._launch.error = UserError("No memory is left.")
    runs.open(tmp_path / "one")
    await until(lambda: runs.problem)
    assert runs.problem == "No memory is left." and runs.note == "" and runs.shown is None
