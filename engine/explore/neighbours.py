"""Nearest neighbours of a word by the cosine of embeddings (as word2vec and gensim mean it)."""

import torch
from torch import Tensor


class NeighbourIndex:
    """Unit vectors of an embedding, made anew when the step they were made at has passed."""

    def __init__(self) -> None:
        self._step = -1
        self._units: Tensor | None = None

    def nearest(self, weight: Tensor, step: int, token: int, top: int) -> list[tuple[int, float]]:
        """The `top` other tokens with the largest cosine to `token`, best first.

        `weight` is the embedding (vocabulary, embedding_size) as it stands after `step` steps.
        """
        cosines = self._unit_vectors(weight, step) @ self._unit_vectors(weight, step)[token]
        cosines[token] = -torch.inf
        found = cosines.topk(min(top, len(cosines) - 1))
        return list(zip(found.indices.tolist(), found.values.tolist(), strict=True))

    def _unit_vectors(self, weight: Tensor, step: int) -> Tensor:
        if self._units is None or self._step != step:
            self._units = torch.nn.functional.normalize(weight.detach(), dim=1)
            self._step = step
        return self._units
