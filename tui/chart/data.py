"""What a chart shows. `tui.chart.plot` draws it, which takes numpy; these names are free of it, so
that the first frame need not wait for that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tui.run.history import Series

Style = Literal["axis", "title", "mark", "rule", "raw", "primary", "secondary", "point"]
STYLES: tuple[Style, ...] = (
    "axis", "title", "mark", "rule", "raw", "primary", "secondary", "point"
)  # fmt: skip
Pattern = Literal["solid", "stippled"]


@dataclass(frozen=True)
class Curve:
    """A line through a series. Curves also differ in pattern, to be told apart without colour."""

    series: "Series"
    name: str
    style: Style = "primary"
    pattern: Pattern = "solid"


@dataclass(frozen=True)
class Points:
    """Single values, each at the end of a step."""

    steps: Sequence[int]
    values: Sequence[float]
    name: str
    glyph: str = "◆"


@dataclass(frozen=True)
class Mark:
    """Something that happened after `step` steps: a vertical line with a short label."""

    step: int
    label: str
    topic: str = ""
    """Of the marks in one column the last on each topic is labelled."""


@dataclass(frozen=True)
class Rule:
    """A horizontal line at a value that is always within the chart."""

    value: float
    name: str
    past: "Series | None" = None
    """What the value was at each step; without it the line is straight."""


@dataclass(frozen=True)
class ChartData:
    """Everything a chart shows. `steps` are the first and the last step of the x axis."""

    title: str
    steps: tuple[int, int]
    curves: tuple[Curve, ...]
    """Drawn in this order: a later one covers an earlier one, but not where they coincide."""
    points: Points | None = None
    marks: tuple[Mark, ...] = ()
    rule: Rule | None = None
    log_y: bool = False
    x_name: str = "step"
    x_labels: tuple[tuple[int, str], ...] | None = None
    """Steps and what is written at them, where the number of the step isn't what counts."""
    empty: str = ""
    """A sentence shown while there is nothing to draw."""


def centred(sentence: str, width: int, height: int) -> Iterator[tuple[int, int, str]]:
    """A sentence in the middle of a grid of cells: column, row and text of each of its lines."""
    lines = wrap(sentence, max(width - 4, 1))
    for y, line in enumerate(lines, start=max((height - len(lines)) // 2, 0)):
        yield (width - len(line)) // 2, y, line
