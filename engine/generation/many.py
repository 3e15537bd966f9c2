"""Many texts after one prompt, side by side: each is the one that its seed writes alone."""

from collections.abc import Callable, Generator, Sequence

import numpy as np
import torch
from torch import Tensor

from engine.config import Sampling
from engine.errors import UserError
from engine.generation.decoder import Floats, SideBySide, decoder, state_after
from engine.generation.sampling import (
    Past,
    drawn_number,
    drawn_token,
    held_back,
    is_greedy,
    largest_left,
    probable_left,
    repetition_held_back,
)
from engine.model.lstm import CarriedState, LSTMLanguageModel

SIDE_BY_SIDE = 32
"""Texts at a time."""
ROUNDING = 3e-7
"""What rounding makes of the share of probability that the first tokens have together, at most: so
much for each unit of the largest logit, by the temperature. (Measured on models from 16 to 256
units, at temperatures from 0.02 to 1: 1.7e-7.)"""
APART = 4e-6
"""And of the difference of two logits: so much for each unit of the largest. (Measured: 2e-6.)"""
Ends = Callable[[int, int], bool]
"""Whether a text, by its number, ends with a token."""


def generate_many(
    model: LSTMLanguageModel,
    prompt: Sequence[int],
    tokens: int,
    sampling: Sampling,
    seeds: Sequence[int],
    *,
    banned: int | None = None,
    ends: Ends = lambda *_: False,
) -> Generator[int | None, None, list[list[int]]]:
    """Yield how many tokens are done (None: a stretch of the prompt), and return a text of so many
    token ids for each seed, fewer where it `ends`.

    A number drawn so near to where one token's share ends and another's begins that rounding could
    tip it is in doubt, and so is what a filter keeps where an edge of it is as near: then the text
    is read again, alone. The weights must not change meanwhile. Raises UserError where the model
    has exploded.
    """
    found: list[list[int]] = []
    for begin in range(0, len(seeds), SIDE_BY_SIDE):
        batch = _Batch(model, prompt, sampling, seeds[begin : begin + SIDE_BY_SIDE], banned, begin)
        yield from batch.read()
        number = 0
        while number < tokens:
            batch.step(ends)
            number = number + 1 if batch.live else tokens
            yield begin * tokens + number * len(batch.texts)
        found += batch.texts
    return found


