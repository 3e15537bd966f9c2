"""Sparse gradients (see `engine.sizes.sparse_gradients`): of embedding and output only the rows of
the window's tokens and candidates are held, clipped, measured and subtracted."""

from collections.abc import Iterable

from torch import Tensor


def add_up(weights: Iterable[Tensor]) -> None:
    """Let each row of a sparse gradient stand in it once."""
    for weight in weights:
        if weight.grad is not None and weight.grad.is_sparse:
            weight.grad = weight.grad.coalesce()


def numbers(gradient: Tensor) -> Tensor:
    """Those of a gradient that may be other than zero, to be changed in place."""
    return gradient.values() if gradient.is_sparse else gradient
