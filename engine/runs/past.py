"""The past of a run, read once from its record, as arrays of steps and the rarer events between."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from engine.events import AnyRecorded, Extent, RolledBack, Stepped
from engine.runs.record import METRICS, Line, Lines
from engine.runs.steps import (
    BLOCK,
    HEADER,
    OLDER,
    STEPS,
    Layout,
    Rows,
    StepFile,
    are_sound,
    open_older,
    open_steps,
)

MOST_EVENTS = 1 << 13
"""Events in a span."""


OLD_BLOCK = 1 << 11
"""Steps in a span where they are lines: reading takes longer then, and nobody should wait."""


class Told(NamedTuple):
    """One of the rarer events."""

    row: int
    """How many steps were recorded before it."""
    event: AnyRecorded


@dataclass(frozen=True)
class Span:
    """Consecutive steps, and the rarer events between them. Where the run went back a span ends:
    RolledBack is its last event, and no step in it is void because of it alone."""

    layout: Layout
    rows: Rows
    """Of steps.bin, those that are lost with the step 0; or of older.bin."""
    first: int
    """How many steps were recorded before it."""
    events: list[Told]

    @property
    def thinned(self) -> bool:
        """Whether the rows stand for several steps each."""
        return self.rows.dtype == self.layout.older

    @property
    def held(self) -> Rows:
        """The rows without those that are lost."""
        there = self.rows["step"] > 0
        return self.rows if there.all() else self.rows[there]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many steps each row stands for."""
        if self.thinned:
            return self.rows["steps"].astype(np.int64)
        return np.ones(len(self.rows), np.int64)

    @property
    def places(self) -> NDArray[np.int64]:
        """How many steps were recorded before each row."""
        if self.thinned:
            return self.rows["row"].astype(np.int64)
        return np.arange(self.first, self.first + len(self.rows))

    def in_order(self) -> Iterator[AnyRecorded]:
        """Everything one by one; a row of several steps is the last of them, with the means."""
        places = self.places[self.rows["step"] > 0].tolist()
        steps = self.layout.decode(self.held)
        at = 0
        for row, event in self.events:
            while at < len(places) and places[at] < row:
                yield next(steps)
                at += 1
            yield event
        yield from steps


