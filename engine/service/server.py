"""The engine's side of the socket, in a thread of its own, so that no client holds up a step.

Calls come into the inbox for the trainer's thread to take between two steps: those that steer at
once, in order, and questions client by client, as many as there is time for. What it has to say
goes out through `Client.send`, which only hands it to this thread's loop. Everything is bounded:
how many clients there are, the commands and questions of each that wait, the calls and the bytes it
may send in a second, what it may leave unread.
"""

import asyncio
import contextlib
import logging
import os
import queue
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine import messages as p
from engine.errors import UserError
from engine.runs.private import socket_path

MAX_CLIENTS = 32
"""With those that are coming."""
MAX_QUESTIONS = 64
"""Of a client that wait to be answered; more are refused."""
MAX_COMMANDS = 4
"""Of a client that wait to be taken; it isn't heard until there is room."""
CALLS_A_SECOND = 400
"""Of all clients together; more wait in their sockets, and each client waits for one at a time."""
BYTES_A_SECOND = 1024 * 1024
"""Of a client's calls."""
COMINGS_A_SECOND = 40
"""Clients that are asked in."""
MAX_UNREAD = 16 * 1024 * 1024
"""Bytes a client may leave unread before it is let go."""
PATIENT_UNREAD = 1024 * 1024
"""Bytes a client may leave unread before its questions wait."""
_UNTIL_IT_STAYS = 0.005
"""Seconds after which a client that came is asked in: many that come leave again at once."""
_UNTIL_IT_READS = 0.1
"""Seconds between two looks whether a client reads again."""
_AFTER_A_REFUSAL = 0.02
"""Seconds for which a client with too many questions is not heard: each refusal costs training."""
ALIVE_EVERY = 1.0
"""Seconds between two signs of life."""


class Client:
    """A connection. `send` may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, writer: asyncio.StreamWriter) -> None:
        self.questions: deque[p.Call] = deque()
        """Those that wait, in order. The server adds by `ask`, the trainer's thread takes."""
        self._asking = threading.Lock()
        self.room = asyncio.Semaphore(MAX_COMMANDS)
        """For commands that wait to be taken."""
        self.gone = False
        self.stalled = False
        """Whether it was let go because it does not read."""
        self._loop = loop
        self._writer = writer
        self._outgoing: deque[bytes] = deque()
        self._unread = 0
        self._counting = threading.Lock()
        self._news = asyncio.Event()

    def send(self, message: p.Message) -> None:
        """Hand a message to the socket; a client that is gone or does not read is let go."""
        self.send_frame(p.frame(message))

    def send_frame(self, data: bytes) -> None:
        """As `send`, of a message that is framed already."""
        if self.gone:
            return
        with self._counting:
            self._unread += len(data)
        self._outgoing.append(data)
        if self._unread > MAX_UNREAD:
            self.gone = self.stalled = True
        self._soon(self._writer.transport.abort if self.gone else self._news.set)

    def make_room(self) -> None:
        """Hear the client on: one of its commands was taken."""
        self._soon(self.room.release)

    def _soon(self, action: Callable[[], None]) -> None:
        """Do it in the server's thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(action)

    def ask(self, question: p.Call) -> bool:
        """Let a question wait; False where too many do."""
        with self._asking:
            if len(self.questions) < MAX_QUESTIONS:
                self.questions.append(question)
                return True
        return False

    def forget(self, number: int) -> bool:
        """Take a question back that waits; False where none of this number does."""
        with self._asking:
            for question in self.questions:
                if question.id == number:
                    self.questions.remove(question)
                    return True
        return False

    @property
    def reads(self) -> bool:
        """Whether it keeps up with what it is told."""
        return self._unread <= PATIENT_UNREAD

    async def deliver(self) -> None:
        """Write what is sent, as fast as it is read, until the connection ends."""
        with contextlib.suppress(OSError):
            while True:
                await self._news.wait()
                self._news.clear()
                while self._outgoing:
                    data = self._outgoing[0]
                    self._writer.write(data)
                    await self._writer.drain()
                    self._outgoing.popleft()
                    with self._counting:
                        self._unread -= len(data)

    @property
    def told(self) -> bool:
        """Whether all that was sent is written."""
        return not self._outgoing or self.gone


@dataclass(frozen=True)
class Connected:
    """A client has come."""

    client: Client


@dataclass(frozen=True)
class Gone:
    """A client has left, or was lost."""

    client: Client


@dataclass(frozen=True)
class Received:
    """A client has sent a call."""

    client: Client
    call: p.Call


Item = Connected | Gone | Received


class _Pace:
    """Lets so many a second pass, one after the other."""

    def __init__(self, a_second: float) -> None:
        self._apart = 1 / a_second
        self._next = 0.0

    async def wait(self) -> None:
        """Until it is one's turn."""
        now = time.monotonic()
        turn = max(now, self._next)
        self._next = turn + self._apart
        if turn > now:
            await asyncio.sleep(turn - now)


