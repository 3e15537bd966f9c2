"""Work that may take as long as a disk does, or a processor, in threads of their own.

Training comes first there too: such a thread has a low priority, each client has one job done at a
time, and a job that nobody waits for any more ends.
"""

import os
import sys
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from contextlib import suppress
from contextvars import ContextVar
from threading import BoundedSemaphore, Thread, get_native_id
from typing import TypeVar

from engine.errors import UserError
from engine.events import Progress

MOST_JOBS = 4
"""Done at once, with those that nobody waits for any more and that haven't noticed yet."""
NICENESS = 15
"""Of a processor that training wants too Linux gives such a thread some 3%: what `streams.SHARE`
gives to questions."""
asker: ContextVar[object] = ContextVar("asker", default=None)
"""The client whose question is answered."""
_free = BoundedSemaphore(MOST_JOBS)
_waiting: set[object] = set()
"""Clients that wait for a job."""

T = TypeVar("T")


class Job:
    """Work under way, as it is seen from within."""

    def __init__(self) -> None:
        self.told: list[Progress] = []
        self.wanted = True

    def go_on(self) -> None:
        """Raises UserError where nobody waits for it any more."""
        if not self.wanted:
            raise UserError("Nobody waits for this any more.")

    def tell(self, progress: Progress) -> None:
        """How far it is. Raises UserError as `go_on` does."""
        self.go_on()
        self.told.append(progress)


def in_background(work: Callable[[Job], T]) -> Generator[Progress | None, None, T]:
    """What `work` returns or raises, done in a thread of its own. What it tells is told on.

    Raises UserError where too much is done so already.
    """
    client = asker.get()
    while client in _waiting:
        yield None
    if not _free.acquire(blocking=False):
        raise UserError(f"{MOST_JOBS} things that take long are being done already: ask later.")
    job, outcome = Job(), Future[T]()
    _waiting.add(client)
    Thread(target=_do, args=(work, job, outcome), name="job", daemon=True).start()
    try:
        while not outcome.done():
            wait([outcome], 0.02)
            yield job.told.pop() if job.told else None
            job.told.clear()
        return outcome.result()
    finally:
        job.wanted = False
        _waiting.discard(client)


def _do(work: Callable[[Job], T], job: Job, outcome: Future[T]) -> None:
    try:
        _step_aside()
        outcome.set_result(work(job))
    except BaseException as error:
        outcome.set_exception(error)
    finally:
        _free.release()


def _step_aside() -> None:
    """Leave the processors to training. Only on Linux a thread has a priority of its own."""
    if sys.platform == "linux":
        thread = get_native_id()
        with suppress(OSError):
            priority = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, priority + NICENESS)
