"""How surprising each token of a text is, and what makes a loss good: simpler models beside it."""

import gzip
import lzma
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engine.evaluation.held_out import read
from engine.model.lstm import LSTMLanguageModel
from engine.text.vocabulary import Vocabulary

LOG_2 = float(np.log(2))
_COMPRESSED_AT_ONCE = 1 << 16
"""Bytes."""


def surprisals(
    model: LSTMLanguageModel, tokens: NDArray[np.integer], columns: int, bits: NDArray[np.float64]
) -> Iterator[int]:
    """Write the surprisal of each token but the first into `bits` (tokens,), whose first is NaN
    then. Yields how many are done, window by window.

    The text is read as `held_out.total_loss` reads it, so they add up to what that gives.
    Weights must not change between two windows.
    """
    bits[0], done = np.nan, 0
    for features, targets, places in read(model, tokens, columns):
        bits[places] = _bits(model, features, targets)
        done += places.size
        yield done


@torch.inference_mode()
def _bits(model: LSTMLanguageModel, features: Tensor, targets: Tensor) -> NDArray[np.float64]:
    """Of targets (time, batch)."""
    found = torch.stack(
        [
            functional.cross_entropy(model.output(some), aims, reduction="none")
            for some, aims in zip(features, targets, strict=True)
        ]
    )
    return found.double().cpu().numpy() / LOG_2


class Baseline(NamedTuple):
    """A simpler model of the same text."""

    name: str
    bits: float
    """For all of the text that is predicted."""
    characters: int
    """That this is for."""


def token_baselines(
    tokens: NDArray[np.integer], vocabulary: Vocabulary, characters: int
) -> list[Baseline]:
    """What it takes to tell each token but the first from all others: with all alike (uniform),
    and by how often each occurs in the training text, and once more (unigram)."""
    counts = np.array(vocabulary.counts, np.float64) + 1
    unigram = -np.log2(counts / counts.sum())[tokens[1:]].sum()
    uniform = (len(tokens) - 1) * np.log2(len(vocabulary))
    return [
        Baseline("uniform", float(uniform), characters),
        Baseline("unigram", float(unigram), characters),
    ]


def compressor_baselines(text: str, go_on: Callable[[], None] = lambda: None) -> list[Baseline]:
    """The sizes of the text in UTF-8 as gzip and xz make it at their best, which know nothing of
    the training text. `go_on` is called now and then, and may raise to end it."""
    data = text.encode("utf-8", "surrogatepass")
    sizes = {"gzip": len(gzip.compress(data, 9, mtime=0)), "xz": 0}
    xz = lzma.LZMACompressor(filters=[_xz(len(data))])
    for begin in range(0, len(data), _COMPRESSED_AT_ONCE):
        go_on()
        sizes["xz"] += len(xz.compress(data[begin : begin + _COMPRESSED_AT_ONCE]))
    sizes["xz"] += len(xz.flush())
    return [Baseline(name, 8.0 * size, len(text)) for name, size in sizes.items()]


def _xz(size: int) -> dict[str, int]:
    """Its best for so many bytes: by itself it takes memory as for 64 MiB, of any text."""
    preset = 9 | lzma.PRESET_EXTREME
    return {"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": max(4096, min(size, 64 << 20))}
