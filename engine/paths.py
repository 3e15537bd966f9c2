"""Paths as people name them."""

import errno
import os
from pathlib import Path

from engine.errors import UserError
from engine.visible import is_unicode, quoted, shortened, visible


def named_path(text: str, what: str) -> Path:
    """The absolute path that `text` stands for, ~ and ~user followed; there may be nothing there.

    `what` says in an error's sentence what the path is of. Raises UserError where it can't be a
    path here, or one that a configuration can hold.
    """
    if not text:
        raise UserError(f"{what} can't be an empty name.")
    expanded = os.path.expanduser(text)  # noqa: PTH111 - Path's own raises for an unknown user
    if expanded.startswith("~"):
        user = shortened(visible(expanded.partition("/")[0]))
        raise UserError(
            f"{what} can't be {quoted(text)}: {user} is no user's home on this machine, and a "
            f"folder of that name is ./{user}."
        )
    try:
        path = Path(expanded).absolute()
    except OSError:
        raise UserError("The working folder is gone: go to another one.") from None
    if not is_unicode(str(path)):
        name = quoted(str(path))
        raise UserError(f"{what} can't be {name}: its name isn't UTF-8; rename it first.")
    try:
        path.lstat()
    except ValueError:
        raise UserError(f"{what} can't be {quoted(text)}: no name holds a NUL.") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(f"{what} can't be {quoted(text)}: the name is too long.") from None
    return path


def check_plain(path: Path) -> Path:
    """The path, if a file of that name may be put there: there is none, or a plain one. Raises
    UserError for a folder, and for a device or a pipe, which would be lost."""
    if path.exists() and not path.is_file():
        what = "a folder: name a file in it" if path.is_dir() else "no plain file: name another one"
        raise UserError(f"{shortened(visible(str(path)), 200)} is {what}.")
    return path
