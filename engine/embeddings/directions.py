"""The directions in which vectors differ most."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
BESIDE, ITERATIONS = 6, 24
"""Directions that are followed beside those wanted; how often, before all are looked for."""
_CLOSE = 1e-5
"""Of the largest variance: what is left to be found of a direction that is found."""


def leading(scatter: Numbers, count: int, start: Numbers | None = None) -> tuple[Numbers, Numbers]:
    """The largest eigenvalues of a scatter matrix (size, size), at most `count`, the largest first,
    and their unit vectors (size, count). `start` (size, count) are directions near them, if known.

    By orthogonal iteration (Golub & Van Loan 2013, 8.2.4), where it takes long by all eigenvalues.
    The directions beside those wanted begin at random, so that any start may be left.
    """
    size = len(scatter)
    block = np.random.default_rng(size).normal(size=(size, count + BESIDE))
    if start is not None:
        block[:, :count] = start
    for _ in range(ITERATIONS if 2 * block.shape[1] < size else 0):
        block, _ = np.linalg.qr(block)
        product = scatter @ block
        variances, turns = np.linalg.eigh(block.T @ product)
        best, turned = variances[::-1][:count], turns[:, ::-1][:, :count]
        found, block = block @ turned, product
        if np.abs(product @ turned - found * best).max() <= _CLOSE * best[0]:
            return best, found
    _, variances, rows = np.linalg.svd(scatter, hermitian=True)
    return variances[:count], rows[:count].T
