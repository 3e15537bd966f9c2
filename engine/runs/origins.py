"""Which runs this program made, and which texts the user has agreed that a run may read.

A run's configuration names its text, and may come from a stranger: the text is read only where this
program made the run for it, or where the user was shown its path and asked for that.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec
from msgspec import Struct

from engine.config import BUILT_IN
from engine.errors import UserError
from engine.files import read_plain, replace_file
from engine.runs.private import STATE_VARIABLE, make_place, place_of, places

_MAX_ORIGIN = 1 << 20
"""Bytes."""
_BEING_MADE = 60.0
"""Seconds for which a place may be empty."""


class _Origin(Struct, frozen=True):
    folder: str
    """Percent-encoded: the names of files need not be text."""
    source: str
    """The text that may be read, as the run's configuration names it."""
    made: bool
    """Whether this program made the run."""


def note_made(run: Path, source: str) -> None:
    """This program has just made the run, for this text. Raises UserError."""
    _tidy()
    _write(run, _Origin(_name(run), source, made=True))


def allow(run: Path, source: str) -> None:
    """The user wants the run to read this text. Raises UserError."""
    _write(run, _Origin(_name(run), source, made=is_made_here(run)))


def move_origin(run: Path, target: Path, moved: Callable[[str], str]) -> None:
    """What is known of the run is true of `target`, where it is about to be moved; `moved` says
    where its text will be. Raises UserError."""
    if (origin := _read(place_of(run))) is not None:
        _write(target, _Origin(_name(target), moved(origin.source), origin.made))


def is_allowed(run: Path, source: str) -> bool:
    """Whether the run may read this text."""
    origin = _read(place_of(run))
    return origin is not None and origin.source == source


def is_made_here(run: Path) -> bool:
    """Whether this program made the run."""
    origin = _read(place_of(run))
    return origin is not None and origin.made


def check_own_text(run: Path, source: str) -> None:
    """Raises UserError where the text lies in the run's own folder and isn't a plain file there: a
    link in it may lead anywhere."""
    if source in BUILT_IN:
        return
    named = os.path.abspath(os.path.expanduser(source))  # noqa: PTH100, PTH111 - Path's own raise
    real = Path(os.path.realpath(run))
    for folder in (Path(os.path.abspath(run)), real):  # noqa: PTH100
        if Path(named).is_relative_to(folder):
            inside = real / Path(named).relative_to(folder)
            if os.path.realpath(named) != str(inside) or not inside.is_file():
                raise UserError(
                    f"{source} is no text that {run.name} may read: in its own folder that has to "
                    "be a plain file, and no symbolic link."
                )


def check_own_vectors(run: Path, vectors: str) -> None:
    """Raises UserError where the run was made elsewhere: what files it names isn't read then."""
    if not is_made_here(run):
        raise UserError(
            f"{run.name} was made elsewhere, so the file of vectors that it names, {vectors}, "
            "isn't read: begin a run of your own with it."
        )


def _name(run: Path) -> str:
    return quote_from_bytes(os.fsencode(os.path.realpath(run)))


def _write(run: Path, origin: _Origin) -> None:
    path = make_place(run) / "origin.json"
    try:
        replace_file(path, [msgspec.json.encode(origin)])
    except OSError as error:
        raise UserError(
            f"Can't write to {path}: {error.strerror}; make room, or name another folder in "
            f"{STATE_VARIABLE}."
        ) from None


def _read(place: Path) -> _Origin | None:
    try:
        return msgspec.json.decode(read_plain(place / "origin.json", _MAX_ORIGIN), type=_Origin)
    except (OSError, ValueError):
        return None


def _tidy() -> None:
    """Remove the places of runs that are gone, and those that nobody has written to for a while:
    another program may be about to."""
    for place in places():
        origin = _read(place)
        if origin is None:
            keep = _is_new(place)
        else:
            keep = Path(os.fsdecode(unquote_to_bytes(origin.folder))).is_dir()
        if keep:
            continue
        with suppress(OSError), (place / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held while an engine still ends
            shutil.rmtree(place)


def _is_new(place: Path) -> bool:
    with suppress(OSError):
        return time.time() - place.stat().st_mtime < _BEING_MADE
    return False
