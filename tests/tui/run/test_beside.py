"""Runs that stand beside the one that is shown: their records are read, and no more is done."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from engine.config import preset
from engine.errors import UserError
from engine.events import AnyRecorded, RolledBack
from engine.runs import create_run, rename_run, trash_run
from engine.runs.engines import hold
from engine.runs.recorder import Recorder
from tests.tui.fake_engine import Launch, evaluation, step
from tests.tui.run.test_controller import Host, save, until
from tui.run.controller import MOST_BESIDE, RunController


@pytest.fixture
async def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunController]:
    """A controller that shows a run and looks often."""
    monkeypatch.setattr("tui.run.controller.LOOK_AGAIN", 0.01)
    monkeypatch.setenv("LSTM_TUI_STATE", str(tmp_path / "state"))
    controller = RunController(tmp_path, Launch())
    controller.host = Host()
    recorded(tmp_path, "shown", map(step, range(1, 11)))
    controller.open(tmp_path / "shown")
    await until(lambda: controller.shown)
    yield controller
    for task in controller.host.tasks:
        task.cancel()
    await asyncio.gather(*controller.host.tasks, return_exceptions=True)


def recorded(models: Path, name: str, events: Iterable[AnyRecorded] = ()) -> Path:
    """A run with this record."""
    folder = create_run(models, name, preset("toy"))
    record(folder, events)
    return folder


def record(folder: Path, events: Iterable[AnyRecorded]) -> None:
    """Let these happen in a run, as its engine would write it down."""
    recorder = Recorder(folder)
    for event in events:
        recorder.add(event)
    recorder.write()
    recorder.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lengths(runs: RunController) -> dict[str, int]:
    """The steps of each run that is drawn beside the one that is shown."""
    return {other.name: other.history.step for other in runs.shown.beside}


async def test_a_record_is_read_and_left_as_it_is(runs: RunController, tmp_path: Path) -> None:
    folder = recorded(tmp_path, "other", [*map(step, range(1, 301)), evaluation(300, 1.5)])
    before = contents(tmp_path)
    runs.put_beside(folder)
    await until(lambda: lengths(runs) == {"other": 300})
    [other] = runs.shown.beside
    assert other.config == preset("toy") and not other.gone
    assert other.history.smoothed_loss.values().tolist() == pytest.approx(
        smoothed(runs, 300).tolist(), rel=1e-5
    )
    runs.take_away(folder)
    assert runs.beside == runs.shown.beside == ()
    assert contents(tmp_path) == before and len(runs._launch.engines) == 1
    assert runs.host.said() == []


def smoothed(runs: RunController, count: int):
    """The smoothed losses of so many steps, as a run that is shown has them."""
    from tui.run.history import History

    history = History()
    history.apply(map(step, range(1, count + 1)))
    return history.smoothed_loss.values()


async def test_a_run_that_trains_is_followed_goes_back_and_ends(
    runs: RunController, tmp_path: Path
) -> None:
    folder = recorded(tmp_path, "live", map(step, range(1, 11)))
    runs.put_beside(folder)
    with hold(folder):
        await until(lambda: lengths(runs) == {"live": 10})
        record(folder, map(step, range(11, 101)))
        await until(lambda: lengths(runs) == {"live": 100})
        record(folder, [RolledBack(step=50, from_step=100, learning_rate=1.0, stale=0)])
        await until(lambda: lengths(runs) == {"live": 50})
        record(folder, map(step, range(51, 61)))
        await until(lambda: lengths(runs) == {"live": 60})
    await asyncio.sleep(0.05)
    assert lengths(runs) == {"live": 60} and runs.host.said() == []
    for name in ("steps.bin", "metrics.jsonl"):  # it begins anew, as it was never saved
        (folder / name).unlink()
    record(folder, map(step, range(1, 71)))
    await until(lambda: lengths(runs) == {"live": 70})


async def test_it_stays_where_another_is_shown_and_is_never_drawn_twice(
    runs: RunController, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        runs.put_beside(recorded(tmp_path, name, map(step, range(1, 6))))
    await until(lambda: lengths(runs) == {"one": 5, "two": 5})
    shown = runs.shown
    assert await runs.switch(tmp_path / "one", save)
    await until(lambda: runs.shown not in (None, shown))
    assert lengths(runs) == {"two": 5} and runs.stands_beside(tmp_path / "one")
    assert await runs.switch(tmp_path / "shown", save)
    await until(lambda: runs.shown is not None and runs.shown.name == "shown")
    assert lengths(runs) == {"one": 5, "two": 5}


async def test_what_can_not_stand_beside_is_refused_in_a_sentence(
    runs: RunController, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="shown is the run you see"):
        runs.put_beside(tmp_path / "shown")
    broken = recorded(tmp_path, "broken")
    (broken / "config.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        runs.put_beside(broken)
    for number in range(MOST_BESIDE):
        runs.put_beside(recorded(tmp_path, f"run-{number}"))
    one_more = recorded(tmp_path, "more")
    with pytest.raises(UserError, match="3 runs stand beside already"):
        runs.put_beside(one_more)
    assert len(runs.shown.beside) == MOST_BESIDE
    runs.take_away(tmp_path / "run-1")
    runs.put_beside(one_more)
    assert list(lengths(runs)) == ["run-0", "run-2", "more"]


async def test_a_damaged_record_is_told_once_and_what_is_left_of_it_drawn(
    runs: RunController, tmp_path: Path
) -> None:
    folder = recorded(tmp_path, "hurt", [*map(step, range(1, 101)), evaluation(100, 1.5)])
    lines = (folder / "metrics.jsonl").read_bytes()
    (folder / "metrics.jsonl").write_bytes(b"\x1b[2J not json\n" + lines)
    before = contents(folder)
    runs.put_beside(folder)
    await until(runs.host.said)
    assert lengths(runs) == {"hurt": 100} and contents(folder) == before
    [told] = runs.host.said()
    assert told.startswith("The record of hurt is damaged: 1 of its entries can't be read")
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(b"more of it\n")
    await asyncio.sleep(0.1)
    assert runs.host.said() == [told]


async def test_a_configuration_that_is_damaged_meanwhile_takes_nothing_away(
    runs: RunController, tmp_path: Path
) -> None:
    folder = recorded(tmp_path, "one", map(step, range(1, 6)))
    runs.put_beside(folder)
    await until(lambda: lengths(runs) == {"one": 5})
    (folder / "config.json").write_text("{")
    await asyncio.sleep(0.05)
    assert lengths(runs) == {"one": 5}


async def test_a_run_that_is_gone_stands_beside_no_more_and_that_is_said(
    runs: RunController, tmp_path: Path
) -> None:
    runs.put_beside(recorded(tmp_path, "one", map(step, range(1, 6))))
    runs.put_beside(recorded(tmp_path, "two", map(step, range(1, 6))))
    trash_run(tmp_path / "one")
    await until(runs.host.said)
    assert runs.host.said() == ["one is gone, so it stands beside no more."]
    assert list(lengths(runs)) == ["two"]


async def test_a_run_that_gets_another_name_stays(runs: RunController, tmp_path: Path) -> None:
    runs.put_beside(recorded(tmp_path, "one", map(step, range(1, 6))))
    await until(lambda: lengths(runs) == {"one": 5})
    runs.moved(tmp_path / "one", rename_run(tmp_path / "one", "first"))
    record(tmp_path / "first", map(step, range(6, 11)))
    await until(lambda: lengths(runs) == {"first": 10})
    assert runs.host.said() == []
