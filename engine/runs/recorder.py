"""Writing a run's record: steps as rows, all else as lines (see `engine.runs.record`).

Nothing on the disk is touched before the first event is written. Then what is void behind the end
of the run's past is cut off, and a record of an earlier version becomes one of this.

A record takes 256 MiB at most: STEPS_BYTES, twice OLDER_BYTES while that file is replaced, and
twice METRICS_BYTES while that one is.
"""

import errno
import logging
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from engine.events import AnyRecorded, Extent, NonFinite, RolledBack, Sampled, Saved, Stepped
from engine.files import identity, replace_file, sync, write_all
from engine.runs.record import METRICS, Line, Lines
from engine.runs.steps import (
    BLOCK,
    HEADER,
    OLDER,
    STEPS,
    STEPS_BYTES,
    Layout,
    StepFile,
    last_step,
    older_end,
    open_older,
    open_steps,
    thin,
)

METRICS_BYTES = 32 << 20
"""Of metrics.jsonl at most."""
_LIMITS = {Sampled: METRICS_BYTES // 2, NonFinite: METRICS_BYTES // 4, Saved: METRICS_BYTES}
"""Bytes of metrics.jsonl from which on no more events of a kind are kept. Resuming finds its place
by Saved."""
_OTHER_LIMIT = METRICS_BYTES * 7 // 8
MAX_WAITING = 16 << 20
"""Bytes of steps that wait where the disk takes nothing, and a quarter of that of lines."""
SLACK = 100_000
"""Rows that a record may lack and still go on where its lines say."""

_encode = msgspec.json.Encoder().encode


class End(NamedTuple):
    """Where the past of a run ends in its record."""

    size: int = 0
    """Bytes of metrics.jsonl."""
    rows: int = 0
    """Steps recorded."""
    damaged: int = 0
    """Lines before it that can't be read."""
    old: bool = False
    """Whether steps are lines."""
    layout: Layout | None = None
    """Of the rows before it, where steps.bin goes on from them."""


def past_end(folder: Path) -> End:
    """The end of all there is. Raises UserError and OSError where it can't be read."""
    lines = Lines(folder)
    ends = deque((end for _, end in _walk(lines)), maxlen=1)
    end = ends[0] if ends else End(old=lines.old)
    return end if end.old else _among_steps(folder, end, None)


def checkpoint_end(folder: Path, step: int, checkpoint: str) -> tuple[End, bool]:
    """The end of what was before `checkpoint` was saved at `step`; nothing was where none is named.
    And whether anything follows it.

    Raises UserError and OSError where the record can't be read.
    """
    lines = Lines(folder)
    last, found, left = End(old=lines.old), None, None
    for line, last in _walk(lines):
        if isinstance(line.event, Saved) and line.event.checkpoint == checkpoint:
            found, left = last, None
        elif isinstance(line.event, RolledBack) and line.event.step < step:
            left = line.row
    if not lines.old:
        last = _among_steps(folder, last, None)
        if left is not None and last.rows > left and last_step(folder) == step:
            found = None  # it has come there again: this is of one before, of the same name
    if not checkpoint:
        found = End()
    elif found is None:  # a crash came between the checkpoint and the line that tells of it
        found = _step_end(folder, step)
    if not lines.old:
        found = _among_steps(folder, found, found.rows)
    return found, (found.size, found.rows) != (last.size, last.rows)


def _step_end(folder: Path, step: int) -> End:
    """The end of what happened up to a step, by the last time that the run was there."""
    lines = Lines(folder)
    rows = 0 if lines.old else _rows_up_to(folder, step)
    found, within = End(old=lines.old), True
    for line, end in _walk(lines):
        if line.event is None:
            continue
        if lines.old:
            within = line.event.step <= step and (within or isinstance(line.event, Stepped))
        else:
            within = within and (line.row, line.event.step) <= (rows, step)
        found = end if within else found
    return found if lines.old else found._replace(rows=rows)


def _walk(lines: Lines) -> Iterator[tuple[Line, End]]:
    """Each line, and what ends with it."""
    rows, damaged, layout = 0, 0, None
    for line in lines:
        rows, damaged = line.row, damaged + (line.event is None)
        if isinstance(line.event, Stepped):
            rows, layout = rows + 1, layout or Layout(list(line.event.groups_before))
        yield line, End(line.end, rows, damaged, lines.old, layout)


def _rows_up_to(folder: Path, step: int) -> int:
    """How many rows were recorded up to the last that is not of a later step."""
    found = 0
    with _files(folder) as (steps, older):
        for rows in older.blocks() if older else ():
            if len(place := np.flatnonzero(rows["step"] <= step)):
                found = int(rows["row"][place[-1]]) + int(rows["steps"][place[-1]])
        for number, rows in enumerate(steps.blocks() if steps else ()):
            if steps and len(place := np.flatnonzero((rows["step"] > 0) & (rows["step"] <= step))):
                found = steps.header.first + number * BLOCK + int(place[-1]) + 1
    return found


def _among_steps(folder: Path, end: End, rows: int | None) -> End:
    """The end with its place in steps.bin: after so many rows, or after all there are."""
    with _files(folder) as (steps, older):
        thinned = older_end(older)
        if steps is not None:
            thinned = min(thinned, steps.header.first + steps.rows)  # else it is damaged
        first = steps.header.first if steps else thinned
        held = max(thinned, first + (steps.rows if steps else 0))
        rows = held if rows is None else min(rows, held + SLACK)
        goes_on = steps is not None and rows > first and rows >= thinned
        return end._replace(rows=rows, layout=steps.layout if steps and goes_on else None)


@contextmanager
def _files(folder: Path) -> Iterator[tuple[StepFile | None, StepFile | None]]:
    """steps.bin and older.bin, as far as they are there. Raises OSError."""
    with ExitStack() as opened:
        files = open_steps(folder), open_older(folder)
        for file in files:
            if file is not None:
                opened.callback(file.close)
        yield files


class Recorder:
    """Appends to the record of the run in `folder`, from the end of its past on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._identity = identity(folder)
        self._end: End | None = None
        """Where the past ends, once that is known."""
        self._layout: Layout | None = None
        self._rows = 0
        """Steps recorded so far, those that wait and those that were lost too."""
        self._row_data = bytearray()
        """Rows that wait to be written, and after how many that are lost."""
        self._lost = 0
        self._lines: list[bytes] = []
        """Lines that wait to be written, and their bytes."""
        self._line_bytes = 0
        self._metrics = self._steps = -1
        """Descriptors of the two files, once they are open for writing."""
        self._size = self._steps_size = 0
        """Bytes of them that count: what lies behind was cut short the last time."""
        self._first = 0
        """Steps recorded before the first row of steps.bin."""
        self._thin_at = STEPS_BYTES
        self._named = False
        """Whether the names of the files are on the disk."""
        self._warned: set[str] = set()

    @property
    def extent(self) -> Extent | None:
        """How much of the record counts; None before that is known."""
        if self._end is None:
            return None
        if self._metrics < 0:
            return Extent(self._end.size, self._end.rows)
        return Extent(self._size, self._rows - self._lost - self._waiting_rows)

    @property
    def _waiting_rows(self) -> int:
        return len(self._row_data) // self._layout.step.itemsize if self._layout else 0

    def rewind(self, end: End) -> None:
        """Go on from there: what lies behind is void, and is cut off once something is written."""
        self._end, self._rows, self._layout = end, end.rows, end.layout

    def add(self, event: AnyRecorded) -> None:
        """Take in an event, to be written. Raises UserError and OSError where the record can't be
        read."""
        if self._end is None:
            self.rewind(past_end(self._folder))
        if isinstance(event, Stepped):
            self._add_step(event)
        else:
            self._add_line(event)

    def _add_step(self, event: Stepped) -> None:
        if self._layout is None:
            self._layout = Layout(list(event.groups_before))
        self._row_data += self._layout.encode(event)
        self._rows += 1
        if len(self._row_data) > MAX_WAITING:
            self._warn("The disk takes nothing: the oldest of the steps that wait are left out.")
            dropped = self._waiting_rows // 2
            self._lost += dropped
            del self._row_data[: dropped * self._layout.step.itemsize]

    def _add_line(self, event: AnyRecorded) -> None:
        line = _line(event, self._rows)
        kind = type(event)
        if self._size + self._line_bytes + len(line) > _LIMITS.get(kind, _OTHER_LIMIT):
            self._warn(f"{METRICS} is full: no more events of the kind {kind.__name__} are kept.")
            return
        self._lines.append(line)
        self._line_bytes += len(line)
        if self._line_bytes > MAX_WAITING // 4:
            self._warn("The disk takes nothing: the oldest of the events that wait are left out.")
            del self._lines[: len(self._lines) // 2]
            self._line_bytes = sum(map(len, self._lines))

    def _warn(self, sentence: str) -> None:
        if sentence not in self._warned:
            self._warned.add(sentence)
            logging.warning("%s", sentence)

    # --- writing ------------------------------------------------------------------------------

    def write(self) -> None:
        """Write what waits. Raises OSError where that can't be done; then it waits on."""
        if not self._row_data and not self._lines:
            return
        self.open()
        if self._row_data:
            self._write_rows()
        if self._lines:
            self._size += self._append(self._metrics, self._size, b"".join(self._lines))
            self._lines, self._line_bytes = [], 0

    def _write_rows(self) -> None:
        assert self._layout is not None
        if self._steps < 0 and self._steps_size:  # it could not be opened anew, thinned
            self._open_steps()
        elif self._steps < 0:
            self._create_steps(self._layout)
        gap = self._lost * self._layout.step.itemsize
        written = self._append(self._steps, self._steps_size + gap, bytes(self._row_data))
        self._steps_size += gap + written
        self._lost = 0
        self._row_data.clear()
        if self._steps_size > self._thin_at:
            self._thin(self._layout)

    def _append(self, file: int, size: int, data: bytes) -> int:
        """Write it behind the first `size` bytes, whole or not at all. Returns its length."""
        try:
            if os.fstat(file).st_size != size:
                os.ftruncate(file, size)
            write_all(file, data)
        except OSError:
            with suppress(OSError):
                os.ftruncate(file, min(size, os.fstat(file).st_size))
            raise
        return len(data)

    def sync(self) -> None:
        """Write what waits, and wait until it is on the disk. Raises OSError."""
        self.write()
        for file in (self._steps, self._metrics):
            if file >= 0:
                os.fsync(file)
        if not self._named and self._metrics >= 0:
            sync(self._folder)
            self._named = True

    def close(self) -> None:
        """Let go of the files; what waits is lost."""
        for file in (self._steps, self._metrics):
            if file >= 0:
                os.close(file)
        self._steps = self._metrics = -1

    def _thin(self, layout: Layout) -> None:
        """Thin all but the newer half. Where that fails it is tried again after a while."""
        try:
            thin(self._folder, keep=STEPS_BYTES // 2 // layout.step.itemsize)
        except OSError as error:
            self._warn(f"Can't thin {self._folder / STEPS}: {error.strerror}.")
        os.close(self._steps)
        self._steps = -1
        self._open_steps()
        self._thin_at = max(STEPS_BYTES, self._steps_size + STEPS_BYTES // 16)

    # --- making ready -------------------------------------------------------------------------

    def open(self) -> None:
        """Make ready to write: cut off what is void. Raises OSError, and UserError where the
        record can't be read."""
        if self._metrics >= 0:
            return
        self._require_folder()
        if self._end is None:
            self.rewind(past_end(self._folder))
        assert self._end is not None
        end = self._end
        if end.old and end.size:
            end = self._convert(end)
        self._cut_steps(end)
        self._metrics = self._cut_lines(end)
        self._size = os.fstat(self._metrics).st_size

    def _convert(self, end: End) -> End:
        """Make rows of the steps in a record of an earlier version. Returns where it ends now."""
        kept: list[bytes] = []
        if end.layout is None:
            for _ in _rows(Lines(self._folder, end.size), Layout(()), kept):
                pass
        else:
            rows = _rows(Lines(self._folder, end.size), end.layout, kept)
            (self._folder / OLDER).unlink(missing_ok=True)
            replace_file(self._folder / STEPS, chain([end.layout.header()], rows))
        replace_file(self._folder / METRICS, kept)
        return End(sum(map(len, kept)), end.rows, layout=end.layout)

    def _cut_steps(self, end: End) -> None:
        steps, older = self._folder / STEPS, self._folder / OLDER
        with _files(self._folder) as (_, thinned):
            if thinned is not None and (not end.rows or end.rows < older_end(thinned)):
                steps.unlink(missing_ok=True)
                if end.rows:
                    replace_file(older, _cut(thinned, end.rows))
                else:
                    older.unlink()
        if end.layout is None:  # another is made for the next step
            steps.unlink(missing_ok=True)
        else:
            self._open_steps()
            self._steps_size = HEADER + (end.rows - self._first) * end.layout.step.itemsize
            if os.fstat(self._steps).st_size != self._steps_size:
                os.ftruncate(self._steps, self._steps_size)

    def _cut_lines(self, end: End) -> int:
        path = self._folder / METRICS
        if end.damaged:
            replace_file(path, _sound_lines(self._folder, end.size))
        file = _open_for_appending(path, os.O_CREAT)
        if not end.damaged and os.fstat(file).st_size != end.size:
            os.ftruncate(file, end.size)
        return file

    def _require_folder(self) -> None:
        """Raises OSError where the run's folder is gone, or another is in its place."""
        if identity(self._folder) != self._identity:
            raise FileNotFoundError(errno.ENOENT, "the run's folder is gone", str(self._folder))

    def _open_steps(self) -> None:
        file = _open_for_appending(self._folder / STEPS)
        try:
            with _files(self._folder) as (steps, _):
                assert steps is not None
                self._first = steps.header.first
                self._steps_size = HEADER + steps.rows * steps.dtype.itemsize
        except BaseException:
            os.close(file)
            raise
        self._steps = file

    def _create_steps(self, layout: Layout) -> None:
        """Begin steps.bin where the rows that wait begin."""
        self._require_folder()
        self._first = self._rows - self._lost - self._waiting_rows
        file = _open_for_appending(self._folder / STEPS, os.O_CREAT)
        try:
            self._append(file, 0, layout.header(first=self._first))
        except OSError:
            os.close(file)
            raise
        self._steps, self._steps_size, self._named = file, HEADER, False


def _open_for_appending(path: Path, flags: int = 0) -> int:
    """Raises OSError, also where it is no plain file."""
    flags |= os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    file = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "it is not a plain file", str(path))
    return file


def _cut(older: StepFile, end: int) -> Iterator[bytes]:
    """older.bin up to a row."""
    yield older.layout.header(width=older.header.width)
    for rows in older.blocks():
        yield rows[rows["row"] + rows["steps"] <= end].tobytes()


def _sound_lines(folder: Path, size: int) -> Iterator[bytes]:
    """The lines that can be read, as they were."""
    for line in Lines(folder, size):
        if line.event is not None:
            yield _line(line.event, line.row)


def _rows(lines: Lines, layout: Layout, kept: list[bytes]) -> Iterator[bytes]:
    """The rows of steps that are lines; all other lines are put into `kept`, with their rows."""
    rows = bytearray()
    for line in lines:
        if isinstance(line.event, Stepped):
            rows += layout.encode_doubtful(line.event)
            if len(rows) > 1 << 20:
                yield bytes(rows)
                rows.clear()
        elif line.event is not None:
            kept.append(_line(line.event, line.row))
    yield bytes(rows)


def _line(event: AnyRecorded, row: int) -> bytes:
    return b'%b,"row":%d}\n' % (_encode(event)[:-1], row)
