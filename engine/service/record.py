"""The run's record: events batched to metrics.jsonl and to the clients, no step lost."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.errors import UserError
from engine.events import AnyEvent, Progress, Recorded, Saved
from engine.files import replace_file, write_all
from engine.runs import decode_event, read_record

INTERVAL = 0.05
"""Seconds between two batches: at most 20 a second."""


class Record:
    """Collects events and hands them on in batches.

    Where the file can't grow (no space left), its lines wait in memory for the next batch.
    """

    def __init__(self, folder: Path, send: Callable[[list[AnyEvent]], None]) -> None:
        """Raises UserError where metrics.jsonl can't be written."""
        self._path = folder / "metrics.jsonl"
        self._send = send
        self._encode = msgspec.json.Encoder().encode
        self._waiting: list[AnyEvent] = []
        self._encoded = 0
        """How many of those that wait to be sent are in the file, or in `_unwritten`."""
        self._unwritten = b""
        self._problem: OSError | None = None
        """Why `_unwritten` is."""
        self._flushed = 0.0
        self.size = 0
        """Bytes of metrics.jsonl: exactly what has been flushed."""
        try:
            self._file = self._open()
        except OSError as error:
            raise UserError(f"Can't write to {self._path}: {error.strerror}.") from None

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(self._path, flags, 0o666)
        self.size = os.fstat(file).st_size
        return file

    def add(self, event: AnyEvent) -> None:
        """Keep an event for the next batch. Of progress only the newest is kept."""
        if isinstance(event, Progress) and self._waiting:
            last = self._waiting[-1]
            if isinstance(last, Progress) and last.task == event.task:
                self._waiting[-1] = event
                return
        self._waiting.append(event)

    def flush_if_due(self) -> None:
        if self._waiting and time.monotonic() - self._flushed >= INTERVAL:
            self.flush()
            self._flushed = time.monotonic()

    def flush(self) -> None:
        """Write and send what waits, now: what comes next need not wait for that."""
        if not self._waiting:
            return
        self._write()
        batch, self._waiting, self._encoded = self._waiting, [], 0
        self._send(batch)

    def _write(self) -> None:
        """Write what was not written yet, whole or not at all."""
        for event in self._waiting[self._encoded :]:
            if isinstance(event, Recorded):
                self._unwritten += self._encode(event) + b"\n"
        self._encoded = len(self._waiting)
        try:
            if os.fstat(self._file).st_size != self.size:  # a line was cut short the last time
                os.ftruncate(self._file, self.size)
            write_all(self._file, self._unwritten)
        except OSError as error:
            if self._problem is None:
                logging.warning("Can't write to %s: %s", self._path, error.strerror)
            self._problem = error
            with suppress(OSError):
                os.ftruncate(self._file, self.size)
        else:
            self.size += len(self._unwritten)
            self._unwritten, self._problem = b"", None

    def sync(self) -> None:
        """Wait until the record is on the disk; sending waits its turn. Raises OSError."""
        self._write()
        if self._problem is not None:
            raise self._problem
        os.fsync(self._file)

    def rewind(self, step: int, checkpoint: str) -> str:
        """Go back to where `checkpoint` was saved at `step`: what came after it is void, and all
        is where no checkpoint is named. Returns a sentence where lines before it were damaged.

        Raises UserError where the file can't be read or replaced.
        """
        lines = marker = damaged = damaged_before = size = 0
        for line in read_record(self._path.parent):
            lines, size = lines + 1, size + len(line)
            event = decode_event(line)
            damaged += event is None
            if isinstance(event, Saved) and event.checkpoint == checkpoint:
                marker, damaged_before = lines, damaged
        if not marker:  # a crash came between the checkpoint and the line that tells of it
            damaged_before = damaged
        if damaged or marker < lines or size < os.fstat(self._file).st_size:
            self._replace(self._past(step, checkpoint, marker))
        if not checkpoint or not damaged_before:
            return ""
        return f"Damaged lines of the record were left out ({damaged_before})."

    def _past(self, step: int, checkpoint: str, marker: int) -> Iterator[bytes]:
        """The first `marker` lines, else those up to `step`."""
        for number, line in enumerate(read_record(self._path.parent), start=1):
            event = decode_event(line)
            if event is None or not checkpoint:
                continue
            if number <= marker if marker else event.step <= step:
                yield line

    def _replace(self, lines: Iterator[bytes]) -> None:
        try:
            replace_file(self._path, lines)
            os.close(self._file)
            self._file = self._open()
        except OSError as error:
            raise UserError(f"Can't rewrite {self._path}: {error.strerror}.") from None

    def close(self) -> None:
        self.flush()
        os.close(self._file)
