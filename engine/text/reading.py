"""Where the text of a corpus comes from, read as a stream of chunks and never held whole.

A source is the name of a built-in corpus, a file, a folder or a glob. A folder that holds
`train.txt` brings its own splits; in any other, all text files are joined: those with the usual
names of texts or, where there are none, whatever begins as text.
"""

import glob
import gzip
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from engine.errors import UserError
from engine.text import python_docs, toy_world
from engine.text.decoding import begins_as_text, decode
from engine.visible import is_unicode

SUFFIXES = (".txt", ".text", ".md", ".tokens")
"""Of the files taken from a folder, if it has any such; `.gz` may follow."""
MOST_FILES = 10_000
"""Taken from a folder that has none of these names: a whole disk is hardly meant as a text."""
LOOKED_AT = 1 << 13
"""Bytes of a file that has to show whether it is text."""
MOST_ENDINGS, PASSED_OVER = 8, 4
"""Other endings, and files of each, that are looked at in a folder that has the usual names."""
SPLITS = ("train", "valid", "test")
BUILT_IN: dict[str, Callable[[], str]] = {
    "toy-world": toy_world.text,
    "python-docs": python_docs.text,
}
BLOCK = 1 << 17
"""Bytes read at once."""
CHUNK = 1 << 17
"""Bytes in a chunk, at most: its words should fit into the processor's cache."""

BEGINNING = 1 << 20
"""Bytes of a text that are looked at before a run is made of it."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class TextFile:
    """A file of text, plain or gzip."""

    path: Path

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return _tried(self.path, lambda: self.path.stat().st_size)

    def stat(self) -> os.stat_result:
        """Its state, asked of the open file: a network file system then asks its server."""
        with _tried(self.path, lambda: self.path.open("rb")) as file:
            return os.fstat(file.fileno())

    def read(self, tell: Callable[[int], None]) -> Iterator[bytes]:
        """The text in UTF-8, in chunks of any length that end between two characters. `tell` is
        given the bytes of the file used so far. Raises UserError where the file can't be read or
        isn't text."""
        return decode(self._blocks(tell), str(self.path))

    def begins_as_text(self) -> bool:
        """Whether its first bytes look like text; an empty file doesn't. Raises UserError where it
        can't be read."""
        beginning = next(self._blocks(lambda _: None), b"")[:LOOKED_AT]
        return bool(beginning) and begins_as_text(beginning)

    def _blocks(self, tell: Callable[[int], None]) -> Iterator[bytes]:
        with _tried(self.path, lambda: self.path.open("rb")) as file:
            packed = self.path.suffix.lower() == ".gz"
            stream = gzip.GzipFile(fileobj=file) if packed else file
            while block := _tried(self.path, lambda: stream.read(BLOCK)):
                tell(file.tell())
                yield block


@dataclass(frozen=True)
class BuiltIn:
    """A corpus that is made rather than read."""

    text: Callable[[], str]
    size = 0

    def read(self, tell: Callable[[int], None]) -> Iterator[bytes]:  # noqa: ARG002
        """The text in UTF-8, as one chunk."""
        yield self.text().encode()


Part = TextFile | BuiltIn


@dataclass(frozen=True)
class Source:
    """What a source string stands for."""

    name: str
    """As given."""
    splits: dict[str, tuple[Part, ...]]
    """The parts to join: of each split where they are given, else all under "train"."""
    given_splits: bool
    """Whether a folder names its splits itself, so that only a missing `valid` is cut by
    position."""
    passed_over: str = ""
    """A pattern for texts of a folder that aren't taken, as their names end in something else;
    empty where those are few."""

    @property
    def files(self) -> int:
        """How many files it is read from."""
        return sum(isinstance(part, TextFile) for parts in self.splits.values() for part in parts)


