"""The engine that serves a run now, if any: the lock it holds and where it listens."""

import fcntl
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.files import read_plain

MAX_ADDRESS = 1 << 12
"""Bytes of engine.json, at most."""


class EngineAddress(Struct, frozen=True):
    """engine.json: where a live engine listens."""

    pid: int
    socket: str


def is_live(folder: Path) -> bool:
    """Whether an engine process holds this run."""
    try:
        with (folder / "engine.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def read_address(folder: Path) -> EngineAddress | None:
    """Where the run's engine listens, if it has said so."""
    try:
        return msgspec.json.decode(
            read_plain(folder / "engine.json", MAX_ADDRESS), type=EngineAddress
        )
    except (OSError, ValueError):
        return None
