"""A chart as characters: curves in Braille dots, with axes, points, marks and a rule.

`draw` turns `ChartData` into a `Picture`, two small arrays, and knows nothing of widgets. Every
curve is reduced to its least and greatest value in each column of dots, so no spike is lost and
the cost depends on the size of the picture alone.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui.chart.axes import (
    LABEL,
    Floats,
    Scale,
    narrow,
    round_up,
    units,
    x_labels,
    y_labels,
)
from tui.chart.data import (
    PALETTE,
    STYLES,
    ChartData,
    Curve,
    Line,
    Pattern,
    Points,
    Rule,
    Style,
    centred,
)
from tui.numbers import short
from tui.run.series import Series

Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]
_Index = Ints | slice | int

GUTTER = LABEL + 1
"""Columns taken by the labels of the y axis and its line, always the same: the charts of a stack
line up, and no label that grows moves the picture."""

_SAMPLE: dict[Pattern, str] = {"solid": "⣤⣤", "stippled": "⡢⡢"}
_WHOLE = ("step", "token")
_GLYPHS = "●■▲◆✚✖★▼"
"""On the lines of the palette."""
_BETWEEN_GLYPHS = 14
"""Columns from one to the next."""
_APART = 5
"""Columns from the first of one line to the first of the next: a part of `_BETWEEN_GLYPHS` that
has no factor in common with it."""
_LEAST_FOR_ROBUST = 20
"""Columns of dots from which on a few can be told from the rest."""
_LEAST_FOR_LABELS = 4
"""Rows from which on one can be spared for the labels of the marks."""
_MOST = 0.98
"""The share of the later columns that a robust range holds whole at least."""
_LATER_SHARE = 1 / 3
"""What they take of the height at least."""
_STRETCH = 2
"""How many times as far up as the curves themselves began a robust range may reach for those beside
them."""
_LEAST_FOR_TWO_ROWS = 7
"""Rows from which on the legend may take two."""
_SAMPLES = 1 << 9
"""Steps at which it is looked up how much had passed."""
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
    top = _legend_rows(data, height)
    plot_width, plot_height = width - left, height - top - (1 if height >= 3 else 0)
    if plot_width < 1 or plot_height < 1:
        return picture

    x = Scale.between(data.x.low, data.x.high, log=data.x.log)
    drawn = [
        _Drawn(curve, _extent(curve, data, x, 2 * plot_width), *_look(data.curves, index))
        for index, curve in enumerate(data.curves)
    ]
    y = _y_scale(data, drawn)
    if y is None:
        _draw_empty(picture, data.empty)
        return picture

    canvas = Picture(plot_width, plot_height)
    highest = _highest(drawn, y)
    labels = list(_mark_labels(canvas, data, x, len(highest)))
    _draw_marks(canvas, data, x, {column for column, *_ in labels})
    if data.rule is not None:
        _draw_rule(canvas, data.rule, data, y)
    for level in data.levels:
        _draw_level(canvas, level, y)
    for index, each in enumerate(drawn):
        others = [before.extent for before in drawn[:index]]
        _draw_curve(canvas, each, _without(each.extent, others), y)
    for each in drawn:
        _draw_glyphs(canvas, each, y)
    for points in data.points:
        _draw_points(canvas, points, x, y)
    for _, start, text in labels:
        canvas.write(start, 0, text, "mark")
    canvas.write(0, 0, highest, "axis")

    picture.codes[top : top + plot_height, left:] = canvas.codes
    picture.styles[top : top + plot_height, left:] = canvas.styles
    if top:
        _draw_legend(picture, data, drawn, y, top)
    if left:
        _draw_y_axis(picture, top, plot_height, y, data.rule)
    if height >= 3:
        _draw_x_axis(picture, left, data, x)
    return picture


# --- from numbers to rows and columns of dots ---------------------------------------------------


class _Drawn(NamedTuple):
    """A curve as it is drawn."""

    curve: Curve | Line
    extent: tuple[Floats, Floats]
    style: Style
    glyph: str
    """What stands on the line now and then, to tell it without colour; empty for none."""


def _look(curves: Sequence[Curve | Line], index: int) -> tuple[Style, str]:
    """The style that a curve was given, or else the next of the palette. One of the palette, and
    one that stands beside, has the next glyph too."""
    style = curves[index].style
    if style is not None and not _is_beside(curves[index]):
        return style, ""
    place = sum(curve.style is None or _is_beside(curve) for curve in curves[:index])
    return style or PALETTE[place % len(PALETTE)], _GLYPHS[place % len(_GLYPHS)]


def _extent(curve: Curve | Line, data: ChartData, x: Scale, count: int) -> tuple[Floats, Floats]:
    """The lowest and highest y of a curve in each of `count` columns of dots, NaN for a gap."""
    log = data.y.log
    if isinstance(curve, Line):
        y = units(curve.y, log=log)
        return _line_extent(x.places(curve.x, count), y, y, count)
    if curve.passed is not None:
        return _passed_extent(curve.series, curve.passed, data, x, count)
    first, last = int(data.x.low), int(data.x.high)
    if last - first >= count and not x.log:
        return _envelope(curve.series, first, last, count, log=log)
    y = units(curve.series.values(first, last), log=log)
    return _line_extent(x.places(np.arange(first + 1, first + 1 + len(y)), count), y, y, count)


def _envelope(
    series: Series, first: int, last: int, count: int, *, log: bool
) -> tuple[Floats, Floats]:
    """The lowest and highest y in `count` equal parts of these steps."""
    least, greatest = series.envelope(first, last, count)
    high = units(greatest, log=log)
    return np.fmin(units(least, log=log), high), high


def _passed_extent(
    series: Series, passed: Series, data: ChartData, x: Scale, count: int
) -> tuple[Floats, Floats]:
    """The extent of a curve whose steps stand where so much of the x quantity had passed: of no
    more parts of its steps than there are columns, each where its middle step stands."""
    ends = _steps_after(passed, np.array([data.x.low, data.x.high]))
    apart = len(passed) // _SAMPLES + 1
    first, last = (int(end) for end in np.clip([ends[0] - apart, ends[1] + apart], 0, len(series)))
    parts = min(count, last - first)
    if parts < 1:
        return np.full(count, np.nan), np.full(count, np.nan)
    low, high = _envelope(series, first, last, parts, log=data.y.log)
    edges = first + (last - first) * np.arange(parts + 1) // parts
    middle = (edges[:-1] + edges[1:] + 1) // 2
    reached = np.fmax.accumulate(passed.at(middle - 1))
    return _line_extent(x.places(reached, count), low, high, count)


def _steps_after(passed: Series, amounts: Floats) -> Floats:
    """After how many steps so much had passed; infinite where that is more than there was."""
    steps = np.unique(np.linspace(1, max(len(passed), 1), _SAMPLES).astype(np.intp))
    known = passed.at(steps - 1).astype(np.float64)
    steps, known = steps[np.isfinite(known)], known[np.isfinite(known)]
    known = np.append(0.0, np.maximum.accumulate(known))
    found: Floats = np.interp(amounts, known, np.append(0, steps), right=np.inf)
    return found


def _line_extent(places: Floats, low: Floats, high: Floats, count: int) -> tuple[Floats, Floats]:
    """The extent of a line through points, from the left to the right, at places of columns; each
    point may reach from a low to a high value."""
    placed = np.isfinite(places)
    places, low, high = places[placed], low[placed], high[placed]
    if not len(places):
        return np.full(count, np.nan), np.full(count, np.nan)
    known = np.isfinite(high) & (places > -0.5) & (places < count - 0.5)
    columns = np.rint(places[known]).astype(np.intp)
    least, greatest = (
        np.interp(np.arange(count), places, y, left=np.nan, right=np.nan) for y in (low, high)
    )
    # Interpolation loses a lone value between two gaps, and all but one of many in a column.
    least[columns] = greatest[columns] = np.nan
    np.fmin.at(least, columns, low[known])
    np.fmax.at(greatest, columns, high[known])
    return least, greatest


def _without(
    extent: tuple[Floats, Floats], others: Sequence[tuple[Floats, Floats]]
) -> tuple[Floats, Floats]:
    """A curve's extent with gaps where it coincides with a curve that is already drawn."""
    low, high = extent
    for other_low, other_high in others:
        same = (low == other_low) & (high == other_high)
        low, high = np.where(same, np.nan, low), np.where(same, np.nan, high)
    return low, high


