"""The run's record: events batched to metrics.jsonl and to the clients, no step lost."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine.events import AnyEvent, Progress, Recorded
from engine.files import replace_file
from engine.service.runs import read_metrics

INTERVAL = 0.05
"""Seconds between two batches: at most 20 a second."""


class Record:
    """Collects events and hands them on in batches. Raises OSError where the file can't grow."""

    def __init__(self, folder: Path, send: Callable[[list[AnyEvent]], None]) -> None:
        self._path = folder / "metrics.jsonl"
        self._send = send
        self._file = self._path.open("ab")
        self._encode = msgspec.json.Encoder().encode
        self._waiting: list[AnyEvent] = []
        self._flushed = 0.0

    @property
    def size(self) -> int:
        """Bytes of metrics.jsonl: exactly what has been flushed."""
        return self._file.tell()

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

    def flush(self) -> None:
        """Write and send what waits, now."""
        if not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        lines = [self._encode(event) for event in batch if isinstance(event, Recorded)]
        if lines:
            self._file.write(b"\n".join(lines) + b"\n")
            self._file.flush()
        self._send(batch)
        self._flushed = time.monotonic()

    def sync(self) -> None:
        """Flush, and wait until the record is on the disk."""
        self.flush()
        os.fsync(self._file.fileno())

    def rewind(self, step: int) -> None:
        """Drop what happened after `step`: a run went back to a checkpoint taken there."""
        kept = [
            self._encode(event) for event in read_metrics(self._path.parent) if event.step <= step
        ]
        data = b"".join(line + b"\n" for line in kept)
        if len(data) == self._path.stat().st_size:
            return
        self._file.close()
        replace_file(self._path, data)
        self._file = self._path.open("ab")

    def close(self) -> None:
        self.flush()
        self._file.close()
