"""The controller of runs, without a screen: what it tells."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from engine import messages as p
from engine.errors import UserError
from engine.events import StateChanged
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
    assert runs.note == runs.problem == ""
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
    assert first.engine.asked(p.Shutdown)


async def test_a_launch_that_fails_is_a_problem(runs: RunController, tmp_path: Path) -> None:
    runs._launch.error = UserError("No memory is left.")
    runs.open(tmp_path / "one")
    await until(lambda: runs.problem)
    assert runs.problem == "No memory is left." and runs.note == "" and runs.shown is None


async def followed(runs: RunController, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Show a run that lives on where its screen is let go, to which that comes back at once."""
    monkeypatch.setattr("engine.runs.is_live", lambda _folder: True)
    monkeypatch.setattr("tui.run.controller._BEFORE_COMING_BACK", 0.0)
    runs.open(folder)
    await until(lambda: runs.shown)


async def test_a_screen_that_was_let_go_comes_back_to_what_it_showed(
    runs: RunController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await followed(runs, tmp_path / "one", monkeypatch)
    session, first = runs.shown, runs.shown.engine
    first.push(StateChanged(state="running"), step(1))
    await until(lambda: session.history.step == 1)
    runs.host.told.clear()
    runs._launch.held.clear()
    first.die("too slow")
    await until(lambda: runs.note == "coming back to the engine…")
    assert runs.shown is session and session.history.step == 1, "what was seen is still there"
    runs._launch.held.set()
    await until(lambda: session.engine is not first)
    session.engine.push(step(1), step(2))
    await until(lambda: session.history.step == 2)
    assert first.closed and runs.note == "" and not session.ended
    assert not any(isinstance(each, RunController.Shown) for each in runs.host.told)


async def test_a_run_that_cannot_be_come_back_to_has_ended(
    runs: RunController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await followed(runs, tmp_path / "one", monkeypatch)
    runs._launch.error = UserError("It has ended meanwhile.")
    runs.shown.engine.die("too slow")
    await until(lambda: runs.problem)
    assert runs.problem == "It has ended meanwhile." and runs.shown.ended
