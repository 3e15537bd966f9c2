"""The user's private folder: what lives while engines run, and what the user has agreed to.

A run's folder is what is kept and shared, and may come from a stranger. So nothing that lives lies
in it: log, lock, address and socket of its engine are in a place of its own in here, known by the
run's path.
"""

import errno
import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

from engine.errors import UserError

STATE_VARIABLE = "LSTM_TUI_STATE"
_LONGEST_SOCKET = 100
"""Bytes of a Unix socket's path; some systems allow no more."""


def state_folder() -> Path:
    """$LSTM_TUI_STATE, else the user's own folder for states; absolute."""
    chosen = os.environ.get(STATE_VARIABLE)
    if not chosen:
        import platformdirs  # seldom needed where every millisecond counts: in tests and scripts

        chosen = platformdirs.user_state_dir("lstm-tui", appauthor=False)
    return Path(os.path.abspath(os.path.expanduser(chosen)))  # noqa: PTH100, PTH111 - Path's raise


def place_of(run: Path) -> Path:
    """Where the run's own place is, or would be."""
    return state_folder() / "runs" / _key(run)


def make_place(run: Path) -> Path:
    """The run's own place, made where it is missing. Raises UserError."""
    place = place_of(run)
    _make_private(place.parent)
    _make_private(place)
    return place


def require_private(place: Path) -> Path:
    """A run's place, to read what is in it. Raises OSError where there is none, and where others
    could have written it: neither it nor the folder of all places may be anybody else's."""
    for folder in (place.parent, place):
        if not _is_private(folder):
            raise PermissionError(errno.EPERM, "it is not private", str(folder))
    return place


def socket_path(run: Path) -> Path:
    """Where the run's engine listens: in its place, or where that is too long a path for a socket,
    in a private folder below /tmp. Raises UserError."""
    path = make_place(run) / "socket"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    folder = Path(f"/tmp/lstm-tui-{os.getuid()}")
    _make_private(folder)
    return folder / f"{_key(run)}.socket"


def places() -> list[Path]:
    """The places of all runs."""
    found = []
    with suppress(OSError):
        for place in (state_folder() / "runs").iterdir():
            with suppress(OSError):
                found.append(require_private(place))
    return found


def _key(run: Path) -> str:
    return hashlib.sha256(os.fsencode(os.path.realpath(run))).hexdigest()[:16]


def _make_private(folder: Path) -> None:
    """Make a folder that is nobody's but the user's. Raises UserError, also where it is not."""
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        private = _is_private(folder)
    except OSError as error:
        raise UserError(
            f"Can't make {folder}, which an engine needs ({error.strerror}): make room for it, or "
            f"name another folder in {STATE_VARIABLE}."
        ) from None
    if not private:
        raise UserError(
            f"{folder} must be a folder of yours with mode 700: remove it, or name another place "
            f"in {STATE_VARIABLE}."
        )


def _is_private(folder: Path) -> bool:
    """Whether it is a folder, and nobody's but the user's. Raises OSError where there is none."""
    status = folder.lstat()
    own = status.st_uid == os.getuid() and not status.st_mode & 0o077
    return own and stat.S_ISDIR(status.st_mode)
