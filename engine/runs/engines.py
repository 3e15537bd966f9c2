"""The engine that serves a run now, if any: the lock it holds and where it listens."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from engine.errors import UserError
from engine.files import read_plain, replace_file
from engine.runs.private import STATE_VARIABLE, make_place, place_of, require_private

_MAX_ADDRESS = 1 << 12
"""Bytes."""


class EngineAddress(Struct, frozen=True):
    """Where a live engine listens."""

    pid: int
    socket: str


def hold(run: Path) -> BinaryIO:
    """The run's lock, held until the file is closed. Raises UserError where another has it, or
    where nothing can be locked there."""
    path = make_place(run) / "lock"
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b")
    except OSError as error:
        raise UserError(f"Can't write to {path}: {error.strerror}.") from None
    for _ in range(20):  # somebody may just be looking whether the run is live
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        except OSError as error:
            file.close()
            raise UserError(
                f"Can't lock {path}: {error.strerror}; name another folder in {STATE_VARIABLE}."
            ) from None
        else:
            return file
    file.close()
    raise UserError(f"Another engine serves {run.name}.")


def is_live(run: Path) -> bool:
    """Whether an engine process holds this run."""
    try:
        with (require_private(place_of(run)) / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def read_address(run: Path) -> EngineAddress | None:
    """Where the run's engine listens, if it has said so."""
    try:
        data = read_plain(require_private(place_of(run)) / "address.json", _MAX_ADDRESS)
        return msgspec.json.decode(data, type=EngineAddress)
    except (OSError, ValueError):
        return None


def tell_address(run: Path, address: EngineAddress) -> None:
    """Say where the run's engine listens. Raises UserError."""
    path = make_place(run) / "address.json"
    try:
        replace_file(path, [msgspec.json.encode(address)])
    except OSError as error:
        raise UserError(f"Can't write to {path}: {error.strerror}.") from None


def forget_address(run: Path) -> None:
    """What an engine that is gone said holds no longer."""
    with suppress(OSError):
        (place_of(run) / "address.json").unlink(missing_ok=True)


def log_path(run: Path) -> Path:
    """What the run's engine has printed."""
    return place_of(run) / "engine.log"
