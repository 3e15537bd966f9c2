"""Word vectors in the plane: PCA that neither flips nor turns from one moment to the next, t-SNE
where it is installed, and what is near what in the full space.

Vectors are taken at unit length: the plane is to show the cosines, and an embedding's lengths tell
mostly how often words occur.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.embeddings.directions import leading
from engine.embeddings.space import SMALLEST_NORM, Vectors
from engine.errors import UserError

Points = NDArray[np.float64]
"""(words, 2)"""
_FARTHEST = 1e6
"""From the middle: points of a map are within this."""
LEAST = 2
"""Words that make a map."""


class Plane(NamedTuple):
    """Points, and what of the vectors' variance they show."""

    points: Points
    explained: tuple[float, float]
    """Of each axis: its share of the variance; zeros where that means nothing."""


def unit_vectors(vectors: Vectors) -> Vectors:
    """The vectors (words, size) at length 1; NaN where one has no direction."""
    with np.errstate(all="ignore"):
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        norms[~((norms >= SMALLEST_NORM) & (norms < np.inf))] = np.nan
        units: Vectors = vectors / norms
    return units


def pca(units: Vectors, before: Points | None = None) -> Plane:
    """The first two principal components of vectors (words, size), which are finite.

    Of each direction the number largest in size is positive. `before` (words, 2) are the words'
    points in the plane that was seen last, NaN where a word is new: from there the two are found
    soon.
    """
    centred = units - units.mean(axis=0)
    scatter = (centred.T @ centred).astype(np.float64)  # smaller, with the same directions
    start = None
    if before is not None:
        start = centred.T @ np.where(np.abs(before) < _FARTHEST, before, 0.0)
    variances, directions = leading(scatter, 2, start)
    total = scatter.trace()
    points = np.zeros((len(units), 2))
    shares = [0.0, 0.0]
    for axis, (variance, direction) in enumerate(zip(variances, directions.T, strict=True)):
        sign = np.sign(direction[np.abs(direction).argmax()])
        points[:, axis] = centred @ (direction * sign)
        shares[axis] = float(variance / total) if total > 0 else 0.0
    return Plane(points, (shares[0], shares[1]))


def aligned(points: Points, before: Points) -> Points:
    """The points turned and mirrored, as a whole, so that they come nearest to where they were
    before (orthogonal Procrustes: Schönemann 1966). Both are (words, 2); a word that is new has
    NaN before."""
    known = (np.abs(before) < _FARTHEST).all(axis=1)
    if known.sum() < LEAST:
        return points
    now, then = points[known], before[known]
    left, _, right = np.linalg.svd((now - now.mean(axis=0)).T @ (then - then.mean(axis=0)))
    turned: Points = points @ (left @ right)
    return turned


def nearest_points(units: Vectors) -> NDArray[np.int64]:
    """Of each vector (words, size) the place of the one with the largest cosine."""
    cosines = units @ units.T
    np.fill_diagonal(cosines, -np.inf)
    nearest: NDArray[np.int64] = cosines.argmax(axis=1)
    return nearest


def check_tsne() -> None:
    """Raises UserError where t-SNE isn't installed."""
    if find_spec("openTSNE") is None:
        raise UserError("t-SNE needs the package openTSNE, which isn't installed: PCA needs none.")


def tsne(units: Vectors, go_on: Callable[[], None] = lambda: None) -> Plane:
    """By openTSNE (van der Maaten & Hinton 2008), on one thread and always from the same start.
    `go_on` is called now and then, and may raise to end it. Raises UserError where it isn't
    installed."""
    check_tsne()
    from openTSNE import TSNE

    perplexity = max(1.0, min(30.0, (len(units) - 1) / 3))
    found = TSNE(perplexity=perplexity, n_jobs=1, random_state=1, callbacks=lambda *_: go_on()).fit(
        units
    )
    return Plane(np.asarray(found, np.float64), (0.0, 0.0))
