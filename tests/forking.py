"""Forks the processes of tests off one that has loaded what they need: loading torch takes longer
than most of them do. See `forked/sitecustomize.py` for the other side.

`python -m tests.forking DESCRIPTOR` serves a listening socket.
"""

import atexit
import fcntl
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PYTHONPATH = os.pathsep.join([str(ROOT / "tests" / "forked"), str(ROOT)])
"""For processes that may be forked."""
VARIABLE = "LSTM_TUI_FORKING"
LOADED = (
    "torch",
    "safetensors.torch",
    "tokenizers",
    "engine.service.worker",
    "tui.cli",
    "tui.commands.group",
    "tui.headless",
    "engine.service.client",
)


def unsynced(descriptor: int) -> None:
    """In the place of `os.fsync`: what a power failure leaves is not asked of processes."""
    os.fstat(descriptor)


@contextmanager
def forking(place: Path) -> Iterator[dict[str, str]]:
    """What is started in this environment is forked. Nothing is loaded before the first comes."""
    from engine.service.process import ENVIRONMENT

    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(place))
        door.listen()
        started: list[subprocess.Popen[bytes]] = []
        woken, closed = socket.socketpair()

        def start() -> None:
            with selectors.DefaultSelector() as waiting:
                waiting.register(door, selectors.EVENT_READ)
                waiting.register(closed, selectors.EVENT_READ)
                if any(key.fileobj is door for key, _ in waiting.select()):
                    own = {"PYTHONPATH": str(ROOT)}
                    command = [sys.executable, "-m", "tests.forking", str(door.fileno())]
                    server = subprocess.Popen(
                        command,
                        pass_fds=[door.fileno()],
                        stdin=subprocess.PIPE,
                        env=ENVIRONMENT | os.environ | own,
                    )
                    started.append(server)

        waiter = threading.Thread(target=start, daemon=True)
        waiter.start()
        try:
            yield {VARIABLE: str(place), "PYTHONPATH": PYTHONPATH}
        finally:
            woken.close()
            waiter.join()
            for server in started:
                server.communicate()


class Server:
    """Forks until its standard input ends."""

    def __init__(self, door: socket.socket) -> None:
        self.door = door
        self.selector = selectors.DefaultSelector()
        self.selector.register(door, selectors.EVENT_READ)
        self.selector.register(0, selectors.EVENT_READ)
        self.children: dict[int, tuple[int, socket.socket]] = {}
        """By the descriptor of its process: its number, and who waits for it."""

    def next_job(self) -> dict[str, Any] | None:
        """In a forked process what it is to do; None in this one, at the end."""
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.door:
                    job = self._fork()
                    if job is not None:
                        return job
                elif key.fd == 0:
                    return None
                elif isinstance(key.fileobj, socket.socket):  # who waits for it was killed
                    with suppress(KeyError, ProcessLookupError):  # it has just been reaped
                        self.selector.unregister(key.fileobj)
                        os.kill(key.data, signal.SIGKILL)
                else:
                    self._reap(key.fd)

    def _fork(self) -> dict[str, Any] | None:
        connection, _ = self.door.accept()
        header, files, *_ = socket.recv_fds(connection, 4, 253)
        size = int.from_bytes(header, "big")
        job: dict[str, Any] = json.loads(connection.makefile("rb").read(size))
        pid = os.fork()
        if pid == 0:
            connection.close()
            self._close()
            _become(job, files)
            return job
        for file in files:
            os.close(file)
        connection.sendall(b"%d\n" % pid)
        process = os.pidfd_open(pid)
        self.children[process] = pid, connection
        self.selector.register(process, selectors.EVENT_READ)
        self.selector.register(connection, selectors.EVENT_READ, pid)
        return None

    def _reap(self, process: int) -> None:
        pid, connection = self.children.pop(process)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.selector.unregister(process)
        os.close(process)
        with suppress(KeyError, OSError):  # it is gone
            self.selector.unregister(connection)
            connection.sendall(b"%d\n" % code)
        connection.close()

    def _close(self) -> None:
        self.selector.close()
        self.door.close()
        for process, (_, connection) in self.children.items():
            os.close(process)
            connection.close()


def _become(job: dict[str, Any], files: list[int]) -> None:
    """Take the place of the process that asked: its files, by their numbers, and all else."""
    if job["leads"]:
        os.setsid()
    above = 1 + max(job["files"] + files + [2])
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD, above) for file in files]
    os.closerange(0, above)
    for file, number in zip(moved, job["files"], strict=True):
        os.dup2(file, number)
        os.close(file)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if number not in job["files"]:
            setattr(sys, name, None)
    os.chdir(job["folder"])
    os.umask(job["umask"])
    os.environ.clear()
    os.environ.update(job["environment"])
    for number in job["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    own, kill = os.getpid(), os.kill
    os.getpid = lambda: job["pid"]  # what is done to that process is done to this one,
    # and at once what this one does to itself: the other ends as it does.
    os.kill = lambda pid, number: kill(own if pid == job["pid"] else pid, number)
    tempfile.tempdir = None  # as its environment says
    sys.argv[1:] = job["arguments"]


def _serve() -> dict[str, Any] | None:
    """Returns a job in each forked process, and None at the end of this one."""
    for name in LOADED:
        importlib.import_module(name)
    os.fsync = unsynced
    gc.collect()
    gc.freeze()
    return Server(socket.socket(fileno=int(sys.argv[1]))).next_job()


def _run(module: str) -> None:
    """Run the module as a program to its end, but for taking down all that is loaded: it would be
    copied page by page."""
    del sys.modules[module]  # or it would be there twice, as a warning says
    code: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    assert isinstance(code, int)
    os._exit(code)


if __name__ == "__main__":
    job = _serve()
    if job is not None:
        _run(job["module"])