class Past:
    """A run's past, all that the record holds or as far as `extent`. `spans` reads it once."""

    def __init__(self, folder: Path, extent: Extent | None = None) -> None:
        self._folder = folder
        self._extent = extent
        self.damaged = self.lost = 0
        """Lines, and rows, left out so far since they can't be read."""
        self.damage = ""
        """A sentence on the first of them."""

    def spans(self) -> Iterator[Span]:
        """Everything in order. Raises UserError where a file can't be read."""
        lines = Lines(self._folder, self._extent.size if self._extent else None)
        if lines.old:
            yield from self._old_spans(lines)
            return
        with ExitStack() as files:
            try:
                # In this order: what leaves the one is in the other already.
                steps, older = open_steps(self._folder), open_older(self._folder)
                for file in (steps, older):
                    if file is not None:
                        files.callback(file.close)
                for name, file in ((STEPS, steps), (OLDER, older)):
                    path = self._folder / name
                    if file is None and path.exists() and path.stat().st_size >= HEADER:
                        self._leave_out(1, name, " in its first line")
                yield from self._spans(steps, older, self._told(lines))
            except OSError as error:
                raise UserError(
                    f"Can't read {error.filename or self._folder}: {error.strerror}."
                ) from None

    def _spans(
        self, steps: StepFile | None, older: StepFile | None, told: Iterator[Told]
    ) -> Iterator[Span]:
        events = _Queue(told)
        layout = steps.layout if steps else older.layout if older else Layout(())
        row = 0
        last = steps.header.first + steps.rows if steps else 2**53  # a row beyond it is damaged
        for rows in self._older_blocks(older, last):
            assert older is not None
            places = rows["row"].astype(np.int64)
            row = int(places[-1]) + int(rows["steps"][-1])
            yield from _split(older.layout, rows, places, row, events)
        for first, rows in self._step_blocks(steps, row):
            row = first + len(rows)
            yield from _split(layout, rows, np.arange(first, row), row, events)
        while rest := events.up_to(None):
            yield Span(layout, np.empty(0, layout.step), row, rest)

    def _older_blocks(self, older: StepFile | None, last: int) -> Iterator[Rows]:
        """Rows in which nothing is impossible; `last` is how many steps were recorded."""
        if older is None:
            return
        end = 0
        limit = self._extent.rows if self._extent else 2**53
        for rows in older.blocks():
            place, count = rows["row"].astype(np.int64), rows["steps"].astype(np.int64)
            before = np.append(end, place[:-1] + count[:-1])
            sound = (place >= before) & (count > 0) & (count <= older.header.width)
            sound &= (count <= rows["step"]) & (place + count <= last) & are_sound(rows)
            within = place + count <= limit
            self._leave_out(int((within & ~sound).sum()), OLDER)
            sound &= within
            if sound.any():
                rows = rows[sound]
                end = int(rows["row"][-1]) + int(rows["steps"][-1])
                yield rows

    def _step_blocks(self, steps: StepFile | None, begin: int) -> Iterator[tuple[int, Rows]]:
        """Blocks from the row `begin` on, each with how many rows were recorded before it."""
        if steps is None:
            return
        first = steps.header.first
        stop = steps.rows if self._extent is None else max(0, self._extent.rows - first)
        start = max(0, begin - first)
        for number, rows in enumerate(steps.blocks(start, stop)):
            if not (sound := are_sound(rows)).all():
                self._leave_out(int((~sound).sum()), STEPS)
                rows = np.where(sound, rows, np.zeros(1, rows.dtype))
            yield first + start + number * BLOCK, rows

    def _told(self, lines: Iterable[Line]) -> Iterator[Told]:
        for number, line in enumerate(lines, start=1):
            if line.event is None:
                self._leave_out(1, METRICS, f" in line {number}")
            else:
                yield Told(line.row, line.event)

    def _leave_out(self, count: int, name: str, where: str = "") -> None:
        if name == METRICS:
            self.damaged += count
        else:
            self.lost += count
        if count and not self.damage:
            self.damage = f"{self._folder / name} is damaged{where}."

    def _old_spans(self, lines: Lines) -> Iterator[Span]:
        """Of a record whose steps are lines."""
        layout: Layout | None = None
        rows, first, events = bytearray(), 0, list[Told]()

        def span() -> Span:
            made = layout or Layout(())
            data = np.frombuffer(bytes(rows), made.step)
            return Span(made, data, first, list(events))

        count = 0
        for told in self._told(lines):
            if isinstance(told.event, Stepped):
                layout = layout or Layout(list(told.event.groups_before))
                row = layout.encode_doubtful(told.event)
                self._leave_out(not any(row), STEPS)
                rows += row
                count += 1
            else:
                events.append(told)
            full = count - first >= OLD_BLOCK or len(events) >= MOST_EVENTS
            if full or isinstance(told.event, RolledBack):
                yield span()
                rows.clear()
                events.clear()
                first = count
        if rows or events:
            yield span()


class _Queue:
    """Events in order, taken as far as their rows come."""

    def __init__(self, told: Iterator[Told]) -> None:
        self._told = told
        self._next = next(told, None)

    def up_to(self, row: int | None) -> list[Told]:
        """The next events up to this row, the last of them a RolledBack if there is one."""
        taken: list[Told] = []
        while self._next is not None and (row is None or self._next.row <= row):
            taken.append(self._next)
            self._next = next(self._told, None)
            if isinstance(taken[-1].event, RolledBack) or len(taken) >= MOST_EVENTS:
                break
        return taken


def _split(
    layout: Layout, rows: Rows, places: NDArray[np.int64], end: int, events: _Queue
) -> Iterator[Span]:
    """The rows in spans, with the events up to the row `end`."""
    begin = 0
    while begin < len(rows):
        taken = events.up_to(end)
        more = taken and (isinstance(taken[-1].event, RolledBack) or len(taken) >= MOST_EVENTS)
        stop = int(np.searchsorted(places, taken[-1].row)) if more else len(rows)
        stop = max(stop, begin)
        yield Span(layout, rows[begin:stop], int(places[begin]), taken)
        begin = stop