def _y_scale(data: ChartData, drawn: Sequence[_Drawn]) -> Scale | None:
    """A scale that holds what there is to show, its ends rounded so that it seldom changes."""
    log = data.y.log
    parts = [part for each in drawn for part in each.extent]
    parts += [
        units([y for x, y in zip(p.x, p.y, strict=True) if data.x.low <= x <= data.x.high], log=log)
        for p in data.points
    ]
    shown = np.concatenate([part[np.isfinite(part)] for part in parts]) if parts else np.empty(0)
    if not len(shown):
        return None
    low, high = float(shown.min()), float(shown.max())
    if data.y.robust:
        high = _robust(low, high, data, drawn)
    if data.rule is not None:
        y = float(units([data.rule.value], log=log)[0])
        if y > high and data.marks:  # leave the top row to the labels of the marks
            y += (y - low) / 6
        low, high = float(np.fmin(low, y)), float(np.fmax(high, y))
    least = 0.1 if log else 0.02 * max(abs(low), abs(high)) or 1.0
    if high - low < least:
        low, high = low - least / 2, high + least / 2
    grain = round_up((high - low) / 20)
    return Scale(math.floor(low / grain) * grain, math.ceil(high / grain) * grain, log)


def _robust(low: float, high: float, data: ChartData, drawn: Sequence[_Drawn]) -> float:
    """The upper end at which the later half of what there is has its share of the height, whatever
    the first steps or a few spikes reach. Curves beside the others stretch it to some way above
    where these began: one that explodes must not flatten those it is compared with."""
    tops = [each.extent[1][np.isfinite(each.extent[1])] for each in drawn]
    if not any(len(top) >= _LEAST_FOR_ROBUST for top in tops):
        return high
    known = [
        (_is_beside(each.curve), top) for each, top in zip(drawn, tops, strict=True) if len(top)
    ]
    beside = [_later(top) for is_beside, top in known if is_beside]
    own = [top for is_beside, top in known if not is_beside] or [top for _, top in known]
    later = np.quantile(np.concatenate([_later(top) for top in own]), _MOST)
    middle = (data.x.low + data.x.high) / 2
    points = [y for p in data.points for x, y in zip(p.x, p.y, strict=True) if x >= middle]
    later = np.nanmax(np.append(units(points, log=data.y.log), later))
    end = low + float(later - low) / _LATER_SHARE
    furthest = low + _STRETCH * (min(float(top[0]) for top in own) - low)
    others = [float(np.quantile(top, _MOST)) for top in beside]
    return min(high, max([end, *(other for other in others if other <= furthest)]))