class Server:
    """Listens on a Unix socket of mode 0600 in a folder of mode 0700, or serves one connection."""

    def __init__(self, folder: Path, connection: socket.socket | None = None) -> None:
        """Bind the socket of the run in `folder`, if no connection is given that is to be served
        alone. Raises UserError where none can be made."""
        self.inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
        """All but questions, which wait at their client."""
        self.turn = time.monotonic()
        """When the trainer's thread last took a turn; it says so."""
        self.terminated = False
        """Whether the process was sent SIGTERM. No queue stands before it."""
        self._calls = _Pace(CALLS_A_SECOND)
        self._comings = _Pace(COMINGS_A_SECOND)
        self._coming = 0
        """Connections that are not asked in yet."""
        self._connection = connection
        self.path = None if connection else socket_path(folder)
        self._socket = self._bind(self.path) if self.path else None
        self._clients: dict[Client, asyncio.StreamWriter] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._thread.start()

    @staticmethod
    def _bind(path: Path) -> socket.socket:
        path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        previous = os.umask(0o177)
        try:
            listening.bind(str(path))
        except OSError as error:
            raise UserError(f"Can't listen on {path}: {error.strerror}.") from None
        finally:
            os.umask(previous)
        return listening

    def next_item(self, wait: float = 0.0) -> Item:
        """What came in next, for the trainer's thread. Raises queue.Empty where nothing does for so
        many seconds."""
        item = self.inbox.get(timeout=wait) if wait else self.inbox.get_nowait()
        if isinstance(item, Received):
            item.client.make_room()
        return item

    def withdraw(self) -> None:
        """Let nobody else come. To be called while the run's lock is held: then the socket's name
        is the next engine's."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def close(self) -> None:
        """Let what was sent go out, for a second at most, then close."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(2)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._ending = asyncio.Event()
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = None
        if self._socket is not None:
            server = await asyncio.start_unix_server(self._converse, sock=self._socket)
        else:
            streams = await asyncio.open_unix_connection(sock=self._connection)
            self._conversation = asyncio.create_task(self._converse(*streams))
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), ALIVE_EVERY)
            sign = p.Alive(idle=time.monotonic() - self.turn)
            for client in self._clients:
                client.send(sign)
        if server is not None:
            server.close()
        await asyncio.gather(*(self._part(*client) for client in list(self._clients.items())))

    @staticmethod
    async def _part(client: Client, writer: asyncio.StreamWriter) -> None:
        """Close a connection as soon as all that was sent is read, after a second without that."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                while not client.told:  # noqa: ASYNC110 - it is told by another thread
                    await asyncio.sleep(0.01)
                writer.close()
                await writer.wait_closed()
        writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) + self._coming >= MAX_CLIENTS:
            writer.write(p.frame(p.Goodbye(reason=f"{MAX_CLIENTS} others are connected already.")))
            writer.close()
            return
        self._coming += 1
        try:
            stays = await self._is_asked_in(writer)
        finally:
            self._coming -= 1
        if not stays:
            writer.close()
            return
        client = Client(self._loop, writer)
        self._clients[client] = writer
        self.inbox.put(Connected(client))
        delivering = asyncio.create_task(client.deliver())
        try:
            await self._listen(client, reader, writer)
        except (EOFError, OSError):
            pass
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            logging.warning("A client was let go, for it sent no message: %s", error)
        finally:
            client.gone = True
            del self._clients[client]
            delivering.cancel()
            self.inbox.put(Gone(client))
            writer.close()

    async def _is_asked_in(self, writer: asyncio.StreamWriter) -> bool:
        """Wait for one's turn to come in. False where the client has left again by then."""
        await asyncio.sleep(_UNTIL_IT_STAYS)
        if _has_left(writer):
            return False
        await self._comings.wait()
        return True

    async def _listen(
        self, client: Client, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Take the client's calls, while it reads what it is told. Raises EOFError at their end."""
        while not client.gone:
            while not (client.reads or writer.is_closing()):  # noqa: ASYNC110 - another thread's
                await asyncio.sleep(_UNTIL_IT_READS)
            length = int.from_bytes(await reader.readexactly(4), "big")
            if length > p.MAX_CALL:
                raise ValueError(f"a message of {length:,} bytes")
            call = p.decode_call(await reader.readexactly(length))
            if _has_left(writer) and isinstance(call.body, p.AnyQuestion):
                continue  # nobody would hear the answer
            await self._calls.wait()
            await self._take(client, call)
            await asyncio.sleep(length / BYTES_A_SECOND)

    async def _take(self, client: Client, call: p.Call) -> None:
        if not isinstance(call.body, p.AnyQuestion):
            await client.room.acquire()
            self.inbox.put(Received(client, call))
        elif not client.ask(call):
            reason = f"{MAX_QUESTIONS} questions wait to be answered already: ask later."
            client.send(p.Answer(id=call.id, body=p.Refusal(reason=reason)))
            await asyncio.sleep(_AFTER_A_REFUSAL)


def _has_left(writer: asyncio.StreamWriter) -> bool:
    """Whether the other end is closed, though what it sent may not be read yet."""
    poll = select.poll()
    try:
        poll.register(writer.get_extra_info("socket").fileno(), 0)
    except (ValueError, OSError):  # it is closed here too
        return True
    return any(state & (select.POLLHUP | select.POLLERR) for _, state in poll.poll(0))
