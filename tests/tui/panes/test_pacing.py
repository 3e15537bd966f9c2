import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from itertools import pairwise

import pytest

from tui.panes.generation import pacing
from tui.panes.generation.pacing import paced

PER_SECOND = 20


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = 0.0
        self._pause = asyncio.sleep
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda: self.time)
        monkeypatch.setattr(pacing.asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        """Let others have what they do meanwhile, too."""
        end = self.time + max(0.0, seconds)
        await self._pause(0)
        self.time = max(self.time, end)


async def bursts(
    clock: Clock, steps: int, each: int, seconds: float, error: Exception | None = None
) -> AsyncIterator[int]:
    """So many tokens after each step of so many seconds."""
    for step in range(steps):
        while clock.time < step * seconds:
            await clock._pause(0)
        for number in range(each):
            yield each * step + number
    if error is not None:
        raise error


async def test_tokens_of_a_burst_come_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    seen: list[tuple[int, float]] = []

    async def passing() -> None:
        while clock.time < 2:
            await clock.sleep(0.01)

    async def reading() -> None:
        tokens = paced(bursts(clock, 10, 4, 0.2), PER_SECOND)
        seen.extend([(token, clock.time) async for token in tokens])

    await asyncio.gather(passing(), reading())
    assert [token for token, _ in seen] == list(range(40))
    times = [time for _, time in seen[:36]]  # the last come at once, as nothing more does
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) >= 0.049 and max(gaps) <= 0.1


async def test_what_comes_faster_is_let_through_and_so_is_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    assert [token async for token in paced(bursts(clock, 1, 500, 1), PER_SECOND)] == list(
        range(500)
    )
    assert clock.time < 1


async def test_an_error_comes_after_what_was_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    tokens = paced(bursts(clock, 1, 7, 1, ValueError("gone")), PER_SECOND)
    assert [await anext(tokens) for _ in range(7)] == list(range(7))
    with pytest.raises(ValueError, match="gone"):
        await anext(tokens)


async def test_who_leaves_early_leaves_nobody_reading() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    answers = endless()
    async with aclosing(answers), aclosing(paced(answers, PER_SECOND)) as tokens:
        async for _ in tokens:
            break
    assert closed.is_set()
    assert len(asyncio.all_tasks()) == 1
