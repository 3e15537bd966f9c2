"""A run that stands beside the one that is shown: a record to look at. Nothing is started for it
and nothing written; where an engine trains it right now, its record grows, and is read again.

Reading leaves the engine alone: a connection that only listens would count as somebody to train
for, and would have to be read as fast as it is told.
"""

import os
from pathlib import Path
from typing import NamedTuple

from engine import runs
from engine.config import RunConfig
from engine.errors import UserError
from engine.runs.record import METRICS
from engine.runs.steps import OLDER, STEPS
from tui.run.history import History

_FILES = ("config.json", "latest", METRICS, STEPS, OLDER)
"""What is read of a run; `latest` tells that there is another checkpoint."""


class Reading(NamedTuple):
    """What a look at a run's folder told."""

    config: RunConfig
    history: History
    corpus: str
    """The fingerprint of its corpus, by its newest checkpoint; empty before the first."""
    damage: str
    """What can't be read of its record, in a sentence."""


class OtherRun:
    """A run that stands beside the one that is shown, as its folder told when it was last read."""

    def __init__(self, folder: Path, config: RunConfig) -> None:
        self.folder = folder
        self.config = config
        self.history = History()
        self.corpus = ""
        self.told_of_damage = False
        self._seen: object = None
        """What its files were like before they were read last."""

    @property
    def name(self) -> str:
        """Its folder's."""
        return self.folder.name

    @property
    def gone(self) -> bool:
        """Whether its folder is no longer there. A disk that gives no answer tells nothing."""
        try:
            self.folder.stat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False
        return False

    def news(self) -> Reading | None:
        """Read its folder where that has changed since the last time; None where it hasn't, or
        can't be read now. To be called in a thread: it waits for the disk.

        All is read again, as a record may lose its end, or have been thinned, between two looks.
        """
        seen = [_state(self.folder / name) for name in _FILES]
        if seen == self._seen:
            return None
        try:
            reading = _read(self.folder)
        except UserError:
            return None
        self._seen = seen
        return reading

    def take(self, reading: Reading) -> None:
        """Be as a reading told."""
        self.config, self.history, self.corpus = reading.config, reading.history, reading.corpus


def _state(path: Path) -> tuple[int, int, int] | None:
    """By what it is known that a file has changed; None where there is none."""
    try:
        found = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - Path's follows links
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read(folder: Path) -> Reading:
    """Read configuration and record. Raises UserError where there is no run to be read."""
    config, history = runs.load_config(folder), History()
    past = runs.open_past(folder)
    damage = ""
    try:
        for span in past.spans():
            history.recall(span)
    except UserError as error:
        damage = str(error)
    if left_out := history.strays + past.damaged + past.lost:
        damage = (
            f"The record of {folder.name} is damaged: {left_out:,} of its entries can't be read, "
            "or tell of steps it can't have come to, and are left out."
        )
    return Reading(config, history, _fingerprint(folder), damage)


def _fingerprint(folder: Path) -> str:
    """That of the run's encoded corpus, as its newest readable checkpoint names it."""
    try:
        standing = runs.load_standing(folder)
    except UserError:
        return ""
    return standing.corpus if standing else ""
