"""Reading files that may be hostile, and writing so that a crash at any moment leaves either the
old file or the new one."""

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def open_plain(path: Path) -> BinaryIO:
    """Open a file for reading. Raises OSError, also where it is a link, a pipe or a device."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link", str(path)) from None
        raise
    if not stat.S_ISREG(mode := os.fstat(descriptor).st_mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "it is not a plain file", str(path))
    return os.fdopen(descriptor, "rb")


def read_plain(path: Path, limit: int) -> bytes:
    """A file's contents. Raises OSError, also where it holds more than `limit` bytes."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise OSError(errno.EFBIG, f"it is larger than {limit:,} bytes", str(path))
        return file.read(size)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, however little is taken at a time. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def write_synced(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a new file and wait until it is on the disk. Raises OSError, also where there is one.

    Its name is on the disk only once the folder is synced too.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        for chunk in chunks:
            write_all(descriptor, chunk)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all that is in it, as far as that can be done.

    rmtree opens what a link leads to before it refuses to go there.
    """
    if path.is_symlink() or not path.is_dir():
        with suppress(OSError):
            path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def replace_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Put `chunks` in the place of `path` in one stroke, durably. Raises OSError."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        write_synced(temporary, chunks)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def replacing(*paths: Path) -> Iterator[list[Path]]:
    """Names beside `paths`, of one folder, to write new contents to. At the end these take their
    places, durably; where anything fails nothing of them stays. Raises OSError."""
    temporary = [path.with_name(f".{path.name}.tmp") for path in paths]
    try:
        for each in temporary:
            each.unlink(missing_ok=True)
        yield temporary
        for each in temporary:
            sync(each)
        for each, path in zip(temporary, paths, strict=True):
            each.replace(path)
    except BaseException:
        for each in temporary:
            with suppress(OSError):
                each.unlink(missing_ok=True)
        raise
    sync(paths[0].parent)


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file or a folder from another that takes its name; None where there is none.
    Raises OSError where the disk does not tell."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
