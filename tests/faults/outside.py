"""What happens to files: everything below a folder, before and after, and whatever is opened."""

import ctypes
import hashlib
import os
import stat
import struct
from pathlib import Path

IN_ALL_EVENTS = 0xFFF
_EVENT = struct.Struct("iIII")


def state(*folders: Path) -> dict[str, tuple[object, ...]]:
    """All that is in folders: kinds, modes, sizes, times and contents, where links lead."""
    found: dict[str, tuple[object, ...]] = {}
    for folder in folders:
        for path in (folder, *sorted(folder.rglob("*"))):
            status = path.lstat()
            contents = ""
            if stat.S_ISLNK(status.st_mode):
                contents = str(path.readlink())
            elif stat.S_ISREG(status.st_mode):
                contents = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path)] = (status.st_mode, status.st_size, status.st_mtime_ns, contents)
    return found


class Watch:
    """What any process opens, lists, changes or makes in a folder and those below it (Linux)."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._descriptor >= 0
        self._folders: dict[int, Path] = {}
        folders = [path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()]
        for path in (folder, *folders):
            number = libc.inotify_add_watch(self._descriptor, os.fsencode(path), IN_ALL_EVENTS)
            assert number >= 0
            self._folders[number] = path

    def seen(self) -> list[str]:
        """The paths that something happened to since the last call."""
        found = []
        while True:
            try:
                data = os.read(self._descriptor, 1 << 16)
            except BlockingIOError:
                return found
            while data:
                number, _, _, length = _EVENT.unpack_from(data)
                name = os.fsdecode(data[_EVENT.size : _EVENT.size + length].rstrip(b"\0"))
                found.append(str(self._folders[number] / name))
                data = data[_EVENT.size + length :]

    def close(self) -> None:
        os.close(self._descriptor)
