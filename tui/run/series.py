"""One number per step, kept so that any stretch of them can be drawn at once.

Beside the numbers a `Series` keeps a pyramid: the least and the greatest of every 8, of every 64,
of every 512 ... numbers. An envelope of any stretch reads a few blocks for each column from the
level that fits, so its cost does not grow with the run's length.

Nor does the memory. Each level of a pyramid forgets its oldest blocks beyond KEPT: the last steps
are there one by one, older ones by their least and greatest.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]

_FACTOR = 8
_BLOCKS_A_COLUMN = 4
"""An envelope's column edges fall on block edges; with at least this many blocks a column they
are off by at most an eighth of a column."""

KEPT = 1 << 12
"""Blocks that a level of a pyramid keeps at least."""


class _Level:
    """The end of a row of float32 numbers that grows: at least the last KEPT of them."""

    def __init__(self, first: int = 0) -> None:
        self.first = first
        """The index of the first number that is kept."""
        self._room: Floats = np.empty(1024, np.float32)
        self._length = 0

    @property
    def end(self) -> int:
        """The index behind the last one."""
        return self.first + self._length

    @property
    def array(self) -> Floats:
        """Those that are kept."""
        return self._room[: self._length]

    def from_(self, start: int) -> Floats:
        """Those from an index on, as far as they are kept."""
        return self.array[max(0, start - self.first) :]

    def has_room(self, count: int) -> bool:
        """Whether so many can be added without forgetting any."""
        return self._length + count <= 2 * KEPT

    def extend(self, values: Floats) -> None:
        """Add at most KEPT numbers."""
        if not self.has_room(len(values)):
            forgotten = self._length - KEPT
            self._room[:KEPT] = self._room[forgotten : self._length].copy()
            self.first, self._length = self.first + forgotten, KEPT
        length = self._length + len(values)
        if length > len(self._room):
            room = np.empty(min(2 * KEPT, max(length, 2 * len(self._room))), np.float32)
            room[: self._length] = self.array
            self._room = room
        self._room[self._length : length] = values
        self._length = length

    def truncate(self, end: int) -> None:
        """Forget everything from the index `end` on."""
        if end <= self.first:
            self.begin_at(end)
        self._length = min(self._length, end - self.first)

    def begin_at(self, first: int) -> None:
        """Forget all: the next number has this index."""
        self.first, self._length = first, 0


class Series:
    """One number per step, float32. What is not a finite number is kept as NaN: a gap."""

    def __init__(self, values: ArrayLike = ()) -> None:
        numbers = _Level()
        self._lows = [numbers]
        """For each level the least number of every block; a block of the lowest is a number."""
        self._highs = [numbers]
        self.extend(values)

    def __len__(self) -> int:
        return self._lows[0].end

    def extend(self, values: ArrayLike) -> None:
        """Add numbers at the end. O(len(values))."""
        with np.errstate(over="ignore"):
            added = np.asarray(values, np.float32)
        added = _finite(added)
        numbers = self._lows[0]
        for start in range(0, len(added), KEPT):
            part = added[start : start + KEPT]
            if not numbers.has_room(len(part)):
                self._lift()
            numbers.extend(part)

    def extend_ranges(self, lows: Floats, highs: Floats, counts: NDArray[np.int64]) -> None:
        """Add numbers at the end of which only the least and the greatest of each `counts`
        neighbours are known. O(len(counts)), however many they are."""
        lows, highs = _finite(lows), _finite(highs)
        for start in range(0, len(counts), KEPT // 16):
            part = slice(start, start + KEPT // 16)
            self._extend_ranges(lows[part], highs[part], counts[part])

    def _extend_ranges(self, lows: Floats, highs: Floats, counts: NDArray[np.int64]) -> None:
        """Add the whole blocks of the highest level whose blocks are no longer than the longest
        range; a range lies in no more than nine of these. What is left over is added number by
        number, half of them the least and half the greatest."""
        level = 0
        while _FACTOR ** (level + 1) <= counts.max():
            level += 1
        if level == 0:
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            least = within < np.repeat(counts // 2, counts)
            self.extend(np.where(least, np.repeat(lows, counts), np.repeat(highs, counts)))
            return
        block = _FACTOR**level
        ends = len(self) + np.cumsum(counts)
        first, last = (ends - counts) // block, (ends - 1) // block
        reach = last - first + 1
        source = np.repeat(np.arange(len(counts)), reach)
        place = np.arange(len(source)) - np.repeat(np.cumsum(reach) - reach, reach) + first[source]
        starts = np.flatnonzero(np.diff(place, prepend=-1))
        low = np.fmin.reduceat(lows[source], starts)
        high = np.fmax.reduceat(highs[source], starts)
        self._lift(level)
        low[0] = np.fmin.reduce(np.append(_unfinished(self._lows, level), low[0]))
        high[0] = np.fmax.reduce(np.append(_unfinished(self._highs, level), high[0]))
        whole, rest = divmod(int(ends[-1]), block)
        count = whole - self._lows[level].end
        for levels, ours in ((self._lows, low), (self._highs, high)):
            levels[level].extend(ours[:count])
            for below in range(level):
                levels[below].begin_at(whole * _FACTOR ** (level - below))
        if rest:
            self.extend(np.repeat([low[-1], high[-1]], [rest // 2, rest - rest // 2]))
        self._lift()

    def truncate(self, length: int) -> None:
        """Forget everything from index `length` on. Where the numbers before it are forgotten
        already, those of the last unfinished block are a gap."""
        held = next(
            level
            for level, numbers in enumerate(self._lows)
            if numbers.first * _FACTOR**level <= length
        )
        for levels in (self._lows, self._highs):
            for level, numbers in enumerate(levels):
                numbers.truncate(length // _FACTOR**level)
                if level < held:
                    numbers.begin_at(length // _FACTOR**held * _FACTOR ** (held - level))
        self.extend(np.full(max(0, length - len(self)) if held else 0, np.nan))

    def values(self, start: int = 0, stop: int | None = None) -> Floats:
        """The numbers at [start:stop], as a slice takes them, NaN where they are forgotten: a
        view, not to be kept."""
        numbers = self._lows[0]
        start, stop, _ = slice(start, stop).indices(len(self))
        known = numbers.array[max(0, start - numbers.first) : max(0, stop - numbers.first)]
        missing = min(stop, numbers.first) - start
        return np.append(np.full(missing, np.nan, np.float32), known) if missing > 0 else known

    def at(self, places: NDArray[np.intp]) -> Floats:
        """The numbers at these indices; where they are forgotten, the greatest of the block."""
        found = np.full(len(places), np.nan, np.float32)
        for level in reversed(range(len(self._highs))):
            numbers = self._highs[level]
            index = places // _FACTOR**level - numbers.first
            known = (index >= 0) & (index < len(numbers.array))
            found[known] = numbers.array[index[known]]
        return found

    def after(self, steps: Sequence[int]) -> list[float]:
        """The number at each of these steps, which begin with 1; 0 before the first of them."""
        counts = np.asarray(steps, np.intp)
        found = self.at(np.maximum(counts - 1, 0)).astype(np.float64)
        return [float(each) for each in np.where(counts > 0, found, 0.0)]

    def envelope(self, start: int, stop: int, columns: int) -> tuple[Floats, Floats]:
        """The least and the greatest number in each of `columns` equal parts of [start, stop).

        Two arrays of length `columns`, NaN where a part holds no number. Where a part is longer
        than 32 steps its edges are rounded by at most an eighth of its length (those of the whole
        outwards, by at most a quarter), so that no number is left out and the cost stays
        O(columns); where the numbers are forgotten, by a block of the lowest level that still has
        them. `start` must not be negative; `stop` may lie behind the end.
        """
        level = 0
        while _BLOCKS_A_COLUMN * columns * _FACTOR ** (level + 1) <= stop - start:
            level += 1
        fitting = level
        while level + 1 < len(self._lows) and start < self._lows[level].first * _FACTOR**level:
            level += 1
        self._lift(level)
        block, begin = _FACTOR**level, self._lows[level].first
        lows, highs = (
            _with_unfinished(self._lows, level, np.fmin),
            _with_unfinished(self._highs, level, np.fmax),
        )

        edges = start + (stop - start) * np.arange(columns + 1) // columns
        edges = (edges + block // 2) // block
        edges[0] = start // block
        edges[-1] = -(-stop // block)
        edges = np.clip(edges - begin, 0, len(lows))
        first, last = edges[:-1], edges[1:]
        # A column may be narrower than a block of a level that does not fit: it shows the block.
        filled = (first < last) | ((level > fitting) & (first < edges[-1]))

        low = np.full(columns, np.nan, np.float32)
        high = low.copy()
        if filled.any():
            low[filled] = np.fmin.reduceat(lows[: edges[-1]], first[filled])
            high[filled] = np.fmax.reduceat(highs[: edges[-1]], first[filled])
        return low, high

    def _lift(self, least: int = 0) -> None:
        """Bring the levels up to date: so many at least, and each above one that may forget."""
        level = 1
        while level <= least or self._lows[level - 1].end >= KEPT:
            if level == len(self._lows):
                self._lows.append(_Level())
                self._highs.append(_Level())
            _summarise(self._lows[level - 1], self._lows[level], np.fmin)
            _summarise(self._highs[level - 1], self._highs[level], np.fmax)
            level += 1


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.float32(np.nan))


def _summarise(below: _Level, level: _Level, least_or_greatest: np.ufunc) -> None:
    """Bring a level up to date: a block for every `_FACTOR` finished ones below it."""
    new = below.from_(level.end * _FACTOR)
    new = new[: len(new) // _FACTOR * _FACTOR]
    if len(new):
        level.extend(least_or_greatest.reduce(new.reshape(-1, _FACTOR), axis=1))


def _unfinished(levels: Sequence[_Level], level: int) -> Floats:
    """What lies behind the finished blocks of a level that is up to date, in smaller blocks."""
    parts = [levels[low].from_(levels[low + 1].end * _FACTOR) for low in range(level)]
    return np.concatenate([np.empty(0, np.float32), *parts])


def _with_unfinished(levels: Sequence[_Level], level: int, least_or_greatest: np.ufunc) -> Floats:
    """The blocks of a level that is up to date, the unfinished one at the end too."""
    rest = _unfinished(levels, level)
    blocks = levels[level].array
    return np.append(blocks, least_or_greatest.reduce(rest)) if len(rest) else blocks
