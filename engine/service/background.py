"""Work that may take as long as a disk does, in threads of their own."""

from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from threading import BoundedSemaphore, Thread
from typing import TypeVar

from engine.errors import UserError
from engine.events import Progress

MOST_OPENING = 4
"""Texts that are looked for or opened at once."""
_free = BoundedSemaphore(MOST_OPENING)

T = TypeVar("T")


def in_background(
    work: Callable[[], T], told: list[Progress]
) -> Generator[Progress | None, None, T]:
    """What `work` returns or raises, done in a thread of its own, for it may take as long as a disk
    does. What it has `told` is told on. Where the answer isn't wanted any more nobody waits for it.

    Raises UserError where too much is done so already.
    """
    if not _free.acquire(blocking=False):
        raise UserError(f"{MOST_OPENING} texts are being opened already: ask later.")
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)
        finally:
            _free.release()

    Thread(target=run, name="opening", daemon=True).start()
    while not outcome.done():
        wait([outcome], 0.02)
        yield told.pop() if told else None
        told.clear()
    return outcome.result()
