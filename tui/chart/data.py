"""What a chart shows. `tui.chart.plot` draws it, which takes numpy; these names are free of it, so
that the first frame need not wait for that.
"""

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Literal, get_args

from msgspec import Struct

if TYPE_CHECKING:
    from tui.run.series import Series

Style = Literal[
    "axis", "title", "mark", "rule", "raw", "primary", "secondary", "point",
    "orange", "sky", "green", "yellow", "blue", "vermilion", "purple",
]  # fmt: skip
STYLES: tuple[Style, ...] = get_args(Style)
PALETTE: tuple[Style, ...] = STYLES[8:]
"""The colours of Okabe and Ito (2008), which people with any kind of colour vision tell apart."""
Pattern = Literal["solid", "stippled"]
Quantity = Literal["step", "epoch", "seconds", "token", "rate"]


class XAxis(Struct, frozen=True):
    """What the x axis shows, from where to where."""

    low: float
    high: float
    name: Quantity = "step"
    log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()
    """Values and what is written at them, where round values aren't what counts."""


class YAxis(Struct, frozen=True):
    """How the y axis is drawn; its range follows from what there is."""

    log: bool = False
    robust: bool = False
    """Whether a few high values may lie above it, and curves that are far above the others."""


class Curve(Struct, frozen=True):
    """A line through a number at each step. Curves also differ in pattern, to be told apart without
    colour."""

    series: "Series"
    name: str
    style: Style | None = "primary"
    """None for the next of the palette, with a glyph of its own."""
    pattern: Pattern = "solid"
    passed: "Series | None" = None
    """What of the x quantity had passed at each step, where that isn't the steps themselves."""
    beside: bool = False
    """Whether it is there for the others to be compared with: they have the room, it has a glyph,
    and the legend names it in a row of its own where there is one."""


class Line(Struct, frozen=True):
    """A line through points, from the left to the right; one that is no number is a gap."""

    x: Sequence[float]
    y: Sequence[float]
    name: str
    style: Style | None = None
    """None for the next of the palette, with a glyph of its own."""
    pattern: Pattern = "solid"


class Points(Struct, frozen=True):
    """Single values."""

    x: Sequence[float]
    y: Sequence[float]
    name: str
    glyph: str = "◆"
    style: Style = "point"


class Mark(Struct, frozen=True):
    """Something that happened at an x: a vertical line with a short label."""

    x: float
    label: str
    topic: str = ""
    """Of the marks in one column the last on each topic is labelled."""


class Rule(Struct, frozen=True):
    """A horizontal line at a value that is always within the chart."""

    value: float
    name: str
    past: "Series | None" = None
    """What the value was at each step; without it the line is straight."""
    passed: "Series | None" = None
    """As a curve's."""


class ChartData(Struct, frozen=True):
    """Everything a chart shows."""

    title: str
    x: XAxis
    curves: tuple[Curve | Line, ...] = ()
    """Drawn in this order: a later one covers an earlier one, but not where they coincide."""
    points: tuple[Points, ...] = ()
    marks: tuple[Mark, ...] = ()
    rule: Rule | None = None
    levels: tuple[Rule, ...] = ()
    """Straight lines to compare with, each drawn where its value lies within the chart anyway."""
    y: YAxis = YAxis()
    notes: tuple[str, ...] = ()
    """What the legend says of curves that are not drawn."""
    empty: str = ""
    """A sentence shown while there is nothing to draw."""


def centred(sentence: str, width: int, height: int) -> Iterator[tuple[int, int, str]]:
    """A sentence in the middle of a grid of cells: column, row and text of each of its lines."""
    lines = wrap(sentence, max(width - 4, 1))
    for y, line in enumerate(lines, start=max((height - len(lines)) // 2, 0)):
        yield (width - len(line)) // 2, y, line
