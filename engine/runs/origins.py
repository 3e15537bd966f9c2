"""Which runs this program made, and which texts the user has agreed that a run may read.

A run's configuration names its text, and may come from a stranger: the text is read only where this
program made the run for it, or where the user was shown its path and asked for that.

What is known of a run holds for its folder, not for whatever takes that folder's name: it has a
mark, a random word that is written both there and here. (An inode does not tell: the next folder
may be given that of one that was removed.)
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
from engine.files import identity, read_plain, replace_file
from engine.runs.private import STATE_VARIABLE, make_place, place_of, places, require_private

MARK = "mark"
"""In a run's folder: the file with its mark."""
_FILE = "origin.json"
"""In a run's place: what is known of the run."""
_MAX_ORIGIN = 1 << 20
"""Bytes."""
_BEING_MADE = 60.0
"""Seconds for which a place may be empty."""
_REMEMBERED = 7 * 24 * 3600.0
"""Seconds for which the place of a run that is gone is kept: its disk may come back."""


class _Origin(Struct, frozen=True):
    folder: str
    """Percent-encoded: the names of files need not be text."""
    source: str
    """The text that may be read, as the run's configuration names it."""
    made: bool
    """Whether this program made the run."""
    mark: str = ""
    """The run's. Earlier versions gave none: what they wrote goes by the path alone."""
    begun: bool = False
    """Whether it took steps, even if they were lost since."""


def note_made(run: Path, source: str) -> None:
    """This program has just made the run, for this text. Raises UserError and OSError."""
    _remember(run, source, made=True)


def allow(run: Path, source: str) -> None:
    """The user wants the run to read this text. Raises UserError."""
    try:
        _remember(run, source, made=is_made_here(run))
    except OSError as error:
        raise UserError(f"Can't write to {error.filename or run}: {error.strerror}.") from None


def move_origin(run: Path, target: Path, moved: Callable[[str], str]) -> None:
    """What is known of the run is true of `target`, where it is about to be moved, and nothing
    else is; `moved` says where its text will be. Raises UserError and OSError."""
    if (origin := _known(run)) is not None:
        there = {"folder": _name(target), "source": moved(origin.source)}
        _write(target, msgspec.structs.replace(origin, **there))
    else:
        (place_of(target) / _FILE).unlink(missing_ok=True)


def is_allowed(run: Path, source: str) -> bool:
    """Whether the run may read this text."""
    origin = _known(run)
    return origin is not None and origin.source == source


def is_made_here(run: Path) -> bool:
    """Whether this program made the run."""
    origin = _known(run)
    return origin is not None and origin.made


def note_begun(run: Path) -> None:
    """The run has taken steps: it doesn't vanish by itself any more. Raises UserError."""
    if (origin := _known(run)) is not None and not origin.begun:
        _write(run, msgspec.structs.replace(origin, begun=True))


def has_begun(run: Path) -> bool:
    """Whether it is known that the run took steps, even if none is left."""
    origin = _known(run)
    return origin is not None and origin.begun


def check_own_text(run: Path, source: str) -> None:
    """Raises UserError where the path of the text leads into the run's own folder and not to a
    plain file there: a link in it may lead anywhere, and so may what comes after one."""
    if source in BUILT_IN:
        return
    named = Path(os.path.expanduser(source))  # noqa: PTH111 - Path's own raises for ~nobody
    named, own = named.absolute(), Path(os.path.realpath(run))
    with suppress(ValueError):  # it can be no name of a file, so it isn't read
        for place in reversed([named, *named.parents]):
            if Path(os.path.realpath(place)).is_relative_to(own):
                inside = os.path.realpath(place) / named.relative_to(place)
                if os.path.realpath(named) == str(inside) and inside.is_file():
                    return
                raise UserError(
                    f"{source} is no text that {run.name} may read: in its own folder that has to "
                    "be a plain file, with no symbolic link and no .. on the way."
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


def _remember(run: Path, source: str, *, made: bool) -> None:
    """Mark the run's folder, where it has no mark of ours, and keep what is known of it. Raises
    UserError, and OSError where the folder can't be marked."""
    make_place(run)
    known = _known(run)
    mark = known.mark if known else ""
    if not mark:
        mark = os.urandom(16).hex()
        replace_file(run / MARK, [mark.encode()])
    _write(run, _Origin(_name(run), source, made, mark, begun=known is not None and known.begun))


def _known(run: Path) -> _Origin | None:
    """What is known of the run; None where there is nothing, or it was of another in its place."""
    origin = _read(place_of(run))
    return origin if origin and origin.mark in ("", _mark(run)) else None


def _mark(run: Path) -> str | None:
    try:
        return read_plain(run / MARK, _MAX_ORIGIN).decode("ascii", "replace")
    except OSError:
        return None


def _write(run: Path, origin: _Origin) -> None:
    path = make_place(run) / _FILE
    try:
        replace_file(path, [msgspec.json.encode(origin)])
    except OSError as error:
        raise UserError(
            f"Can't write to {path}: {error.strerror}; make room, or name another folder in "
            f"{STATE_VARIABLE}."
        ) from None


def _read(place: Path) -> _Origin | None:
    try:
        data = read_plain(require_private(place) / _FILE, _MAX_ORIGIN)
        return msgspec.json.decode(data, type=_Origin)
    except (OSError, ValueError):
        return None


def tidy() -> None:
    """Remove the places of runs that are gone, and those of none, once nobody has written to them
    for a while: another program may be about to. It looks at every run there is, so it is nothing
    to wait for."""
    for place in places():
        origin = _read(place)
        if origin is None:
            keep = _was_used(place, _BEING_MADE)
        else:
            keep = not _is_gone(origin) or _was_used(place, _REMEMBERED)
        if keep:
            continue
        with suppress(OSError), (place / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held while an engine still ends
            shutil.rmtree(place)


def _is_gone(origin: _Origin) -> bool:
    """Whether the run's folder was removed. It was not where its disk is away, or doesn't tell."""
    folder = Path(os.fsdecode(unquote_to_bytes(origin.folder)))
    with suppress(OSError):
        return folder.parent.is_dir() and identity(folder) is None
    return False


def _was_used(place: Path, seconds: float) -> bool:
    """Whether anybody has written to a place within so many seconds."""
    with suppress(OSError):
        return time.time() - place.stat().st_mtime < seconds
    return False
