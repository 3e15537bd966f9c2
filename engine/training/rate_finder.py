"""The learning-rate range test: a few steps at rates that rise, to see which rate to begin with.

Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3. The rates rise by
the same factor at every step, and the loss is an exponential mean, as Gugger 2018 has it ("How Do
You Find A Good Learning Rate").
"""

import copy
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from engine.config import OptimiserName, replace
from engine.events import Stepped
from engine.service.protocol import RateFound, RateTried
from engine.training.trainer import Trainer

DECADES = 6
PER_DECADE = 25
"""Steps in which the rate grows ten times."""
_KEEP = 0.9
"""Share of the smoothed loss that stays at each step."""
_EXPLODED = 4.0
"""Times the lowest smoothed loss, at which the test ends."""
_SETTLED = 10
"""Steps until the smoothed loss hangs on no single batch; the rates are tiny there still."""
_FALL = 0.05
"""Share of the loss that has to go before a slower fall means anything."""
_SLOW = 0.2
"""Share of the steepest fall from step to step, below which the loss falls slowly."""


def find_rate(trainer: Trainer) -> Iterator[RateTried | RateFound]:
    """Try rates from tiny to far too large, a step each, on a copy of the trainer.

    The copy goes on where the trainer stands, with its clipping and its optimiser's state, and the
    rate in place of the schedule; the trainer is left as it is. It ends early where the loss
    explodes. See `choose` for the rate found.
    """
    trial = _copy(trainer)
    mean, weight = 0.0, 0.0
    tried: list[tuple[float, float]] = []
    last = DECADES * PER_DECADE
    for index in range(last + 1):
        trial.learning_rate = lowest_rate(trainer.config.optimiser.name) * 10 ** (
            index / PER_DECADE
        )
        stepped = next(event for event in trial.take_step() if isinstance(event, Stepped))
        share = index / last
        if stepped.loss is None or stepped.norm_before is None:
            yield RateTried(rate=trial.learning_rate, loss=None, share=share)
            break
        mean = _KEEP * mean + (1 - _KEEP) * stepped.loss
        weight = _KEEP * weight + (1 - _KEEP)
        smoothed = mean / weight
        tried.append((trial.learning_rate, smoothed))
        yield RateTried(rate=trial.learning_rate, loss=smoothed, share=share)
        if smoothed > _EXPLODED * min(loss for _, loss in tried):
            break
    yield choose(tried)


def lowest_rate(optimiser: OptimiserName) -> float:
    """Where the test begins; it ends `DECADES` powers of ten above, where nothing learns."""
    return 1e-3 if optimiser in ("sgd", "nt-asgd") else 1e-6


def choose(tried: Sequence[tuple[float, float]]) -> RateFound:
    """The rate to begin with, of rising rates and the smoothed loss at each.

    It is the one after which the loss, having come down by a twentieth, falls at less than a fifth
    of its steepest: in Smith's words where the accuracy "slows, becomes ragged, or starts to fall",
    his upper bound. That the loss may fall again at still larger rates doesn't count: a few steps
    go well at a rate that many don't.
    """
    settled = tried[_SETTLED:]
    fallen = (1 - _FALL) * settled[0][1] if settled else -math.inf
    steepest = 0.0
    for (rate, before), (_, loss) in pairwise(settled):
        steepest = max(steepest, before - loss)
        if loss <= fallen and before - loss < _SLOW * steepest:
            return RateFound(
                rate=_round(rate),
                reason="The largest rate at which the loss still fell fast (Smith 2017).",
            )
    if settled and settled[-1][1] <= fallen:
        return RateFound(
            rate=_round(settled[-1][0]),
            reason="The loss fell as fast as ever at the largest rate tried.",
        )
    return RateFound(
        rate=None,
        reason="No rate brought the loss down by a twentieth: keep the one you have, or test at "
        "the start of a new run.",
    )


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


def _round(rate: float) -> float:
    return float(f"{rate:.2g}")
