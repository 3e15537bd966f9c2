"""What an engine logs: on its standard error, made visible, and no more than a stated size."""

import logging
import os
from contextlib import suppress
from pathlib import Path

from engine.errors import UserError
from engine.runs.engines import log_path
from engine.visible import visible

MAX_LOG = 1 << 20
"""Bytes an engine logs in its life, about; what comes then is left out."""
_FOR_ERRORS = MAX_LOG // 4
"""Bytes of them that only errors take: the last of them says why it ended."""
_FULL = "The log is full: what comes now is left out, but for errors."


class _Visible(logging.Formatter):
    """Lines that no terminal obeys."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record), keep_newlines=True)


class _Bounded(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes until it has written enough. A disk that takes nothing disturbs nobody."""

    def __init__(self) -> None:
        super().__init__()
        self._left = MAX_LOG

    def emit(self, record: logging.LogRecord) -> None:
        kept = 0 if record.levelno >= logging.ERROR else _FOR_ERRORS
        if self._left <= kept:
            return
        before = self._left
        self._left -= len(self.format(record).encode()) + 1
        super().emit(record)
        if self._left <= _FOR_ERRORS < before:
            super().emit(logging.makeLogRecord({"msg": _FULL}))


def begin_log(run: Path) -> None:
    """Begin the log of the run's engine anew, and print into it all that this process prints; the
    one before is kept beside it. Raises UserError."""
    log = log_path(run)
    try:
        with suppress(FileNotFoundError):
            log.replace(log.with_suffix(".log.before"))
        with log.open("ab") as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
    except OSError as error:
        raise UserError(f"Can't write to {log}: {error.strerror}.") from None


def log_to_stderr() -> None:
    """Log so from now on."""
    handler = _Bounded()
    handler.setFormatter(_Visible("%(asctime)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
