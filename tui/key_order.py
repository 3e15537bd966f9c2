"""Keys keep their order, however fast they come: each waits until all that the one before it began
is done, a dialog that it opens included.

Textual sends a key to what has the focus when the key is read, and a key's binding runs only once
the key has bubbled up to the app. Of keys that are read together, as a slow line, a paste or a
macro sends them, later ones would reach an input before the bindings of earlier ones have run, or
the screen below a dialog that isn't up yet.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, Generic, TypeVar

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import Input
from textual.worker import Worker, get_current_worker
from typing_extensions import override

GROUPS = frozenset({"dialog", "leaving"})
"""Groups of workers that keys wait for, until they ask the user something or are done."""
_MOST = 5.0
"""Seconds a key waits at most, whatever is under way."""
_AT_ONCE = 100
"""Turns of the event loop within which most keys are done with."""
_LATER = 0.002
"""Seconds between two looks after that."""

Result = TypeVar("Result")
Answer = TypeVar("Answer")


class InOrder(App[Result], Generic[Result]):
    """An app whose keys and pastes are handed on one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._typed: deque[events.Key | events.Paste] = deque()
        """What waits for its turn."""
        self._handing_on: asyncio.Task[None] | None = None
        self._asking: set[Worker[Any]] = set()
        """Workers that wait for the user's answer in a dialog."""

    @override
    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
        elif self._handing_on is not None:
            self._typed.append(event)
        else:
            taker = self._taker
            await super().on_event(event)
            self._handing_on = asyncio.create_task(self._hand_on(taker))

    async def _hand_on(self, taker: DOMNode) -> None:
        """See to what waits, after the key that this one took."""
        try:
            await self._done_with(taker)
            while self._typed and self._running:
                taker, event = self._taker, self._typed.popleft()
                await super().on_event(event)
                if not (self._typed and self._is_text(event) and self._is_text(self._typed[0])):
                    await self._done_with(taker)
        except Exception as error:  # as Textual does with one in a handler
            self._handle_exception(error)
        finally:
            self._handing_on = None

    def _is_text(self, event: events.Key | events.Paste) -> bool:
        """Whether it is typed into an input, which takes one character after the other itself."""
        typing = isinstance(self.focused, Input)
        return typing and isinstance(event, events.Key) and event.is_printable

    @property
    def _taker(self) -> DOMNode:
        """What a key is sent to."""
        return self.focused or self.screen

    async def _done_with(self, taker: DOMNode) -> None:
        """Return once nothing that the key it took has begun is under way, or it takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_MOST):
                turns = 0
                while self._running and self._at_work(taker):
                    turns += 1
                    await asyncio.sleep(0 if turns < _AT_ONCE else _LATER)

    def _at_work(self, taker: DOMNode) -> bool:
        return (
            not self.screen._mounted_event.is_set()
            or any(_is_busy(node) for node in (*taker.ancestors_with_self, self))
            or any(_is_busy(node) for node in self._taker.ancestors_with_self)
            or any(
                worker.group in GROUPS and not worker.is_finished and worker not in self._asking
                for worker in self.workers
            )
        )

    async def push_screen_wait(  # type: ignore[override]  # none of ours is known by a name
        self, screen: Screen[Answer], *, mode: str | None = None
    ) -> Answer:
        """Show a dialog and wait for its answer: keys don't wait for the worker meanwhile."""
        answer = self.push_screen(screen, wait_for_dismiss=True, mode=mode)
        worker = get_current_worker()
        self._asking.add(worker)
        try:
            # The dialog stays where the worker is cancelled.
            return await asyncio.shield(answer)
        finally:
            self._asking.discard(worker)


def _is_busy(node: DOMNode) -> bool:
    """Whether it handles a message, or has any left."""
    if node._closing or not node.is_running:
        return False
    queue: Any = node._message_queue
    return not queue.empty() or not queue.ready_event._waiters
