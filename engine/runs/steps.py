"""The steps of a run on the disk: a row of fixed width each in steps.bin; of long ago, several in
one row of older.bin with the least, the mean and the greatest of their losses and norms.

Both files begin with one line of JSON, padded to HEADER bytes: the format's name, the names of the
parameter groups, where the rows begin, and for others their NumPy dtype. All numbers are
little-endian; NaN stands for what was not finite. A row of zeros is a step whose numbers are lost.

A step takes 73 bytes and 8 for each parameter group: 97 with three. steps.bin holds STEPS_BYTES at
most: then all but its newer half is thinned into older.bin. That holds OLDER_BYTES at most: then
its rows are merged, two by two. So no spike is lost, and none of it grows without end.
"""

import json
import os
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from engine.events import Stepped
from engine.files import open_plain, replace_file
from engine.measures import clip_fraction

Rows = NDArray[np.void]
"""Rows of steps.bin or of older.bin."""
Kind = Literal["lstm-tui steps 1", "lstm-tui older steps 1"]

STEPS, OLDER = "steps.bin", "older.bin"
STEPS_BYTES = 64 << 20
OLDER_BYTES = 64 << 20
"""Bytes of the rows each file holds at most; while older.bin is replaced there are two of it."""
HEADER = 4096
"""Bytes before the first row."""
BLOCK = 1 << 14
"""Rows read at once."""
FIRST_WIDTH = 8
"""Steps that become one row when they are thinned for the first time."""
MAX_WIDTH = 1 << 12
"""Steps that become one row at most; where older.bin is too large even so, it loses its oldest."""
MAX_GROUPS = 32
CLIP_MODES = ("off", "norm", "value", "layer", "adaptive")
"""The lowest three bits of a row's flags are the place of the clip mode in here."""
CLIPPED, SKIPPED, SAMPLED = 8, 16, 32
"""Bits of a row's flags."""
MEASURED = ("loss", "norm_before", "norm_after", "groups_before", "groups_after")
"""What differs from step to step: in older.bin each has its least, mean and greatest."""
_FINITE = (
    *("epoch", "seconds", "learning_rate", "clip_threshold"),
    *("norm_median", "norm_p90", "norm_p99", "tokens_per_second"),
)
_GROUP = r"^[A-Za-z0-9_.-]{1,40}$"
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_COUNT_MAX = 2**32 - 1
_Count = Annotated[int, Meta(ge=0, le=2**53)]


class Header(Struct, frozen=True, kw_only=True):
    """The first line of either file, as far as it is read."""

    format: Kind
    groups: Annotated[list[Annotated[str, Meta(pattern=_GROUP)]], Meta(max_length=MAX_GROUPS)]
    first: _Count = 0
    """Of steps.bin: how many rows were recorded before the first one in it."""
    width: Annotated[int, Meta(ge=1, le=MAX_WIDTH)] = 1
    """Of older.bin: steps in a row, at most."""


