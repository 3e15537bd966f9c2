"""Text from a language model, one token at a time, from the weights as they are at each token."""

from collections.abc import Iterator, Sequence
from typing import TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import UserError
from engine.generation.decoder import reading
from engine.model.lstm import LSTMLanguageModel
from engine.text.tokenizer import Tokenizer


def start_token(tokenizer: Tokenizer) -> int:
    """The token a text begins after: <eos>, else a line end, else the most frequent token."""
    end_of_sentence = tokenizer.vocabulary.end_of_sentence
    if end_of_sentence is not None:
        return end_of_sentence
    line_end = tokenizer.encode("\n")
    return int(line_end[0]) if len(line_end) == 1 else 0


class Sampling(TypedDict, total=False):
    """How a token is drawn: see `sample_token`."""

    temperature: float
    top_k: int
    top_p: float
    random: torch.Generator | None
    banned: int | None


def generate(
    model: LSTMLanguageModel, prompt: Sequence[int], **sampling: Unpack[Sampling]
) -> Iterator[int]:
    """Token ids after a prompt of at least one token, without end.

    Raises UserError where the model has exploded.
    """
    tokens = generate_in_turns(model, prompt, **sampling)
    return (token for token in tokens if token is not None)


def generate_in_turns(
    model: LSTMLanguageModel, prompt: Sequence[int], **sampling: Unpack[Sampling]
) -> Iterator[int | None]:
    """As `generate`; None says that a stretch of a long prompt was read and more is to come."""
    *read, token = prompt
    step = yield from reading(model, read)
    while True:
        token = sample_token(step(token), **sampling)
        yield token


def sample_token(
    logits: NDArray[np.float32],
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    random: torch.Generator | None = None,
    banned: int | None = None,
) -> int:
    """A token drawn by its logits (vocabulary,), which are changed.

    Temperature 0 takes the most probable token. `top_k` keeps that many (0: all), `top_p` the
    fewest whose probabilities reach it (nucleus; Holtzman et al. 2020); of tokens alike at the edge
    of either the first are kept. `banned` is never chosen.
    Raises UserError where the model has exploded.
    """
    if banned is not None:
        logits[banned] = -np.inf
    largest = logits.max()
    if not np.isfinite(largest):
        raise UserError("The model's weights are no longer finite numbers: it can't write.")
    if temperature < np.finfo(np.float32).tiny:
        return int(logits.argmax())
    with np.errstate(over="ignore"):  # minus infinity, whose weight is 0
        weights = np.exp((logits - largest) / temperature)
    if 0 < top_k < len(weights):
        weights = _largest(weights, logits, top_k)
    if top_p < 1:
        weights = _nucleus(weights, top_p)
    return _draw(weights, random)


def _largest(
    weights: NDArray[np.float32], logits: NDArray[np.float32], count: int
) -> NDArray[np.float32]:
    """The weights of this many tokens, those of the largest logits, zeros elsewhere."""
    least = torch.from_numpy(logits).topk(count).values[-1].item()
    kept = np.where(logits > least, weights, np.float32(0))
    alike = np.flatnonzero(logits == least)[: count - np.count_nonzero(logits > least)]
    kept[alike] = weights[alike]
    return kept


def _nucleus(weights: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """The weights of the fewest tokens that have this share of them all, zeros elsewhere."""
    total = weights.sum(dtype=np.float64)
    # All those below it together have less than the share that is left out: no need to sort them.
    threshold = (1 - share) * total / len(weights)
    ordered = np.sort(weights[weights >= threshold])[::-1]
    count = 1 + np.cumsum(ordered, dtype=np.float64).searchsorted(share * total)
    least = ordered[:count][-1]
    nucleus = np.where(weights > least, weights, np.float32(0))
    alike = np.flatnonzero(weights == least)
    nucleus[alike[: count - np.count_nonzero(nucleus)]] = least
    return nucleus


def _draw(weights: NDArray[np.float32], random: torch.Generator | None) -> int:
    """A token as likely as its share of the weights, by one random number."""
    reached = torch.from_numpy(weights).cumsum(0, dtype=torch.float64)
    drawn = torch.rand(1, dtype=torch.float64, generator=random) * reached[-1]
    return int(torch.searchsorted(reached, drawn, right=True))
