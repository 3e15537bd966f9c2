"""What all tests share."""

import gc
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.runs import STATE_VARIABLE
from tests.forking import VARIABLE, forking, unsynced

# Tests run beside each other: threads of one would wait for a processor that the other has. The
# engine's own rule still holds where a run is trained.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_finish() -> None:
    """What is loaded for the tests stays: the collector need not go through it again and again.
    It need not come after every 700 new objects either: an app has a hundred times as many."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture(scope="session", autouse=True)
def _signals_as_in_a_terminal() -> None:
    """Under nohup and in a shell's background jobs signals are ignored, by programs under test too:
    a program does as those who started it wish."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _no_width_of_its_own() -> Iterator[None]:
    """Tests that run side by side are given one, which programs would take for their terminal's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        patch.delenv("LINES", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What lives while engines run, in a folder that is not the developer's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(tmp_path_factory.getbasetemp() / "state"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _nothing_waits_for_the_disk() -> Iterator[None]:
    """No test loses its power; what is synced, and when, is told by the fake of `tests.faults`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", unsynced)
        yield


@pytest.fixture(scope="session", autouse=True)
def _forked(_own_state: None) -> Iterator[None]:
    """Engines that tests start are forked, those of command lines too whose PYTHONPATH is left."""
    with (
        tempfile.TemporaryDirectory() as folder,
        forking(Path(folder) / "door") as environment,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def real_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is forked: of a process that is killed, stopped, or whose memory is looked at, and
    where what starts it is the matter."""
    monkeypatch.delenv(VARIABLE)
