"""The line that tells how far something asked for has come."""

import io
import time

import pytest

from engine.events import Progress
from tui.progress_line import Waiting


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic time in seconds, to be set by the test."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr("tui.pace.monotonic", lambda: now[0])
    return now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_waiting_shows_a_line_with_the_time_left_once_it_took_a_second(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    waiting = Waiting(out)
    waiting.tell(Progress(task="evaluating", done=100, total=10_000, unit="tokens"))
    clock[0] += 0.9
    waiting.tell(Progress(task="evaluating", done=200, total=10_000, unit="tokens"))
    waiting.clear()
    assert out.getvalue() == ""
    clock[0] += 19.1
    waiting.tell(Progress(task="evaluating", done=2100, total=10_000, unit="tokens"))
    clock[0] += 0.1
    waiting.tell(Progress(task="evaluating", done=2200, total=10_000, unit="tokens"))
    assert out.getvalue() == "\r\x1b[Kevaluating 2,100 of 10,000 tokens  79 s left"
    clock[0] += 0.2
    waiting.tell(Progress(task="building", done=0, total=0))
    waiting.clear()
    assert out.getvalue().endswith("79 s left\r\x1b[Kbuilding\r\x1b[K")


def test_waiting_writes_nothing_where_there_is_no_terminal(clock: list[float]) -> None:
    out = io.StringIO()
    waiting = Waiting(out)
    clock[0] += 60
    waiting.tell(Progress(task="evaluating", done=1, total=2, unit="tokens"))
    waiting.clear()
    assert out.getvalue() == ""
