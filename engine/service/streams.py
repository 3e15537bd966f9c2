"""Answers that come piece by piece, a little between every two steps."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

from engine.errors import UserError
from engine.service import protocol as p
from engine.service.server import Client

SHARE = 0.08
"""Share of the time that streams may take from training."""
BURST = 0.05
"""Seconds that streams may take at once."""
BACKLOG = 1.0
"""Seconds that a stream may be late and still catch up: steps may take longer than its interval."""


@dataclass(eq=False)
class Stream:
    """A call under way."""

    client: Client
    call: int
    answers: Iterator[p.AnyAnswer | None]
    """None stands for "not yet"."""
    interval: float
    """Seconds between two answers, on average at least."""
    due: float


class Streams:
    """All calls under way."""

    def __init__(self) -> None:
        self._streams: list[Stream] = []
        self._credit = 0.0
        self._advanced = time.monotonic()

    def add(
        self,
        client: Client,
        call: int,
        answers: Iterator[p.AnyAnswer | None],
        interval: float = 0.0,
    ) -> None:
        self._streams.append(Stream(client, call, answers, interval, time.monotonic()))

    def cancel(self, client: Client, call: int) -> None:
        """End a stream: its answer marked last follows at once."""
        for stream in self._streams:
            if (stream.client, stream.call) == (client, call):
                self._end(stream, p.Done(step=0, note="cancelled"))
                return

    def drop(self, client: Client) -> None:
        """Forget the streams of a client that is gone."""
        self._streams = [stream for stream in self._streams if stream.client is not client]

    @property
    def patience(self) -> float:
        """Seconds until the next answer is due, 0.25 at most."""
        due = min((stream.due for stream in self._streams), default=float("inf"))
        return min(0.25, max(0.001, due - time.monotonic()))

    def advance(self, training: bool) -> None:
        """Give streams their share of the time since the last call, or all while nothing trains."""
        now = time.monotonic()
        earned = SHARE * (now - self._advanced) if training else BURST
        self._credit = min(BURST, self._credit + earned)
        self._advanced = now
        while self._credit > 0:
            due = [stream for stream in self._streams if stream.due <= now]
            if not due:
                return
            for stream in due:
                self._advance(stream, now)
            self._credit -= time.monotonic() - now
            now = time.monotonic()

    def _advance(self, stream: Stream, now: float) -> None:
        try:
            answer = next(stream.answers)
        except StopIteration:
            self._end(stream, p.Done(step=0))
        except UserError as error:
            self._end(stream, p.Refusal(reason=str(error)))
        except Exception as error:
            logging.exception("a stream failed")
            self._end(stream, p.Refusal(reason=f"The engine failed: {error}; see engine.log."))
        else:
            if answer is None:
                return
            stream.client.send(p.Answer(id=stream.call, body=answer, last=False))
            stream.due = max(stream.due + stream.interval, now - BACKLOG)

    def _end(self, stream: Stream, answer: p.AnyAnswer) -> None:
        stream.client.send(p.Answer(id=stream.call, body=answer))
        self._streams.remove(stream)
