"""Text that flows: it grows at its end and scrolls, and costs no layout of the screen."""

from collections.abc import Sequence

from textual.content import Content
from textual.geometry import Size
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual
from typing_extensions import override


class Flow(ScrollView, can_focus=False):
    """Settled passages of text, wrapped once, and one that still grows."""

    DEFAULT_CSS = """
    Flow {
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
        scrollbar-background: $background;
        scrollbar-background-hover: $background;
        scrollbar-background-active: $background;
    }
    """

    virtual_size: Reactive[Size] = Reactive(Size(0, 0))
    """As every widget's, but a change of it doesn't lay out the whole screen anew."""

    def __init__(self, *, id: str, follows: bool = True) -> None:  # noqa: A002 - Textual's name
        """`follows` says whether it stays at the end, unless the user scrolled up."""
        super().__init__(id=id)
        self._follows = follows
        self._at_end = True
        """Whether what was scrolled to last was the end: another size doesn't change that."""
        self._settled: Sequence[Content] = ()
        self._growing = Content("")
        self._settled_lines: list[Strip] = []
        self._growing_lines: list[Strip] = []

    def show(self, settled: Sequence[Content], growing: Content) -> None:
        """Show the passages one below the other. Settled ones are wrapped again only where they
        come in another sequence than last time."""
        if settled is self._settled and growing.is_same(self._growing):
            return
        if settled is not self._settled:
            self._settled = settled
            self._settled_lines = self._wrap(Content("\n").join(settled))
        self._growing = growing
        self._growing_lines = self._wrap(growing)
        self._lines_changed()

    def reveal(self, characters: int) -> None:
        """Scroll to where so many characters of the growing passage end, unless it is seen."""
        line = len(self._settled_lines) + len(self._wrap(self._growing[:characters])) - 1
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if line < top:
            self.scroll_to(y=max(0, line), animate=False)
        elif line >= top + height:
            self.scroll_to(y=line - height + 1, animate=False)

    def to_end(self) -> None:
        """Scroll to the end, and stay there."""
        self._at_end = True
        self.scroll_to(y=self.max_scroll_y, animate=False)

    @override
    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._at_end = self.scroll_offset.y >= self.max_scroll_y

    def on_resize(self) -> None:
        """Wrap all of it anew."""
        self._settled_lines = self._wrap(Content("\n").join(self._settled))
        self._growing_lines = self._wrap(self._growing)
        self._lines_changed()

    def _lines_changed(self) -> None:
        height = len(self._settled_lines) + len(self._growing_lines)
        window = self.scrollable_content_region.size
        self.virtual_size = Size(window.width, height)
        self.vertical_scrollbar.window_virtual_size = height
        self.vertical_scrollbar.window_size = window.height
        if self._follows and self._at_end:
            self.to_end()
        self.refresh()

    def _wrap(self, content: Content) -> list[Strip]:
        width = self.scrollable_content_region.width
        if not content or not width:
            return []
        return Visual.to_strips(self, content, width, None, self.visual_style, pad=True)

    def notify_style_update(self) -> None:
        """Another theme: the lines hold their colours."""
        super().notify_style_update()
        self.on_resize()

    @override
    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        row = self.scroll_offset.y + y
        if row < len(self._settled_lines):
            return self._settled_lines[row]
        row -= len(self._settled_lines)
        if row < len(self._growing_lines):
            return self._growing_lines[row]
        return Strip.blank(width, self.visual_style.rich_style)
