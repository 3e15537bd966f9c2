"""How surprising each token of a text is, and what makes a loss good: simpler models beside it."""

import gzip
import lzma
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from engine.evaluation.held_out import WINDOW
from engine.model.lstm import CarriedState, LSTMLanguageModel
from engine.text.batches import BatchCursor
from engine.text.vocabulary import Vocabulary

LOG_2 = float(np.log(2))
_COMPRESSED_AT_ONCE = 1 << 16
"""Bytes."""


def surprisals(
    model: LSTMLanguageModel, tokens: NDArray[np.integer], columns: int, bits: NDArray[np.float64]
) -> Iterator[int]:
    """Write the surprisal of each token but the first into `bits` (tokens,), whose first is NaN
    then. Yields how many are done, window by window.

    The text is read exactly as `held_out.total_loss` reads it, so they add up to what that gives.
    Weights must not change between two windows.
    """
    bits[0] = np.nan
    cursor = BatchCursor(tokens, columns, WINDOW)
    state = model.initial_state(columns)
    row = done = 0
    for _ in range(cursor.windows):
        inputs, targets = cursor.next()
        found, state = _window(model, inputs, targets, state)
        for column in range(columns):
            begin = column * cursor.rows + row + 1
            bits[begin : begin + len(found)] = found[:, column]
        row, done = row + len(found), done + found.size
        yield done
    begin = cursor.rows * columns
    rest = torch.from_numpy(np.asarray(tokens[begin:]).astype(np.int64))[:, None]
    if len(rest) > 1:
        last_column = tuple((h[:, -1:].contiguous(), c[:, -1:].contiguous()) for h, c in state)
        found, _ = _window(model, rest[:-1], rest[1:], last_column)
        bits[begin + 1 :] = found[:, 0]
        yield done + found.size


@torch.inference_mode()
def _window(
    model: LSTMLanguageModel, inputs: torch.Tensor, targets: torch.Tensor, state: CarriedState
) -> tuple[NDArray[np.float64], CarriedState]:
    """Bits (time, batch) of targets, and the state after them."""
    device = model.embedding.weight.device
    model.eval()
    features, state = model.features(inputs.to(device), state)
    found = torch.stack(
        [
            functional.cross_entropy(model.output(some), aims, reduction="none")
            for some, aims in zip(features, targets.to(device), strict=True)
        ]
    )
    return found.double().cpu().numpy() / LOG_2, state


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
    xz = lzma.LZMACompressor(preset=9 | lzma.PRESET_EXTREME)
    for begin in range(0, len(data), _COMPRESSED_AT_ONCE):
        go_on()
        sizes["xz"] += len(xz.compress(data[begin : begin + _COMPRESSED_AT_ONCE]))
    sizes["xz"] += len(xz.flush())
    return [Baseline(name, 8.0 * size, len(text)) for name, size in sizes.items()]
