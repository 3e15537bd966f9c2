"""A chart as characters: curves in Braille dots, with axes, points, marks and a rule.

`draw` turns `ChartData` into a `Picture`, two small arrays, and knows nothing of widgets. Every
curve is reduced to its least and greatest value in each column of dots, so no spike is lost and
the cost depends on the size of the picture alone.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui.chart.data import STYLES, ChartData, Curve, Pattern, Points, Rule, Style, centred
from tui.numbers import SUFFIXES, exponent, short
from tui.run.history import Series

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]
_Index = Ints | slice | int

GUTTER = 7
"""Columns taken by the labels of the y axis and its line, always the same: the charts of a stack
line up, and no label that grows moves the picture."""

_SAMPLE: dict[Pattern, str] = {"solid": "⣤⣤", "stippled": "⡢⡢"}
_COLUMN_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""What each dot of a Braille character adds to U+2800, down its left and its right column."""
_DOTS = np.array(
    [
        [[sum(column[first:stop]) for stop in range(5)] for first in range(5)]
        for column in _COLUMN_DOTS
    ],
    np.uint32,
)
"""The dots [first, stop) of a column, [side, first, stop]."""
_STIPPLE = np.uint32(0x01 | 0x04 | 0x10 | 0x80)
"""Every second dot, like the squares of one colour on a chessboard."""


@dataclass(frozen=True)
class YSpan:
    """What the y axis covers, in its own units: the value, or its log10 on a log axis."""

    low: float
    high: float
    log: bool

    def rows(self, units: Floats, count: int) -> Floats:
        """The row of each position, 0 at the top of `count` rows."""
        return (self.high - units) / (self.high - self.low) * (count - 1)


