"""A disk that fails on purpose, and remembers what it was asked for.

Below a folder every file operation of Python code goes through `Disk`: it may be refused, cut
short, or be the last before the process dies. From its log `crash_states` rebuilds what a crash
may leave behind: of all that was not synced, any part may be lost.
"""

import io
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = 0
"""The node of the watched folder."""


@dataclass(frozen=True)
class Link:
    """A new file or folder."""

    folder: int
    name: str
    node: int
    is_folder: bool


@dataclass(frozen=True)
class Rename:
    folder: int
    name: str
    new_name: str
    node: int


@dataclass(frozen=True)
class Unlink:
    folder: int
    name: str


@dataclass(frozen=True)
class Write:
    node: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Truncate:
    node: int
    size: int


@dataclass(frozen=True)
class Sync:
    node: int


Operation = Link | Rename | Unlink | Write | Truncate | Sync


@dataclass
class Node:
    """A file or folder in memory."""

    is_folder: bool
    data: bytearray = field(default_factory=bytearray)
    entries: dict[str, int] = field(default_factory=dict)


class Tree:
    """A small file system in memory."""

    def __init__(self) -> None:
        self.nodes = {ROOT: Node(is_folder=True)}

    def apply(self, operation: Operation) -> None:
        """Carry out an operation, as far as what it needs is there."""
        match operation:
            case Link(folder, name, node, is_folder):
                self.nodes.setdefault(node, Node(is_folder))
                self._folder(folder).entries[name] = node
            case Rename(folder, name, new_name, node):
                entries = self._folder(folder).entries
                if entries.get(name) == node:
                    del entries[name]
                entries[new_name] = node
            case Unlink(folder, name):
                self._folder(folder).entries.pop(name, None)
            case Write(node, offset, data):
                content = self.nodes.setdefault(node, Node(False)).data
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + len(data)] = data
            case Truncate(node, size):
                content = self.nodes.setdefault(node, Node(False)).data
                del content[size:]
                content.extend(bytes(size - len(content)))
            case Sync():
                pass

    def _folder(self, node: int) -> Node:
        return self.nodes.setdefault(node, Node(is_folder=True))

    def find(self, parts: tuple[str, ...]) -> int:
        node = ROOT
        for part in parts:
            node = self.nodes[node].entries[part]
        return node

    def files(self, node: int = ROOT, path: str = ".") -> dict[str, bytes | None]:
        """Contents by path; None for a folder."""
        found: dict[str, bytes | None] = {}
        for name, child in self.nodes[node].entries.items():
            at = f"{path}/{name}"
            if self.nodes[child].is_folder:
                found |= {at: None, **self.files(child, at)}
            else:
                found[at] = bytes(self.nodes[child].data)
        return found


