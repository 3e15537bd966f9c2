"""What the first reading of a corpus finds out, remembered for as long as its files stay untouched.

A file counts as untouched while the system gives the same inode, size and times for it. The time of
the last change of an inode can't be set by a program, but it is coarse, and writing through a
memory map may move it late. So nothing is remembered of a file that changed within SETTLED seconds
before it was read. The state is taken before the reading: what changes later has another.
"""

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.files import read_plain, replace_file
from engine.text.reading import Source, TextFile

FORMAT = 1
"""To be raised when the same files would be read as another text."""
SETTLED = 60.0
MAX_FILE = 64 * 1024 * 1024
"""Bytes."""


class Scan(msgspec.Struct, frozen=True):
    """What the first reading finds out about a split's text."""

    bytes: int
    characters: int
    lines: int
    digest: str


class FileState(msgspec.Struct, frozen=True, array_like=True):
    """A file as it lies on the disk; times in nanoseconds."""

    path: bytes
    """Behind the name of its split; a name may hold any bytes."""
    device: int
    inode: int
    size: int
    modified: int
    changed: int


class _Remembered(msgspec.Struct):
    format: int
    files: list[FileState]
    scans: dict[str, Scan]


def file_states(source: Source) -> list[FileState] | None:
    """Those of the files of `source`, or None where there is another part, or where one of them was
    changed too recently for its state to tell."""
    settled = time.time_ns() - int(SETTLED * 1e9)
    states = []
    for split, parts in source.splits.items():
        for part in parts:
            if not isinstance(part, TextFile):
                return None
            path, found = os.fsencode(f"{split}:{part.path.absolute()}"), part.stat()
            if max(found.st_mtime_ns, found.st_ctime_ns) > settled:
                return None
            numbers = (found.st_dev, found.st_ino, found.st_size)
            states.append(FileState(path, *numbers, found.st_mtime_ns, found.st_ctime_ns))
    return states


def recall(cache: Path, files: list[FileState]) -> dict[str, Scan] | None:
    """What is remembered of these files."""
    try:
        data = read_plain(_place(cache, files), MAX_FILE)
        remembered = msgspec.json.decode(data, type=_Remembered)
    except (OSError, ValueError):
        return None
    known = remembered.format == FORMAT and remembered.files == files
    return remembered.scans if known else None


def remember(cache: Path, files: list[FileState], scans: dict[str, Scan]) -> None:
    """Keep what was found out about these files, if that can be written."""
    place = _place(cache, files)
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        replace_file(place, [msgspec.json.encode(_Remembered(FORMAT, files, scans))])


def _place(cache: Path, files: list[FileState]) -> Path:
    paths = b"\0".join(state.path for state in files)
    return cache / "scans" / hashlib.blake2b(paths, digest_size=16).hexdigest()
