"""The engine's side of the socket, in a thread of its own, so that no client holds up a step.

Calls come into `inbox`, in order, for the trainer's thread to take between two steps; what it has
to say goes out through `Client.send`, which only hands it to this thread's loop.
"""

import asyncio
import contextlib
import hashlib
import os
import queue
import socket
import stat
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine.errors import UserError
from engine.service import protocol as p

MAX_BACKLOG = 64 * 1024 * 1024
"""Bytes a client may leave unread before it is dropped."""
_LONGEST_PATH = 100
"""Of a Unix socket, in bytes; some systems allow no more."""


class Client:
    """A connection. Its methods may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, writer: asyncio.StreamWriter) -> None:
        self._loop = loop
        self._writer = writer

    def send(self, message: p.Message) -> None:
        """Hand a message to the socket; a client that is gone or does not read is dropped."""
        data = p.frame(message)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._write, data)

    def _write(self, data: bytes) -> None:
        if self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > MAX_BACKLOG:
            self._writer.transport.abort()
            return
        self._writer.write(data)


@dataclass(frozen=True)
class Connected:
    client: Client


@dataclass(frozen=True)
class Gone:
    client: Client


@dataclass(frozen=True)
class Terminated:
    """The process was sent SIGTERM."""


@dataclass(frozen=True)
class Received:
    client: Client
    call: p.Call


Item = Connected | Gone | Received | Terminated


class Server:
    """Listens on a Unix socket of mode 0600 in a folder of mode 0700."""

    def __init__(self, folder: Path) -> None:
        """Bind the socket of the run in `folder`. Raises UserError where none can be made."""
        self.inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self.path = _socket_path(folder)
        self.path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        previous = os.umask(0o177)
        try:
            self._socket.bind(str(self.path))
        except OSError as error:
            raise UserError(f"Can't listen on {self.path}: {error.strerror}.") from None
        finally:
            os.umask(previous)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let what was sent go out, for a second at most, then close."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(2)
        self.path.unlink(missing_ok=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._ending = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_unix_server(self._converse, sock=self._socket)
        await self._ending.wait()
        server.close()
        for writer in list(self._writers):
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.drain(), 1)
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), 1)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(self._loop, writer)
        self._writers.add(writer)
        self.inbox.put(Connected(client))
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(4), "big")
                if length > p.MAX_MESSAGE:
                    break
                call = p.decode_call(await reader.readexactly(length))
                self.inbox.put(Received(client, call))
        except (EOFError, OSError, msgspec.DecodeError):
            pass
        finally:
            self._writers.discard(writer)
            self.inbox.put(Gone(client))
            writer.close()


def _socket_path(folder: Path) -> Path:
    """A short path: those of Unix sockets are limited to about 100 bytes."""
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16] + ".sock"
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):
        path = base / f"lstm-tui-{os.getuid()}" / name
        if len(os.fsencode(path)) <= _LONGEST_PATH:
            break
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        status = path.parent.lstat()
    except OSError as error:
        raise UserError(f"Can't make {path.parent} for sockets: {error.strerror}.") from None
    private = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
    if not private or status.st_uid != os.getuid():
        raise UserError(f"{path.parent} must be a folder of yours with mode 700: remove it.")
    return path
