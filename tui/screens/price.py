"""What a run would take, told while its settings are chosen: parameters, memory, seconds an epoch.

The sizes are the engine's own sums. The pace is that of the run that is shown, and so known only
for a run of the same sizes on the same text.
"""

from typing import NamedTuple

import msgspec

from engine.config import RunConfig
from engine.sizes import parameter_count, training_need
from tui.numbers import duration, short, size
from tui.run.session import Session

_FREE = ("learning_rate", "momentum", "weight_decay", "trigger")
"""Settings of the optimiser that take no time."""


class Price(NamedTuple):
    """What a run would take."""

    parameters: int
    memory: int
    """Bytes that training takes of them at least, beside the program and the text."""
    exact: bool
    """Whether the text is known; else these are for the largest vocabulary it may have."""
    epoch: float | None
    """Seconds for a pass over the text; None while that is not known."""

    def __str__(self) -> str:
        most = "" if self.exact else "at most "
        epoch = "not known yet" if self.epoch is None else f"about {duration(self.epoch)}"
        return (
            f"{most}{short(self.parameters, 3)} parameters · memory {most or 'about '}"
            f"{size(self.memory)} · an epoch: {epoch}"
        )


def price(config: RunConfig, session: Session | None) -> Price:
    """What a run of this configuration would take, by what is known of the run that is shown."""
    corpus = session.status.corpus if session else None
    if session is None or corpus is None or config.corpus != session.status.config.corpus:
        vocabulary = config.corpus.max_vocabulary
        window = config.training.batch_size * config.training.bptt
        need = training_need(config, vocabulary, window, "cpu")
        return Price(parameter_count(config.model, vocabulary), need.total, False, None)
    tokens = corpus.tokens.get("train", 0)
    device = session.status.device.partition(":")[0]
    need = training_need(config, corpus.vocabulary, tokens, device)
    last = session.history.last
    pace = last.tokens_per_second if last is not None else 0.0
    known = pace > 0 and _work(config) == _work(session.status.config)
    return Price(
        parameters=parameter_count(config.model, corpus.vocabulary),
        memory=need.total,
        exact=True,
        epoch=tokens / pace if known else None,
    )


def _work(config: RunConfig) -> tuple[object, ...]:
    """All that decides how long a step takes."""
    training, optimiser = config.training, msgspec.structs.asdict(config.optimiser)
    return (
        config.model,
        config.regularisation,
        [value for name, value in optimiser.items() if name not in _FREE],
        (training.batch_size, training.bptt, training.candidates),
        (training.precision, training.threads),
    )
