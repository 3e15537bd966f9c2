"""Text from a language model, one token at a time, from the weights as they are at each token.

The knobs, and the order in which they are applied, are `engine.config.sampling`'s.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
import torch

from engine.config import Sampling
from engine.errors import UserError
from engine.generation.decoder import Floats, reading
from engine.generation.drawing import draw_numbers, drawn
from engine.model.lstm import LSTMLanguageModel
from engine.text.tokenizer import Tokenizer

SAMPLING = Sampling()


def start_token(tokenizer: Tokenizer) -> int:
    """The token a text begins after: <eos>, else a line end, else the most frequent token."""
    end_of_sentence = tokenizer.vocabulary.end_of_sentence
    if end_of_sentence is not None:
        return end_of_sentence
    line_end = tokenizer.encode("\n")
    return int(line_end[0]) if len(line_end) == 1 else 0


def banned_token(tokenizer: Tokenizer, sampling: Sampling) -> int | None:
    """The token that is never written, if there is one: `<unk>`."""
    return None if sampling.unknown else tokenizer.vocabulary.unknown


class Chosen(NamedTuple):
    """A token that was chosen."""

    token: int
    logits: Floats
    """(vocabulary,), of the model itself: before anything was taken out."""


def generate(
    model: LSTMLanguageModel,
    prompt: Sequence[int],
    sampling: Sampling = SAMPLING,
    *,
    random: torch.Generator | None = None,
    banned: int | None = None,
) -> Iterator[int]:
    """Token ids after a prompt of at least one token, without end.

    Raises UserError where the model has exploded.
    """
    chosen = generate_in_turns(model, prompt, sampling, random=random, banned=banned)
    return (each.token for each in chosen if each is not None)


def generate_in_turns(
    model: LSTMLanguageModel,
    prompt: Sequence[int],
    sampling: Sampling = SAMPLING,
    *,
    random: torch.Generator | None = None,
    banned: int | None = None,
    given: Sequence[int] = (),
) -> Iterator[Chosen | None]:
    """As `generate`; None says that a stretch of a long prompt was read and more is to come. The
    first tokens are those `given`, whatever is drawn."""
    *read, token = prompt
    past = Past(prompt, sampling) if repetition_held_back(sampling) else None
    step = yield from reading(model, read)
    for forced in chain(given, repeat(None)):
        logits = step(token)
        token = sample_token(logits, sampling, past=past, random=random, banned=banned)
        token = token if forced is None else forced
        if past is not None:
            past.add(token)
        yield Chosen(token, logits)


def repetition_held_back(sampling: Sampling) -> bool:
    """Whether it matters which tokens came before."""
    return sampling.repetition_penalty != 1 or sampling.no_repeat > 0


class Past:
    """What was read and written so far, as repetitions are held back by it."""

    def __init__(self, tokens: Sequence[int], sampling: Sampling) -> None:
        self._size = sampling.no_repeat
        self._window = sampling.repetition_window
        self._tokens: list[int] = []
        self._followers: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
        """Of each sequence of one token fewer than may not come again."""
        for token in tokens:
            self.add(token)

    def add(self, token: int) -> None:
        """Take in one more token."""
        tokens, size = self._tokens, self._size
        tokens.append(token)
        if 0 < size <= len(tokens):
            self._followers[tuple(tokens[-size:-1])].add(token)

    def recent(self) -> list[int]:
        """The different tokens that the repetition penalty sees."""
        return list(set(self._tokens[-self._window :]))

    def repeating(self) -> list[int]:
        """The tokens that would complete a sequence that has come before."""
        begun = self._tokens[len(self._tokens) - self._size + 1 :]
        return list(self._followers.get(tuple(begun), ()))


def sample_token(
    logits: Floats,
    sampling: Sampling = SAMPLING,
    *,
    past: Past | None = None,
    random: torch.Generator | None = None,
    banned: int | None = None,
) -> int:
    """A token drawn by its logits (vocabulary,).

    Of tokens alike at the edge of what is kept the first are kept. `banned` is never chosen.
    Raises UserError where the model has exploded.
    """
    left = held_back(logits, sampling, past, banned)
    return drawn_token(left, sampling, lambda: draw_numbers(random))


def drawn_token(left: Floats, sampling: Sampling, draw: Callable[[], torch.Tensor]) -> int:
    """The token that the numbers drawn, (1, NUMBERS), fall to by logits with repetitions held
    back; none are drawn where the most probable one is taken."""
    if is_greedy(sampling):
        return int(left.argmax())
    return drawn(weights_left(left, sampling), draw())


def is_greedy(sampling: Sampling) -> bool:
    """Whether the temperature is so low that the most probable token is taken."""
    return sampling.temperature < float(np.finfo(np.float32).tiny)


def held_back(
    logits: Floats, sampling: Sampling, past: Past | None = None, banned: int | None = None
) -> Floats:
    """The logits without the banned token and with repetitions held back: what comes before the
    temperature. A copy. Raises UserError where the model has exploded."""
    logits = logits.copy()
    if banned is not None:
        logits[banned] = -np.inf
    if not np.isfinite(logits.max()):
        raise UserError("The model's weights are no longer finite numbers: it can't write.")
    if past is not None and sampling.repetition_penalty != 1:
        recent, penalty = past.recent(), np.float32(sampling.repetition_penalty)
        before = logits[recent]
        logits[recent] = np.where(before > 0, before / penalty, before * penalty)
    if past is not None and sampling.no_repeat:
        allowed = logits.copy()
        allowed[past.repeating()] = -np.inf
        logits = allowed if allowed.max() > -np.inf else logits
    return logits


def weights_left(logits: Floats, sampling: Sampling) -> Floats:
    """What tokens are drawn in proportion to, by temperature and by what is kept: (vocabulary,)."""
    return probable_left(largest_left(logits, sampling), sampling)


def largest_left(logits: Floats, sampling: Sampling) -> Floats:
    """Weights (vocabulary,) by temperature, the greatest 1, of the top-k alone."""
    with np.errstate(over="ignore"):  # minus infinity, whose weight is 0
        weights: Floats = np.exp((logits - logits.max()) / sampling.temperature)
    if 0 < sampling.top_k < len(weights):
        weights = _largest(weights, logits, sampling.top_k)
    return weights


def probable_left(weights: Floats, sampling: Sampling) -> Floats:
    """Of these weights (vocabulary,) what top-p, min-p and typical keep."""
    if sampling.top_p < 1:
        weights = _nucleus(weights, sampling.top_p)
    if sampling.min_p > 0:
        weights = np.where(weights >= sampling.min_p * weights.max(), weights, np.float32(0))
    if sampling.typical < 1:
        weights = _typical(weights, sampling.typical)
    return weights


def _largest(weights: Floats, logits: Floats, count: int) -> Floats:
    """The weights of this many tokens, those of the largest logits, zeros elsewhere."""
    least = torch.from_numpy(logits).topk(count).values[-1].item()
    kept = np.where(logits > least, weights, np.float32(0))
    alike = np.flatnonzero(logits == least)[: count - np.count_nonzero(logits > least)]
    kept[alike] = weights[alike]
    return kept


def _nucleus(weights: Floats, share: float) -> Floats:
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


def _typical(weights: Floats, share: float) -> Floats:
    """The weights of the tokens whose surprisal is nearest to the entropy, as many as have this
    share of them all, zeros elsewhere (Meister et al. 2023, "Locally Typical Sampling")."""
    left = np.flatnonzero(weights)
    probabilities = weights[left].astype(np.float64)
    probabilities /= probabilities.sum()
    surprisals = -np.log(probabilities)
    entropy = (probabilities * surprisals).sum()
    order = np.abs(surprisals - entropy).argsort(kind="stable")
    count = 1 + int(np.cumsum(probabilities[order]).searchsorted(share))
    kept = np.zeros_like(weights)
    kept[left[order[:count]]] = weights[left[order[:count]]]
    return kept


# --- laid open ------------------------------------------------------------------------------------


class Opened(NamedTuple):
    """What the model itself thought of a token: before temperature, filters and all."""

    probability: float
    rank: int
    """1 for the most probable."""
    entropy: float
    """Of the whole distribution, in bits."""
    alternatives: list[tuple[int, float]]
    """The most probable other tokens with their probabilities, the most probable first."""


def lay_open(logits: Floats, token: int, alternatives: int = 0) -> Opened:
    """How likely a token was by logits (vocabulary,), and that many others beside it."""
    below = logits - logits.max()
    weights = np.exp(below)
    total = float(weights.sum(dtype=np.float64))
    finite = np.where(weights > 0, below, np.float32(0))
    entropy = np.log(total) - float(np.dot(weights, finite)) / total
    larger = np.count_nonzero(logits > logits[token])
    alike = np.count_nonzero(logits[:token] == logits[token])
    others: list[tuple[int, float]] = []
    if alternatives:
        found = torch.from_numpy(logits).topk(min(alternatives + 1, len(logits))).indices.tolist()
        kept = [each for each in found if each != token][:alternatives]
        others = [(each, float(weights[each]) / total) for each in kept]
    return Opened(
        probability=float(weights[token]) / total,
        rank=1 + int(larger) + int(alike),
        entropy=max(0.0, float(entropy) / float(np.log(2))),
        alternatives=others,
    )
