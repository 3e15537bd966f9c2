"""Beam search: the most probable text, as far as keeping a few at a time finds it."""

from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.config import Sampling
from engine.generation.decoder import SideBySide, state_after
from engine.generation.sampling import Past, held_back, repetition_held_back
from engine.model.lstm import LSTMLanguageModel

Ends = Callable[[list[int]], bool]
"""Whether a text, by its token ids, has come to its end."""


class Hypothesis(NamedTuple):
    """A text that beam search found."""

    tokens: list[int]
    log_probability: float
    """Nats, of all its tokens, repetitions held back."""
    score: float
    """What texts are compared by: that, divided by the number of tokens to the power of the length
    penalty (Wu et al. 2016, in the form that is usual today)."""


def beam_search(
    model: LSTMLanguageModel,
    prompt: Sequence[int],
    tokens: int,
    sampling: Sampling,
    *,
    banned: int | None = None,
    ends: Ends = lambda _: False,
) -> Generator[None, None, Hypothesis]:
    """Pause often, then return the best text of at most so many tokens.

    At each token twice as many texts as are kept are looked at: those that `ends` says are complete
    leave their places to others. The weights must not change meanwhile. Raises UserError where the
    model has exploded.
    """
    states = SideBySide(model, (yield from state_after(model, prompt[:-1])), 1)
    live: list[tuple[list[int], float]] = [([], 0.0)]
    best: Hypothesis | None = None  # of those that are complete
    for _ in range(tokens):
        logits = states.step([text[-1] if text else prompt[-1] for text, _ in live]).numpy()
        scores: NDArray[np.float64] = np.empty(logits.shape)
        for row, (text, before) in enumerate(live):
            past = Past([*prompt, *text], sampling) if repetition_held_back(sampling) else None
            scores[row] = before + _log_probabilities(
                held_back(logits[row], sampling, past, banned)
            )
            yield
        kept: list[int] = []
        going_on: list[tuple[list[int], float]] = []
        for index in _best(scores.ravel(), 2 * sampling.beams):
            row, token = divmod(index, scores.shape[1])
            text, log_probability = [*live[row][0], token], float(scores[row, token])
            if ends(text):
                best = _better(best, _scored(text, log_probability, sampling))
            else:
                kept.append(row)
                going_on.append((text, log_probability))
            if len(going_on) == sampling.beams:
                break
        live = going_on
        if not live:
            break
        states.keep(kept)
    for text, log_probability in live:
        best = _better(best, _scored(text, log_probability, sampling))
    assert best is not None
    return best


def _better(one: Hypothesis | None, other: Hypothesis) -> Hypothesis:
    return other if one is None or other.score > one.score else one


def _scored(tokens: list[int], log_probability: float, sampling: Sampling) -> Hypothesis:
    score = log_probability / len(tokens) ** sampling.length_penalty
    return Hypothesis(tokens, log_probability, score)


def _log_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """(vocabulary,), nats."""
    below = logits.astype(np.float64) - logits.max()
    found: NDArray[np.float64] = below - np.log(np.exp(below).sum())
    return found


def _best(scores: NDArray[np.float64], count: int) -> list[int]:
    """The places of the greatest that are finite, at most so many, the greatest first."""
    count = min(count, len(scores))
    found = np.argpartition(-scores, count - 1)[:count]
    found = found[np.isfinite(scores[found])]
    places: list[int] = found[np.argsort(-scores[found], kind="stable")].tolist()
    return places
