"""The process of an engine: a child in its own session, so that it outlives the terminal it was
started from, with its streams in the log of the run's private place.

It takes a while until it has loaded torch, so a program starts it as soon as it knows the run,
ahead of all that it has to load for itself; the client then takes it over.
"""

import io
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from engine.errors import UserError
from engine.runs import remove_unbegun
from engine.runs.engines import log_path
from engine.runs.private import make_place

ENVIRONMENT = {
    "GOMP_SPINCOUNT": "1000",
    "KMP_BLOCKTIME": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TOP_PAD_": str(16 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
    "OPENBLAS_NUM_THREADS": "1",
}
"""Has glibc keep up to 128 MiB that are freed, for all threads alike: it would give large arrays
back to the system after each training step, which clears every page of them anew for the next. And
has NumPy's products wake no threads of their own, which would compete with torch's. And has the
threads of OpenMP (GNU's, LLVM's) wait for each other by a short spin: a long one keeps the
processor from whoever they wait for, and beside another busy process steps take many times as
long."""

Process = subprocess.Popen[bytes]
_ahead: dict[Path, Process] = {}
"""Started, and not taken over yet."""


def start(folder: Path) -> Process:
    """Start the engine of a run that has none, to train it. Another may be started at the same
    moment: the one that comes to hold the run begins its log anew, the other adds to it that it
    ended. Raises UserError where that can't be done."""
    make_place(folder)
    try:
        with log_path(folder).open("ab") as file:
            return _start([str(folder)], file)
    except OSError as error:
        raise UserError(f"Can't start an engine for {folder}: {error.strerror}.") from None


def start_asking(
    folder: Path, *, corpus: bool = False, vectors: bool = False
) -> tuple[Process, socket.socket, IO[bytes]]:
    """Start an engine that answers questions about a saved run to this process alone, over the
    socket returned, and never writes. It reads the run's corpus only where `corpus` says so; with
    `vectors` it is asked about the file of vectors at `folder`.

    The file returned is its log, which stays empty where there is no room for one. Raises
    UserError.
    """
    ours, theirs = socket.socketpair()
    try:
        log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        printed: IO[bytes] | int = log
    except OSError:
        log, printed = io.BytesIO(), subprocess.DEVNULL
    with theirs:
        arguments = [str(folder), "--ask", str(theirs.fileno())]
        arguments += ["--corpus"] * corpus + ["--vectors"] * vectors
        try:
            process = _start(arguments, printed, passed=theirs.fileno())
        except OSError as error:
            ours.close()
            log.close()
            raise UserError(f"Can't start an engine for {folder}: {error.strerror}.") from None
    return process, ours, log


def _start(arguments: list[str], log: IO[bytes] | int, passed: int | None = None) -> Process:
    return subprocess.Popen(
        # -P: a file named like a module in the working folder must not be imported.
        [sys.executable, "-P", "-m", "engine.service.worker", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        env=ENVIRONMENT | os.environ,
        pass_fds=() if passed is None else (passed,),
    )


def start_ahead(folder: Path) -> None:
    """Start the engine of a new run, for `client.launch` to find. Raises UserError."""
    _ahead[folder] = start(folder)


def taken_over(folder: Path) -> Process | None:
    """The engine that was started ahead for this run; None where there is none, or no longer."""
    return _ahead.pop(folder, None)


def end_unused() -> None:
    """End the engines that were started ahead and not taken over, and remove their runs, of which
    nothing is known yet: the program is left before it came to that."""
    while _ahead:
        folder, process = _ahead.popitem()
        process.kill()
        process.wait()
        remove_unbegun(folder)
