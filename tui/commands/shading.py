"""A text each of whose tokens is shaded by its surprisal, as a page and as a picture. Unknown ones
are underlined."""

from collections.abc import Iterator, Sequence
from html import escape

from engine.visible import visible

Token = tuple[str, float | None, bool]
"""What it was read from, its surprisal in bits, and whether it is unknown."""
_DARKEST = 16.0
"""Bits of the darkest shade, and of all beyond."""
_COLUMNS = 100
_WIDE, _HIGH = 8.4, 20
"""Of a cell of the picture, in pixels."""
_MOST_DRAWN = 20_000
"""Tokens in a picture: the rest of a longer text is left out, and said to be."""


def page(title: str, tokens: Sequence[Token]) -> str:
    """An HTML page: the surprisal also stands in each token's title."""
    spans = "".join(
        f'<span style="background:{_shade(bits)}{";text-decoration:underline" if unknown else ""}" '
        f'title="{_bits(bits)}">{_shown(text)}</span>'
        for text, bits, unknown in tokens
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{_shown(title)}</title></head>\n"
        '<body style="font-family:monospace;max-width:50em;margin:2em auto;line-height:1.6">\n'
        f'<p>{_shown(title)}</p>\n<div style="white-space:pre-wrap">{spans}</div>\n</body></html>'
    )


def picture(title: str, tokens: Sequence[Token]) -> str:
    """An SVG picture, lines broken where they are too long."""
    left_out = len(tokens) - _MOST_DRAWN
    if left_out > 0:
        title = f"{title} (the last {left_out:,} tokens are left out)"
    cells = list(_cells(tokens[:_MOST_DRAWN]))
    high = (3 + max((line for line, *_ in cells), default=0)) * _HIGH
    drawn = "\n".join(_cell(*cell) for cell in cells)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{(_COLUMNS + 2) * _WIDE:.0f}" '
        f'height="{high}" font-family="monospace" font-size="14">\n'
        '<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="{_WIDE}" y="{_HIGH}" font-weight="bold">{_shown(title)}</text>\n'
        f"{drawn}\n</svg>"
    )


def _cells(tokens: Sequence[Token]) -> Iterator[tuple[int, int, int, Token]]:
    """(line, column, columns, token) of the parts of tokens that stand on one line each."""
    from rich.cells import cell_len

    line = column = 0
    for text, bits, unknown in tokens:
        for number, part in enumerate(visible(text, keep_newlines=True).split("\n")):
            if number:
                line, column = line + 1, 0
            wide = cell_len(part)
            if column and column + wide > _COLUMNS:
                line, column, part = line + 1, 0, part.lstrip(" ")
                wide = cell_len(part)
            if wide:
                yield line, column, wide, (part, bits, unknown)
            column += wide


def _cell(line: int, column: int, wide: int, token: Token) -> str:
    text, bits, unknown = token
    line_below = ' text-decoration="underline"' if unknown else ""
    x, y = (1 + column) * _WIDE, (2 + line) * _HIGH
    return (
        f'<rect x="{x:.1f}" y="{y - 15}" width="{wide * _WIDE:.1f}" height="{_HIGH - 1}" '
        f'fill="{_shade(bits)}"><title>{_bits(bits)}</title></rect>'
        f'<text x="{x:.1f}" y="{y}" textLength="{wide * _WIDE:.1f}" xml:space="preserve"'
        f"{line_below}>{escape(text)}</text>"
    )


def _shown(text: str) -> str:
    return escape(visible(text, keep_newlines=True))


def _bits(bits: float | None) -> str:
    return "not predicted" if bits is None else f"{bits:.1f} bits"


def _shade(bits: float | None) -> str:
    """From white to a red in which black letters can still be read."""
    share = min(1.0, max(0.0, (bits or 0.0) / _DARKEST))
    other = round(255 - 150 * share)
    return f"#ff{other:02x}{other:02x}"
