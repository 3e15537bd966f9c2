"""Room that other widgets share."""

from textual.containers import Container
from textual.geometry import Region
from textual.strip import Strip
from typing_extensions import override


class Room(Container):
    """What is in it covers all of it but its frame, so that between its upper and its lower edge
    each of its own lines is as the other: one is drawn, not all, and none where it has no frame."""

    @override
    def render_lines(self, crop: Region) -> list[Strip]:
        last = self.outer_size.height - 1
        if not any(self.gutter):
            return [Strip.blank(crop.width, self.visual_style.rich_style)] * crop.height
        if last < 2:
            return super().render_lines(crop)
        upper, between = super().render_lines(Region(crop.x, 0, crop.width, 2))
        (lower,) = super().render_lines(Region(crop.x, last, crop.width, 1))
        return [upper, *[between] * (last - 1), lower][crop.y : crop.bottom]
