"""Leaving a run: at once, whatever its engine does; without ending it for others; explained."""

import asyncio
import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from textual.app import App

from engine import messages as p
from engine.config import preset, replace
from engine.events import Saved, StateChanged
from engine.runs import allow, create_run, is_allowed
from tests.tui.fake_engine import FakeEngine, Launch, built, status, step
from tests.tui.screen_help import playground
from tui.screens.allow_text import AllowText
from tui.screens.quit import Leave

RUNNING = (step(1), step(2), StateChanged(state="running"))


async def test_quit_while_an_engine_starts_is_at_once(tmp_path: Path) -> None:
    launch = Launch(status)
    launch.held.clear()
    async with playground(tmp_path, launch, wait=False) as room:
        await room.until(lambda: "starting" in room.text("#status"))
        await room.press("q")
        await room.until(lambda: room.app._exit)
        assert not launch.engines


async def test_an_engine_that_says_nothing_is_told_and_left_at_once(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        assert "tokens/s" in room.text("#status")
        room.engine.silence = 7.0
        await room.until(lambda: "no word for 7 s" in room.text("#status"))
        assert "tokens/s" not in room.text("#status"), "a speed that nobody measures"
        assert "kill -CONT 4711" in room.text("#trouble")
        room.engine.silence = 12.0
        await room.until(lambda: "no word for 12 s" in room.text("#status"))
        room.engine.silence = 0.5
        await room.until(lambda: "tokens/s" in room.text("#status"))
        assert not room.app.playground.query_one("#trouble").display
        room.engine.silence = 30.0
        await room.press("q")
        await room.until(lambda: room.app._exit)
        assert "4711" in (room.app.return_value or "")


async def test_an_engine_that_falls_silent_while_it_is_left_is_left(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        stuck, answer = asyncio.Event(), room.engine.call

        async def call(body: p.AnyCommand | p.AnyQuery) -> p.AnyAnswer:
            if isinstance(body, p.Shutdown):
                assert room.engine.patience == p.SILENCE, "else it would wait for ever"
                await stuck.wait()
            return await answer(body)

        room.engine.call = call  # type: ignore[method-assign]
        await room.press("q")
        await room.until(lambda: isinstance(room.app.screen, Leave))
        await room.press("s")
        await room.until(lambda: room.engine.patience == p.SILENCE)
        await room.press("q")
        await room.until(lambda: room.app._exit)
        stuck.set()


async def test_a_run_ended_elsewhere_is_no_failure(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        room.engine.die("Ended from another screen, saved at step 2.", orderly=True)
        await room.until(lambda: "saved at step 2" in room.text("#trouble"))
        assert "■ Ended from another screen" in room.text("#trouble")
        assert "■ stopped" in room.text("#status")
        assert "failed" not in room.text("#status") + room.text("#trouble")
        await room.press("q")
        await room.until(lambda: room.app._exit)


async def test_an_engine_that_died_is_explained_in_two_lines(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        room.engine.die("The engine (process 4711) was killed by SIGKILL.\nKept: step 2.")
        await room.until(lambda: "Kept: step 2." in room.text("#trouble"))
        assert room.text("#trouble").startswith("✗ The engine")


@pytest.mark.parametrize(("others", "lead"), [(1, "Another program is"), (3, "3 other programs")])
async def test_the_dialog_knows_of_others(tmp_path: Path, others: int, lead: str) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        room.engine.others = others
        await room.press("q")
        await room.until(lambda: isinstance(room.app.screen, Leave))
        shown = " ".join(str(block.render()) for block in room.app.screen.query(".lead"))
        assert lead in shown
        await room.press("l")
        await room.until(lambda: room.app._exit)
        assert room.engine.asked(p.Detach) and not room.engine.asked(p.Shutdown)


async def test_with_nothing_to_lose_others_keep_the_engine(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING, StateChanged(state="paused"))
        await room.happens(Saved(step=2, checkpoint="step-00000002", seconds=0.1))
        room.engine.others = 1
        await room.press("q")
        await room.until(lambda: room.app._exit)
        assert room.engine.asked(p.Detach) and not room.engine.asked(p.Shutdown)


async def test_a_paused_run_can_be_left_as_it_is(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING, StateChanged(state="paused"))
        await room.press("q")
        await room.until(lambda: isinstance(room.app.screen, Leave))
        await room.press("l")
        await room.until(lambda: room.app._exit)
        assert room.engine.asked(p.Detach) and not room.engine.asked(p.Shutdown)
        assert re.search("stays as it is.*lstm-tui attach", room.app.return_value or "")


@pytest.mark.parametrize(
    ("name", "running", "told"),
    [
        ("SIGTERM", True, [p.Shutdown]),
        ("SIGTERM", False, [p.Shutdown]),
        ("SIGHUP", True, [p.Detach]),
        ("SIGHUP", False, [p.Shutdown]),
    ],
)
async def test_a_signal_leaves_without_a_question_and_with_its_exit_code(
    tmp_path: Path, name: str, running: bool, told: list[type]
) -> None:
    number = getattr(signal, name)
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING, *([] if running else [StateChanged(state="paused")]))
        os.kill(os.getpid(), number)
        await room.until(lambda: room.app._exit)
        assert [type(c) for c in room.engine.calls if isinstance(c, p.Detach | p.Shutdown)] == told
        assert room.app.return_code == 128 + number
        assert room.app.return_value is None


async def test_a_terminal_that_is_gone_before_its_signal_comes_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[str] = []
    monkeypatch.setattr(App, "panic", lambda _app, fault: faults.append(fault))
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        room.app.panic("of a test")
        assert faults.pop() == "of a test"
        monkeypatch.setattr(type(room.app._driver), "is_headless", False)
        terminal = SimpleNamespace(isatty=lambda: True)
        monkeypatch.setattr("sys.__stdin__", terminal)
        room.app.panic("while there is a terminal")
        assert faults.pop() == "while there is a terminal"
        terminal.isatty = lambda: False
        room.app.panic("OSError: [Errno 5] Input/output error")
        os.kill(os.getpid(), signal.SIGHUP)
        await room.until(lambda: room.app._exit)
        assert len(room.engine.asked(p.Detach)) == 1
        assert room.app.return_code == 128 + signal.SIGHUP
        assert not faults


async def test_what_can_not_be_saved_at_a_signal_stays_with_its_engine_and_that_is_told(
    tmp_path: Path,
) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        room.engine.refusals[p.Shutdown] = "There is no room left on the disk."
        os.kill(os.getpid(), signal.SIGTERM)
        await room.until(lambda: room.app._exit)
        assert room.engine.asked(p.Detach)
        assert room.app.return_code == 128 + signal.SIGTERM
        assert "lstm-tui attach" in (room.app.return_value or "")


def asked_only(folder: Path) -> p.Status:
    config = replace(preset("toy"), {"corpus.source": "/stranger/diary.txt"})
    return built(folder, config=config, asking=True, state="paused", step=12, corpus=None)


async def test_a_run_from_elsewhere_asks_before_it_reads_its_text(tmp_path: Path) -> None:
    folder = create_run(tmp_path, "theirs", asked_only(tmp_path).config)
    allow(folder, "/another/text.txt")  # what was agreed to before counts for that text alone
    launch = Launch(lambda path: asked_only(path))
    async with playground(tmp_path, launch, folder=folder) as room:
        await room.until(lambda: "asked only" in room.text("#status"))
        await room.press("space")
        await room.until(lambda: isinstance(room.app.screen, AllowText))
        shown = " ".join(str(block.render()) for block in room.app.screen.query("Static"))
        assert "/stranger/diary.txt" in shown
        await room.press("escape")
        await room.until(lambda: room.app.screen is room.app.playground)
        assert not is_allowed(folder, "/stranger/diary.txt")
        assert len(launch.engines) == 1
        await room.press("space")
        await room.until(lambda: isinstance(room.app.screen, AllowText))
        await room.press("enter")
        await room.until(lambda: len(launch.engines) == 2)
        assert is_allowed(folder, "/stranger/diary.txt")
        assert not launch.engines[0].asked(p.Start)


def test_asking_leaves_nothing_unsaved(tmp_path: Path) -> None:
    from tui.run.session import Session

    assert not Session(FakeEngine(asked_only(tmp_path))).unsaved  # type: ignore[arg-type]
