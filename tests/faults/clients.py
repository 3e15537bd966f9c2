"""Clients that behave badly towards a live engine: for tests and benchmarks alike."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from engine import messages as p
from engine.runs import read_address

LONG = "the cat sat on the mat " * 80


def connect(folder: Path) -> socket.socket:
    """A raw connection to the run's engine."""
    address = read_address(folder)
    assert address is not None
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    connection.connect(address.socket)
    return connection


def slow(connection: socket.socket, stop: Event) -> None:
    """Asks for all the text there is, and reads a few bytes a second of it."""
    connection.sendall(p.frame(p.Call(id=1, body=p.Generate(tokens=10**9))))
    while not stop.wait(0.2):
        connection.recv(64)


def silent(connection: socket.socket, stop: Event) -> None:
    """Never reads and never says a word."""
    stop.wait()


def hostile(connection: socket.socket, stop: Event) -> None:
    """Asks the longest questions as fast as the engine takes them, and reads no answer."""
    flood(connection, stop, p.Represent(text=LONG))


def commanding(connection: socket.socket, stop: Event) -> None:
    """Has it save something new, as fast as the engine does, and reads no answer."""
    flood(connection, stop, p.SetKnob(knob="clip_threshold", value=0.5), p.Save())


def flood(connection: socket.socket, stop: Event, *bodies: Any) -> None:
    """Say it again and again, whole."""
    said = b"".join(p.frame(p.Call(id=1, body=body)) for body in bodies) * 100
    rest = memoryview(b"")
    connection.settimeout(0.1)
    while not stop.is_set():
        rest = rest or memoryview(said)
        with suppress(TimeoutError):
            rest = rest[connection.send(rest) :]


def crowding(connection: socket.socket, stop: Event) -> None:
    """Comes by the hundred, and says nothing."""
    name = connection.getpeername()
    while not stop.is_set():
        with ExitStack() as crowd:
            for _ in range(300):
                other = crowd.enter_context(socket.socket(socket.AF_UNIX))
                other.settimeout(5)
                other.connect(name)
            stop.wait(0.5)


def leaving(connection: socket.socket, stop: Event) -> None:
    """Comes, asks a great deal, and goes, again and again."""
    name = connection.getpeername()
    connection.close()
    question = p.frame(p.Call(id=1, body=p.Represent(text=LONG)))
    while not stop.wait(0.02):
        with socket.socket(socket.AF_UNIX) as again:
            again.settimeout(5)
            again.connect(name)
            again.sendall(question * 64)


KINDS: dict[str, Callable[[socket.socket, Event], None]] = {
    "slow": slow,
    "silent": silent,
    "hostile": hostile,
    "commanding": commanding,
    "leaving": leaving,
    "crowding": crowding,
}


@contextmanager
def beside(folder: Path, kind: str) -> Iterator[Thread]:
    """Such a client, until the block ends."""
    connection, stop = connect(folder), Event()

    def behave() -> None:
        with suppress(OSError):  # it was let go
            KINDS[kind](connection, stop)

    thread = Thread(target=behave, name=kind, daemon=True)
    thread.start()
    try:
        time.sleep(0.5)
        yield thread
    finally:
        stop.set()
        connection.close()
        thread.join(10)
