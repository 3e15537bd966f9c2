"""The client's side of the door: start or find the engine of a run, call it, hear its events.

Free of torch. Everything is asyncio, in the caller's own loop.
"""

import asyncio
import contextlib
import itertools
import os
import re
import signal
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import IO

from engine import messages as p
from engine import runs
from engine.config import BUILT_IN, RunConfig
from engine.errors import UserError
from engine.events import AnyEvent
from engine.runs.private import require_private
from engine.service.process import Process, start, start_asking, taken_over
from engine.visible import visible

START_TIMEOUT = 30.0
"""Seconds an engine may take until it listens; it does so before it loads torch."""
_ENDING = 1.0
"""Seconds an engine may still be listed as live after it has stopped listening, and before it has
said where it listens."""
_LOG_BYTES = 4096


class EngineEnded(Exception):
    """The engine process is gone, or out of reach; `reason` says why, in a line or two."""

    def __init__(self, reason: str, *, orderly: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.orderly = orderly
        """Whether it said goodbye."""


class Engine:
    """A connection to the engine of one run."""

    def __init__(
        self,
        folder: Path,
        welcome: p.Welcome,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        process: Process | None,
        log: IO[bytes] | None = None,
    ) -> None:
        self.folder = folder
        self.welcome = welcome
        self.started = process is not None
        """Whether this client started the process, rather than found it live."""
        self.silence = 0.0
        """Seconds this client has listened without hearing a word."""
        self.idle = 0.0
        """Seconds the engine was busy with one thing, when it last gave a sign of life."""
        self.patience: float | None = None
        """Seconds of silence after which the connection is given up; None for never."""
        self._process = process
        self._log = log
        self._reader, self._writer = streams
        self._calls: dict[int, asyncio.Queue[p.Answer | None]] = {}
        self._ids = itertools.count(1)
        self._events: asyncio.Queue[list[AnyEvent] | None] = asyncio.Queue()
        self._keeps_events = True
        self._ended: EngineEnded | None = None
        self._listener = asyncio.create_task(self._listen())
        self._watcher = asyncio.create_task(self._watch())

    @property
    def pid(self) -> int:
        """The process of the engine."""
        return self.welcome.status.pid

    async def call(self, body: p.AnyCommand | p.AnyQuery) -> p.AnyAnswer:
        """Send one command or query and wait for its answer.

        Raises UserError where the engine refuses, EngineEnded where it is gone.
        """
        async with contextlib.aclosing(self._answers(body)) as answers:
            return (await anext(answers)).body

    async def stream(self, body: p.AnyQuestion) -> AsyncIterator[p.AnyAnswer]:
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
                    raise UserError(answer.body.reason, answer.body.advice)
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

    def ignore_events(self) -> None:
        """Keep no more of what happens: nobody is going to read it."""
        self._keeps_events = False

    async def close(self) -> None:
        """Drop the connection. The engine goes on as its rules say (see worker)."""
        self._listener.cancel()
        self._watcher.cancel()
        self._finish(EngineEnded("The connection was closed."))
        self._writer.close()
        if self._log is not None:
            self._log.close()

    def terminate(self) -> None:
        """Ask the process to save and end, without waiting for it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, signal.SIGTERM)

    def _send(self, call: p.Call) -> None:
        if self._ended is not None:
            raise self._ended
        self._writer.write(p.frame(call))

    async def _listen(self) -> None:
        goodbye = None
        try:
            while True:
                message = await _receive(self._reader)
                self.silence = 0.0
                match message:
                    case p.Answer(id=number):
                        if number in self._calls:
                            self._calls[number].put_nowait(message)
                    case p.Events(events=events) if self._keeps_events:
                        self._events.put_nowait(events)
                    case p.Alive(idle=idle):
                        self.idle = idle
                    case p.Goodbye(reason=reason):
                        goodbye = EngineEnded(reason, orderly=True)
                    case p.Welcome() | p.Events():
                        pass
        except (EOFError, OSError, ValueError):  # ValueError: msgspec's, and of bytes it can't read
            self._finish(goodbye or EngineEnded(await self._last_words()))
            self._writer.close()

    async def _watch(self) -> None:
        """Count the silence, in time that this process was awake."""
        tick = 0.5
        while self._ended is None:
            await asyncio.sleep(tick)
            self.silence += tick
            if self.patience is not None and self.silence > self.patience:
                self._finish(EngineEnded(said_nothing(self.welcome.status, self.silence)))

    def _finish(self, ended: EngineEnded) -> None:
        if self._ended is not None:
            return
        self._ended = ended
        self._events.put_nowait(None)
        for answers in self._calls.values():
            answers.put_nowait(None)

    async def _last_words(self) -> str:
        """Why an engine that said no goodbye is gone."""
        return await asyncio.to_thread(_last_words, self.folder, self.pid, self._process, self._log)


def said_nothing(status: p.Status, seconds: float) -> str:
    """What to say of an engine that has not given a sign of life."""
    return (
        f"No word from the engine of {visible(status.run)} for {seconds:.0f} s: process "
        f"{status.pid} is stopped, or this machine is short of memory. `kill -CONT {status.pid}` "
        f"lets a stopped one go on; `kill -KILL {status.pid}` ends it, and what came after its "
        "last checkpoint is lost."
    )


async def launch(folder: Path) -> Engine:
    """Start an engine to train this run, or connect to the one that serves it already. Where the
    run may not be trained it is only asked: see `may_train` and `ask`.

    Returns once connected; the engine may still be reading the corpus and loading torch.
    Raises UserError where the run can't be opened, EngineEnded where the process fails.
    """
    config = runs.load_config(folder)
    process = taken_over(folder)
    if process is None and runs.is_live(folder):
        return await attach(folder)
    if process is None and not may_train(folder, config):
        return await ask(folder)
    process = process or start(folder)
    try:
        return await _connect(folder, process)
    except asyncio.CancelledError:
        process.terminate()
        raise


def may_train(folder: Path, config: RunConfig) -> bool:
    """Whether the run's text may be read, and its folder written to."""
    source = config.corpus.source
    known = source in BUILT_IN or runs.is_allowed(folder, source)
    return known and os.access(folder, os.W_OK)


async def ask(folder: Path, *, corpus: bool = False) -> Engine:
    """Connect to the engine that serves this run, or start one that answers questions about what
    is saved of it, to this client alone; it writes nothing. It reads the run's text only where
    `corpus` says so.

    Raises UserError where the run can't be opened, EngineEnded where the process fails.
    """
    runs.load_config(folder)
    if runs.is_live(folder):
        return await attach(folder)
    process, connection, log = start_asking(folder, corpus=corpus)
    return await _greeted(folder, connection, process, log)


async def ask_vectors(file: Path) -> Engine:
    """Start an engine that answers questions about a file of word vectors to this client alone.
    Raises UserError, EngineEnded where the process fails."""
    process, connection, log = start_asking(file, vectors=True)
    return await _greeted(file, connection, process, log)


async def attach(folder: Path) -> Engine:
    """Connect to the live engine of this run. Raises UserError where there is none, or where it
    can't be reached."""
    if not runs.is_live(folder):
        raise UserError(f"No engine is running for {folder.name}.")
    return await _connect(folder, None)


async def _connect(folder: Path, process: Process | None) -> Engine:
    """Wait for the engine to listen, connect, and hear its welcome."""
    began = time.monotonic()
    while time.monotonic() < began + START_TIMEOUT:
        address = runs.read_address(folder)
        connection = _dial(address) if address else None
        if connection is not None:
            return await _greeted(folder, connection, process)
        if process is not None and process.poll() is not None:
            if not runs.is_live(folder):
                raise EngineEnded(_explain(folder, process.pid, process.returncode))
            process, began = None, time.monotonic()  # another that was started holds the run
        if process is None:
            _require_engine(folder, address, time.monotonic() - began)
        await asyncio.sleep(0.02)
    raise EngineEnded(
        f"The engine of {visible(folder.name)} did not answer in {START_TIMEOUT:.0f} seconds; "
        f"see {visible(str(runs.log_path(folder)))}."
    )


def _dial(address: runs.EngineAddress) -> socket.socket | None:
    """A connection to there; None where nobody takes it."""
    connection = socket.socket(socket.AF_UNIX)
    connection.setblocking(False)
    try:
        connection.connect(address.socket)
    except OSError:
        connection.close()
        return None
    return connection


def _require_engine(folder: Path, address: runs.EngineAddress | None, waited: float) -> None:
    """Raises UserError where an engine that nobody reached for so many seconds is gone, or is not
    going to be reached."""
    name = visible(folder.name)
    if not runs.is_live(folder):
        raise UserError(f"The engine of {name} has just ended.")
    if waited < _ENDING:
        return
    if address is None:
        raise UserError(
            f"An engine holds {name} and does not say where it listens, so nobody can reach it: "
            "try again, or end its process."
        )
    if Path(address.socket).exists():
        raise _mute(folder, address.pid)
    raise UserError(
        f"The engine of {name} (process {address.pid}) is running, but its socket "
        f"{address.socket} is gone, so nobody can reach it: `kill {address.pid}` lets it save "
        "and end."
    )


def _mute(folder: Path, pid: int) -> UserError:
    return UserError(
        f"The engine of {visible(folder.name)} (process {pid}) listens but says nothing: it is "
        f"stopped, or this machine is short of memory. `kill -CONT {pid}` lets a stopped one "
        "go on."
    )


async def _greeted(
    folder: Path,
    connection: socket.socket,
    process: Process | None,
    log: IO[bytes] | None = None,
) -> Engine:
    """The engine behind a connection, once it has spoken. Raises UserError, EngineEnded."""
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    try:
        welcome = await _welcome(folder, reader, process, log)
    except BaseException:
        writer.close()
        if log is not None:
            log.close()
        raise
    if process is not None and process.pid != welcome.status.pid:
        process = None  # of two that were started this one came too late, and ends by itself
    return Engine(folder, welcome, (reader, writer), process, log)


async def _welcome(
    folder: Path, reader: asyncio.StreamReader, process: Process | None, log: IO[bytes] | None
) -> p.Welcome:
    """What an engine says first. Raises UserError, EngineEnded."""
    address = runs.read_address(folder)
    pid = process.pid if process else address.pid if address else 0
    message: p.FromEngine | None = None
    try:
        while message is None or isinstance(message, p.Alive):  # it is busy with something long
            async with asyncio.timeout(START_TIMEOUT if process else p.SILENCE):
                message = await _receive(reader)
    except TimeoutError:
        raise _mute(folder, pid) from None
    except (OSError, EOFError):
        reason = await asyncio.to_thread(_last_words, folder, pid, process, log)
        raise EngineEnded(reason) from None
    except ValueError:  # msgspec's
        pass
    if isinstance(message, p.Welcome):
        return message
    if isinstance(message, p.Goodbye):
        raise UserError(message.reason)
    raise UserError(
        f"The engine of {visible(folder.name)} (process {pid}) is of another version of this "
        f"program, so nobody here understands it: `kill {pid}` lets it save and end."
    )


async def _receive(reader: asyncio.StreamReader) -> p.FromEngine:
    """The next message. Raises EOFError (IncompleteReadError) at the end of the connection."""
    length = int.from_bytes(await reader.readexactly(4), "big")
    if length > p.MAX_MESSAGE:
        raise EOFError(f"a message of {length} bytes")
    return p.decode_from_engine(await reader.readexactly(length))


def _last_words(
    folder: Path, pid: int, process: Process | None, log: IO[bytes] | None = None
) -> str:
    """Why an engine that said no goodbye is out of reach. It is given a moment to end."""
    ends = time.monotonic() + _ENDING
    while runs.is_live(folder) if process is None else process.poll() is None:
        if time.monotonic() > ends:
            lost = f"The engine (process {pid}) runs, but the connection to it is lost."
            return _with_what_is_kept(lost, folder, log)
        time.sleep(0.02)
    return _explain(folder, pid, process.returncode if process else None, log)


def _explain(folder: Path, pid: int, code: int | None, log: IO[bytes] | None = None) -> str:
    """Two lines on how a process ended: how, with its last word where it died of a fault; and
    what is kept of the run."""
    if code is None:
        how = f"The engine (process {pid}) is gone."
    elif code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        guess = " (out of memory?)" if -code == signal.SIGKILL else ""
        how = f"The engine (process {pid}) was killed by {name}{guess}."
    else:
        last = _last_line(_log_end(folder) if log is None else _end_of(log))
        how = (
            f"The engine (process {pid}) ended with exit code {code}{f': {last}' if last else '.'}"
        )
    return _with_what_is_kept(how, folder, log)


def _with_what_is_kept(how: str, folder: Path, log: IO[bytes] | None) -> str:
    where = "" if log is not None else f" Its log: {visible(str(runs.log_path(folder)))}"
    return f"{how}\n{_kept(folder)}{where}".strip()


def _kept(folder: Path) -> str:
    """What is on the disk of a run; nothing to tell of a file of vectors."""
    if folder.is_file():
        return ""
    try:
        standing = runs.load_standing(folder)
    except UserError:
        return "Its checkpoints can't be read."
    return "It had saved nothing." if standing is None else f"Kept: step {standing.step:,}."


def _log_end(folder: Path) -> str:
    try:
        log = runs.log_path(folder)
        require_private(log.parent)
        with log.open("rb") as file:
            return _end_of(file)
    except OSError:
        return ""


def _end_of(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_BYTES))
    return file.read().decode("utf-8", "replace")


def _last_line(text: str) -> str:
    """The last line with anything in it, without the time before it."""
    lines = [line for line in text.split("\n") if line.strip()]
    line = re.sub(r"^\d{4}-\d\d-\d\d [\d:,]+ ", "", lines[-1]) if lines else ""
    return visible(line.strip())
