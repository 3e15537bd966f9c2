"""Checkpoints by name: which there are, which a run goes on from, how far each is."""

import errno
import os
import re
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from engine.errors import UserError
from engine.files import read_plain

_CHECKPOINT = re.compile(r"step-(\d{8,16})(?:\.(\d{1,9}))?", re.ASCII)
Count = Annotated[int, Meta(ge=0, le=2**53)]
MAX_TRAINING = 1 << 26
"""Bytes of training.json, at most."""
MAX_NOTE: Final = 1 << 12
"""Bytes of `latest` and `best`, at most."""


class Standing(Struct, frozen=True, kw_only=True):
    """How far a checkpoint is: the plain part of its training.json."""

    step: Count
    best_valid_loss: float | None = None
    corpus: str = ""
    """The fingerprint of the encoded corpus."""


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint a run goes on from, as far as names tell; None before the first."""
    return next(iter(checkpoints_to_try(folder)), None)


def checkpoints_to_try(folder: Path) -> list[Path]:
    """The one `latest` names, then the others on the disk, that of the most steps first.

    Raises UserError where the checkpoints can't be listed.
    """
    try:
        named = named_checkpoint(folder / "latest")
    except OSError:
        named = None
    try:
        others = [path for path in saved_checkpoints(folder) if path != named]
    except OSError as error:
        raise UserError(f"Can't list the checkpoints of {folder}: {error.strerror}.") from None
    return others if named is None else [named, *others]


def named_checkpoint(pointer: Path) -> Path | None:
    """The checkpoint that a run's file `latest` or `best` names; None where there is no such file
    or it names none. Raises OSError where the file can't be read."""
    try:
        name = read_plain(pointer, MAX_NOTE).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    return pointer.parent / "checkpoints" / name if _CHECKPOINT.fullmatch(name) else None


def saved_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints on the disk, the one of the most steps first.

    Raises OSError, also where their folder is a link.
    """
    checkpoints = folder / "checkpoints"
    if checkpoints.is_symlink():
        raise OSError(errno.ELOOP, "it is a symbolic link", str(checkpoints))
    try:
        names = os.listdir(checkpoints)  # noqa: PTH208 - names are wanted
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [name for name in names if _CHECKPOINT.fullmatch(name)]
    return [folder / "checkpoints" / name for name in sorted(found, key=place, reverse=True)]


def place(name: str) -> tuple[int, int]:
    """The step of a checkpoint's name, and its number among those of the same step."""
    match = _CHECKPOINT.fullmatch(name)
    assert match is not None
    return int(match[1]), int(match[2] or 1)


def load_standing(folder: Path) -> Standing | None:
    """How far the newest readable checkpoint is; None before the first.

    Raises UserError where there are some and none is readable.
    """
    problem = ""
    for checkpoint in checkpoints_to_try(folder):
        path = checkpoint / "training.json"
        if checkpoint.is_symlink():
            problem = problem or f"{checkpoint} is damaged: it is a symbolic link."
            continue
        try:
            return msgspec.json.decode(read_plain(path, MAX_TRAINING), type=Standing)
        except OSError as error:
            problem = problem or f"{path} is damaged: {error.strerror}."
        except (ValueError, RecursionError) as error:
            problem = problem or f"{path} is damaged: {error}."
    if problem:
        raise UserError(problem)
    return None
