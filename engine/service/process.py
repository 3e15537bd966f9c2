"""The process of a run's engine: a child in its own session with its streams in the run's
engine.log, so that it outlives the terminal it was started from.

It takes a while until it has loaded torch, so a program starts it as soon as it knows the run,
ahead of all that it has to load for itself; the client then takes it over.
"""

import os
import subprocess
import sys
from pathlib import Path

from engine.errors import UserError

ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TOP_PAD_": str(16 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
    "OPENBLAS_NUM_THREADS": "1",
}
"""Has glibc keep up to 128 MiB that are freed, for all threads alike: it would give large arrays
back to the system after each training step, which clears every page of them anew for the next. And
has NumPy's products wake no threads of their own, which would compete with torch's."""

_ahead: "dict[Path, subprocess.Popen[bytes]]" = {}
"""Started, and not taken over yet."""


def start(folder: Path) -> "subprocess.Popen[bytes]":
    """Start the engine of a run that has none. Raises UserError where that can't be done."""
    try:
        (folder / "engine.json").unlink(missing_ok=True)
        with (folder / "engine.log").open("ab") as log:
            return subprocess.Popen(
                # -P: a file named like a module in the working folder must not be imported.
                [sys.executable, "-P", "-m", "engine.service.worker", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=ENVIRONMENT | os.environ,
            )
    except OSError as error:
        raise UserError(f"Can't start an engine in {folder}: {error.strerror}.") from None


def start_ahead(folder: Path) -> None:
    """Start the engine of a new run, for `client.launch` to find. Raises UserError."""
    _ahead[folder] = start(folder)


def taken_over(folder: Path) -> "subprocess.Popen[bytes] | None":
    """The engine that was started ahead for this run; None where there is none, or no longer."""
    return _ahead.pop(folder, None)
