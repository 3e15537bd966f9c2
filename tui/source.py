"""The text a user names: as a run keeps it, and at a glance."""

import asyncio
import os
import time
from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import UserError
from engine.paths import named_path
from engine.text.reading import BUILT_IN, check_beginning, resolve

if TYPE_CHECKING:
    from engine.text.look import Look

GLANCE = 0.5
"""Seconds to look for the files of a folder."""
FIRST_LINES = 3


def named_source(text: str) -> str:
    """A built-in corpus as it is, anything else as an absolute path or pattern; there may be
    nothing there. Raises UserError where it can't be one."""
    text = text.strip()
    return text if text in BUILT_IN else str(named_path(text, "The text"))


def chosen_source(text: str, go_on: Callable[[], None] = lambda: None) -> str:
    """The same. Raises UserError also where there is no such text, or none that anything could be
    learnt from; and whatever `go_on` raises, which is called for each file on the way."""
    source = named_source(text)
    if source not in BUILT_IN:
        check_beginning(resolve(source, go_on))
    return source


async def find_source(text: str) -> str:
    """The same in a thread: a large folder takes a while. Cancelled, the search ends."""
    unwanted = Event()

    def go_on() -> None:
        if unwanted.is_set():
            raise _TooLong("Nobody waits for it any more.")

    try:
        return await asyncio.to_thread(chosen_source, text, go_on)
    finally:
        unwanted.set()


class _TooLong(UserError):
    """It would take longer to find what is meant than anybody waits."""


class Glance(NamedTuple):
    """A text as it can be told before it is opened."""

    files: int
    size: int
    """Bytes on the disk."""
    first_lines: list[str]
    """Those that aren't blank, as they are."""
    look: "Look"


def glance(text: str) -> Glance | None:
    """Look at the text that a user is naming; None where there is nothing of that name. Reads
    little, and only the names of files for at most GLANCE seconds. Raises UserError where it can't
    be read, isn't text, or takes longer to find."""
    from engine.text.look import beginning, look_at

    source = str(named_path(text.strip(), "The text"))
    until = time.monotonic() + GLANCE

    def go_on() -> None:
        if time.monotonic() > until:
            raise _TooLong("It holds many files: they are looked through once it is opened.")

    if not os.path.lexists(source) and "**" in source:
        raise _TooLong("A pattern through folders: it is looked for once it is opened.")
    try:
        found = resolve(source, go_on)
    except UserError as error:
        if os.path.lexists(source) or isinstance(error, _TooLong):
            raise
        return None
    begins = beginning(found)
    lines = [line for line in begins.split("\n") if line.strip()]
    size = sum(part.size for parts in found.splits.values() for part in parts)
    return Glance(found.files, size, lines[:FIRST_LINES], look_at(begins))
