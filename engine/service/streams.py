"""Answers under way, a little between every two steps.

A question's answer is a generator, whether it comes at once or in parts (see `answers`): it is
advanced while there is time for it.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from engine import messages as p
from engine.errors import UserError
from engine.service.answers import Answers
from engine.service.background import asker
from engine.service.run import describe
from engine.service.server import Client

SHARE = 0.04
"""Share of the time that answers may take from training."""
BURST = 0.05
"""Seconds that answers may take at once."""
MOST_OWED = 1.0
"""Seconds that answers may be ahead of their share: one that took longer, since the machine swaps
say, keeps the others waiting for 25 seconds, not for minutes."""
BACKLOG = 1.0
"""Seconds that a stream may be late and still catch up: steps may take longer than its interval."""
MAX_STREAMS = 8
"""Of a client, at once."""


@dataclass(eq=False)
class Stream:
    """A question that is being answered."""

    client: Client
    call: int
    answers: Answers
    interval: float
    """Seconds between two answers, on average at least: by the question's own `per_second`."""
    due: float


class Streams:
    """The questions of all clients: those that wait, and those under way."""

    def __init__(self, answer: Callable[[p.AnyQuestion], Answers]) -> None:
        """`answer` answers a question; what it raises is a refusal."""
        self._answer = answer
        self._clients: list[Client] = []
        """Those connected; the one whose turn it is stands first."""
        self._streams: list[Stream] = []
        self._credit = 0.0
        self._advanced = time.monotonic()

    def welcome(self, client: Client) -> None:
        """Answer this client's questions from now on."""
        self._clients.append(client)

    def cancel(self, client: Client, call: int) -> None:
        """End a question early: its answer marked last follows at once."""
        if client.forget(call):
            client.send(p.Answer(id=call, body=p.Done(step=0, note="cancelled")))
            return
        for stream in self._streams:
            if (stream.client, stream.call) == (client, call):
                self._end(stream, p.Done(step=0, note="cancelled"))
                return

    def drop(self, client: Client) -> None:
        """Forget the questions of a client that is gone."""
        client.questions.clear()
        if client in self._clients:
            self._clients.remove(client)
        for stream in [each for each in self._streams if each.client is client]:
            self._forget(stream)

    @property
    def patience(self) -> float:
        """Seconds until the next answer is due, 0.25 at most."""
        if any(self._may_begin(client) for client in self._clients):
            return 0.001
        due = min((s.due for s in self._streams if s.client.reads), default=float("inf"))
        return min(0.25, max(0.001, due - time.monotonic()))

    def advance(self, training: bool) -> None:
        """Give answers their share of the time since the last call, or all while nothing trains."""
        now = time.monotonic()
        earned = SHARE * (now - self._advanced) if training else BURST
        self._credit = min(BURST, self._credit + earned)
        self._advanced = now
        while self._credit > 0:
            self._begin_next(now)
            stream = next((s for s in self._streams if s.due <= now and s.client.reads), None)
            if stream is None:
                return
            self._streams.remove(stream)
            self._streams.append(stream)
            self._try(stream, lambda: self._take(stream, now))  # noqa: B023 - called at once
            self._credit = max(-MOST_OWED, self._credit - (time.monotonic() - now))
            now = time.monotonic()

    def _begin_next(self, now: float) -> None:
        """Begin the next question that waits, of one client after the other."""
        for client in self._clients:
            if self._may_begin(client):
                self._clients.remove(client)
                self._clients.append(client)
                self._begin(client, client.questions.popleft(), now)
                return

    def _may_begin(self, client: Client) -> bool:
        """Whether a client's next question may be taken up now."""
        if not client.questions or not client.reads:
            return False
        return sum(stream.client is client for stream in self._streams) < MAX_STREAMS

    def _begin(self, client: Client, call: p.Call, now: float) -> None:
        question = call.body
        assert isinstance(question, p.AnyQuestion)
        per_second: float = getattr(question, "per_second", 0.0)
        interval = 1 / per_second if per_second > 0 else 0.0
        self._streams.append(Stream(client, call.id, self._answer(question), interval, now))

    def _take(self, stream: Stream, now: float) -> None:
        """Send the next piece of an answer, if there is one by now."""
        asker.set(stream.client)
        try:
            answer = next(stream.answers)
        except StopIteration as end:
            self._end(stream, end.value or p.Done(step=0))
            return
        if answer is None:
            return
        stream.client.send(p.Answer(id=stream.call, body=answer, last=False))
        stream.due = max(stream.due + stream.interval, now - BACKLOG)

    def _try(self, stream: Stream, action: Callable[[], None]) -> None:
        try:
            action()
        except UserError as error:
            suggestions = getattr(error, "suggestions", [])
            self._end(
                stream,
                p.Refusal(reason=str(error), suggestions=suggestions, advice=error.advice),
            )
        except Exception as error:
            logging.exception("a question failed")
            self._end(stream, p.Refusal(reason=describe(error)))

    def _end(self, stream: Stream, answer: p.AnyAnswer) -> None:
        stream.client.send(p.Answer(id=stream.call, body=answer))
        self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        stream.answers.close()  # what it has done in the background ends
        self._streams.remove(stream)
