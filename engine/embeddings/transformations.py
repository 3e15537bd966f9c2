"""Word vectors seen another way: what all of them have in common says nothing of any."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.embeddings.space import Vectors
from engine.errors import UserError

_BLOCK = 512
"""Rows that are added up in float32."""
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
    they differ most (Mu & Viswanath 2018). Both are those of the vectors `among` (vocabulary,).
    Raises UserError where these are not finite, or there are not so many directions.
    """
    if how == "raw":
        return vectors
    size = vectors.shape[1]
    if how == "all-but-the-top" and not 1 <= components < size:
        raise UserError(
            f"All-but-the-top can take 1 to {size - 1:,} directions from vectors of {size:,} "
            f"numbers, not {components:,}."
        )
    with np.errstate(all="ignore"):
        mean = _mean(vectors if among.all() else vectors[among])
        if not np.isfinite(mean).all():
            raise UserError("The vectors are no longer finite numbers: they have no mean.")
        centred: Vectors = vectors - mean
        if how == "all-but-the-top":
            some = centred if among.all() else centred[among]
            top = principal_directions(some, components)
            centred -= (centred @ top.T) @ top
    return centred


def _mean(vectors: Vectors) -> Vectors:
    """Over the rows, in blocks: as quick as float32, and nearly as exact as float64."""
    total = np.zeros(vectors.shape[1])
    for begin in range(0, len(vectors), _BLOCK):
        total += vectors[begin : begin + _BLOCK].sum(axis=0)
    mean: Vectors = (total / max(1, len(vectors))).astype(np.float32)
    return mean


def principal_directions(centred: Vectors, components: int) -> Vectors:
    """The directions in which centred vectors (words, size) differ most: (components, size), unit
    vectors, the largest variance first. Raises UserError where the vectors are not finite."""
    scatter = centred.T @ centred
    if not np.isfinite(scatter).all():
        raise UserError("The vectors are no longer finite numbers: they have no directions.")
    _, directions = np.linalg.eigh(scatter.astype(np.float64))
    top: Vectors = directions[:, ::-1][:, :components].T.astype(np.float32)
    return top
