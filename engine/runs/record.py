"""The record of a run: what happened in it. Steps are rows of steps.bin and older.bin (see
`engine.runs.steps`); whatever is rarer is a JSON object each in metrics.jsonl, with the number of
rows recorded before it as its `row`, so that the two have one order.

In a record of an earlier version steps are lines of metrics.jsonl too, and no line has a `row`.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct

from engine.errors import UserError
from engine.events import AnyRecorded, Stepped
from engine.files import open_plain

METRICS = "metrics.jsonl"
MAX_LINE = 1 << 20
"""Bytes of a line of metrics.jsonl, at most."""


class Line(NamedTuple):
    """A line of metrics.jsonl."""

    event: AnyRecorded | None
    """None where the line is damaged."""
    row: int
    """How many steps were recorded before it."""
    end: int
    """Bytes of the file up to its end."""


class Lines:
    """The lines of a metrics.jsonl, read one after the other."""

    def __init__(self, folder: Path, size: int | None = None) -> None:
        """Of the first `size` bytes, or of all there are now."""
        self._path = folder / METRICS
        self._size = size
        self.old = self._is_old()
        """Whether steps are lines in it."""

    def _is_old(self) -> bool:
        for line in self._raw():
            if (row := _decode_row(line)) is not None:
                return row.row is None
        return False

    def __iter__(self) -> Iterator[Line]:
        """Each whole line; one that is too long is the last. Rows never become fewer. Raises
        UserError where the file can't be read."""
        rows = end = 0
        for line in self._raw():
            end += len(line)
            event = decode_event(line)
            if self.old:
                yield Line(event, rows, end)
                rows += isinstance(event, Stepped)
                continue
            row = _decode_row(line)
            if event is None or row is None or row.row is None or isinstance(event, Stepped):
                yield Line(None, rows, end)
            else:
                rows = max(rows, row.row)
                yield Line(event, rows, end)

    def _raw(self) -> Iterator[bytes]:
        try:
            with open_plain(self._path) as file:
                left = os.fstat(file.fileno()).st_size if self._size is None else self._size
                while line := file.readline(min(left, MAX_LINE)):
                    left -= len(line)
                    if line.endswith(b"\n"):
                        yield line
                    elif len(line) == MAX_LINE:
                        yield line
                        return
        except FileNotFoundError:
            return
        except OSError as error:
            raise UserError(f"Can't read {self._path}: {error.strerror}.") from None


class _Row(Struct, frozen=True):
    row: Annotated[int, Meta(ge=0, le=2**53)] | None = None


_decode_event = msgspec.json.Decoder[AnyRecorded](AnyRecorded).decode
_row_decoder = msgspec.json.Decoder(_Row)


def decode_event(line: bytes) -> AnyRecorded | None:
    """The event of a line of metrics.jsonl; None where the line is damaged."""
    try:
        event: AnyRecorded = _decode_event(line)
    except (ValueError, RecursionError):
        return None
    return event


def _decode_row(line: bytes) -> _Row | None:
    try:
        return _row_decoder.decode(line)
    except (ValueError, RecursionError):
        return None