class Picture:
    """A grid of characters, each one column wide, with the index of each one's style in STYLES."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.codes: NDArray[np.uint32] = np.full((height, width), ord(" "), np.uint32)
        self.styles: NDArray[np.uint8] = np.zeros((height, width), np.uint8)

    def write(self, x: int, y: int, text: str, style: Style) -> None:
        """Put text at a place; what would lie outside is left out."""
        first = max(x, 0)
        last = min(x + len(text), self.width)
        if 0 <= y < self.height and first < last:
            self.codes[y, first:last] = [ord(character) for character in text[first - x : last - x]]
            self.styles[y, first:last] = STYLES.index(style)

    def put(self, rows: _Index, columns: _Index, character: str, style: Style) -> None:
        """Put one character at every one of these places."""
        self.codes[rows, columns] = ord(character)
        self.styles[rows, columns] = STYLES.index(style)

    def changed(self, before: "Picture") -> Mask:
        """Where this differs from a picture of the same size."""
        different: Mask = (self.codes != before.codes) | (self.styles != before.styles)
        return different

    def changes(self, before: "Picture") -> list[tuple[int, int, int]]:
        """Each row that differs, from the first column that does to behind the last."""
        changed = self.changed(before)
        rows = np.flatnonzero(changed.any(axis=1))
        firsts = changed[rows].argmax(axis=1)
        lasts = self.width - changed[rows, ::-1].argmax(axis=1)
        return list(zip(rows.tolist(), firsts.tolist(), lasts.tolist(), strict=True))

    def rows(self, rows: Sequence[int]) -> Iterator[list[tuple[str, int]]]:
        """For each of these rows its text, in runs of one style. A blank takes the style before."""
        codes = self.codes[rows]
        drawn = np.where(codes == ord(" "), 0, np.arange(self.width))
        styles = np.take_along_axis(self.styles[rows], np.maximum.accumulate(drawn, axis=1), axis=1)
        text = str(codes.astype("<u4").tobytes(), "utf-32-le")
        begins = np.ones_like(styles, bool)
        begins[:, 1:] = styles[:, 1:] != styles[:, :-1]
        for y, begin in enumerate(begins):
            starts = np.flatnonzero(begin).tolist()
            first = y * self.width
            yield [
                (text[first + start : first + stop], style)
                for start, stop, style in zip(
                    starts, [*starts[1:], self.width], styles[y, starts].tolist(), strict=True
                )
            ]

    def __str__(self) -> str:
        rows = self.rows(range(self.height))
        return "\n".join("".join(text for text, _ in runs).rstrip() for runs in rows)


def draw(data: ChartData, width: int, height: int) -> Picture:
    """The chart at this size in character cells. Any size will do; small ones show less."""
    picture = Picture(width, height)
    left = GUTTER if width >= 3 * GUTTER else 0
    top = 1 if height >= 4 else 0
    plot_width, plot_height = width - left, height - top - (1 if height >= 3 else 0)
    if plot_width < 1 or plot_height < 1:
        return picture

    extents = [
        _extent(curve.series, data.steps, data.log_y, 2 * plot_width) for curve in data.curves
    ]
    span = _y_span(data, extents)
    if span is None:
        _draw_empty(picture, data.empty)
        return picture

    canvas = Picture(plot_width, plot_height)
    _draw_marks(canvas, data)
    if data.rule is not None:
        _draw_rule(canvas, data.rule, data.steps, span)
    for index, (curve, extent) in enumerate(zip(data.curves, extents, strict=True)):
        _draw_curve(canvas, curve, _without(extent, extents[:index]), span)
    if data.points is not None:
        _draw_points(canvas, data.points, data.steps, span)
    _draw_mark_labels(canvas, data)

    picture.codes[top : top + plot_height, left:] = canvas.codes
    picture.styles[top : top + plot_height, left:] = canvas.styles
    if top:
        _draw_title(picture, data)
    if left:
        _draw_y_axis(picture, top, plot_height, span, data.rule)
    if height >= 3:
        _draw_x_axis(picture, left, data)
    return picture


# --- from numbers to rows and columns of dots ---------------------------------------------------


def _units(values: Sequence[float] | NDArray[np.float32] | Floats, log: bool) -> Floats:
    """Values in the units of the y axis, NaN where they have no place on it."""
    with np.errstate(all="ignore"):
        units = np.asarray(values, np.float32).astype(np.float64)
        if log:
            units = np.log10(units)
    units[~np.isfinite(units)] = np.nan
    return units


def _columns(steps: Ints, shown: tuple[int, int], count: int) -> Floats:
    """The column of each step, 0 at the left of `count` columns."""
    first, last = shown
    return np.asarray((steps - first) * ((count - 1) / max(last - first, 1)), np.float64)


def _extent(series: Series, shown: tuple[int, int], log: bool, count: int) -> tuple[Floats, Floats]:
    """The lowest and highest y of a curve in each of `count` columns of dots, NaN for a gap."""
    first, last = shown
    if last - first >= count:
        least, greatest = series.envelope(first, last, count)
        high = _units(greatest, log)
        return np.fmin(_units(least, log), high), high
    y = _units(series.values(first, last), log)
    line: Floats = np.full(count, np.nan)
    if len(y):
        columns = _columns(np.arange(first + 1, first + 1 + len(y)), shown, count)
        line[:] = np.interp(np.arange(count), columns, y, left=np.nan, right=np.nan)
        known = np.isfinite(y)  # interp loses a lone value between two gaps
        line[np.rint(columns[known]).astype(np.intp)] = y[known]
    return line, line


def _without(
    extent: tuple[Floats, Floats], others: Sequence[tuple[Floats, Floats]]
) -> tuple[Floats, Floats]:
    """A curve's extent with gaps where it coincides with a curve that is already drawn."""
    low, high = extent
    for other_low, other_high in others:
        same = (low == other_low) & (high == other_high)
        low, high = np.where(same, np.nan, low), np.where(same, np.nan, high)
    return low, high


