"""Many texts after one prompt, side by side: each is the one that its seed writes alone."""

from collections.abc import Callable, Generator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.config import Sampling
from engine.errors import UserError
from engine.generation.decoder import Floats, SideBySide, decoder, state_after
from engine.generation.drawing import draw_numbers, fallen
from engine.generation.sampling import (
    Past,
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
Take = Callable[[int, int, Tensor], bool]
"""Takes a text's next token, by the text's number, with logits (vocabulary,) as the model has them;
says whether the text ends with it."""


def generate_many(
    model: LSTMLanguageModel,
    prompt: Sequence[int],
    tokens: int,
    sampling: Sampling,
    seeds: Sequence[int],
    *,
    banned: int | None = None,
    take: Take = lambda *_: False,
) -> Generator[int | None, None, list[list[int]]]:
    """Yield how many tokens are done (None: a stretch of the prompt), and return a text of so many
    token ids for each seed, fewer where `take` says so.

    A number drawn so near to where one share ends and another begins that rounding could tip it is
    in doubt, and so is what a filter keeps where an edge of it is as near: then the text is read
    again, alone. The weights must not change meanwhile. Raises UserError where the model
    has exploded.
    """
    found: list[list[int]] = []
    for begin in range(0, len(seeds), SIDE_BY_SIDE):
        batch = _Batch(model, prompt, sampling, seeds[begin : begin + SIDE_BY_SIDE], banned, begin)
        yield from batch.read()
        number = 0
        while number < tokens:
            batch.step(take)
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

    def step(self, take: Take) -> None:
        """Write one more token of each text that is live."""
        prompted = self._prompt[-1:]
        logits = self._states.step([(self.texts[n] or prompted)[-1] for n in self.live])
        numbers = torch.cat([draw_numbers(self._randoms[number]) for number in self.live])
        chosen = self._choose(logits, numbers)
        going_on: list[int] = []
        for row, (number, sure) in enumerate(zip(self.live, chosen, strict=True)):
            token = self._alone(row, numbers[row : row + 1]) if sure is None else sure
            self.texts[number].append(token)
            past = self._pasts[number]
            if past is not None:
                past.add(token)
            if not take(self._first + number, token, logits[row]):
                going_on.append(row)
        if len(going_on) < len(self.live):
            self._states.keep(going_on)
            self.live = [self.live[row] for row in going_on]

    def _choose(self, logits: Tensor, numbers: Tensor) -> list[int | None]:
        """A token for each row of logits (texts, vocabulary), None where rounding could tip it."""
        if not self._plain:
            return self._choose_by_row(logits, numbers)
        temperature, banned = self._sampling.temperature, self._banned
        low, high = logits.aminmax()
        doubt = _doubt(self._sampling, max(1.0, -low.item(), high.item()))
        before = None if banned is None else logits[:, banned].clone()
        if banned is not None:
            logits[:, banned] = -torch.inf
        largest = logits.amax(1, keepdim=True)
        if not bool(largest.isfinite().all()):
            raise UserError("The model's weights are no longer finite numbers: it can't write.")
        weights = (logits - largest).div_(temperature).exp_()
        if before is not None:
            logits[:, banned] = before
        return _sure(*fallen(weights, numbers, torch.tensor(doubt)))

    def _choose_by_row(self, logits: Tensor, numbers: Tensor) -> list[int | None]:
        """As `_choose`, whatever the knobs are."""
        sampling = self._sampling
        rows = [
            held_back(row, sampling, self._pasts[number], self._banned)
            for number, row in zip(self.live, logits.numpy(), strict=True)
        ]
        scales = [float(np.abs(row).max(where=row > -np.inf, initial=1)) for row in rows]
        if is_greedy(sampling):
            return [_largest(row, scale) for row, scale in zip(rows, scales, strict=True)]
        if sampling.typical < 1:  # what it keeps hangs on differences of sums: always in doubt
            return [None] * len(rows)
        before = [largest_left(row, sampling) for row in rows]
        weights = [probable_left(each, sampling) for each in before]
        loose = [
            _loose(row, whole, kept, sampling, scale)
            for row, whole, kept, scale in zip(rows, before, weights, scales, strict=True)
        ]
        doubts = torch.tensor([_doubt(sampling, scale) for scale in scales], dtype=torch.float64)
        stacked = (torch.from_numpy(np.stack(each)) for each in (weights, loose))
        return _sure(*fallen(next(stacked), numbers, doubts, next(stacked)))

    def _alone(self, row: int, numbers: Tensor) -> int:
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
        return drawn_token(left, self._sampling, lambda: numbers)


def _sure(tokens: Tensor, sure: Tensor) -> list[int | None]:
    found = zip(tokens.tolist(), sure.tolist(), strict=True)
    return [token if certain else None for token, certain in found]


def _largest(left: Floats, scale: float) -> int | None:
    first, second = torch.from_numpy(left).topk(2).values.tolist()
    return int(left.argmax()) if first - second > APART * scale else None


def _doubt(sampling: Sampling, scale: float) -> float:
    return ROUNDING * max(1.0, scale / sampling.temperature)


def _loose(
    left: Floats, before: Floats, weights: Floats, sampling: Sampling, scale: float
) -> Floats:
    """Weights (vocabulary,) of the tokens that rounding could keep or not, zeros elsewhere, by the
    weights before and after top-p and min-p: those as probable as the last one that is kept, those
    at the end of top-p's share, and those at min-p's threshold."""
    kept, apart = weights > 0, APART * scale
    least = weights.min(where=kept, initial=1)
    from_edge = np.abs(left - left.min(where=kept, initial=np.inf))
    found = from_edge <= apart
    found &= bool((found & ~kept).any())
    doubt = _doubt(sampling, scale)
    if doubt < sampling.top_p < 1:
        total, whole = (float(each.sum(dtype=np.float64)) for each in (weights, before))
        ends = (total / whole, (total - least) / whole)
        if any(abs(end - sampling.top_p) <= doubt for end in ends):
            found |= _around(from_edge, kept, before, 2 * doubt * whole, apart)
    if sampling.min_p > 0:
        threshold = left.max() + sampling.temperature * np.log(sampling.min_p)
        found |= np.abs(left - threshold) <= apart
    return np.where(found, np.maximum(before, least), np.float32(0))


def _around(
    from_edge: Floats, kept: NDArray[np.bool_], weights: Floats, weight: float, distance: float
) -> NDArray[np.bool_]:
    """The tokens nearest to an edge, by their distances from it, that have this weight together on
    either side, if so much is there."""
    farthest = from_edge.max(where=weights > 0, initial=0.0)
    while True:
        found = from_edge <= distance
        sides = (weights.sum(where=found & side, dtype=np.float64) for side in (kept, ~kept))
        if distance >= farthest or min(sides) >= weight:
            return found
        distance *= 4
