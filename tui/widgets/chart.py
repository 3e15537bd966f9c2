"""The chart widget: a picture from tui.plot as strips, repainted only where it changed."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.plot import STYLES, ChartData, Picture, draw


class Chart(Widget):
    """A line chart. Give it something to show with `show`; it draws at whatever size it has."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"chart--{style}" for style in STYLES}
    DEFAULT_CSS = """
    Chart {
        & > .chart--axis { color: $text-muted; }
        & > .chart--title { color: $text; }
        & > .chart--mark { color: $text-muted; }
        & > .chart--rule { color: $text-error; }
        & > .chart--raw { color: $text-primary 55%; }
        & > .chart--primary { color: $text-primary; }
        & > .chart--secondary { color: $text-warning; }
        & > .chart--point { color: $text-success; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._data: ChartData | None = None
        self._picture = Picture(0, 0)
        self._strips: list[Strip] = []
        """The picture as Textual takes it; empty until drawn, and after the styles changed."""
        self._pens: list[RichStyle] = []

    def show(self, data: ChartData) -> None:
        """Draw this from now on. What looks as it did is not repainted."""
        self._data = data
        if not self._drawn:
            self.refresh()
            return
        before = self._picture
        self._picture = draw(data, before.width, before.height)
        changed = self._picture.changed(before)
        rows = np.flatnonzero(changed.any(axis=1)).tolist()
        for y, strip in zip(rows, self._make_strips(rows), strict=True):
            self._strips[y] = strip
        if rows:
            firsts = changed[rows].argmax(axis=1).tolist()
            lasts = (before.width - changed[rows, ::-1].argmax(axis=1)).tolist()
            self.refresh(
                *(
                    Region(first, y, last - first, 1)
                    for first, y, last in zip(firsts, rows, lasts, strict=True)
                )
            )

    def render_lines(self, crop: Region) -> list[Strip]:
        if not self._drawn:
            self._draw_afresh()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        return self._strips[y]

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    @property
    def _drawn(self) -> bool:
        """Whether there are strips for the size and the styles of now."""
        return bool(self._strips) and (self._picture.width, self._picture.height) == self.size

    def _draw_afresh(self) -> None:
        self._pens = [self.get_component_rich_style(f"chart--{style}") for style in STYLES]
        self._picture = draw(self._data, *self.size) if self._data else Picture(*self.size)
        self._strips = self._make_strips(range(self._picture.height))

    def _make_strips(self, rows: Sequence[int]) -> list[Strip]:
        return [
            Strip([Segment(text, self._pens[style]) for text, style in runs], self._picture.width)
            for runs in self._picture.rows(rows)
        ]