class Disk:
    """Watches a folder, empty at first, while `monkeypatch` lasts."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.log: list[Operation] = []
        self.before: Callable[[str], bool] = lambda kind: False
        """Called before each operation with its kind; may raise, and cuts a write short by True."""
        self._tree = Tree()
        self._next = ROOT + 1
        self._paths: dict[int, Path] = {}
        """Paths of open files by descriptor."""
        self._writing: dict[int, tuple[int, bool, int]] = {}
        """Node, whether it appends, and position of files open for writing."""
        for name in ("open", "close", "write", "fsync", "ftruncate", "rename", "replace"):
            self._patch(monkeypatch, os, name)
        for name in ("mkdir", "unlink", "rmdir", "listdir", "scandir"):
            self._patch(monkeypatch, os, name)
        self._patch(monkeypatch, io, "open", "file")

    def _patch(self, monkeypatch: Any, module: Any, name: str, own: str = "") -> None:
        wrapper = getattr(self, f"_{own or name}")
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, **kwargs: wrapper(real, *args, **kwargs))

    def _watched(self, path: Any, dir_fd: int | None = None) -> Path | None:
        """The absolute path, if it is one below the root."""
        if isinstance(path, int):
            return self._paths.get(path)
        full = Path(os.fspath(path))
        if dir_fd is not None:
            if dir_fd not in self._paths:
                return None
            full = self._paths[dir_fd] / full
        return full if full == self.root or self.root in full.parents else None

    def _do(self, operation: Operation) -> None:
        self._tree.apply(operation)
        self.log.append(operation)

    def _place(self, path: Path) -> tuple[int, str]:
        """The folder's node, and the name in it."""
        *folders, name = path.relative_to(self.root).parts
        return self._tree.find(tuple(folders)), name

    def _link(self, path: Path, is_folder: bool) -> int:
        folder, name = self._place(path)
        node, self._next = self._next, self._next + 1
        self._do(Link(folder, name, node, is_folder))
        return node

    # --- the operations -----------------------------------------------------------------------

    def _open(
        self, real: Any, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> int:
        at = self._watched(path, dir_fd)
        if at is None:
            descriptor: int = real(path, flags, mode, dir_fd=dir_fd)
            self._paths.pop(descriptor, None)
            self._writing.pop(descriptor, None)
            return descriptor
        self.before("open")
        new = bool(flags & os.O_CREAT) and not at.exists()
        descriptor = real(path, flags, mode, dir_fd=dir_fd)
        self._paths[descriptor] = at
        self._writing.pop(descriptor, None)
        if new:
            self._link(at, is_folder=False)
        if flags & (os.O_WRONLY | os.O_RDWR):
            node = self._tree.find(at.relative_to(self.root).parts)
            if flags & os.O_TRUNC and not new:
                self._do(Truncate(node, 0))
            self._writing[descriptor] = node, bool(flags & os.O_APPEND), 0
        return descriptor

    def _close(self, real: Any, descriptor: int) -> None:
        self._paths.pop(descriptor, None)
        self._writing.pop(descriptor, None)
        real(descriptor)

    def _write(self, real: Any, descriptor: int, data: Any) -> int:
        if descriptor not in self._writing:
            return int(real(descriptor, data))
        short = self.before("write")
        node, appends, position = self._writing[descriptor]
        if appends:
            position = len(self._tree.nodes[node].data)
        data = bytes(data)
        written: int = real(descriptor, data[: (len(data) + 1) // 2] if short else data)
        self._do(Write(node, position, data[:written]))
        self._writing[descriptor] = node, appends, position + written
        return written

    def _fsync(self, real: Any, descriptor: int) -> None:
        at = self._paths.get(descriptor)
        if at is None:
            real(descriptor)
            return
        self.before("fsync")
        if descriptor in self._writing:
            self._do(Sync(self._writing[descriptor][0]))
        else:
            self._do(Sync(self._tree.find(at.relative_to(self.root).parts)))

    def _ftruncate(self, real: Any, descriptor: int, size: int) -> None:
        self.before("truncate")
        real(descriptor, size)
        self._do(Truncate(self._writing[descriptor][0], size))

    def _rename(self, real: Any, source: Any, target: Any) -> None:
        at, to = self._watched(source), self._watched(target)
        if at is None or to is None:
            real(source, target)
            return
        assert at.parent == to.parent, "a name moved to another folder could be lost with it"
        self.before("rename")
        real(source, target)
        folder, name = self._place(at)
        node = self._tree.nodes[folder].entries[name]
        self._do(Rename(folder, name, to.name, node))

    _replace = _rename

    def _mkdir(self, real: Any, path: Any, mode: int = 0o777) -> None:
        at = self._watched(path)
        if at is None:
            real(path, mode)
            return
        self.before("mkdir")
        real(path, mode)
        self._link(at, is_folder=True)

    def _unlink(self, real: Any, path: Any, *, dir_fd: int | None = None) -> None:
        at = self._watched(path, dir_fd)
        if at is None:
            real(path, dir_fd=dir_fd)
            return
        self.before("unlink")
        real(path, dir_fd=dir_fd)
        self._do(Unlink(*self._place(at)))

    _rmdir = _unlink

    def _listdir(self, real: Any, path: Any = ".") -> Any:
        if self._watched(path) is not None:
            self.before("list")
        return real(path)

    _scandir = _listdir

    def _file(self, real: Any, path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if isinstance(path, int) or mode != "wb" or self._watched(path) is None:
            return real(path, mode, *args, **kwargs)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        return io.BufferedWriter(_Raw(os.open(path, flags, 0o666)))


class _Raw(io.RawIOBase):
    """A file for writing whose every operation goes through `os`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return os.write(self._descriptor, data)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
            super().close()


def crash_states(log: list[Operation], seed: int = 1) -> Iterator[dict[str, bytes | None]]:
    """What may be on the disk if the machine stops after the operations of `log`: all of it, only
    what was synced, with names or data alone, and some mixtures."""
    pending = [index for index, operation in enumerate(log) if not _is_durable(log, index)]
    lost_data = {index for index in pending if isinstance(log[index], Write | Truncate)}
    chance = random.Random(seed)
    mixtures = [{index for index in pending if chance.random() < 0.5} for _ in range(5)]
    lost_names = set(pending) - lost_data
    for lost in (set(), set(pending), lost_data, lost_names, *mixtures):
        tree = Tree()
        for index, operation in enumerate(log):
            if index not in lost:
                tree.apply(operation)
            elif isinstance(operation, Link):  # without a name; a later one may be kept
                tree.nodes.setdefault(operation.node, Node(operation.is_folder))
        yield tree.files()


def _is_durable(log: list[Operation], index: int) -> bool:
    operation = log[index]
    match operation:
        case Sync():
            return True
        case Write(node=node) | Truncate(node=node):
            return Sync(node) in log[index:]
        case Link(folder=folder) | Rename(folder=folder) | Unlink(folder=folder):
            return Sync(folder) in log[index:]


def lay_out(files: dict[str, bytes | None], folder: Path) -> None:
    """Write such a state to a folder."""
    folder.mkdir()
    for path, data in files.items():
        if data is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(data)