class Layout:
    """The rows of a run with these parameter groups."""

    def __init__(self, groups: Sequence[str]) -> None:
        """Names that no file may hold are left out."""
        self.groups = [name for name in groups if re.match(_GROUP, name)][:MAX_GROUPS]
        norms = (len(self.groups),)
        clock = [(name, "<f8") for name in ("epoch", "seconds", "learning_rate", "clip_threshold")]
        rest = [
            *[(name, "<f4") for name in ("norm_median", "norm_p90", "norm_p99")],
            ("tokens_per_second", "<f4"),
            ("clipped_steps", "<u4"),
            ("non_finite_steps", "<u4"),
            ("flags", "u1"),
        ]
        measured: list[Any] = [(name, "<f4", ()) for name in MEASURED[:3]]
        measured += [(name, "<f4", norms) for name in MEASURED[3:]]
        self.step = np.dtype([("step", "<u4"), *clock, *measured, *rest])
        three = [(name, dtype, (*shape, 3)) for name, dtype, shape in measured]
        places = [("row", "<u8"), ("steps", "<u4"), ("step", "<u4")]
        self.older = np.dtype([*places, *clock, *three, *rest])
        self._struct = struct.Struct(f"<I4d{3 + 2 * len(self.groups)}f4fIIB")
        assert self._struct.size == self.step.itemsize

    def header(self, *, first: int = 0, width: int = 0) -> bytes:
        """The head of steps.bin; of older.bin if there is a width."""
        kind: Kind = "lstm-tui older steps 1" if width else "lstm-tui steps 1"
        head = Header(format=kind, groups=self.groups, first=first, width=width or 1)
        dtype = (self.older if width else self.step).descr
        text = json.dumps(msgspec.to_builtins(head) | {"dtype": dtype})
        return text.encode().ljust(HEADER - 1) + b"\n"

    def encode(self, event: Stepped) -> bytes:
        """A step's row. Finite numbers that are too large become the largest there is. Raises
        ValueError where it was clipped in no way that is known."""
        mode = CLIP_MODES.index(event.clip_mode)
        finite_steps = event.step - event.non_finite_steps
        values = (
            event.step,
            event.epoch,
            event.seconds,
            event.learning_rate,
            event.clip_threshold,
            event.loss,
            event.norm_before,
            event.norm_after,
            *map(event.groups_before.get, self.groups),
            *map(event.groups_after.get, self.groups),
            event.norm_median,
            event.norm_p90,
            event.norm_p99,
            event.tokens_per_second,
            round(event.clip_fraction * finite_steps),
            event.non_finite_steps,
            mode | CLIPPED * event.clipped | SKIPPED * event.skipped | SAMPLED * event.sampled,
        )
        try:
            return self._struct.pack(*values)
        except (OverflowError, struct.error):  # one is None, or too large
            return self._struct.pack(*map(_fitting, values))

    def encode_doubtful(self, event: Stepped) -> bytes:
        """The row of a step from a file: lost where there can't be one."""
        with suppress(ValueError, OverflowError):
            return self.encode(event) if event.step > 0 else bytes(self.step.itemsize)
        return bytes(self.step.itemsize)

    def decode(self, rows: Rows) -> Iterator[Stepped]:
        """The steps of rows of steps.bin; of thinned ones the last of each row, with the means."""
        if rows.dtype == self.older:
            rows = self.means(rows)
        size = len(self.groups)
        for values in self._struct.iter_unpack(rows.tobytes()):
            numbers = [None if value - value != 0 else value for value in values[5 : 8 + 2 * size]]
            median, p90, p99, speed, clipped_steps, non_finite_steps, flags = values[-7:]
            yield Stepped(
                step=values[0],
                epoch=values[1],
                seconds=values[2],
                learning_rate=values[3],
                clip_threshold=values[4],
                loss=numbers[0],
                norm_before=numbers[1],
                norm_after=numbers[2],
                groups_before=dict(zip(self.groups, numbers[3 : 3 + size], strict=True)),
                groups_after=dict(zip(self.groups, numbers[3 + size :], strict=True)),
                norm_median=median,
                norm_p90=p90,
                norm_p99=p99,
                tokens_per_second=speed,
                clip_mode=clip_mode(flags),
                clipped=bool(flags & CLIPPED),
                clip_fraction=clip_fraction(clipped_steps, values[0], non_finite_steps),
                skipped=bool(flags & SKIPPED),
                sampled=bool(flags & SAMPLED),
                non_finite_steps=non_finite_steps,
            )

    def summaries(self, rows: Rows, first: int) -> Rows:
        """Rows of steps.bin as rows of older.bin, a step each, the lost ones left out. `first` is
        how many rows were recorded before them."""
        held = np.flatnonzero(rows["step"])
        made = np.zeros(len(held), self.older)
        for name in self.step.names or ():
            value = rows[name][held]
            made[name] = value[..., np.newaxis] if name in MEASURED else value
        made["row"] = first + held
        made["steps"] = 1
        return made

    def means(self, rows: Rows) -> Rows:
        """Rows of older.bin as rows of steps.bin: the last of their steps, with the means."""
        made = np.zeros(len(rows), self.step)
        for name in self.step.names or ():
            made[name] = rows[name][..., 1] if name in MEASURED else rows[name]
        return made


def clip_mode(flags: int) -> str:
    """The clip mode of a row, as far as there is one of its number."""
    return CLIP_MODES[min(flags & 7, len(CLIP_MODES) - 1)]


def _fitting(value: float | None) -> float:
    """A number that every field takes: those of integers are never negative."""
    if value is None:
        return np.nan
    if isinstance(value, int):
        return min(max(value, 0), _COUNT_MAX)
    return min(max(value, -_FLOAT32_MAX), _FLOAT32_MAX) if value == value else value


def merge(rows: Rows, width: int) -> Rows:
    """Rows of older.bin merged: into one all those in a row whose steps lie within the same
    `width` of them, counted from the first step, unless the run went back or lost some between.
    Means weigh by the steps of each row that has one.
    """
    if not len(rows):
        return rows
    last, count = rows["step"].astype(np.int64), rows["steps"].astype(np.int64)
    first, place = last - count + 1, rows["row"].astype(np.int64)
    cell = (first - 1) // width
    apart = cell[1:] != cell[:-1]
    apart |= (first[1:] != last[:-1] + 1) | (place[1:] != place[:-1] + count[:-1])
    starts = np.append(0, np.flatnonzero(apart) + 1)
    merged: Rows = rows[np.append(starts[1:], len(rows)) - 1]
    merged["row"], merged["steps"] = place[starts], np.add.reduceat(count, starts)
    for name in MEASURED:
        low, mean, high = np.moveaxis(rows[name], -1, 0)
        known = np.isfinite(mean)
        weight = known * count.reshape(-1, *[1] * (mean.ndim - 1))
        total = np.add.reduceat(np.where(known, mean, 0) * weight, starts)
        with np.errstate(invalid="ignore"):
            means = total / np.add.reduceat(weight, starts)
        merged[name][..., 0] = np.fmin.reduceat(low, starts)
        merged[name][..., 1] = means
        merged[name][..., 2] = np.fmax.reduceat(high, starts)
    return merged