def _later(top: Floats) -> Floats:
    return top[len(top) // 2 :]


def _is_beside(curve: Curve | Line) -> bool:
    return isinstance(curve, Curve) and curve.beside


# --- drawing within the axes --------------------------------------------------------------------


def _draw_curve(
    canvas: Picture, drawn: _Drawn, extent: tuple[Floats, Floats], scale: Scale
) -> None:
    """Draw a curve over what is there: a cell with a dot of it shows only this curve."""
    rows = 4 * canvas.height
    known = np.isfinite(extent[0])
    bottom, top = (
        np.rint(scale.rows(np.where(known, part, scale.low), rows)).clip(-2, rows).astype(np.int32)
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
    if drawn.curve.pattern == "stippled":
        lone = ~(np.append(False, joined) | np.append(joined, False))
        dots &= np.where(lone, 0xFF, _STIPPLE)
    cells = dots[:, 0::2] + dots[:, 1::2]
    filled = cells > 0
    canvas.codes[filled] = 0x2800 + cells[filled]
    canvas.styles[filled] = STYLES.index(drawn.style)


def _draw_glyphs(canvas: Picture, drawn: _Drawn, scale: Scale) -> None:
    """Put a curve's glyph on it now and then, over all curves: they may lie on one another. So
    each has other columns."""
    if not drawn.glyph:
        return
    tops = scale.rows(drawn.extent[1][::2], 4 * canvas.height).round() // 4
    with np.errstate(invalid="ignore"):
        within = np.flatnonzero((tops >= 0) & (tops < canvas.height))
    first = (_GLYPHS.index(drawn.glyph) + 1) * _APART % _BETWEEN_GLYPHS
    columns = within[min(first, len(within) // 2) :: _BETWEEN_GLYPHS]
    canvas.put(tops[columns].astype(np.intp), columns, drawn.glyph, drawn.style)


def _draw_points(canvas: Picture, points: Points, x: Scale, y: Scale) -> None:
    columns = np.rint(x.places(points.x, 2 * canvas.width)) // 2
    rows = np.rint(y.rows(units(points.y, log=y.log), 4 * canvas.height)) // 4
    with np.errstate(invalid="ignore"):
        within = (columns >= 0) & (columns < canvas.width) & (rows >= 0) & (rows < canvas.height)
    places = rows[within].astype(np.intp), columns[within].astype(np.intp)
    canvas.put(*places, points.glyph, points.style)


def _draw_rule(canvas: Picture, rule: Rule, data: ChartData, scale: Scale) -> None:
    """Draw the value of each column's last step, and behind the end the value of now."""
    columns = np.arange(canvas.width)
    values = np.full(canvas.width, rule.value, np.float64)
    if rule.past is not None and len(rule.past):
        ends = data.x.low + (columns + 1) * (data.x.high - data.x.low) / canvas.width
        if rule.passed is not None:
            ends = _steps_after(rule.passed, ends)
        ends = np.ceil(ends - 1e-9)
        told = ends <= len(rule.past)
        values[told] = rule.past.at(np.maximum(ends[told].astype(np.intp) - 1, 0))
    y = units(values, log=scale.log)
    rows = scale.rows(np.where(np.isnan(y), scale.low, y), 4 * canvas.height).round() // 4
    drawn = np.isfinite(y) & (rows >= 0) & (rows < canvas.height)
    canvas.put(rows[drawn].astype(np.intp), columns[drawn], "╌", "rule")


def _draw_level(canvas: Picture, level: Rule, scale: Scale) -> None:
    """Draw a line with its name at the right end, under whatever else there is."""
    row = _rule_row(level, scale, canvas.height)
    if row is None or not 0 <= row < canvas.height:
        return
    canvas.put(row, slice(None), "┈", "mark")
    name = f" {level.name} {narrow(level.value)}"
    if len(name) < canvas.width:
        canvas.write(canvas.width - len(name), row, name, "mark")


def _rule_row(rule: Rule, scale: Scale, height: int) -> int | None:
    y = units([rule.value], log=scale.log)
    return None if np.isnan(y[0]) else round(float(scale.rows(y, 4 * height)[0])) // 4


def _mark_columns(canvas: Picture, data: ChartData, x: Scale) -> dict[int, list[str]]:
    """The labels in each column that has a mark, one a topic; the newest column first."""
    columns: dict[int, dict[str, str]] = {}
    for mark in sorted(data.marks, key=lambda mark: mark.x):
        if data.x.low <= mark.x <= data.x.high:
            column = round(float(x.places([mark.x], canvas.width)[0]))
            labels = columns.setdefault(column, {})
            labels.pop(mark.topic, None)
            labels[mark.topic] = mark.label
    return {column: list(labels.values()) for column, labels in reversed(columns.items())}


def _draw_marks(canvas: Picture, data: ChartData, x: Scale, labelled: set[int]) -> None:
    """A line for each mark that has its label, and for the others a tick: many are no fence."""
    for column in _mark_columns(canvas, data, x):
        whole = column in labelled or canvas.height < _LEAST_FOR_LABELS
        canvas.put(slice(None) if whole else slice(-1, None), column, "┊", "mark")


def _mark_labels(
    canvas: Picture, data: ChartData, x: Scale, taken: int
) -> Iterator[tuple[int, int, str]]:
    """Labels along the top: the column of the mark, that where the label begins, and its text. The
    newest first, each where no other label stands, nor what takes the first columns: all of a
    column if there is room, else its newest ones.

    A low chart has no row to spare for them.
    """
    if canvas.height < _LEAST_FOR_LABELS:
        return
    free = np.ones(canvas.width, bool)
    free[:taken] = False
    for column, labels in _mark_columns(canvas, data, x).items():
        texts = [", ".join(labels[older:]) for older in range(len(labels))]
        places = [(text, start) for text in texts for start in (column + 1, column - len(text))]
        for text, start in places:
            stop = start + len(text)
            if start >= 0 and stop <= canvas.width and free[max(start - 1, 0) : stop + 1].all():
                yield column, start, text
                free[start:stop] = False
                break


def _highest(drawn: Sequence[_Drawn], scale: Scale) -> str:
    """Where curves reach above the scale, what the corner says: how far."""
    highest = max((np.nanmax(each.extent[1], initial=-np.inf) for each in drawn), default=-np.inf)
    if highest <= scale.high:
        return ""
    return f"↑{short(float(10**highest if scale.log else highest), 3)}"


# --- around the axes ----------------------------------------------------------------------------


def _legend_rows(data: ChartData, height: int) -> int:
    """Rows of title and legend: a second one where something stands beside and the plot keeps
    most of the height."""
    if height < 4:
        return 0
    second = bool(data.notes) or any(_is_beside(curve) for curve in data.curves)
    return 2 if second and height >= _LEAST_FOR_TWO_ROWS else 1


def _draw_legend(
    picture: Picture, data: ChartData, drawn: Sequence[_Drawn], scale: Scale, rows: int
) -> None:
    """The title and the legend, as much of it as there is room for. What stands beside has the
    second row, or else comes first: what the chart itself shows is always the same."""
    own, beside = _entries(data, drawn, scale)
    title = f"{data.title}, log" if data.y.log else data.title
    picture.write(0, 0, title, "title")
    if rows == 2:
        _write_entries(picture, len(title) + 2, 0, own)
        _write_entries(picture, 0, 1, beside)
    else:
        _write_entries(picture, len(title) + 2, 0, [*beside, *own])


_Entry = tuple[str, str, Style]
"""Of a legend: a sample, the name, and the sample's style."""


def _entries(
    data: ChartData, drawn: Sequence[_Drawn], scale: Scale
) -> tuple[list[_Entry], list[_Entry]]:
    """What the legend names: what is the chart's own, and what stands beside, with an arrow where
    all of it lies above."""
    own: list[_Entry] = []
    beside: list[_Entry] = []
    for each in drawn:
        sample, name = each.glyph + _SAMPLE[each.curve.pattern], each.curve.name
        if not _is_beside(each.curve):
            own.append((sample, name, each.style))
        else:
            lowest = np.nanmin(each.extent[0], initial=np.inf)
            above = " ↑" if scale.high < lowest < np.inf else ""
            beside.append((sample, f"{name}{above}", each.style))
    own += [(points.glyph, points.name, points.style) for points in data.points if points.x]
    if data.rule is not None:
        own.append(("╌╌", f"{data.rule.name} {short(data.rule.value)}", "rule"))
    return own, [*beside, *(("✗", note, "mark") for note in data.notes)]


def _write_entries(picture: Picture, x: int, y: int, entries: Sequence[_Entry]) -> None:
    for sample, name, style in entries:
        end = x + len(sample) + 1 + len(name)
        if end <= picture.width:
            picture.write(x, y, sample, style)
            picture.write(x + len(sample) + 1, y, name, "title")
            x = end + 2


def _draw_y_axis(picture: Picture, top: int, height: int, scale: Scale, rule: Rule | None) -> None:
    x = GUTTER - 1
    picture.put(slice(top, top + height), x, "│", "axis")
    for y, label in y_labels(scale, height):
        picture.write(0, top + y, f"{label:>{x}}┤", "axis")
    if rule is not None and (ruled := _rule_row(rule, scale, height)) is not None:
        picture.write(0, top + ruled, f"{narrow(rule.value):>{x}}", "rule")


def _draw_x_axis(picture: Picture, left: int, data: ChartData, scale: Scale) -> None:
    y, width = picture.height - 1, picture.width - left
    if left:
        picture.write(0, y, f"{data.x.name:>{left - 1}}", "axis")
    free = 0
    for value, label in data.x.ticks or x_labels(scale, width, whole=data.x.name in _WHOLE):
        x = int(np.rint(scale.places([value], width))[0])
        if x + 1 + len(label) > width:  # no room to the right of it
            x, text = x - len(label), f"{label}╵"
        else:
            text = f"╵{label}"
        if x >= free:
            picture.write(left + x, y, text, "axis")
            free = x + len(text) + 1


def _draw_empty(picture: Picture, sentence: str) -> None:
    for x, y, line in centred(sentence, picture.width, picture.height):
        picture.write(x, y, line, "axis")
