"""Encoded corpora on the disk: a folder with the ids of each split, the tokenizer and a manifest.

A folder is written under another name and renamed when it is whole and synced, and believed only
if all of it fits together.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from engine.errors import UserError
from engine.files import sync
from engine.text.look import Look
from engine.text.reading import SPLITS
from engine.text.tokenizer import Tokenizer, load_tokenizer

LEAST_TOKENS = 2
"""In a split: something to predict, and something to predict it from."""
LARGEST = 4 * 1024**3
"""Bytes of all encoded corpora together; the newest may be larger."""
BLOCK = 1 << 18
"""Ids read at once."""
_NEW = ".new-"
_JUST_MADE = 10.0
"""Seconds within which the process that made a temporary folder may not hold it yet."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of an encoded corpus, by split, beside the ids themselves."""

    dtype: Literal["uint16", "uint32"]
    tokens: dict[str, int]
    unknown: dict[str, int]
    """Of the tokens."""
    too_long: dict[str, int]
    """Of these."""
    characters: dict[str, int]
    look: Look


@dataclass(frozen=True)
class Stored:
    """An encoded corpus as it lies on the disk."""

    tokenizer: Tokenizer
    splits: dict[str, np.ndarray]
    unknown: dict[str, int]
    too_long: dict[str, int]
    characters: dict[str, int]
    look: Look
    """At the beginning of its training text."""


def smallest_type(vocabulary: int) -> Literal["uint16", "uint32"]:
    """The type that holds the ids of so many tokens."""
    return "uint16" if vocabulary <= 1 << 16 else "uint32"


def find(folder: Path, tokenizer: Tokenizer | None = None) -> Stored | None:
    """What `folder` holds, mapped into memory; None where that is nothing or damaged. `tokenizer`
    is the one in it, where that is known."""
    try:
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
        tokenizer = tokenizer or load_tokenizer(folder / "tokenizer.json")
        splits: dict[str, np.ndarray] = {
            split: np.memmap(_ids_file(folder, split), manifest.dtype, "r")
            for split in SPLITS
            if split in manifest.tokens
        }
        sound = (
            "train" in splits
            and manifest.tokens == {split: len(ids) for split, ids in splits.items()}
            and all(
                counts.keys() == manifest.tokens.keys()
                for counts in (manifest.unknown, manifest.too_long, manifest.characters)
            )
            and all(
                _greatest(_ids_file(folder, split), manifest.dtype) < len(tokenizer.vocabulary)
                for split in splits
            )
        )
    except (OSError, ValueError, msgspec.MsgspecError, UserError):
        return None
    if not sound:
        return None
    return Stored(
        tokenizer,
        splits,
        manifest.unknown,
        manifest.too_long,
        manifest.characters,
        manifest.look,
    )


def _greatest(path: Path, dtype: str) -> int:
    """The greatest id of a file. It is read, not mapped, so that it doesn't count as memory."""
    greatest = 0
    with path.open("rb") as file:
        while len(ids := np.fromfile(file, dtype, BLOCK)):
            greatest = max(greatest, int(ids.max()))
    return greatest


class Encoded(NamedTuple):
    """The ids of a stretch of text: 1-D, of any integer type."""

    split: str
    ids: np.ndarray
    characters: int
    too_long: int = 0
    """Tokens that are unknown because they are longer than a token can be."""


def write(
    folder: Path, tokenizer: Tokenizer, texts: Iterable[Encoded], look: Look
) -> dict[str, int]:
    """Write `texts`, stretch after stretch, into the existing `folder` and return the tokens of
    each split. One of fewer than LEAST_TOKENS is left out. Raises OSError."""
    dtype = smallest_type(len(tokenizer.vocabulary))
    tokens: dict[str, int] = {}
    unknown: dict[str, int] = {}
    too_long: dict[str, int] = {}
    characters: dict[str, int] = {}
    for split, ids, length, longs in texts:
        ids = ids.astype(dtype, copy=False)
        with _ids_file(folder, split).open("ab") as file:
            file.write(ids.data)
        tokens[split] = tokens.get(split, 0) + len(ids)
        unknowns = int(np.count_nonzero(ids == tokenizer.vocabulary.unknown))
        unknown[split] = unknown.get(split, 0) + unknowns
        too_long[split] = too_long.get(split, 0) + longs
        characters[split] = characters.get(split, 0) + length
    for split in [split for split, count in tokens.items() if count < LEAST_TOKENS]:
        _ids_file(folder, split).unlink()
        for counts in (tokens, unknown, too_long, characters):
            del counts[split]
    tokenizer.save(folder / "tokenizer.json")
    manifest = Manifest(dtype, tokens, unknown, too_long, characters, look)
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return tokens


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A temporary folder that becomes `final`, replacing it, when the block ends without an
    exception, and else is removed. Others make room: see `_tidy`. Raises OSError."""
    final.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=_NEW, dir=final.parent))
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
        for path in folder.iterdir():
            sync(path)
        shutil.rmtree(final, ignore_errors=True)
        folder.rename(final)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        os.close(lock)
    _tidy(final)


def mark_used(folder: Path) -> None:
    """Note that an encoded corpus was used now: the longest unused is removed first."""
    with suppress(OSError):
        os.utime(folder)


def _tidy(newest: Path) -> None:
    """Remove what killed engines left, and the encoded corpora longest unused beyond LARGEST
    bytes in all. One that is still mapped by an engine stays readable to it."""
    others: list[tuple[float, Path]] = []
    with suppress(OSError):
        for folder in newest.parent.iterdir():
            if folder.name.startswith(_NEW):
                _remove_abandoned(folder)
            elif folder != newest and folder.is_dir():
                others.append((folder.stat().st_mtime, folder))
        room = LARGEST - _size(newest)
        for _, folder in sorted(others, reverse=True):
            room -= _size(folder)
            if room < 0:
                shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove a temporary folder that no process holds."""
    if time.time() - folder.stat().st_mtime < _JUST_MADE:
        return
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(lock)


def _size(folder: Path) -> int:
    """Bytes of the files in a folder. Raises OSError."""
    return sum(path.stat().st_size for path in folder.iterdir())


def _ids_file(folder: Path, split: str) -> Path:
    return folder / f"{split}.ids"
