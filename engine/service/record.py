"""The run's record as it comes about: events batched to the disk and to the clients, none lost."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from engine.errors import UserError
from engine.events import AnyEvent, Extent, Progress, Recorded, Rewound
from engine.runs.recorder import Recorder, checkpoint_end

INTERVAL = 0.05
"""Seconds between two batches: at most 20 a second."""


class Record:
    """Collects events and hands them on in batches.

    Where the disk takes nothing, what is to be written waits in memory for the next batch.
    """

    def __init__(self, folder: Path, send: Callable[[list[AnyEvent]], None]) -> None:
        self._folder = folder
        self._send = send
        self._recorder = Recorder(folder)
        self._waiting: list[AnyEvent] = []
        self._taken = 0
        """How many of those that wait to be sent the recorder has."""
        self._problem: OSError | None = None
        """Why the recorder could not write the last time."""
        self._flushed = 0.0

    @property
    def extent(self) -> Extent | None:
        """How much of the record on the disk is the run's past; None before `rewind`."""
        return self._recorder.extent

    def open(self) -> None:
        """Make ready to write, for what is done next has to be recorded. Raises UserError where
        the record can't be written."""
        try:
            self._recorder.open()
        except OSError as error:
            raise UserError(
                f"Can't write to {error.filename or self._folder}: {error.strerror}."
            ) from None

    def add(self, event: AnyEvent) -> None:
        """Keep an event for the next batch. Of progress only the newest is kept."""
        if isinstance(event, Progress) and self._waiting:
            last = self._waiting[-1]
            if isinstance(last, Progress) and last.task == event.task:
                self._waiting[-1] = event
                return
        self._waiting.append(event)

    def flush_if_due(self) -> None:
        """Write and send what waits, where the last batch is INTERVAL seconds ago."""
        if self._waiting and time.monotonic() - self._flushed >= INTERVAL:
            self.flush()
            self._flushed = time.monotonic()

    def flush(self) -> None:
        """Write and send what waits, now: what comes next need not wait for that."""
        if not self._waiting:
            return
        self._write()
        batch, self._waiting, self._taken = self._waiting, [], 0
        self._send(batch)

    def _write(self) -> None:
        """Write what was not written yet."""
        for event in self._waiting[self._taken :]:
            if isinstance(event, Recorded):
                self._recorder.add(event)
        self._taken = len(self._waiting)
        try:
            self._recorder.write()
        except OSError as error:
            if self._problem is None:
                logging.warning("Can't write the record: %s", error)
            self._problem = error
        else:
            self._problem = None

    def sync(self) -> None:
        """Wait until the record is on the disk; sending waits its turn. Raises OSError."""
        self._write()
        if self._problem is not None:
            raise self._problem
        self._recorder.sync()

    def rewind(self, step: int, checkpoint: str) -> str:
        """Go back to where `checkpoint` was saved at `step`: what came after it is void, and all
        is where no checkpoint is named. Returns a sentence where lines before it were damaged.

        Nothing on the disk changes yet. Raises UserError where the record can't be read.
        """
        try:
            end, more = checkpoint_end(self._folder, step, checkpoint)
        except OSError as error:
            raise UserError(f"Can't read {error.filename}: {error.strerror}.") from None
        self._recorder.rewind(end)
        if more:
            self.add(Rewound(recorded=Extent(end.size, end.rows)))
        if not end.damaged:
            return ""
        return f"Damaged lines of the record were left out ({end.damaged})."

    def close(self) -> None:
        """Write and send what waits, for the last time."""
        self.flush()
        self._recorder.close()
