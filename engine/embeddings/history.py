"""The past of an embedding: what the most frequent words' vectors, and those of pinned ones, were
at steps further and further apart, kept with the run in a file of bounded size.

words.bin: a head of one line of JSON, then frame after frame, little-endian: step (8 bytes), count
(4), the words' ids (4 each), their vectors' lengths (float32) and directions (float16). Frames are
only ever added at the end; those of a past that was gone back from are cut off before the next.
pinned.json: the ids of the pinned words.
"""

import errno
import logging
import os
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.embeddings.projection import unit_vectors
from engine.embeddings.space import Vectors
from engine.files import open_plain, read_plain, replace_file, write_all

FILE = "words.bin"
PINS = "pinned.json"
LIMIT = 64 << 20
"""Bytes of the file, at most."""
RATIO = 1.08
"""Of the step of a frame to that of the one before, from where that is more than one step."""
FRAMES = 208
"""That there is room for: the last at some ten million steps."""
MAX_WORDS = 1000
MAX_PINNED = 64
_MAX_PINS = 1 << 12
"""Bytes of the file of pins."""
_HEAD, _FRAME = 256, struct.Struct("<QI")


class _Head(Struct, frozen=True):
    format: str
    size: int
    vocabulary: int


class Frame(NamedTuple):
    """Where in the file the vectors of a step stand."""

    step: int
    words: int
    """How many."""
    at: int
    """Bytes before it."""
    end: int


class Kept(NamedTuple):
    """The vectors of a frame."""

    step: int
    ids: NDArray[np.int64]
    vectors: Vectors
    """(ids, size)"""


def next_step(step: int) -> int:
    """The step of the frame after that of this step."""
    return max(step + 1, int(np.ceil(step * RATIO)))


