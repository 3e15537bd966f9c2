"""Nearest neighbours of a word by the cosine of embeddings (as word2vec and gensim mean it)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

BLOCK = 1 << 17
"""Numbers of an embedding that are read at once: what a core's own cache holds."""
SMALLEST_NORM = 1e-12
"""A vector shorter than this has no direction: its cosines go towards 0."""


def nearest(
    weight: Tensor, token: int, top: int, among: NDArray[np.bool_] | None = None
) -> list[tuple[int, float]]:
    """The `top` other tokens with the largest cosine to `token`, best first.

    `weight` is the embedding (vocabulary, embedding_size) as it stands now. Nothing is kept of it.
    `among` says which tokens may be answered (vocabulary,); None for all.
    """
    cosines = _cosines(weight.detach(), token)
    answered = _others(len(cosines), token, among)
    cosines[torch.from_numpy(~answered).to(cosines.device)] = -torch.inf
    found = cosines.topk(min(top, int(answered.sum())))
    return list(zip(found.indices.tolist(), found.values.tolist(), strict=True))


def rank(
    weight: Tensor, token: int, other: int, among: NDArray[np.bool_] | None = None
) -> tuple[int, float]:
    """The place of `other` among all that `nearest` may answer, 1 for the nearest, and its cosine.

    `weight` is (vocabulary, size), `among` (vocabulary,). As `rank` of
    gensim's KeyedVectors: one more than there are tokens with a larger cosine.
    """
    cosines = _cosines(weight.detach(), token)
    answered = torch.from_numpy(_others(len(cosines), token, among)).to(cosines.device)
    nearer = answered & (cosines > cosines[other])
    return 1 + int(nearer.sum()), float(cosines[other])


def _others(vocabulary: int, token: int, among: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Which tokens may be answered (vocabulary,): never the one that is asked about."""
    others = np.ones(vocabulary, np.bool_) if among is None else among.copy()
    others[token] = False
    return others


def _cosines(weight: Tensor, token: int) -> Tensor:
    """Of every token (vocabulary,). On a CPU the embedding is read from memory once, and no copy
    of it is made: the time is that of the reading."""
    if weight.device.type != "cpu":
        return functional.cosine_similarity(weight, weight[token], dim=1, eps=SMALLEST_NORM**2)
    vectors = weight.numpy()
    scores, squares = np.empty((2, len(vectors)), vectors.dtype)
    rows = max(1, BLOCK // vectors.shape[1])
    with np.errstate(all="ignore"):  # what has exploded is told by its cosines
        for begin in range(0, len(vectors), rows):
            block = slice(begin, begin + rows)
            np.vecdot(vectors[block], vectors[token], out=scores[block])
            np.vecdot(vectors[block], vectors[block], out=squares[block])
        norms = np.maximum(np.sqrt(squares), SMALLEST_NORM)
        return torch.from_numpy(scores / norms / norms[token])
