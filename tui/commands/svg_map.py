"""A map of words as a drawing: points, and as many labels as have room. As a picture of pixels too,
where resvg_py is installed."""

from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from engine.errors import UserError
from engine.messages import MapPoint, WordMap
from tui.sanitize import token

_WIDTH, _HEIGHT, _MARGIN = 1000.0, 700.0, 40.0
_LEGEND = 100.0
_LEAST = 1e-9
"""Points that are nearer to each other than this lie on one."""
_FONT, _RADIUS = 12.0, 3.0
_FONTS = "DejaVu Sans, Liberation Sans, Noto Sans, Arial, Helvetica, sans-serif"
"""By name: resvg knows no font that is simply called sans-serif."""
_ZOOM = 2.0
"""Pixels of a picture for one of the drawing."""
_LETTER = 0.62
"""Width of a letter, in heights of the font."""
_COLOURS = (
    *("#4269d0", "#b5651d", "#d6455d", "#3a8f86", "#3f9b47"),
    *("#8a6d00", "#9a5fd0", "#c2528b", "#5b7d8c", "#7a5746"),
)
_MARKS = ("circle", "square", "triangle", "diamond", "cross")


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "_Box") -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


class Label(NamedTuple):
    """Where a point's word is written: the left end of its base line."""

    text: str
    x: float
    y: float
    box: _Box
    """What it covers."""


def places(points: list[MapPoint]) -> list[tuple[float, float]]:
    """The points on the drawing, at one scale for both axes, beside the names of classes."""
    begin = _LEGEND if any(point.group for point in points) else 0.0
    xs, ys = [point.x for point in points], [point.y for point in points]
    across, down = max(xs) - min(xs), max(ys) - min(ys)
    scale = min(
        (_WIDTH - begin - 2 * _MARGIN) / max(across, _LEAST),
        (_HEIGHT - 2 * _MARGIN) / max(down, _LEAST),
    )
    middle = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    return [
        ((begin + _WIDTH) / 2 + (x - middle[0]) * scale, _HEIGHT / 2 - (y - middle[1]) * scale)
        for x, y in zip(xs, ys, strict=True)
    ]


def labels(points: list[MapPoint], at: list[tuple[float, float]]) -> list[Label]:
    """Labels that meet neither another label nor a point nor the edge; the first points' first."""
    from rich.cells import cell_len

    edge = _Box(0, 0, _WIDTH, _HEIGHT)
    taken = [_Box(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS) for x, y in at]
    found: list[Label] = []
    for point, (x, y) in zip(points, at, strict=True):
        text = _shown(point.word)
        width = max(1, cell_len(text)) * _FONT * _LETTER
        for left, base in _around(x, y, width):
            box = _Box(left, base - 0.8 * _FONT, left + width, base + 0.25 * _FONT)
            inside = (
                box.left >= edge.left
                and box.right <= edge.right
                and box.top >= edge.top
                and box.bottom <= edge.bottom
            )
            if inside and not any(box.meets(other) for other in taken):
                taken.append(box)
                found.append(Label(text, left, base, box))
                break
    return found


def _around(x: float, y: float, width: float) -> Iterator[tuple[float, float]]:
    gap = _RADIUS + 2
    yield x + gap, y + 0.3 * _FONT
    yield x - gap - width, y + 0.3 * _FONT
    yield x - width / 2, y - gap - 0.3 * _FONT
    yield x - width / 2, y + gap + 0.8 * _FONT
    for side in (x + gap, x - gap - width):
        yield side, y - gap - 0.1 * _FONT
        yield side, y + gap + 0.6 * _FONT


def svg(found: WordMap, caption: str) -> Iterator[str]:
    """The lines of the drawing."""
    at = places(found.points)
    groups = {point.group: None for point in found.points if point.group}
    looks = {group: _look(number) for number, group in enumerate(groups)}
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" '
        f'width="{_WIDTH:g}" height="{_HEIGHT:g}" font-family="{_FONTS}" font-size="{_FONT:g}">'
    )
    yield f"<title>{escape(caption)}</title>"
    yield f'<rect width="{_WIDTH:g}" height="{_HEIGHT:g}" fill="white"/>'
    for point, (x, y) in zip(found.points, at, strict=True):
        mark, colour = looks.get(point.group, ("circle", "#555555"))
        word = escape(_shown(point.word))
        yield f'<g fill="{colour}"><title>{word}</title>{_mark(mark, x, y)}</g>'
    for label in labels(found.points, at):
        yield (
            f'<text x="{label.x:.1f}" y="{label.y:.1f}" fill="#222222">{escape(label.text)}</text>'
        )
    for row, (group, (mark, colour)) in enumerate(looks.items()):
        x, y = 12.0, 16.0 + 15 * row
        yield f'<g fill="{colour}">{_mark(mark, x, y)}'
        yield f'<text x="{x + 8:g}" y="{y + 4:g}">{escape(group)}</text></g>'
    yield "</svg>"


def check_png() -> None:
    """Raises UserError where no picture can be drawn: without resvg_py, or any of the fonts."""
    letter = f'<text y="9" font-family="{_FONTS}">x</text>'
    empty, written = (
        png(f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{text}</svg>')
        for text in ("", letter)
    )
    if written == empty:
        raise UserError(
            "A .png needs a font for its words, and this machine has none that is known: install "
            "DejaVu Sans, or draw an .svg."
        )


def png(drawing: str) -> bytes:
    """A drawing as a picture. Raises UserError where resvg_py isn't installed."""
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise UserError(
            "A .png needs resvg_py, which isn't installed: pip install 'lstm-tui[png]', or draw an "
            ".svg."
        ) from None
    return svg_to_bytes(svg_string=drawing, zoom=_ZOOM)


def _shown(word: str) -> str:
    """The word, with nothing in it that XML can't hold."""
    return token(word).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")


def _look(number: int) -> tuple[str, str]:
    """Another mark where the colours come again."""
    mark = number + number // len(_COLOURS)
    return _MARKS[mark % len(_MARKS)], _COLOURS[number % len(_COLOURS)]


def _mark(mark: str, x: float, y: float) -> str:
    r = _RADIUS
    match mark:
        case "square":
            return f'<rect x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r:g}" height="{2 * r:g}"/>'
        case "triangle":
            return f'<path d="M{x:.1f} {y - r:.1f}l{r:g} {2 * r:g}h{-2 * r:g}z"/>'
        case "diamond":
            return f'<path d="M{x:.1f} {y - r:.1f}l{r:g} {r:g}l{-r:g} {r:g}l{-r:g} {-r:g}z"/>'
        case "cross":
            return (
                f'<path d="M{x - r:.1f} {y - 1:.1f}h{2 * r:g}v2h{-2 * r:g}z'
                f'M{x - 1:.1f} {y - r:.1f}h2v{2 * r:g}h-2z"/>'
            )
        case _:
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:g}"/>'
