"""Measures of a language model, from its loss."""

import math


def perplexity(loss: float) -> float:
    """exp(loss), the loss in nats per token; infinite where it overflows."""
    return math.inf if loss >= 709 else math.exp(loss)


def clip_fraction(clipped: int, steps: int, non_finite: int) -> float:
    """The share of steps that clipping changed, of those whose gradient was finite; 0 without."""
    return clipped / max(1, steps - non_finite)


def bits_per_character(total_loss: float, characters: int) -> float:
    """A summed loss in nats, as bits for each of the characters it was summed over."""
    return total_loss / math.log(2) / max(1, characters)


def finite(value: float) -> float | None:
    """The number, None where it is not finite: as events hold it."""
    return value if math.isfinite(value) else None
