"""How streams share the time between two steps."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from engine import messages as p
from engine.service import streams
from engine.service.streams import Streams


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(streams, "time", made)
    return made


class FakeClient:
    """A connection that keeps what it is told."""

    def __init__(self) -> None:
        self.questions: deque[p.Call] = deque()
        self.sent: list[Any] = []
        self.reads = True

    def send(self, message: Any) -> None:
        self.sent.append(message)


def pieces(clock: Clock, cost: float) -> Iterator[p.TextPiece]:
    """Text without end."""
    while True:
        clock.now += cost
        yield p.TextPiece(text="a", step=0)


def pieces_while_training(clock: Clock, step: float, seconds: float, cost: float = 0.001) -> int:
    """How many a stream of 20 a second gets beside steps of so many seconds."""
    client = FakeClient()
    client.questions.append(p.Call(id=1, body=p.Generate(per_second=20)))
    shared = Streams(lambda _: pieces(clock, cost))
    shared.welcome(client)
    ends = clock.now + seconds
    while clock.now < ends:
        clock.now += step
        shared.advance(training=True)
    return len(client.sent)


@pytest.mark.parametrize("step", [0.01, 0.137, 0.6])
def test_a_stream_keeps_its_pace_beside_steps_of_any_length(clock: Clock, step: float) -> None:
    assert 190 <= pieces_while_training(clock, step, seconds=10) <= 210


def test_a_stream_doesnt_begin_with_a_burst(clock: Clock) -> None:
    assert pieces_while_training(clock, step=0.01, seconds=0.5) <= 11


def test_streams_take_no_more_than_their_share(clock: Clock) -> None:
    count = pieces_while_training(clock, step=0.1, seconds=20, cost=0.02)
    assert count * 0.02 / 20 == pytest.approx(streams.SHARE, abs=0.01)
