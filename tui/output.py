"""The standard streams, which may be closed, full, or a pipe whose reader has left."""

import errno
import io
import math
import os
import sys
from typing import Any

from engine.visible import escaped, shortened, visible

_LONGEST, _LONGEST_WORD = 2000, 200
"""Characters of an error, and of a word in it."""


class OutputFailed(Exception):
    """Standard output takes nothing more."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"Can't write to standard output: {error.strerror}.")
        self.reader_left = error.errno == errno.EPIPE
        self.terminal_gone = error.errno == errno.EIO
        """A SIGHUP is on the way."""


class Output(io.TextIOWrapper):
    """Standard output, whose failures are told apart from those of any other file."""

    def write(self, text: str, /) -> int:
        """Write; raises OutputFailed."""
        try:
            return super().write(text)
        except OSError as error:
            raise OutputFailed(error) from None

    def flush(self) -> None:
        """Hand on what was written; raises OutputFailed."""
        try:
            super().flush()
        except OSError as error:
            raise OutputFailed(error) from None


def prepare_streams() -> None:
    """Put an `Output` in the place of standard output, and in that of each stream that is closed
    one that fails as a closed one does: no file opened later takes its number."""
    for number, fails_at in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, fails_at)  # takes the lowest free number, which is this one
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    sys.stdout = Output(
        open(1, "wb", closefd=False),  # noqa: SIM115
        encoding=sys.stdout.encoding if sys.stdout else "utf-8",
        errors="backslashreplace",
        line_buffering=os.isatty(1),
    )


def silence(number: int) -> None:
    """Let what is still to be written to a stream vanish, rather than fail again at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def complain(text: str, exit_code: int = 1) -> int:
    """One line on standard error. Returns the exit code."""
    words = [shortened(visible(word), _LONGEST_WORD) for word in text.split()]
    try:
        print(f"lstm-tui: {shortened(' '.join(words), _LONGEST)}", file=sys.stderr)  # noqa: T201
    except OSError:  # nobody hears it; the exit code tells
        silence(2)
    return exit_code


def json_text(value: Any, indent: int | None = None) -> str:
    """The value as JSON in which no character is hidden; a number that isn't finite is null."""
    import json

    import msgspec

    plain = _finite(msgspec.to_builtins(value, str_keys=True))
    separators = None if indent else (",", ":")
    return escaped(json.dumps(plain, indent=indent, separators=separators, ensure_ascii=False))


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
    return value
