"""What an engine logs: on its standard error, made visible, and no more than a stated size."""

import logging

from engine.visible import visible

MAX_LOG = 1 << 20
"""Bytes an engine logs in its life, about; what comes then is left out."""


class _Visible(logging.Formatter):
    """Lines that no terminal obeys."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record), keep_newlines=True)


class _Bounded(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes until it has written enough."""

    def __init__(self) -> None:
        super().__init__()
        self._left = MAX_LOG

    def emit(self, record: logging.LogRecord) -> None:
        if self._left <= 0:
            return
        self._left -= len(self.format(record))
        super().emit(record)
        if self._left <= 0:
            self.stream.write("The log is full: what comes now is left out.\n")


def log_to_stderr() -> None:
    """Log so from now on."""
    handler = _Bounded()
    handler.setFormatter(_Visible("%(asctime)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
