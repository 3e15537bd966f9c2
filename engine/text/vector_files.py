"""Reading files of word vectors, a little at a time: word2vec's text and binary format (fastText's
.vec is the former) and GloVe's, which has no header; plain or by gzip.

A file may be cut short, or none at all: what it says of itself is not believed before it is seen.
"""

import gzip
import hashlib
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from engine.files import open_plain
from engine.visible import shortened, visible

MAX_SIZE = 8192
"""Numbers of a vector, at most."""
MAX_WORD = 1024
"""Bytes of a word, at most."""
_NUMBER = 32
"""Bytes that a number takes in text, at most."""
_CHUNK = 1 << 20
"""Bytes read at once."""

VectorFormat = Literal["word2vec", "word2vec-binary", "glove"]
WordVector = tuple[str, NDArray[np.float32]]


class VectorHead(NamedTuple):
    """What the beginning of a file of vectors tells."""

    format: VectorFormat
    size: int
    """Numbers of a vector."""
    words: int | None
    """As its header says; None where it has none."""


class VectorFile:
    """A file of word vectors. Raises UserError where it can't be read or isn't one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = shortened(visible(str(path)), 200)
        with self._reading(), self._open() as file:
            self.head = self._recognise(file.read(MAX_WORD + MAX_SIZE * _NUMBER))
        self.fingerprint = ""
        """Hex digest of what the file holds, unpacked; known once it was read to its end."""

    def vectors(
        self, wanted: Container[str] | None = None, tell: Callable[[int], None] = lambda _: None
    ) -> Iterator[WordVector]:
        """Each word with its vector (size,), in the order of the file: of `wanted` ones where that
        is given. Of a word that comes twice the caller has to take the first. `tell` is told the
        bytes of the file read so far. Raises UserError where the file is damaged."""
        with self._reading(), self._open() as file:
            digest = hashlib.blake2b(digest_size=16)
            source = _Source(file, digest.update, tell)
            read = self._binary if self.head.format == "word2vec-binary" else self._text
            yield from read(source, wanted)
            source.finish()
            self.fingerprint = digest.hexdigest()

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        """What the file holds, unpacked."""
        with open_plain(self.path.resolve()) as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=raw) as file:
                    yield cast(BinaryIO, file)
            else:
                yield raw

    def _reading(self) -> "_Reading":
        return _Reading(self.name)

    def _recognise(self, begin: bytes) -> VectorHead:
        line, newline, rest = begin.removeprefix(BOM_UTF8).partition(b"\n")
        fields = line.split()
        if newline and len(fields) == 2 and all(field.isdigit() for field in fields):
            words, size = (int(field[:12]) for field in fields)
            if not 1 <= size <= MAX_SIZE:
                raise UserError(
                    f"{self.name} says that a vector has {size:,} numbers: 1 to {MAX_SIZE:,} can "
                    "be read."
                )
            second = rest.partition(b"\n")[0].rstrip()
            text = _numbers(second.rsplit(b" ", size)[1:]) is not None
            text &= second.count(b" ") >= size
            return VectorHead("word2vec" if text else "word2vec-binary", size, words)
        size = 0
        for field in reversed(fields[1:]):
            if _numbers([field]) is None:
                break
            size += 1
        if not newline or not 1 <= size <= MAX_SIZE:
            raise UserError(
                f"{self.name} is no file of word vectors: a line of word2vec's or GloVe's format "
                "is a word and its numbers, with blanks between them."
            )
        return VectorHead("glove", size, None)

    def _text(self, source: "_Source", wanted: Container[str] | None) -> Iterator[WordVector]:
        size, declared = self.head.size, self.head.words
        longest = MAX_WORD + size * _NUMBER
        number = found = 0
        for line in source.lines(longest):
            number += 1
            if declared is not None and (number == 1 or found == declared):
                continue
            line = (line.removeprefix(BOM_UTF8) if number == 1 else line).rstrip()
            if not line:
                continue
            word, *fields = line.rsplit(b" ", size)
            found += 1
            name = word.decode("utf-8", "replace")
            if wanted is not None and name not in wanted and len(fields) == size:
                continue
            numbers = _numbers(fields)
            if numbers is None or len(numbers) != size:
                raise UserError(
                    f"Line {number:,} of {self.name} isn't a word and {size:,} numbers: the file "
                    "is damaged."
                )
            yield name, np.array(numbers, np.float32)
        self._check_count(found)

    def _binary(self, source: "_Source", wanted: Container[str] | None) -> Iterator[WordVector]:
        size, declared = self.head.size, self.head.words or 0
        source.line(MAX_WORD)
        for found in range(declared):
            word = source.until(b" ", MAX_WORD)
            data = source.take(4 * size)
            if word is None or len(data) < 4 * size:
                self._check_count(found)
                raise UserError(f"{self.name} is damaged: word {found + 1:,} has no end.")
            name = word.lstrip(b"\n").decode("utf-8", "replace")
            if wanted is None or name in wanted:
                yield name, np.frombuffer(data, "<f4").astype(np.float32)

    def _check_count(self, found: int) -> None:
        declared = self.head.words
        if declared is not None and found < declared:
            raise UserError(
                f"{self.name} was cut short: it has {found:,} of the {declared:,} vectors that it "
                "says it has."
            )


def _numbers(fields: list[bytes]) -> list[float] | None:
    try:
        return list(map(float, fields))
    except ValueError:
        return None


class _Reading:
    """Turns what can happen while a file is read into a sentence."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError | EOFError | zlib.error) and not isinstance(error, UserError):
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(f"Can't read the vectors in {self._name}: {reason}.") from None


class _Source:
    """The bytes of a file, taken in lines and pieces."""

    def __init__(
        self, file: BinaryIO, seen: Callable[[bytes], None], tell: Callable[[int], None]
    ) -> None:
        self._file, self._seen, self._tell = file, seen, tell
        self._rest, self._at = b"", 0
        """What was read and not taken yet: from there on."""
        self._raw: BinaryIO = getattr(file, "fileobj", None) or file

    def _more(self) -> bool:
        chunk = self._file.read(_CHUNK)
        self._seen(chunk)
        self._rest, self._at = self._rest[self._at :] + chunk, 0
        self._tell(self._raw.tell())
        return bool(chunk)

    def lines(self, longest: int) -> Iterator[bytes]:
        """Lines without their ends; one that is longer is cut, and so can't be right."""
        while self._more():
            *whole, self._rest = self._rest.split(b"\n")
            yield from whole
            if len(self._rest) > longest:
                yield self._rest[:longest]
                self._rest = b""
        if self._rest:
            yield self._rest

    def line(self, longest: int) -> bytes | None:
        """The next line; None where none ends so soon."""
        return self.until(b"\n", longest)

    def until(self, mark: bytes, longest: int) -> bytes | None:
        """The bytes up to a mark, which is passed; None where it doesn't come so soon."""
        while (at := self._rest.find(mark, self._at, self._at + longest + 1)) < 0:
            if len(self._rest) - self._at > longest or not self._more():
                return None
        found, self._at = self._rest[self._at : at], at + 1
        return found

    def take(self, count: int) -> bytes:
        """So many bytes, or as many as there are."""
        while len(self._rest) - self._at < count and self._more():
            pass
        found = self._rest[self._at : self._at + count]
        self._at += len(found)
        return found

    def finish(self) -> None:
        """Read to the end of the file."""
        self._rest, self._at = b"", 0
        while self._more():
            self._rest = b""
