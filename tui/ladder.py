"""Round numbers a quarter apart: 1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.3, 8 (ISO 3, the R10 series).

Ten presses are a factor of ten, and as many back lead to where it began.
"""

import math

_RUNGS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0)


def up(value: float) -> float:
    """The next rung above a positive number."""
    return min(rung for rung in _around(value) if rung > value * (1 + 1e-9))


def down(value: float) -> float:
    """The next rung below a positive number."""
    return max(rung for rung in _around(value) if rung < value * (1 - 1e-9))


def _around(value: float) -> list[float]:
    exponent = math.floor(math.log10(value))
    # Through text, so that a rung is the float nearest its decimal, as one typed in is.
    return [float(f"{rung}e{exponent + shift}") for shift in (-1, 0, 1) for rung in _RUNGS]
