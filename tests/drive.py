"""Drives a real program through a pseudo-terminal: sends keys, reads the screen, measures.

    with Program([sys.executable, "-m", "tui.cli"], columns=120, rows=36) as program:
        program.wait_for("toy-world")
        program.send("q")

For tests and benchmarks alike. The screen is kept by pyte; a benchmark that must not spend time
on that turns it off and reads `chunks`.
"""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pyte

KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "space": " ",
    "backspace": "\x7f",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "ctrl+c": "\x03",
    "ctrl+u": "\x15",
}
"""Keys by name, as a terminal sends them; anything else is sent as it is written."""

_CHANGES_THE_LOOK = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TEXTUAL", "TEXTUAL_THEME"}
"""Variables of the developer's own that are kept from the program."""

# Sequences with a private mark that pyte 0.8 would print: the kitty keyboard's, for one.
_UNKNOWN_TO_PYTE = re.compile(rb"\x1b\[[<=>][0-9;]*[@-~]")
_UNFINISHED = re.compile(rb"\x1b(\[[<=>]?[0-9;]*)?$")


@dataclass(frozen=True)
class Chunk:
    """What one read of the terminal gave."""

    time: float
    """`time.perf_counter()` when it was read."""
    data: bytes


class Program:
    """A program in a pseudo-terminal of its own, as its session's controlling terminal."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 120,
        rows: int = 36,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        emulate: bool = True,
    ) -> None:
        self.chunks: list[Chunk] = []
        self._screen = pyte.Screen(columns, rows) if emulate else None
        self._stream = pyte.ByteStream(self._screen) if self._screen else None
        self._unfed = b""
        self._changed = threading.Condition()
        self._closed = False
        self._master, slave = os.openpty()
        self._set_size(columns, rows)
        kept = {name: value for name, value in os.environ.items() if name not in _CHANGES_THE_LOOK}
        own = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env={**kept, **own, **(environment or {})},
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        self._hung_up = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Program":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, *keys: str) -> None:
        """Press keys: names of `KEYS`, or text as it is."""
        for key in keys:
            os.write(self._master, KEYS.get(key, key).encode())

    def text(self) -> str:
        """The screen as lines of text."""
        assert self._screen is not None
        with self._changed:
            return "\n".join(self._screen.display)

    def raw(self) -> bytes:
        """All that the program has written."""
        with self._changed:
            return b"".join(chunk.data for chunk in self.chunks)

    def wait_for(
        self, what: str | re.Pattern[str] | Callable[[str], object], timeout: float = 20
    ) -> str:
        """The screen once it shows a text, matches a pattern or meets a condition.

        Raises TimeoutError with the screen, also when the program has ended without it.
        """

        def met(text: str) -> bool:
            if isinstance(what, str):
                return what in text
            return bool(what.search(text) if isinstance(what, re.Pattern) else what(text))

        deadline = time.monotonic() + timeout
        while not met(text := self.text()):
            with self._changed:
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    end = "at the program's end" if self._closed else f"after {timeout:g} s"
                    raise TimeoutError(f"no {what!r} {end} on the screen:\n{text}")
                self._changed.wait(min(left, 0.1))
        return text

    def wait_for_output(self, since: float, timeout: float = 5) -> Chunk:
        """The first chunk that came after the moment `since`. Raises TimeoutError."""
        deadline = time.perf_counter() + timeout
        with self._changed:
            while not (self.chunks and self.chunks[-1].time > since):
                left = deadline - time.perf_counter()
                if left <= 0:
                    raise TimeoutError("the program wrote nothing")
                self._changed.wait(left)
            return next(chunk for chunk in self.chunks if chunk.time > since)

    def wait_quiet(self, seconds: float, timeout: float = 20) -> None:
        """Wait until the program has written nothing for a while. Raises TimeoutError."""
        deadline = time.perf_counter() + timeout
        with self._changed:
            while True:
                last = self.chunks[-1].time if self.chunks else self.started
                left = last + seconds - time.perf_counter()
                if left <= 0:
                    return
                if time.perf_counter() > deadline:
                    raise TimeoutError(f"never quiet for {seconds:g} s")
                self._changed.wait(left)

    def wait(self, timeout: float = 20) -> int:
        """The exit code once the program has ended and all it wrote is read."""
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        return code

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; the program is told by SIGWINCH."""
        self._set_size(columns, rows)
        with self._changed:
            if self._screen is not None:
                self._screen.resize(rows, columns)

    def cpu_seconds(self) -> float:
        """User and system time the program has used so far, its children's left out."""
        return cpu_seconds(self.process.pid)

    def hang_up(self) -> None:
        """Take the terminal away, as a closed window or a lost connection does."""
        self._hung_up.set()
        self._reader.join(5)
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        """End the program, if it has not ended: as a closed terminal does, then by force."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGHUP)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(5)
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        while not self._hung_up.is_set():
            if not select.select([self._master], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self._master, 65536)
            except OSError:  # EIO: the last process has closed its end
                data = b""
            now = time.perf_counter()
            with self._changed:
                if data:
                    self.chunks.append(Chunk(now, data))
                    self._feed(data)
                else:
                    self._closed = True
                self._changed.notify_all()
            if not data:
                return

    def _feed(self, data: bytes) -> None:
        if self._stream is None:
            return
        data = _UNKNOWN_TO_PYTE.sub(b"", self._unfed + data)
        unfinished = _UNFINISHED.search(data)
        end = unfinished.start() if unfinished else len(data)
        self._unfed = data[end:]
        self._stream.feed(data[:end])


def _take_terminal() -> None:
    """In the child, already a session's leader: make standard input its controlling terminal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, in seconds. Raises OSError once it is gone."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    answer = subprocess.run(
        ["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    if not answer:
        raise ProcessLookupError(f"there is no process {pid}")
    seconds = 0.0
    for part in answer.replace("-", ":").split(":"):
        seconds = seconds * 60 + float(part)
    return seconds
