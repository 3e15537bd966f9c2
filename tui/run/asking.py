"""Asking a saved run: an engine that is started for it, unless one serves it already."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from engine import messages as p
from engine.errors import UserError
from engine.events import Progress, StateChanged
from engine.runs import is_live
from engine.service.client import Engine, EngineEnded, ask

GONE_SECONDS = 10.0
"""How long a process may take to end once it has said goodbye."""
START_SILENCE = 30.0
"""Seconds without a word after which a training or a starting engine is given up."""


@asynccontextmanager
async def opened(
    folder: Path,
    tell: Callable[[Progress], None] = lambda _: None,
    connect: Callable[[Path], Awaitable[Engine]] = ask,
) -> AsyncIterator[Engine]:
    """The engine of a saved run, ready for questions; one that was live already goes on as before.

    `tell` hears how far the preparing has come. Raises UserError where the run can't be opened,
    EngineEnded where its engine is gone or says nothing.
    """
    engine = await connect(folder)
    engine.patience = START_SILENCE
    try:
        await _until_prepared(engine, tell)
        engine.patience = p.SILENCE
        engine.ignore_events()
        yield engine
    finally:
        if engine.started:
            with suppress(EngineEnded):
                await engine.call(p.Shutdown(save=False))
        await engine.close()
        if engine.started:
            await until_gone(folder)


async def _until_prepared(engine: Engine, tell: Callable[[Progress], None]) -> None:
    status = engine.welcome.status
    state, reason, advice = status.state, status.reason, status.advice
    if state == "preparing":
        async for events in engine.events():
            for event in events:
                if isinstance(event, StateChanged):
                    state, reason, advice = event.state, event.reason, event.advice
                elif isinstance(event, Progress):
                    tell(event)
            if state != "preparing":
                break
    if state == "failed":
        raise UserError(reason, advice)


async def until_gone(folder: Path) -> None:
    """Wait for the engine's process to end, so that the next command finds the run free."""
    with suppress(TimeoutError):
        async with asyncio.timeout(GONE_SECONDS):
            while is_live(folder):  # noqa: ASYNC110 - a file lock can't be awaited
                await asyncio.sleep(0.02)
