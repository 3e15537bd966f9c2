"""Many texts after one prompt, side by side: each is the one that its seed writes alone."""

from collections.abc import Generator, Sequence

import numpy as np
import torch
from torch import Tensor

from engine.config import Sampling
from engine.errors import UserError
from engine.generation.decoder import SideBySide, decoder, state_after
from engine.generation.sampling import Past, held_back, repetition_held_back, weights_left
from engine.model.lstm import CarriedState, LSTMLanguageModel

SIDE_BY_SIDE = 32
"""Texts at a time."""
DOUBT = 5e-7
"""Share of the probability, more than rounding makes of it. A number drawn so near to where one
token's share ends and another's begins could fall to either: then the text is read again, alone."""


def generate_many(
    model: LSTMLanguageModel,
    prompt: Sequence[int],
    tokens: int,
    sampling: Sampling,
    seeds: Sequence[int],
    *,
    banned: int | None = None,
) -> Generator[int | None, None, list[list[int]]]:
    """Yield how many tokens are done (None: a stretch of the prompt), and return a text of so many
    token ids for each seed.

    The weights must not change meanwhile. Raises UserError where the model has exploded.
    """
    found: list[list[int]] = []
    for begin in range(0, len(seeds), SIDE_BY_SIDE):
        batch = _Batch(model, prompt, sampling, seeds[begin : begin + SIDE_BY_SIDE], banned)
        yield from batch.read()
        for number in range(1, tokens + 1):
            batch.step()
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
    ) -> None:
        self.texts: list[list[int]] = [[] for _ in seeds]
        self._model, self._prompt, self._sampling = model, prompt, sampling
        self._banned = banned
        self._last = [prompt[-1] for _ in seeds]
        self._randoms = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._held_back = repetition_held_back(sampling)
        self._pasts = [Past(prompt, sampling) for _ in seeds] if self._held_back else []

    def read(self) -> Generator[None, None, None]:
        """Read the prompt, once for all, with a pause between the stretches of a long one."""
        state = yield from state_after(self._model, self._prompt[:-1])
        self._states = SideBySide(self._model, state, len(self.texts))
        self._alone_at: list[tuple[CarriedState, int]] = [(state, 0) for _ in self.texts]
        """The state of each text as if it had been read alone, up to one of its tokens."""

    def step(self) -> None:
        """Write one more token of each text."""
        logits = self._states.step(self._last)
        drawn = torch.cat([_one(random) for random in self._randoms])
        chosen, sure = self._choose(logits, drawn)
        for row, (token, certain) in enumerate(zip(chosen, sure, strict=True)):
            if not certain:
                token = self._alone(row, drawn[row : row + 1])
            self.texts[row].append(token)
            self._last[row] = token
            if self._held_back:
                self._pasts[row].add(token)

    def _choose(self, logits: Tensor, drawn: Tensor) -> tuple[list[int], list[bool]]:
        """A token for each row of logits (texts, vocabulary), and whether rounding can't tip it."""
        sampling = self._sampling
        plain = not self._held_back and (sampling.top_k, sampling.top_p) == (0, 1)
        plain = plain and (sampling.min_p, sampling.typical) == (0, 1)
        if not plain or sampling.temperature < np.finfo(np.float32).tiny:
            rows = [self._choose_one(row, each, drawn) for row, each in enumerate(logits)]
            return [token for token, _ in rows], [sure for _, sure in rows]
        if self._banned is not None:
            logits[:, self._banned] = -torch.inf
        largest = logits.max(1, keepdim=True).values
        _check(bool(largest.isfinite().all()))
        reached = logits.sub_(largest).div_(sampling.temperature).exp_()
        return _drawn(reached.cumsum(1, dtype=torch.float64), drawn[:, None])

    def _choose_one(self, row: int, logits: Tensor, drawn: Tensor) -> tuple[int, bool]:
        past = self._pasts[row] if self._held_back else None
        left = held_back(logits.numpy(), self._sampling, past, self._banned)
        if self._sampling.temperature < np.finfo(np.float32).tiny:
            first, second = torch.from_numpy(left).topk(2).values.tolist()
            return int(left.argmax()), first - second > DOUBT * max(1.0, abs(first))
        weights = torch.from_numpy(weights_left(left, self._sampling))
        chosen, sure = _drawn(weights.cumsum(0, dtype=torch.float64), drawn[row])
        return chosen[0], sure[0]

    def _alone(self, row: int, drawn: Tensor) -> int:
        """The next token of a text, read again as if it were alone."""
        state, begin = self._alone_at[row]
        steps = decoder(self._model, state)
        *read, last = [self._prompt[-1], *self.texts[row]][begin:]
        for token in read:
            steps.read(token)
        logits = steps.step(last)
        self._states.put(row, steps.state)
        self._alone_at[row] = steps.state, len(self.texts[row]) + 1
        past = self._pasts[row] if self._held_back else None
        left = held_back(logits, self._sampling, past, self._banned)
        if self._sampling.temperature < np.finfo(np.float32).tiny:
            return int(left.argmax())
        weights = torch.from_numpy(weights_left(left, self._sampling))
        reached = weights.cumsum(0, dtype=torch.float64)
        return int(torch.searchsorted(reached, drawn * reached[-1], right=True))


def _one(random: torch.Generator) -> Tensor:
    return torch.rand(1, dtype=torch.float64, generator=random)


def _drawn(reached: Tensor, drawn: Tensor) -> tuple[list[int], list[bool]]:
    """Where numbers from 0 to 1 fall among the sums of weights, (texts, vocabulary), that are
    reached by each token; and whether they fall there clearly."""
    total = reached[..., -1:]
    ends = [(drawn + shift) * total for shift in (-DOUBT, 0.0, DOUBT)]
    low, token, high = (
        torch.searchsorted(reached, end.reshape(total.shape), right=True).flatten().tolist()
        for end in ends
    )
    return token, [below == above for below, above in zip(low, high, strict=True)]


def _check(finite: bool) -> None:
    if not finite:
        raise UserError("The model's weights are no longer finite numbers: it can't write.")
