"""Giving a run another name, putting it into the trash, and bringing it back.

A run's folder is moved in one stroke, with its lock held, so never while an engine holds it; what
the user's private folder keeps for it, known by its path, comes along.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from engine.config import replace
from engine.errors import UserError
from engine.files import sync
from engine.runs.engines import hold, is_live, log_path
from engine.runs.folders import TRASH, check_name, load_config, save_config
from engine.runs.origins import move_origin
from engine.runs.private import make_place, place_of


def rename_run(folder: Path, name: str) -> Path:
    """Give a run another name; returns its new folder.

    Raises UserError where the name is taken or unusable, or an engine holds the run.
    """
    check_name(name)
    target = folder.with_name(name)
    _move(folder, target)
    return target


def trash_run(folder: Path) -> Path:
    """Put a run into the trash of its folder of models; returns where it is now.

    Raises UserError where an engine holds it, or it can't be moved.
    """
    trash = folder.parent / TRASH
    with _explained(folder):
        if trash.is_symlink():
            raise UserError(f"{trash} is a link: remove it, and deleted runs go into a folder.")
        trash.mkdir(exist_ok=True)
    target = _free_name(trash, folder.name)
    _move(folder, target)
    return target


def bring_back(trashed: Path, folder: Path) -> Path:
    """Take a run out of the trash again; returns its folder. Raises UserError where there is
    another by now."""
    _move(trashed, folder)
    return folder


def _free_name(trash: Path, name: str) -> Path:
    number, target = 1, trash / name
    while os.path.lexists(target):
        number += 1
        target = trash / f"{name}-{number}"
    return target


def _move(folder: Path, target: Path) -> None:
    """Move a run's folder and what is kept for it. Raises UserError: then it is where it was."""
    if folder.is_symlink() or not folder.is_dir():
        raise UserError(f"{folder} can't be moved: it is no folder of a run, or a link to one.")
    taken = UserError(f"There is a run {target.name!r} already: choose another name.")
    if os.path.lexists(target):
        raise taken
    if is_live(folder) or is_live(target):
        raise UserError(f"{folder.name} is held by an engine: end it first.")
    before = place_of(folder)
    with ExitStack() as held:
        for each in (folder, target):
            held.enter_context(hold(each))
        with _explained(folder):
            try:
                target.mkdir()  # the name is taken before anything is moved there
            except FileExistsError:
                raise taken from None
            try:
                move_origin(folder, target, lambda source: _moved_source(source, folder, target))
                folder.rename(target)
            except (OSError, UserError):
                target.rmdir()
                raise
            sync(target.parent)
            sync(folder.parent)
            _point_at_own_text(folder, target)
        with suppress(OSError):
            (before / log_path(target).name).replace(make_place(target) / log_path(target).name)
        shutil.rmtree(before, ignore_errors=True)


def _moved_source(source: str, folder: Path, target: Path) -> str:
    """The text of a run that is moved: one in its own folder comes along."""
    if Path(source).is_relative_to(folder):
        return str(target / Path(source).relative_to(folder))
    return source


def _point_at_own_text(folder: Path, target: Path) -> None:
    """Let the configuration of a run that has been moved name its own text where it is now."""
    with suppress(UserError):  # a damaged run is moved as it is
        config = load_config(target)
        source = _moved_source(config.corpus.source, folder, target)
        if source != config.corpus.source:
            save_config(target, replace(config, {"corpus.source": source}))


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """What the system refuses, in a sentence."""
    try:
        yield
    except OSError as error:
        raise UserError(f"Can't move {folder}: {error.strerror}.") from None