def _y_span(data: ChartData, extents: Sequence[tuple[Floats, Floats]]) -> YSpan | None:
    """A span that holds all there is to show, its ends rounded so that it seldom changes."""
    parts = [part for extent in extents for part in extent]
    if data.points is not None:
        within = [
            value
            for step, value in zip(data.points.steps, data.points.values, strict=True)
            if data.steps[0] <= step <= data.steps[1]
        ]
        parts.append(_units(within, data.log_y))
    shown = np.concatenate([part[np.isfinite(part)] for part in parts]) if parts else np.empty(0)
    if not len(shown):
        return None
    low, high = float(shown.min()), float(shown.max())
    if data.rule is not None:
        y = float(_units([data.rule.value], data.log_y)[0])
        if y > high and data.marks:  # leave the top row to the labels of the marks
            y += (y - low) / 6
        low, high = float(np.fmin(low, y)), float(np.fmax(high, y))
    least = 0.1 if data.log_y else 0.02 * max(abs(low), abs(high)) or 1.0
    if high - low < least:
        low, high = low - least / 2, high + least / 2
    grain = _round_up((high - low) / 20)
    return YSpan(math.floor(low / grain) * grain, math.ceil(high / grain) * grain, data.log_y)


# --- drawing within the axes --------------------------------------------------------------------


def _draw_curve(canvas: Picture, curve: Curve, extent: tuple[Floats, Floats], span: YSpan) -> None:
    """Draw a curve over what is there: a cell with a dot of it shows only this curve."""
    rows = 4 * canvas.height
    known = np.isfinite(extent[0])
    bottom, top = (
        np.rint(span.rows(np.where(known, part, span.low), rows)).astype(np.int32)
        for part in extent
    )
    joined = known[1:] & known[:-1]
    above, below = bottom[:-1] + 1, top[:-1] - 1  # reach to the column before: no break in a line
    top[1:] = np.where(joined, np.minimum(top[1:], above), top[1:])
    bottom[1:] = np.where(joined, np.maximum(bottom[1:], below), bottom[1:])

    above_cell = np.arange(0, rows, 4, dtype=np.int32)[:, np.newaxis]
    first = np.clip(top - above_cell, 0, 4)
    stop = np.where(known, np.clip(bottom + 1 - above_cell, 0, 4), 0)
    dots = _DOTS[np.arange(2 * canvas.width) % 2, first, stop]
    if curve.pattern == "stippled":
        lone = ~(np.append(False, joined) | np.append(joined, False))
        dots &= np.where(lone, 0xFF, _STIPPLE)
    cells = dots[:, 0::2] + dots[:, 1::2]
    filled = cells > 0
    canvas.codes[filled] = 0x2800 + cells[filled]
    canvas.styles[filled] = STYLES.index(curve.style)


def _draw_points(canvas: Picture, points: Points, shown: tuple[int, int], span: YSpan) -> None:
    steps = np.asarray(points.steps, np.intp)
    y = _units(points.values, span.log)
    drawn = np.isfinite(y) & (shown[0] <= steps) & (steps <= shown[1])
    columns = np.rint(_columns(steps[drawn], shown, 2 * canvas.width)).astype(np.intp) // 2
    rows = np.rint(span.rows(y[drawn], 4 * canvas.height)).astype(np.intp) // 4
    canvas.put(rows, columns, points.glyph, "point")