def resolve(source: str, go_on: Callable[[], None] = lambda: None) -> Source:
    """What `source` stands for. Raises UserError where that is nothing, or nothing readable.

    `go_on` is called for each file on the way, and may raise to end a search that takes too long.
    """
    if source in BUILT_IN:
        return _joined(source, [BuiltIn(BUILT_IN[source])])
    if "\0" in source:
        raise UserError(f"{source!r} can't be the name of a file.")
    if not is_unicode(source):
        raise UserError(
            f"The name {source} isn't UTF-8, so a run can't keep it: rename it, or give it a link "
            f"with another name."
        )
    path = Path(os.path.expanduser(source))  # noqa: PTH111 - Path's own raises for ~nobody
    return _tried(path, lambda: _on_disk(source, path, go_on))


def check_beginning(source: Source) -> None:
    """Raises UserError where the beginning of the text, or of one of its splits, shows that nothing
    can be learnt from it: it can't be read, isn't text, or there is nothing in it."""
    for split, parts in source.splits.items():
        seen, something = 0, False
        for chunk in read_text(parts, lambda _: None):
            seen += len(chunk)
            something = something or not chunk.isspace()
            if seen >= BEGINNING:
                break
        else:
            if split == "train" and not (something and seen > 1):
                raise UserError(f"{source.name} is empty: there is no text in it to learn from.")


def same_source(first: str, second: str) -> bool:
    """Whether two source strings stand for the same text, by whatever path."""
    if first in BUILT_IN or second in BUILT_IN or "\0" in first + second:
        return first == second
    paths = (os.path.realpath(os.path.expanduser(source)) for source in (first, second))  # noqa: PTH111
    return next(paths) == next(paths)


def _on_disk(source: str, path: Path, go_on: Callable[[], None]) -> Source:
    if path.is_dir():
        return _folder(source, path, go_on)
    if path.is_file():
        return _joined(source, [TextFile(path)])
    if path.exists():
        raise UserError(
            f"{source} is neither a file nor a folder: a corpus is read more than once, so save "
            f"it to a file first."
        )
    if glob.has_magic(source):
        names = []
        for name in glob.iglob(str(path), recursive=True):  # noqa: PTH207 - may be absolute
            go_on()
            if Path(name).is_file():
                names.append(name)
        if not names:
            raise UserError(f"No file matches {source}.")
        return _joined(source, [TextFile(Path(name)) for name in sorted(names)])
    raise UserError(
        f"There is no file or folder {source}; the built-in corpora are {' and '.join(BUILT_IN)}."
    )


def _joined(name: str, parts: Iterable[Part], passed_over: str = "") -> Source:
    return Source(name, {"train": tuple(parts)}, given_splits=False, passed_over=passed_over)


def _folder(name: str, folder: Path, go_on: Callable[[], None]) -> Source:
    given: dict[str, tuple[Part, ...]] = {
        split: (TextFile(path),)
        for split in SPLITS
        for path in (folder / f"{split}.txt.gz", folder / f"{split}.txt")
        if path.is_file()
    }
    if "train" in given:
        return Source(name, given, given_splits=True)
    texts, others = _files_below(folder, go_on)
    if texts:
        return _joined(name, map(TextFile, texts), _passed_over(folder, others, len(texts)))
    if len(others) > MOST_FILES:
        raise UserError(
            f"The folder {name} holds more than {MOST_FILES:,} files, none of them named as texts "
            f"are ({', '.join(SUFFIXES)}): give a pattern that chooses among them, such as "
            f"{_pattern(folder, others)}."
        )
    files = []
    for path in others:
        go_on()
        if (file := TextFile(path)).begins_as_text():
            files.append(file)
    if not files:
        raise UserError(
            f"The folder {name} holds no text files: neither one named as texts are "
            f"({', '.join(SUFFIXES)}, or these with .gz) nor another that begins as text."
        )
    return _joined(name, files)


def _files_below(folder: Path, go_on: Callable[[], None]) -> tuple[list[Path], list[Path]]:
    """The files below `folder` that are named as texts are, and others, MOST_FILES and one more at
    most; hidden ones left out. Both in order."""
    texts: list[Path] = []
    others: list[Path] = []

    def refuse(error: OSError) -> None:
        raise UserError(f"Can't read the folder {error.filename}: {error.strerror}.")

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            go_on()
            found = texts if _is_text_name(name.lower()) else others
            path = Path(place, name)
            if name.startswith(".") or (found is others and len(others) > MOST_FILES):
                continue
            if path.is_file():
                found.append(path)
    return sorted(texts), sorted(others)