class _Batch:
    """Texts that are written side by side."""

    def __init__(
        self,
        model: LSTMLanguageModel,
        prompt: Sequence[int],
        sampling: Sampling,
        seeds: Sequence[int],
        banned: int | None,
        first: int = 0,
    ) -> None:
        """`first` is the number of the first of these texts among all."""
        self.texts: list[list[int]] = [[] for _ in seeds]
        self.live = list(range(len(seeds)))
        """The texts that have not ended, by their places here: a row each of what is computed."""
        self._model, self._prompt, self._sampling = model, prompt, sampling
        self._banned, self._first = banned, first
        self._randoms = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._pasts: list[Past | None] = [None] * len(seeds)
        if repetition_held_back(sampling):
            self._pasts = [Past(prompt, sampling) for _ in seeds]
        kept = (sampling.top_k, sampling.top_p, sampling.min_p, sampling.typical)
        self._plain = kept == (0, 1, 0, 1) and not (
            repetition_held_back(sampling) or is_greedy(sampling)
        )

    def read(self) -> Generator[None, None, None]:
        """Read the prompt, once for all, with a pause between the stretches of a long one."""
        state = yield from state_after(self._model, self._prompt[:-1])
        self._states = SideBySide(self._model, state, len(self.texts))
        self._alone_at: list[tuple[CarriedState, int]] = [(state, 0) for _ in self.texts]
        """The state of each text as if it had been read alone, up to one of its tokens."""

    def step(self, ends: Ends) -> None:
        """Write one more token of each text that is live."""
        logits = self._states.step([[self._prompt[-1], *self.texts[n]][-1] for n in self.live])
        drawn = torch.cat([drawn_number(self._randoms[number]) for number in self.live])
        chosen = self._choose_all(logits, drawn) if self._plain else self._choose(logits, drawn)
        going_on: list[int] = []
        for row, (number, sure) in enumerate(zip(self.live, chosen, strict=True)):
            token = self._alone(row, drawn[row : row + 1]) if sure is None else sure
            self.texts[number].append(token)
            past = self._pasts[number]
            if past is not None:
                past.add(token)
            if not ends(self._first + number, token):
                going_on.append(row)
        if len(going_on) < len(self.live):
            self._states.keep(going_on)
            self.live = [self.live[row] for row in going_on]

    def _choose_all(self, logits: Tensor, drawn: Tensor) -> list[int | None]:
        """A token for each row of logits (texts, vocabulary), None where rounding could tip it:
        where neither repetitions nor filters are in the way."""
        scale = logits.abs().amax(1, keepdim=True).clamp(min=1)
        if self._banned is not None:
            logits[:, self._banned] = -torch.inf
        largest = logits.max(1, keepdim=True).values
        if not bool(largest.isfinite().all()):
            raise UserError("The model's weights are no longer finite numbers: it can't write.")
        temperature = self._sampling.temperature
        reached = logits.sub_(largest).div_(temperature).exp_().cumsum(1, dtype=torch.float64)
        doubt = ROUNDING * (scale.double() / temperature).clamp(min=1)
        return _fallen(reached, drawn[:, None], doubt)

    def _choose(self, logits: Tensor, drawn: Tensor) -> list[int | None]:
        """As `_choose_all`, whatever the knobs are."""
        return [
            self._choose_one(number, *each)
            for number, *each in zip(self.live, logits.numpy(), drawn, strict=True)
        ]

    def _choose_one(self, number: int, logits: Floats, drawn: Tensor) -> int | None:
        sampling = self._sampling
        left = held_back(logits, sampling, self._pasts[number], self._banned)
        scale = float(np.abs(left).max(where=left > -np.inf, initial=1))
        if is_greedy(sampling):
            first, second = torch.from_numpy(left).topk(2).values.tolist()
            return int(left.argmax()) if first - second > APART * scale else None
        if sampling.typical < 1:  # what it keeps hangs on differences of sums: always in doubt
            return None
        before = largest_left(left, sampling)
        weights = probable_left(before, sampling)
        doubt = _doubt(sampling, scale) + _in_doubt(left, before, weights, sampling, scale)
        reached = torch.from_numpy(weights).cumsum(0, dtype=torch.float64)
        return _fallen(reached, drawn[None], torch.tensor([doubt], dtype=torch.float64))[0]

    def _alone(self, row: int, drawn: Tensor) -> int:
        """The next token of a text, read again as if it were alone."""
        number = self.live[row]
        state, begin = self._alone_at[number]
        steps = decoder(self._model, state)
        *read, last = [self._prompt[-1], *self.texts[number]][begin:]
        for token in read:
            steps.read(token)
        logits = steps.step(last)
        self._states.put(row, steps.state)
        self._alone_at[number] = steps.state, len(self.texts[number]) + 1
        left = held_back(logits, self._sampling, self._pasts[number], self._banned)
        return drawn_token(left, self._sampling, lambda: drawn)


def _doubt(sampling: Sampling, scale: float) -> float:
    return ROUNDING * max(1.0, scale / sampling.temperature)


def _in_doubt(
    left: Floats, before: Floats, weights: Floats, sampling: Sampling, scale: float
) -> float:
    """The share, at most, of tokens that rounding could keep or not, by the weights before and
    after top-p and min-p: those as probable as the last one that is kept, those at the end of
    top-p's share, and those at min-p's threshold."""
    kept, apart, doubt = weights > 0, APART * scale, _doubt(sampling, scale)
    total, whole = (float(each.sum(dtype=np.float64)) for each in (weights, before))
    least = float(weights.min(where=kept, initial=1))
    alike = np.abs(left - left.min(where=kept, initial=np.inf)) <= apart
    found = np.count_nonzero(alike) * least if (alike & ~kept).any() else 0.0
    if doubt < sampling.top_p < 1:
        ends = (total / whole, (total - least) / whole)
        if any(abs(end - sampling.top_p) <= doubt for end in ends):
            found += least + 2 * doubt * whole
    if sampling.min_p > 0:
        threshold = left.max() + sampling.temperature * np.log(sampling.min_p)
        found += np.count_nonzero(np.abs(left - threshold) <= apart) * sampling.min_p
    return found / total


def _fallen(reached: Tensor, drawn: Tensor, doubt: Tensor) -> list[int | None]:
    """Where numbers from 0 to 1 fall among the sums of weights, (texts, vocabulary), that are
    reached by each token; None where a doubt to both sides leaves that open."""
    total = reached[..., -1:]
    low, token, high = (
        torch.searchsorted(reached, ((drawn + shift) * total).reshape(total.shape), right=True)
        .flatten()
        .tolist()
        for shift in (-doubt, torch.zeros_like(doubt), doubt)
    )
    fallen = zip(low, token, high, strict=True)
    return [at if below == above else None for below, at, above in fallen]
