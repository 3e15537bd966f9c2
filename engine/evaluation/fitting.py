"""Settings of the neural cache and of dynamic evaluation, chosen on held-out text by a small grid.

Dynamic evaluation comes first, its rate and then its decay, since the cache remembers what a model
that follows the text makes of it; the cache's theta and lambda are then tried together. What is
given stays as it is.
"""

import copy
import math
from collections.abc import Generator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.evaluation.dynamic_evaluation import DECAY, LEARNING_RATE, DynamicEvaluator
from engine.evaluation.neural_cache import WINDOW, NeuralCache, mixed
from engine.evaluation.online_loss import online_loss, segments
from engine.events import Progress
from engine.measures import perplexity
from engine.messages import OnlineSettings, SettingsTried
from engine.model.lstm import LSTMLanguageModel

TOKENS = 20_000
"""Of the held-out text, at most, from its beginning."""
RATES = tuple(LEARNING_RATE * times for times in (0.1, 0.3, 1, 3, 10))
DECAYS = tuple(DECAY * times for times in (0.25, 1, 4))
THETAS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)
SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)


def fit(
    model: LSTMLanguageModel,
    held_out: NDArray[np.integer],
    given: OnlineSettings,
    *,
    scale: list[Tensor] | None,
    cache: bool,
) -> Generator[Progress, None, tuple[OnlineSettings, list[SettingsTried]]]:
    """Tell of progress, then return the settings with the lowest loss, and all that were tried.

    `held_out` is encoded text (tokens,). `scale` is that of dynamic evaluation, None where it isn't
    wanted. The weights are left as they are.
    """
    text = held_out[:TOKENS]
    rates, decays = _values(given.rate, RATES), _values(given.decay, DECAYS)
    passes = cache + (0 if scale is None else len(rates) + len(decays) - 1)
    search = _Search(model, text, passes)
    best = given
    if scale is not None:
        middle = decays[len(decays) // 2]
        best = yield from search.follow(scale, [_with(given, rate=r, decay=middle) for r in rates])
        others = [_with(best, decay=decay) for decay in decays if decay != middle]
        best = yield from search.follow(scale, [best, *others])
    if cache:
        best = yield from search.remember(scale, _with(best, window=given.window or WINDOW))
    tried = search.losses.items()
    return best, [SettingsTried(settings=one, perplexity=perplexity(loss)) for one, loss in tried]


class _Search:
    """What was tried on a text so far."""

    def __init__(self, model: LSTMLanguageModel, text: NDArray[np.integer], passes: int) -> None:
        self._model = model
        self._text = text
        self._tokens = len(text) - 1
        self._total = passes * self._tokens
        self._done = 0
        self.losses: dict[OnlineSettings, float] = {}
        """Nats per token; infinite where it was not a number."""

    def follow(
        self, scale: list[Tensor], candidates: Sequence[OnlineSettings]
    ) -> Generator[Progress, None, OnlineSettings]:
        """The best rate and decay of these, each tried in a reading of its own."""
        for settings in candidates:
            if settings in self.losses:
                continue
            model, evaluator = self._evaluator(scale, settings)
            loss = math.nan
            for total, count in online_loss(model, self._text, evaluator=evaluator):
                loss = total / count
                yield self._progress(count)
            self._end(settings, loss)
        return self._best(candidates)

    def remember(
        self, scale: list[Tensor] | None, given: OnlineSettings
    ) -> Generator[Progress, None, OnlineSettings]:
        """The best theta and lambda, all tried in one reading."""
        model, evaluator = self._model, None
        if scale is not None:
            model, evaluator = self._evaluator(scale, given)
        shares = _values(given.share, SHARES)
        caches = [NeuralCache(given.window or WINDOW, t) for t in _values(given.theta, THETAS)]
        sums = np.zeros((len(caches), len(shares)))
        count = 0
        for own, features, targets in segments(model, self._text, evaluator):
            for row, cache in zip(sums, caches, strict=True):
                cached = cache.recalled(features, targets)
                for place, share in enumerate(shares):
                    row[place] -= mixed(own, cached, share).sum().item()
                cache.remember(features, targets)
            count += len(targets)
            yield self._progress(count)
        candidates = []
        for (place, column), total in np.ndenumerate(sums):
            candidates.append(_with(given, theta=caches[place].theta, share=shares[column]))
            self.losses[candidates[-1]] = _or_infinite(float(total) / count)
        return self._best(candidates)

    def _evaluator(
        self, scale: list[Tensor], settings: OnlineSettings
    ) -> tuple[LSTMLanguageModel, DynamicEvaluator]:
        assert settings.rate is not None and settings.decay is not None
        model = copy.deepcopy(self._model)
        return model, DynamicEvaluator(model, scale, settings.rate, settings.decay)

    def _progress(self, count: int) -> Progress:
        return Progress(task="fitting", done=self._done + count, total=self._total, unit="tokens")

    def _end(self, settings: OnlineSettings, loss: float) -> None:
        """Of a reading."""
        self._done += self._tokens
        self.losses[settings] = _or_infinite(loss)

    def _best(self, candidates: Sequence[OnlineSettings]) -> OnlineSettings:
        return min(candidates, key=self.losses.__getitem__)


def _values(given: float | None, grid: Sequence[float]) -> Sequence[float]:
    return grid if given is None else (given,)


def _with(settings: OnlineSettings, **changes: float) -> OnlineSettings:
    return msgspec.structs.replace(settings, **changes)


def _or_infinite(loss: float) -> float:
    return math.inf if math.isnan(loss) else loss