def _passed_over(folder: Path, others: list[Path], taken: int) -> str:
    """A pattern for texts that aren't taken, where they are no fewer than those that are."""
    endings = Counter(path.suffix for path in others if path.suffix)
    for ending, count in endings.most_common(MOST_ENDINGS):
        alike = [path for path in others if path.suffix == ending]
        if count >= taken and any(map(_is_text, alike[:PASSED_OVER])):
            pattern = _pattern(folder, alike)
            return pattern if is_unicode(pattern) else ""
    return ""


def _is_text(path: Path) -> bool:
    try:
        return TextFile(path).begins_as_text()
    except UserError:
        return False


def _pattern(folder: Path, files: list[Path]) -> str:
    """A pattern for the files that end as most of these do."""
    ending = Counter(path.suffix for path in files).most_common(1)[0][0]
    deep = any(path.suffix == ending and path.parent != folder for path in files)
    return str(Path(glob.escape(str(folder)), *["**"] * deep, f"*{glob.escape(ending)}"))


def _is_text_name(name: str) -> bool:
    return name.removesuffix(".gz").endswith(SUFFIXES)


def read_chunks(
    parts: Iterable[Part], tell: Callable[[int], None] = lambda _: None
) -> Iterator[bytes]:
    """The joined text of `parts` in UTF-8, in chunks of at most CHUNK bytes, none empty.

    Where a part doesn't end its last line and another follows, the line is ended. Chunks end at a
    line end, in a huge line before white space, and only failing that after any character; where
    they end depends on the text alone. `tell` is given the bytes read from the disk so far.
    """
    return cut_chunks(read_text(parts, tell))


def read_text(parts: Iterable[Part], tell: Callable[[int], None]) -> Iterator[bytes]:
    """The same text in chunks of any length, none empty."""
    before = 0
    last = b"\n"
    for part in parts:
        first = True
        for chunk in part.read(lambda used, before=before: tell(before + used)):  # type: ignore[misc]
            if not chunk:
                continue
            if first and last != b"\n":
                yield b"\n"
            yield chunk
            first, last = False, chunk[-1:]
        before += part.size


def cut_chunks(chunks: Iterable[bytes], size: int = CHUNK) -> Iterator[bytes]:
    """The same text in chunks of at most `size` bytes, at least 4: see `read_chunks`."""
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        start = 0
        while len(buffer) - start > size:
            end = _chunk_end(buffer, start, start + size)
            yield buffer[start:end]
            start = end
        buffer = buffer[start:]
    if buffer:
        yield buffer


def _chunk_end(text: bytes, start: int, limit: int) -> int:
    """Where the chunk of `text` that begins at `start` ends, at `limit` at the latest."""
    # After a line end that no other follows, so that empty lines stay together.
    end = text.rfind(b"\n", start, limit)
    if end >= 0 and text[end + 1] == ord("\n"):
        before = text[start:end].rstrip(b"\n")
        end = text.rfind(b"\n", start, start + len(before))
    if end >= 0:
        return end + 1
    # Else before white space, which sub-word pieces begin with.
    while text[limit] & 0xC0 == 0x80:  # goes on with a character
        limit -= 1
    line = text[start : limit + 1].decode(errors="ignore")
    for index in range(len(line) - 1, 0, -1):
        if line[index].isspace():
            return start + len(line[:index].encode())
    return limit


def _tried(path: Path, action: Callable[[], Result]) -> Result:
    """The result of `action`; UserError names the file where that fails."""
    try:
        return action()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        problem = "is cut short" if isinstance(error, EOFError) else "is damaged or isn't gzip"
        raise UserError(f"{path} can't be unpacked: it {problem}.") from None
    except OSError as error:
        raise UserError(f"Can't read {path}: {error.strerror or error}.") from None
