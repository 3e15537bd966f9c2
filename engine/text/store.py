"""Encoded corpora on the disk: a folder with the ids of each split, the tokenizer and a manifest.

A folder is written under another name and renamed when it is whole and synced, and believed only
if all of it fits together.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from engine.errors import UserError
from engine.text.reading import SPLITS
from engine.text.tokenizer import Tokenizer, load_tokenizer

LEAST_TOKENS = 2
"""In a split: something to predict, and something to predict it from."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dtype: Literal["uint16", "uint32"]
    tokens: dict[str, int]
    unknown: dict[str, int]
    """Of the tokens."""


@dataclass(frozen=True)
class Stored:
    """An encoded corpus as it lies on the disk."""

    tokenizer: Tokenizer
    splits: dict[str, np.ndarray]
    unknown: dict[str, int]


def smallest_type(vocabulary: int) -> Literal["uint16", "uint32"]:
    """The type that holds the ids of so many tokens."""
    return "uint16" if vocabulary <= 1 << 16 else "uint32"


def find(folder: Path) -> Stored | None:
    """What `folder` holds, mapped into memory; None where that is nothing or damaged."""
    try:
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
        tokenizer = load_tokenizer(folder / "tokenizer.json")
        splits: dict[str, np.ndarray] = {
            split: np.memmap(_ids_file(folder, split), manifest.dtype, "r")
            for split in SPLITS
            if split in manifest.tokens
        }
    except (OSError, ValueError, msgspec.MsgspecError, UserError):
        return None
    sound = (
        "train" in splits
        and manifest.tokens == {split: len(ids) for split, ids in splits.items()}
        and manifest.unknown.keys() == manifest.tokens.keys()
        and all(int(ids.max()) < len(tokenizer.vocabulary) for ids in splits.values())
    )
    return Stored(tokenizer, splits, manifest.unknown) if sound else None


def write(folder: Path, tokenizer: Tokenizer, texts: Iterator[tuple[str, str]]) -> dict[str, int]:
    """Encode `texts`, (split, chunk) after (split, chunk), into the existing `folder` and return
    the tokens of each split. One of fewer than LEAST_TOKENS is left out. Raises OSError."""
    dtype = smallest_type(len(tokenizer.vocabulary))
    tokens: dict[str, int] = {}
    unknown: dict[str, int] = {}
    for split, text in texts:
        ids = tokenizer.encode(text)
        with _ids_file(folder, split).open("ab") as file:
            file.write(ids.astype(dtype).tobytes())
        tokens[split] = tokens.get(split, 0) + len(ids)
        unknown[split] = unknown.get(split, 0) + int((ids == tokenizer.vocabulary.unknown).sum())
    for split in [split for split, count in tokens.items() if count < LEAST_TOKENS]:
        _ids_file(folder, split).unlink()
        del tokens[split], unknown[split]
    tokenizer.save(folder / "tokenizer.json")
    manifest = {"dtype": dtype, "tokens": tokens, "unknown": unknown}
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return tokens


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A temporary folder that becomes `final`, replacing it, when the block ends without an
    exception, and else is removed."""
    final.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".new-", dir=final.parent))
    try:
        yield folder
        for path in folder.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        shutil.rmtree(final, ignore_errors=True)
        folder.rename(final)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _ids_file(folder: Path, split: str) -> Path:
    return folder / f"{split}.ids"