def capacity(size: int, vocabulary: int) -> int:
    """How many words' vectors of `size` numbers a frame can hold."""
    room = (LIMIT - _HEAD) // FRAMES - _FRAME.size
    return max(2, min(MAX_WORDS, vocabulary, room // (8 + 2 * size)))


class WordHistory:
    """The past of a run's embedding, read from its folder. Nothing is written before `observe`
    and `pin`."""

    def __init__(self, folder: Path, size: int, answerable: NDArray[np.bool_]) -> None:
        """`size` is that of a vector, `answerable` says which words (vocabulary,) may be kept, the
        most frequent first."""
        self.path = folder / FILE
        self.size = size
        self.frames: list[Frame] = []
        """In the order of their steps."""
        self._vocabulary = len(answerable)
        self._capacity = capacity(size, self._vocabulary)
        self._frequent = np.flatnonzero(answerable)[: self._capacity].tolist()
        self._writable = True
        with suppress(OSError, ValueError), open_plain(self.path) as file:
            self.frames = list(self._walk(file))
        self.pinned = self._read_pins()
        """Ids of words that are kept besides the frequent ones, from the next frame on."""

    @property
    def taken(self) -> int:
        """Bytes of the file."""
        return self.frames[-1].end if self.frames else 0

    @property
    def words(self) -> list[int]:
        """Ids of the words that the next frame holds."""
        pinned = self.pinned[: self._capacity // 2]
        frequent = [index for index in self._frequent if index not in set(pinned)]
        return sorted([*frequent[: self._capacity - len(pinned)], *pinned])

    def pin(self, ids: Sequence[int]) -> None:
        """Keep these words from now on, in the place of those pinned before."""
        self.pinned = list(dict.fromkeys(ids))[:MAX_PINNED]
        try:
            replace_file(self.path.with_name(PINS), [msgspec.json.encode(self.pinned)])
        except OSError as error:
            logging.warning("Can't keep which words are pinned: %s", error)

    def _read_pins(self) -> list[int]:
        with suppress(OSError, ValueError):
            data = read_plain(self.path.with_name(PINS), _MAX_PINS)
            ids = dict.fromkeys(msgspec.json.decode(data, type=list[int]))
            return [index for index in ids if 0 <= index < self._vocabulary][:MAX_PINNED]
        return []

    # --- reading ------------------------------------------------------------------------------

    def _walk(self, file: BinaryIO) -> Iterator[Frame]:
        """The frames that are whole. Raises OSError, and ValueError where the file is another's."""
        head = msgspec.json.decode(file.read(_HEAD), type=_Head)
        if head != self._head:
            raise ValueError("it is of another embedding")
        size, at, last = os.fstat(file.fileno()).st_size, _HEAD, -1
        while at + _FRAME.size <= size:
            file.seek(at)
            step, count = _FRAME.unpack(file.read(_FRAME.size))
            end = at + self._bytes(count)
            if not (last < step <= 2**53 and 0 < count <= self._vocabulary and end <= size):
                return
            yield Frame(step, count, at, end)
            at, last = end, step

    @property
    def _head(self) -> _Head:
        return _Head("lstm-tui words 1", self.size, self._vocabulary)

    def _bytes(self, count: int) -> int:
        return _FRAME.size + count * (8 + 2 * self.size)

    def frame_at(self, step: int) -> Frame | None:
        """The last frame not after a step; None where there is none."""
        return next((frame for frame in reversed(self.frames) if frame.step <= step), None)

    def read(self, frame: Frame) -> Kept | None:
        """The vectors of a frame; None where it can't be read any more."""
        try:
            with open_plain(self.path) as file:
                file.seek(frame.at + _FRAME.size)
                data = file.read(frame.end - frame.at - _FRAME.size)
        except OSError:
            return None
        count = frame.words
        if len(data) < self._bytes(count) - _FRAME.size:
            return None
        ids = np.frombuffer(data, "<u4", count).astype(np.int64)
        if not (ids < self._vocabulary).all():
            return None
        lengths = np.frombuffer(data, "<f4", count, 4 * count)
        units = np.frombuffer(data, "<f2", count * self.size, 8 * count)
        vectors = units.reshape(count, self.size).astype(np.float32) * lengths[:, np.newaxis]
        return Kept(frame.step, ids, vectors)

    # --- writing ------------------------------------------------------------------------------

    def due(self, step: int) -> bool:
        """Whether a frame is to be kept at a step."""
        if not self._writable:
            return False
        last = self.frames[-1].step if self.frames else -1
        return step < last or step >= (next_step(last) if last >= 0 else 0)

    def observe(self, step: int, vectors: Vectors) -> None:
        """Keep the vectors (vocabulary, size) as they stand after a step. Where the disk takes
        nothing more, no more is kept; training goes on."""
        before = [frame for frame in self.frames if frame.step < step]
        ids = np.array(self.words)
        at = before[-1].end if before else _HEAD
        end = at + self._bytes(len(ids))
        if end > LIMIT:
            return
        rows = vectors[ids]
        with np.errstate(all="ignore"):
            lengths = np.linalg.norm(rows, axis=1).astype("<f4")
            units = np.nan_to_num(unit_vectors(rows)).astype("<f2")
        data = [_FRAME.pack(step, len(ids)), ids.astype("<u4").tobytes()]
        data += [lengths.tobytes(), units.tobytes()]
        try:
            self._write(at, b"".join(data), new=not before)
        except OSError as error:
            logging.warning("Can't keep the words' past: %s", error)
            self._writable = False
            return
        self.frames = [*before, Frame(step, len(ids), at, end)]

    def _write(self, at: int, data: bytes, *, new: bool) -> None:
        """Cut off what stands behind `at`, and write there. Raises OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self.path, flags, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is not a plain file", str(self.path))
            os.ftruncate(descriptor, 0 if new else at)
            if new:
                write_all(descriptor, msgspec.json.encode(self._head).ljust(_HEAD - 1) + b"\n")
            os.lseek(descriptor, at, os.SEEK_SET)
            write_all(descriptor, data)
        finally:
            os.close(descriptor)
