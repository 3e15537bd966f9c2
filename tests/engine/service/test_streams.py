"""How streams share the time between two steps."""

import threading
from collections.abc import Iterator

import pytest

from engine import messages as p
from engine.service import streams
from engine.service.background import asker
from engine.service.streams import Streams
from tests.conducted import FakeClient


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


def pieces(clock: Clock, cost: float) -> Iterator[p.WrittenToken]:
    """Text without end."""
    while True:
        clock.now += cost
        yield p.WrittenToken(text="a", step=0)


def pieces_while_training(clock: Clock, step: float, seconds: float, cost: float = 0.001) -> int:
    """How many a stream of 20 a second gets beside steps of so many seconds."""
    client = FakeClient()
    client.ask(p.Call(id=1, body=p.Generate(per_second=20)))
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


def test_one_costly_answer_keeps_nobody_waiting_for_minutes(clock: Clock) -> None:
    slow, quick = FakeClient(), FakeClient()
    costs = {1: 60.0, 2: 0.001}
    shared = Streams(lambda question: pieces(clock, costs[question.seed]))  # type: ignore[union-attr]
    for client, seed in ((slow, 1), (quick, 2)):
        shared.welcome(client)
        client.ask(p.Call(id=1, body=p.Generate(seed=seed, per_second=0.001)))
    for _ in range(300):
        clock.now += 0.1
        shared.advance(training=True)
    assert len(slow.sent) == len(quick.sent) == 1


def test_a_question_is_cancelled_while_another_comes_in() -> None:
    """The server's thread adds them, the trainer's cancels."""
    client = FakeClient()
    asked = p.Call(id=2, body=p.WordQuery(query="cat"))
    coming = threading.Thread(target=client.ask, args=(asked,))

    class Looked:
        @property
        def id(self) -> int:
            if coming.ident is None:
                coming.start()
                coming.join(0.1)
            return 1

    client.ask(Looked())  # type: ignore[arg-type]
    client.ask(asked)
    shared = Streams(lambda _: pieces(Clock(), 0.0))
    shared.cancel(client, 2)
    coming.join()
    assert [call.id for call in client.questions] == [1, 2]
    assert [answer.id for answer in client.sent] == [2]


@pytest.mark.parametrize("how", ["cancelled", "left"])
def test_what_is_done_for_an_answer_ends_with_it(clock: Clock, how: str) -> None:
    ended = []

    def answer(_: p.AnyQuestion) -> Iterator[p.WrittenToken]:
        try:
            yield from pieces(clock, 0.001)
        finally:
            ended.append(asker.get())

    client = FakeClient()
    client.ask(p.Call(id=1, body=p.Generate()))
    shared = Streams(answer)
    shared.welcome(client)
    shared.advance(training=False)
    assert ended == []
    if how == "left":
        shared.drop(client)
    else:
        shared.cancel(client, 1)
    assert ended == [client]