def _draw_rule(canvas: Picture, rule: Rule, shown: tuple[int, int], span: YSpan) -> None:
    """Draw the value of each column's last step, and behind the end the value of now."""
    first, last = shown
    columns = np.arange(canvas.width)
    values = np.full(canvas.width, rule.value, np.float64)
    if rule.past is not None and len(rule.past):
        ends = first + -(-(columns + 1) * (last - first) // canvas.width)
        told = ends <= len(rule.past)
        values[told] = rule.past.at(np.maximum(ends[told] - 1, 0))
    y = _units(values, span.log)
    rows = span.rows(np.where(np.isnan(y), span.low, y), 4 * canvas.height).round() // 4
    drawn = np.isfinite(y) & (rows >= 0) & (rows < canvas.height)
    canvas.put(rows[drawn].astype(np.intp), columns[drawn], "╌", "rule")


def _rule_row(rule: Rule, span: YSpan, height: int) -> int | None:
    y = _units([rule.value], span.log)
    return None if np.isnan(y[0]) else round(float(span.rows(y, 4 * height)[0])) // 4


def _mark_columns(canvas: Picture, data: ChartData) -> dict[int, list[str]]:
    """The labels in each column that has a mark, one a topic; the newest column first."""
    columns: dict[int, dict[str, str]] = {}
    first, last = data.steps
    for mark in sorted(data.marks, key=lambda mark: mark.step):
        if first <= mark.step <= last:
            column = round((mark.step - first) * (canvas.width - 1) / max(last - first, 1))
            labels = columns.setdefault(column, {})
            labels.pop(mark.topic, None)
            labels[mark.topic] = mark.label
    return {column: list(labels.values()) for column, labels in reversed(columns.items())}


def _draw_marks(canvas: Picture, data: ChartData) -> None:
    for column in _mark_columns(canvas, data):
        canvas.put(slice(None), column, "┊", "mark")


def _draw_mark_labels(canvas: Picture, data: ChartData) -> None:
    """Label the marks along the top, the newest first, each where no other label stands: all of
    a column if there is room, else its newest ones.

    A low chart has no row to spare for them.
    """
    if canvas.height < 4:
        return
    free = np.ones(canvas.width, bool)
    for column, labels in _mark_columns(canvas, data).items():
        texts = [", ".join(labels[older:]) for older in range(len(labels))]
        places = [(text, start) for text in texts for start in (column + 1, column - len(text))]
        for text, start in places:
            stop = start + len(text)
            if start >= 0 and stop <= canvas.width and free[max(start - 1, 0) : stop + 1].all():
                canvas.write(start, 0, text, "mark")
                free[start:stop] = False
                break


# --- around the axes ----------------------------------------------------------------------------


def _draw_title(picture: Picture, data: ChartData) -> None:
    """The title and the legend, as much of it as there is room for."""
    title = f"{data.title}, log" if data.log_y else data.title
    picture.write(0, 0, title, "title")
    x = len(title) + 2
    entries: list[tuple[str, str, Style]] = [
        (_SAMPLE[curve.pattern], curve.name, curve.style) for curve in data.curves
    ]
    if data.points is not None and len(data.points.steps):
        entries.append((data.points.glyph, data.points.name, "point"))
    if data.rule is not None:
        entries.append(("╌╌", f"{data.rule.name} {short(data.rule.value)}", "rule"))
    for sample, name, style in entries:
        end = x + len(sample) + 1 + len(name)
        if end <= picture.width:
            picture.write(x, 0, sample, style)
            picture.write(x + len(sample) + 1, 0, name, "title")
            x = end + 2


def _draw_y_axis(picture: Picture, top: int, height: int, span: YSpan, rule: Rule | None) -> None:
    x = GUTTER - 1
    picture.put(slice(top, top + height), x, "│", "axis")
    for y, label in _y_labels(span, height):
        picture.write(0, top + y, f"{label:>{x}}┤", "axis")
    if rule is not None and (ruled := _rule_row(rule, span, height)) is not None:
        picture.write(0, top + ruled, f"{_narrow(rule.value):>{x}}", "rule")


def _y_labels(span: YSpan, height: int) -> list[tuple[int, str]]:
    """Rows and their labels: round values that stand well apart, or else the two ends."""
    apart = 2 if height < 16 else 3
    for ticks, step in _y_ticks(span, height // apart):
        units = np.log10(ticks) if span.log else ticks
        rows = np.rint(span.rows(units, 4 * height)).astype(np.intp) // 4
        if len(rows) > 1 and np.abs(np.diff(rows)).min() >= apart:
            labels = _tick_labels(ticks.tolist(), step)
            if len(set(labels)) == len(labels) and max(map(len, labels)) < GUTTER:
                return list(zip(rows.tolist(), labels, strict=True))
    high, low = (_narrow(10**end if span.log else end) for end in (span.high, span.low))
    return [(0, high)] if height == 1 or low == high else [(0, high), (height - 1, low)]


def _y_ticks(span: YSpan, count: int) -> Iterator[tuple[Floats, float | None]]:
    """Sets of round values within the span, the densest first; on a linear scale their step."""
    low, high = span.low, span.high
    if span.log:
        decades = np.arange(math.floor(low), math.ceil(high) + 1)
        for mantissas, every in _LOG_TICKS:
            ticks = np.multiply.outer(10.0 ** decades[decades % every == 0], mantissas).ravel()
            yield ticks[(ticks >= 10**low * _LESS) & (ticks <= 10**high * _MORE)], None
        low, high = 10**low, 10**high
        if high > 10 * low:
            return
    step = _round_up((high - low) / max(count, 1))
    while step < high - low:
        yield _multiples(step, low, high), step
        step = _round_up(step * 1.1)


def _draw_x_axis(picture: Picture, left: int, data: ChartData) -> None:
    y, width = picture.height - 1, picture.width - left
    if left:
        picture.write(0, y, f"{data.x_name:>{left - 1}}", "axis")
    labels = _step_labels(data.steps, width) if data.x_labels is None else data.x_labels
    free = 0
    for step, label in labels:
        x = int(np.rint(_columns(np.array([step]), data.steps, width))[0])
        if x + 1 + len(label) > width:  # no room to the right of it
            x, text = x - len(label), f"{label}╵"
        else:
            text = f"╵{label}"
        if x >= free:
            picture.write(left + x, y, text, "axis")
            free = x + len(text) + 1


def _step_labels(shown: tuple[int, int], width: int) -> list[tuple[int, str]]:
    """Round steps about twelve columns apart."""
    first, last = shown
    step = max(_round_up(max(last - first, 1) / max(width // 12, 2)), 1)
    return [(int(tick), short(int(tick))) for tick in _multiples(step, first, last)]


def _draw_empty(picture: Picture, sentence: str) -> None:
    for x, y, line in centred(sentence, picture.width, picture.height):
        picture.write(x, y, line, "axis")


# --- round numbers and how they are written -----------------------------------------------------

_LOG_TICKS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((1, 2, 3, 5), 1),
    ((1, 2, 5), 1),
    ((1, 3), 1),
    ((1,), 1),
    ((1,), 2),
    ((1,), 5),
    ((1,), 10),
    ((1,), 20),
)
"""Mantissas, and every how many decades."""
_LESS, _MORE = 1 - 1e-9, 1 + 1e-9


def _round_up(value: float) -> float:
    """The least of ... 0.1, 0.2, 0.5, 1, 2, 5, 10 ... that is not below a positive value."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= value * _LESS)


def _multiples(step: float, low: float, high: float) -> Floats:
    """The multiples of `step` within [low, high]."""
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return np.arange(first, last + 1, dtype=np.float64) * step


def _narrow(value: float) -> str:
    """A number with as many digits as there is room for beside the y axis."""
    texts = [short(value, digits) for digits in (3, 2, 1)]
    return next((text for text in texts if len(text) < GUTTER), texts[-1])


def _tick_labels(ticks: Sequence[float], step: float | None) -> list[str]:
    """Labels of ticks: on a linear scale all with the decimals and the unit the step asks for."""
    if step is None:
        return [short(tick) for tick in ticks]
    largest = max(map(abs, ticks))
    unit, suffix = next((u, s) for u, s in SUFFIXES if largest >= 10 * u or u == 1)
    decimals = max(0, -math.floor(math.log10(step / unit) + 1e-9))
    if largest < 1e-3 or largest >= 1e12:
        digits = math.floor(math.log10(largest)) - math.floor(math.log10(step) + 1e-9)
        labels = [exponent(f"{tick:.{max(digits, 0)}e}") for tick in ticks]
    else:
        labels = [f"{tick / unit:.{decimals}f}{suffix}" for tick in ticks]
    return [label if tick else "0" for tick, label in zip(ticks, labels, strict=True)]
