"""Tokens that come several at once, between two steps of training, shown one after the other."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class _End(Struct, frozen=True):
    """Nothing more comes."""

    error: Exception | None


class _Arrived(Struct, Generic[T], frozen=True):
    answer: T


async def paced(answers: AsyncIterator[T], per_second: float) -> AsyncGenerator[T, None]:
    """The same answers, so many a second: evenly, though steps take longer than that. Where half
    a second's worth waits, and once no more come, they are let through at once.

    Raises what `answers` raises, after the answers before it. To be closed before they are.
    """
    waiting = asyncio.Queue[_Arrived[T] | _End](math.ceil(per_second))
    taking = asyncio.create_task(_take_in(answers, waiting))
    now = asyncio.get_running_loop().time
    due = 0.0
    try:
        while isinstance(found := await waiting.get(), _Arrived):
            hurries = taking.done() or waiting.qsize() > per_second / 2
            await asyncio.sleep(0 if hurries else due - now())
            due = max(due, now()) + 1 / per_second
            yield found.answer
        if found.error is not None:
            raise found.error
    finally:
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)


async def _take_in(answers: AsyncIterator[T], waiting: asyncio.Queue[_Arrived[T] | _End]) -> None:
    error: Exception | None = None
    try:
        async for answer in answers:
            await waiting.put(_Arrived(answer))
    except Exception as failed:
        error = failed
    await waiting.put(_End(error))
