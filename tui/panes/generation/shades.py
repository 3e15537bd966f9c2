"""Shades of tokens. Each grade differs in its letters too, so that it is told without colour."""

import math
from collections.abc import Iterable, Sequence

from textual.content import Content

from tui.sanitize import visible

HUE, OTHER = "#E69F00", "#56B4E9"
"""Two colours that are told apart with any kind of colour vision."""
_BOUNDS = (1.0, 4.0, 8.0, 12.0)
"""Bits of surprisal from which on the next grade begins."""
_GRADES = (
    "dim",
    f"on {HUE} 15%",
    f"underline on {HUE} 30%",
    f"bold underline on {HUE} 45%",
    f"bold italic underline on {HUE} 65%",
)
CURSOR = "bold reverse not dim"
UNKNOWN = "bold strike $text-error"
COPIED = f"bold underline on {OTHER} 45%"
"""A token that stands verbatim in the training text with those around it."""
_BITS = ("<1 bit", "1 to 4", "4 to 8", "8 to 12", "from 12")
SHARES = ("<20%", "from 20", "from 40", "from 60", "from 80%")
"""Names of the grades of `grade`."""
_UP, _DOWN = " ░▒▓█", " ─=≡≡"
"""Strengths above zero, and below it: strokes as of a minus."""


def bits(probability: float) -> float:
    """The surprisal of a probability, in bits."""
    return -math.log2(probability) if probability > 0 else math.inf


def shade(surprisal: float | None) -> str:
    """The style of a token of so many bits; none where nothing predicted it."""
    if surprisal is None:
        return ""
    return _GRADES[sum(surprisal >= bound for bound in _BOUNDS)]


def legend(names: Sequence[str] = _BITS) -> Content:
    """What the grades mean, by default in bits."""
    parts = [Content.styled(f" {name} ", style) for name, style in zip(names, _GRADES, strict=True)]
    return Content(" ").join(parts)


def grade(share: float) -> str:
    """The style for a share from 0 to 1."""
    return _GRADES[min(4, int(5 * max(0.0, share)))] if math.isfinite(share) else UNKNOWN


def signed(value: float) -> tuple[str, str]:
    """The glyph and the style of a number from -1 to 1."""
    if not math.isfinite(value):
        return "×", "$text-error"
    strength = min(1.0, abs(value))
    hue = HUE if value >= 0 else OTHER
    glyph = (_UP if value >= 0 else _DOWN)[round(4 * strength)]
    return glyph, f"{hue} on {hue} {round(60 * strength)}%"


def coloured(value: float) -> str:
    """The style of a token at which a unit has this value, from -1 to 1: below zero italic, and
    from a half on underlined."""
    if not math.isfinite(value):
        return UNKNOWN
    strength = min(1.0, abs(value))
    hue = HUE if value >= 0 else OTHER
    letters = ("italic " if value < 0 else "") + ("bold underline " if strength >= 0.5 else "")
    return f"{letters}on {hue} {round(65 * strength)}%"


def laid_out(
    texts: Sequence[str], styles: Iterable[str], cursor: int | None = None
) -> tuple[Content, int]:
    """Tokens one behind the other, each made visible in its style, and how many characters there
    are up to the cursor's end (all of them without one). Line ends are seen, and kept."""
    parts: list[tuple[str, str]] = []
    length = reach = 0
    for place, (text, style) in enumerate(zip(texts, styles, strict=True)):
        shown = visible(text, keep_newlines=True, begins=place == cursor or not parts)
        shown = shown.replace("\n", "⏎\n") or ("·" if place == cursor else "")
        parts.append((shown, CURSOR if place == cursor else style))
        length += len(shown)
        if place == cursor or cursor is None:
            reach = length
    return Content.assemble(*parts), reach
