"""The dropouts of a recurrent language model, each drawing from a generator that is handed in.

What is kept is scaled up by 1 / (1 - share), so that expectations stay as they were.
"""

import math

import torch
from torch import Tensor

_PARTS = 1 << 16
"""As many values as 16 bits have."""


def kept(
    shape: tuple[int, ...], share: float, like: Tensor, random: torch.Generator | None
) -> Tensor:
    """A mask of this shape: 0 with probability `share`, else 1 / (1 - share)."""
    mask = torch.empty(shape, dtype=like.dtype, device=like.device)
    return mask.bernoulli_(1 - share, generator=random).div_(1 - share)


def locked(values: Tensor, share: float, random: torch.Generator | None) -> Tensor:
    """Drop units of (time, batch, units), the same at every time of a window.

    Variational dropout (Gal & Ghahramani 2016, "A Theoretically Grounded Application of Dropout in
    Recurrent Neural Networks").
    """
    if share == 0:
        return values
    return values * kept((1, *values.shape[1:]), share, values, random)


def elementwise(values: Tensor, share: float, random: torch.Generator | None) -> Tensor:
    """Drop units of (time, batch, units), others at every time (Zaremba et al. 2014).

    The share is rounded to a 65,536th: four masks come from each number drawn, because there are so
    many that drawing them one by one is felt in a training step.
    """
    if share == 0:
        return values
    count, shape = values.numel(), values.shape
    draws = torch.empty(math.ceil(count / 4), dtype=torch.int64, device=values.device)
    draws.random_(torch.iinfo(torch.int64).min, None, generator=random)
    parts = draws.view(torch.int16)[:count].view(shape)
    keeps = parts >= round(share * _PARTS) - _PARTS // 2
    return values * keeps.to(values.dtype).div_(1 - share)


def drop_words(
    vectors: Tensor, tokens: Tensor, vocabulary: int, share: float, random: torch.Generator | None
) -> Tensor:
    """Drop whole words of a window: a word's vector is zero wherever the word stands.

    `vectors` (time, batch, size) are the embeddings of `tokens` (time, batch). Gal & Ghahramani
    2016; "embedding dropout" in Merity et al. 2018.
    """
    if share == 0:
        return vectors
    return vectors * kept((vocabulary, 1), share, vectors, random)[tokens]


def drop_weights(weight: Tensor, share: float, random: torch.Generator | None) -> Tensor:
    """DropConnect on a weight (Wan et al. 2013; on recurrent weights Merity et al. 2018)."""
    if share == 0:
        return weight
    return weight * kept(tuple(weight.shape), share, weight, random)
