"""The client's side of the door: start or find the engine of a run, call it, hear its events.

Free of torch. Everything is asyncio, in the caller's own loop.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import msgspec

from engine import runs
from engine.errors import UserError
from engine.events import AnyEvent
from engine.service import protocol as p
from engine.service.process import start, taken_over

START_TIMEOUT = 30.0
"""Seconds an engine may take until it listens; it does so before it loads torch."""
_LOG_LINES = 5


class EngineEnded(Exception):
    """The engine process is gone; `reason` says why, in a line or a few."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Engine:
    """A connection to the engine of one run."""

    def __init__(
        self,
        folder: Path,
        welcome: p.Welcome,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        process: "subprocess.Popen[bytes] | None",
    ) -> None:
        self.folder = folder
        self.welcome = welcome
        self.started = process is not None
        """Whether this client started the process, rather than found it live."""
        self._process = process
        self._reader, self._writer = streams
        self._calls: dict[int, asyncio.Queue[p.Answer | None]] = {}
        self._ids = itertools.count(1)
        self._events: asyncio.Queue[list[AnyEvent] | None] = asyncio.Queue()
        self._ended: EngineEnded | None = None
        self._listener = asyncio.create_task(self._listen())

    async def call(self, body: p.AnyCommand | p.AnyQuery) -> p.AnyAnswer:
        """Send one command or query and wait for its answer.

        Raises UserError where the engine refuses, EngineEnded where it is gone.
        """
        async with contextlib.aclosing(self._answers(body)) as answers:
            return (await anext(answers)).body

    async def stream(self, body: p.AnyStreamed) -> AsyncIterator[p.AnyAnswer]:
        """Send one call and yield its answers as they come. Closing the iterator cancels it.

        Raises UserError where the engine refuses, EngineEnded where it is gone.
        """
        async with contextlib.aclosing(self._answers(body)) as answers:
            async for answer in answers:
                if not answer.last:
                    yield answer.body

    async def _answers(self, body: p.AnyCommand | p.AnyQuery) -> AsyncGenerator[p.Answer, None]:
        number = next(self._ids)
        answers: asyncio.Queue[p.Answer | None] = asyncio.Queue()
        self._calls[number] = answers
        last = False
        try:
            self._send(p.Call(id=number, body=body))
            while not last:
                answer = await answers.get()
                if answer is None:
                    raise self._ended or EngineEnded("The connection was closed.")
                last = answer.last
                if isinstance(answer.body, p.Refusal):
                    raise UserError(answer.body.reason)
                yield answer
        finally:
            del self._calls[number]
            if not last and self._ended is None:
                self._send(p.Call(id=next(self._ids), body=p.Cancel(call=number)))

    async def events(self) -> AsyncIterator[list[AnyEvent]]:
        """What happens in the run, in batches. Raises EngineEnded when the engine ends."""
        while (batch := await self._events.get()) is not None:
            yield batch
        raise self._ended or EngineEnded("The connection was closed.")

    async def close(self) -> None:
        """Drop the connection. The engine goes on as its rules say (see worker)."""
        self._listener.cancel()
        self._finish(EngineEnded("The connection was closed."))
        self._writer.close()

    def _send(self, call: p.Call) -> None:
        if self._ended is not None:
            raise self._ended
        self._writer.write(p.frame(call))

    async def _listen(self) -> None:
        reason = ""
        try:
            while True:
                message = await _receive(self._reader)
                match message:
                    case p.Answer(id=number):
                        if number in self._calls:
                            self._calls[number].put_nowait(message)
                    case p.Events(events=events):
                        self._events.put_nowait(events)
                    case p.Goodbye(reason=reason):
                        pass
                    case p.Welcome():
                        pass
        except (EOFError, OSError, msgspec.DecodeError):
            self._finish(EngineEnded(reason or await self._last_words()))
            self._writer.close()

    def _finish(self, ended: EngineEnded) -> None:
        if self._ended is not None:
            return
        self._ended = ended
        self._events.put_nowait(None)
        for answers in self._calls.values():
            answers.put_nowait(None)

    async def _last_words(self) -> str:
        """Why an engine that said no goodbye is gone."""
        code = None
        if self._process is not None:
            code = await asyncio.to_thread(_wait, self._process, 1.0)
        return _explain(self.folder, self.welcome.status.pid, code)


async def launch(folder: Path) -> Engine:
    """Start an engine for this run, or connect to the one that serves it already.

    Returns once connected; the engine may still be reading the corpus and loading torch.
    Raises UserError where the run can't be opened, EngineEnded where the process fails.
    """
    runs.load_config(folder)
    process = taken_over(folder)
    if process is None and runs.is_live(folder):
        return await attach(folder)
    return await _connect(folder, process or start(folder))


async def attach(folder: Path) -> Engine:
    """Connect to the live engine of this run. Raises UserError where there is none."""
    if not runs.is_live(folder):
        raise UserError(
            f"No engine is running for {folder.name}: `lstm-tui train ... --name {folder.name} "
            "--resume` goes on with it."
        )
    return await _connect(folder, None)


async def _connect(folder: Path, process: "subprocess.Popen[bytes] | None") -> Engine:
    """Wait for the engine to listen, connect, and hear its welcome."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        address = runs.read_address(folder)
        if address is not None:
            try:
                streams = await asyncio.open_unix_connection(address.socket)
                welcome = await _receive(streams[0])
            except (OSError, EOFError):
                pass
            else:
                if isinstance(welcome, p.Welcome):
                    return Engine(folder, welcome, streams, process)
        if process is not None and process.poll() is not None:
            raise EngineEnded(_explain(folder, process.pid, process.returncode))
        if process is None and not runs.is_live(folder):
            raise UserError(f"The engine of {folder.name} has just ended.")
        await asyncio.sleep(0.02)
    raise EngineEnded(
        f"The engine of {folder.name} did not answer in {START_TIMEOUT:.0f} seconds; "
        f"see {folder / 'engine.log'}."
    )


async def _receive(reader: asyncio.StreamReader) -> p.FromEngine:
    """The next message. Raises EOFError (IncompleteReadError) at the end of the connection."""
    length = int.from_bytes(await reader.readexactly(4), "big")
    if length > p.MAX_MESSAGE:
        raise EOFError(f"a message of {length} bytes")
    message: p.FromEngine = p.decode_from_engine(await reader.readexactly(length))
    return message


def _wait(process: "subprocess.Popen[bytes]", timeout: float) -> int | None:
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        return None


def _explain(folder: Path, pid: int, code: int | None) -> str:
    """A sentence on how a process ended, and the last lines it logged."""
    if code is None:
        how = f"The engine (process {pid}) is gone."
    elif code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        guess = " (out of memory?)" if -code == signal.SIGKILL else ""
        how = f"The engine (process {pid}) was killed by {name}{guess}."
    else:
        how = f"The engine (process {pid}) ended with exit code {code}."
    lines = tail(folder / "engine.log", _LOG_LINES)
    return "\n".join([how, *lines])


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a text file, at most 4096 bytes of them."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 4096))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in text.split("\n") if line.strip()][-lines:]
