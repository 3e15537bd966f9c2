"""The record of a run: what happened in it, event after event, in metrics.jsonl."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.errors import UserError
from engine.events import AnyRecorded
from engine.files import open_plain

MAX_LINE = 1 << 20
"""Bytes of a line of metrics.jsonl, at most."""


def read_metrics(folder: Path, size: int | None = None) -> Iterator[AnyRecorded]:
    """The run's past from the first `size` bytes of metrics.jsonl, oldest first.

    A last line cut short by a crash is left out. Raises UserError on a damaged line.
    """
    for number, line in enumerate(read_record(folder, size), start=1):
        event = decode_event(line)
        if event is None:
            raise UserError(f"{folder / 'metrics.jsonl'} is damaged in line {number}.")
        yield event


def read_record(folder: Path, size: int | None = None) -> Iterator[bytes]:
    """The whole lines in the first `size` bytes of metrics.jsonl, a line that is too long as the
    last. Raises UserError where it can't be read."""
    path = folder / "metrics.jsonl"
    try:
        with open_plain(path) as file:
            left = os.fstat(file.fileno()).st_size if size is None else size
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
        raise UserError(f"Can't read {path}: {error.strerror}.") from None


_decode_event = msgspec.json.Decoder[AnyRecorded](AnyRecorded).decode


def decode_event(line: bytes) -> AnyRecorded | None:
    """The event of a line of metrics.jsonl; None where the line is damaged."""
    try:
        event: AnyRecorded = _decode_event(line)
    except (ValueError, RecursionError):
        return None
    return event
