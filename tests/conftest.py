"""What all tests share."""

import gc
import signal
from collections.abc import Iterator

import pytest

from engine.runs import STATE_VARIABLE


def pytest_collection_finish() -> None:
    """What is loaded for the tests stays: the collector need not go through it again and again."""
    gc.collect()
    gc.freeze()


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
