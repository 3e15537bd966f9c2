"""The seeds of a run's random generators, all derived from its one."""

from typing import NamedTuple

import numpy as np


class Seeds(NamedTuple):
    """What each generator of a run begins with."""

    model: int
    """Torch's own, before the model is built: of its first weights."""
    data: int
    dropout: int
    samples: int
    """By which every sample of the run is drawn."""


def seeds_of(seed: int) -> Seeds:
    """The seeds that follow from `training.seed`."""
    return Seeds(*np.random.SeedSequence(seed).generate_state(4, np.uint32).tolist())
