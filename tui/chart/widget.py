"""The chart widget: a picture from tui.chart.plot as strips, repainted only where it changed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget
from typing_extensions import override

from tui.chart.data import STYLES, ChartData, Style, centred
from tui.terms import explained

if TYPE_CHECKING:
    from tui.chart.plot import Picture

_INKS: dict[Style, str] = {
    "rule": "$text-error",
    "raw": "$text-primary 55%",
    "primary": "$text-primary",
    "secondary": "$text-warning",
    "point": "$text-success",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
}
"""What styles are drawn in: colours of the theme, then the palette, which is that of every theme.
The other styles' colours depend on what is below them, so the stylesheet has them; each style there
takes the first frame as long as a widget."""


class Chart(Widget):
    """A chart. Give it something to show with `show`; it draws at whatever size it has."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"chart--{style}" for style in STYLES if style not in _INKS
    }
    DEFAULT_CSS = """
    Chart {
        & > .chart--axis, & > .chart--mark { color: $text-muted; }
        & > .chart--title { color: $text; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._data: ChartData | str = ""
        self._picture: Picture | None = None
        """What is drawn of the data; None where that is a sentence."""
        self._strips: list[Strip] = []
        """What is drawn as Textual takes it; empty until it is, and after the styles changed."""
        self._drawn_size = Size(0, 0)
        self._pens: list[RichStyle] = []

    def show(self, data: ChartData | str) -> None:
        """Draw this from now on, or say this sentence. What looks as it did is not repainted."""
        before = self._picture if self._drawn else None
        self._data = data
        if before is None or isinstance(data, str):
            self._strips.clear()
            self.refresh()
            return
        from tui.chart.plot import draw

        self._picture = draw(data, before.width, before.height)
        changes = self._picture.changes(before)
        rows = [y for y, _, _ in changes]
        for y, strip in zip(rows, self._picture_strips(self._picture, rows), strict=True):
            self._strips[y] = strip
        if changes:
            self.refresh(*(Region(first, y, last - first, 1) for y, first, last in changes))

    @property
    def words(self) -> str:
        """What is written in it, as it is drawn."""
        return "\n".join(strip.text for strip in self._strips)

    def on_mouse_move(self) -> None:
        """A tooltip explains what is written in it."""
        self.tooltip = explained(self.words)

    @override
    def render_lines(self, crop: Region) -> list[Strip]:
        if not self._drawn:
            self._draw_afresh()
        return super().render_lines(crop)

    @override
    def render_line(self, y: int) -> Strip:
        return self._strips[y]

    @override
    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    @property
    def _drawn(self) -> bool:
        """Whether there are strips for the size and the styles of now."""
        return bool(self._strips) and self._drawn_size == self.size

    def _draw_afresh(self) -> None:
        self._drawn_size = self.size
        if isinstance(self._data, str):
            self._picture = None
            self._strips = self._sentence_strips(self._data, *self.size)
        else:
            from tui.chart.plot import draw  # it takes numpy, which the first frame does without

            self._pens = [self._pen(style) for style in STYLES]
            self._picture = draw(self._data, *self.size)
            self._strips = self._picture_strips(self._picture, range(self._picture.height))

    def _pen(self, style: Style) -> RichStyle:
        if (ink := _INKS.get(style)) is None:
            return self.get_component_rich_style(f"chart--{style}")
        return (self.visual_style + self.app.stylesheet.parse_style(ink)).rich_style

    def _sentence_strips(self, sentence: str, width: int, height: int) -> list[Strip]:
        texts = [" " * width] * height
        for x, y, line in centred(sentence, width, height):
            if y < height:
                texts[y] = (" " * x + line).ljust(width)[:width]
        pen = self._pen("axis")
        return [Strip([Segment(text, pen)], width) for text in texts]

    def _picture_strips(self, picture: "Picture", rows: Sequence[int]) -> list[Strip]:
        return [
            Strip([Segment(text, self._pens[style]) for text, style in runs], picture.width)
            for runs in picture.rows(rows)
        ]
