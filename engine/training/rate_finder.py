"""Which learning rate to begin with: a few rates held from the same start, and compared.

A range test, a step at each rate (Smith 2017, "Cyclical Learning Rates for Training Neural
Networks"), says where a loss falls fast for a few steps, which is several times below or above a
rate that does well for long. So here each rate is held for a while by a copy of the trainer of its
own: the same weights, the same windows of text, the same dropout.
"""

import copy
import math
from collections.abc import Generator, Iterator, Mapping

from engine.config import OptimiserName, replace
from engine.events import Progress
from engine.messages import RateFound, RateTried
from engine.training.trainer import Trainer

HOLD = 200
"""Steps that a rate is held."""
WIDE, FINE = 4.0, 2.0
"""Rates lie so many times apart until one is worse than its neighbour, then beside the best."""
MOST = 8
"""Rates tried upwards, and again downwards, at most."""
_WARM_UP = 0.1
"""Share of the hold in which the rate rises."""
_KEEP = 0.95
"""Share of the smoothed loss that stays at each step."""
_EXPLODED = 1.5
"""Times the first loss, at which a rate is given up."""
_FALL = 0.05
"""Share of the first loss that has to go before a difference between rates means anything."""
_WITHIN = 1.15
"""Times the lowest perplexity, up to which a rate is good."""


def find_rate(trainer: Trainer) -> Iterator[Progress | RateTried | RateFound]:
    """Hold rates by copies of the trainer, and compare the smoothed losses that they end with.

    A copy goes on where the trainer stands, with its clipping and its optimiser's state, and the
    rate in place of the schedule; the trainer is left as it is. See `choose` for the rate found.
    """
    search = _Search(trainer)
    middle = first_rate(trainer.config.optimiser.name)
    yield from search.hold(middle)
    for towards in (WIDE, 1 / WIDE):
        for _ in range(MOST):
            edge = max(search.losses) if towards > 1 else min(search.losses)
            if search.best != edge:
                break
            yield from search.hold(edge * towards)
    if math.isfinite(search.losses[search.best]):
        for beside in (search.best / FINE, search.best * FINE):
            yield from search.hold(beside)
        for _ in range(MOST):
            lower = good(search.losses)[0] / FINE
            if lower in search.losses:
                break
            yield from search.hold(lower)
    yield choose(search.first_loss, search.losses)


def good(losses: Mapping[float, float]) -> list[float]:
    """Rates that ended with a perplexity near the lowest, the lowest rate first."""
    enough = min(losses.values()) + math.log(_WITHIN)
    return sorted(rate for rate, loss in losses.items() if loss <= enough)


def first_rate(optimiser: OptimiserName) -> float:
    """The rate that is tried first."""
    return 5.0 if optimiser in ("sgd", "nt-asgd") else 2e-3


class _Search:
    """What was tried so far."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self.first_loss = math.nan
        """Before any step."""
        self.losses: dict[float, float] = {}
        """The smoothed loss that each rate ended with; infinite where it exploded."""

    @property
    def best(self) -> float:
        """The rate with the lowest loss so far, the lowest of those that are alike."""
        return min(self.losses, key=lambda rate: (self.losses[rate], rate))

    def hold(self, rate: float) -> Generator[Progress | RateTried, None, None]:
        """Hold a rate, and tell of each step and of the end."""
        trial = _copy(self._trainer)
        mean, weight, loss = 0.0, 0.0, math.inf
        for step in range(1, HOLD + 1):
            trial.learning_rate = rate * min(1.0, step / (_WARM_UP * HOLD))
            stepped, *_ = trial.take_step()
            if step == 1:
                self.first_loss = _or_infinite(stepped.loss)
            mean = _KEEP * mean + (1 - _KEEP) * _or_infinite(stepped.loss)
            weight = _KEEP * weight + (1 - _KEEP)
            loss = mean / weight
            if stepped.norm_before is None or not loss < _EXPLODED * self.first_loss:
                loss = math.inf
                break
            yield Progress(task=f"holding rate {rate:g}", done=step, total=HOLD, unit="steps")
        self.losses[rate] = loss
        yield RateTried(rate=rate, loss=None if math.isinf(loss) else loss)


def choose(first_loss: float, losses: Mapping[float, float]) -> RateFound:
    """The rate to begin with, of rates and the losses they ended with; `first_loss` is that before.

    It is the lowest of the good ones: the longer a rate is held, the lower is the best one.
    """
    lowest = min(losses.values())
    if math.isinf(lowest) or lowest > (1 - _FALL) * first_loss:
        return RateFound(
            rate=None,
            reason=f"Held for {HOLD} steps, no rate brought the loss down by a twentieth: keep the "
            "one you have, or test at the start of a new run.",
        )
    chosen, *others = good(losses)
    reason = (
        f"The lowest rate whose perplexity after {HOLD} steps is within {_WITHIN - 1:.0%} of the "
        f"best: the loss went from {first_loss:.2f} to {losses[chosen]:.2f}"
    )
    if others:
        best = min(others, key=losses.__getitem__)
        reason += f"; as good are those up to {_round(others[-1]):g}"
        if losses[best] < losses[chosen]:
            reason += f", {_round(best):g} came to {losses[best]:.2f}"
    return RateFound(rate=_round(chosen), reason=f"{reason}.")


def _copy(trainer: Trainer) -> Trainer:
    """A trainer with everything of its own but the text, at a constant rate."""
    corpus = trainer.corpus
    shared = {id(text): text for text in (corpus, *corpus.splits.values())}
    trial = copy.deepcopy(trainer, shared)
    trial.average = None
    trial.config = replace(
        trainer.config, {"schedule.name": "constant", "schedule.warmup_steps": 0}
    )
    return trial


def _or_infinite(loss: float | None) -> float:
    return math.inf if loss is None else loss


def _round(rate: float) -> float:
    return float(f"{rate:.2g}")
