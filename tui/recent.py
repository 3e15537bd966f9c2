"""The texts that were opened last, kept in the user's private folder."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from engine.files import read_plain
from engine.runs.private import state_folder

MOST = 12
"""Texts."""
_MOST_BYTES = 1 << 16
_Sources = Annotated[list[str], Meta(max_length=MOST)]


def _file() -> Path:
    return state_folder() / "recent.json"


def recent_sources() -> list[str]:
    """Paths and patterns, the one opened last first; none where that isn't known."""
    with suppress(OSError, msgspec.MsgspecError, ValueError):
        return msgspec.json.decode(read_plain(_file(), _MOST_BYTES), type=_Sources)
    return []


def remember_source(source: str) -> None:
    """Keep that this text was opened; where that can't be, it isn't."""
    others = [other for other in recent_sources() if other != source]
    path = _file()
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError, UnicodeEncodeError):
        kept = [source, *others][:MOST]
        while len(data := msgspec.json.encode(kept)) > _MOST_BYTES:
            kept.pop()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.write_bytes(data)
        new.replace(path)