class StepFile:
    """steps.bin or older.bin, opened for reading: the whole rows that it held at that moment."""

    def __init__(self, path: Path, kind: Kind) -> None:
        """Raises OSError where it can't be read, ValueError where its head is damaged."""
        self._file = open_plain(path)
        try:
            self.header = msgspec.json.decode(self._file.read(HEADER), type=Header)
            if self.header.format != kind:
                raise ValueError("it is of another kind")
            self.layout = Layout(self.header.groups)
            self.dtype = self.layout.step if kind == "lstm-tui steps 1" else self.layout.older
            size = os.fstat(self._file.fileno()).st_size
            self.rows = max(0, size - HEADER) // self.dtype.itemsize
        except BaseException:
            self._file.close()
            raise

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[Rows]:
        """Rows [start, stop), so many at a time. Raises OSError."""
        size = self.dtype.itemsize
        stop = self.rows if stop is None else min(stop, self.rows)
        for at in range(start, stop, BLOCK):
            self._file.seek(HEADER + at * size)
            data = self._file.read((min(at + BLOCK, stop) - at) * size)
            yield np.frombuffer(data, self.dtype, len(data) // size)

    def close(self) -> None:
        """Close the file: nothing more is read."""
        self._file.close()


def open_steps(folder: Path) -> StepFile | None:
    """steps.bin, or None where there is none, or only its beginning. Raises OSError."""
    return _open(folder / STEPS, "lstm-tui steps 1")


def last_step(folder: Path) -> int:
    """The newest step that a run has recorded, 0 before the first or where it can't be read."""
    try:
        steps = open_steps(folder)
        if steps is None:
            return 0
        try:
            return max((int(rows["step"][-1]) for rows in steps.blocks(steps.rows - 1)), default=0)
        finally:
            steps.close()
    except OSError:
        return 0


def open_older(folder: Path) -> StepFile | None:
    """older.bin, or None where there is none. Raises OSError."""
    return _open(folder / OLDER, "lstm-tui older steps 1")


def _open(path: Path, kind: Kind) -> StepFile | None:
    with suppress(FileNotFoundError, ValueError):
        return StepFile(path, kind)
    return None


def older_end(older: StepFile | None) -> int:
    """How many rows were recorded up to the end of older.bin."""
    for block in older.blocks(older.rows - 1) if older and older.rows else ():
        end = int(block["row"][-1]) + int(block["steps"][-1])
        return end if end <= 2**53 else 0
    return 0


def are_sound(rows: Rows) -> NDArray[np.bool_]:
    """Whether each row can be one: what is always a finite number is. It is not where a disk or
    somebody else wrote it."""
    with np.errstate(all="ignore"):
        total = sum((rows[name].astype(np.float64) for name in _FINITE), np.zeros(len(rows)))
    sound: NDArray[np.bool_] = np.isfinite(total) & (rows["step"] > 0)
    return sound


def thin(folder: Path, keep: int) -> None:
    """Thin all steps of steps.bin but the last `keep`. Raises OSError.

    A crash leaves some in both files at worst: older.bin, which is replaced first, has them then.
    """
    steps, older = open_steps(folder), open_older(folder)
    if steps is None:
        return
    try:
        _thin(folder, steps, older, keep)
    finally:
        steps.close()
        if older is not None:
            older.close()


def _thin(folder: Path, steps: StepFile, older: StepFile | None, keep: int) -> None:
    layout, first = steps.layout, steps.header.first
    if older is not None and older.layout.groups != layout.groups:
        older = None  # it is of no use beside these
    done = max(0, older_end(older) - first)
    stop = max(done, steps.rows - keep)

    def thinned(width: int) -> Iterator[Rows]:
        for block in older.blocks() if older else ():
            yield merge(block, width)
        for number, block in enumerate(steps.blocks(done, stop)):
            yield merge(layout.summaries(block, first + done + number * BLOCK), width)

    most = OLDER_BYTES // layout.older.itemsize
    width = older.header.width if older else FIRST_WIDTH
    while (count := sum(map(len, thinned(width)))) > most and width < MAX_WIDTH:
        width *= 2

    def chunks() -> Iterator[bytes]:
        yield layout.header(width=width)
        too_many = max(0, count - most)
        for rows in thinned(width):
            yield rows[too_many:].tobytes()
            too_many = max(0, too_many - len(rows))

    def left() -> Iterator[bytes]:
        yield layout.header(first=first + stop)
        for block in steps.blocks(stop):
            yield block.tobytes()

    replace_file(folder / OLDER, chunks())
    replace_file(folder / STEPS, left())
