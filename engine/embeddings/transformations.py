"""Word vectors seen another way: what all of them have in common says nothing of any."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.embeddings.directions import leading
from engine.embeddings.space import Vectors
from engine.errors import UserError

SAMPLE = 4_000
"""Vectors in which directions are looked for, at most: of more words those evenly apart."""
_BLOCK = 512
"""Rows that are added up in float32, and changed while a core's own cache holds them."""
Transformation = Literal["raw", "mean-removed", "all-but-the-top"]


def default_components(size: int) -> int:
    """How many directions all-but-the-top takes away of vectors of this size: a hundredth of it
    (Mu & Viswanath 2018), one at least."""
    return max(1, round(size / 100))


def transformed(
    vectors: Vectors, how: Transformation, components: int, among: NDArray[np.bool_]
) -> Vectors:
    """The vectors (vocabulary, size) after a transformation; the very same where that is `raw`.

    `mean-removed` subtracts their mean; `all-but-the-top` then the `components` directions in which
    they differ most (Mu & Viswanath 2018). Both are those of the vectors `among` (vocabulary,); of
    more than SAMPLE the directions are those of so many. Raises UserError where these are not
    finite, or there are not so many directions.
    """
    if how == "raw":
        return vectors
    size = vectors.shape[1]
    if how == "all-but-the-top" and not 1 <= components < size:
        raise UserError(
            f"All-but-the-top can take 1 to {size - 1:,} directions from vectors of {size:,} "
            f"numbers, not {components:,}."
        )
    changed = np.empty_like(vectors)
    with np.errstate(all="ignore"):
        mean = _mean(vectors, among)
        if not np.isfinite(mean).all():
            raise UserError("The vectors are no longer finite numbers: they have no mean.")
        top = None
        if how == "all-but-the-top":
            top = principal_directions(vectors[_some(among)] - mean, components)
        for begin in range(0, len(vectors), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            rows = np.subtract(vectors[block], mean, out=changed[block])
            if top is not None:
                rows -= (rows @ top.T) @ top
    return changed


def _mean(vectors: Vectors, among: NDArray[np.bool_]) -> Vectors:
    """Over the rows among these, in blocks: as quick as float32, and nearly as exact as float64."""
    total = np.zeros(vectors.shape[1])
    for begin in range(0, len(vectors), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        total += vectors[block][among[block]].sum(axis=0)
    mean: Vectors = (total / max(1, among.sum())).astype(np.float32)
    return mean


def _some(among: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The ids of these, or of SAMPLE evenly among them."""
    ids = np.flatnonzero(among)
    if len(ids) <= SAMPLE:
        return ids
    return ids[np.linspace(0, len(ids) - 1, SAMPLE).astype(np.int64)]


def principal_directions(centred: Vectors, components: int) -> Vectors:
    """The directions in which centred vectors (words, size) differ most: (components, size), unit
    vectors, the largest variance first. Raises UserError where the vectors are not finite."""
    scatter = centred.T @ centred
    if not np.isfinite(scatter).all():
        raise UserError("The vectors are no longer finite numbers: they have no directions.")
    _, directions = leading(scatter.astype(np.float64), components)
    top: Vectors = directions.T.astype(np.float32)
    return top
