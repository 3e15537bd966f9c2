"""The histogram of norms against numpy on the norms themselves."""

import numpy as np
import pytest
import torch

from engine.training.norms import NormHistory

HALF_A_BIN = 2 ** (1 / 128) * (1 + 1e-12)
PERCENTS = (1, 10, 25, 50, 90, 99, 100)
DRAWS = {
    "log-normal": lambda random: random.lognormal(0, 2, 20_000),
    "uniform": lambda random: random.uniform(0.2, 0.3, 5_000),
    "few": lambda random: random.lognormal(0, 1, 7),
    "tiny and huge": lambda random: 10 ** random.uniform(-23, 23, 3_000),
    "two heaps": lambda random: np.concatenate(
        [random.normal(0.25, 0.001, 900), random.normal(4_000, 10, 100)]
    ),
}


def history(norms: np.ndarray) -> NormHistory:
    found = NormHistory()
    for norm in norms.tolist():
        found.add(norm)
    return found


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_percentiles_are_those_of_numpy_to_half_a_percent(draw: object) -> None:
    norms = draw(np.random.default_rng(5))  # type: ignore[operator]
    wanted = np.percentile(norms, PERCENTS, method="inverted_cdf")
    found = np.array(history(norms).percentiles(*PERCENTS))
    assert (found / wanted < HALF_A_BIN).all()
    assert (wanted / found < HALF_A_BIN).all()


def test_before_the_first_norm_they_are_zero() -> None:
    assert NormHistory().percentiles(50, 90, 99) == [0.0, 0.0, 0.0]


def test_zero_and_what_lies_beyond_the_range_count_at_its_ends() -> None:
    found = history(np.array([0.0, 1e-30, 1.0, 1e38, 1e38]))
    assert found.total == 5
    low, middle, high = found.percentiles(40, 60, 100)
    assert 0 < low < 1e-23
    assert middle == pytest.approx(1, rel=0.006)
    assert high == 1e38


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_the_hundredth_percentile_is_the_largest(draw: object) -> None:
    norms = draw(np.random.default_rng(7))  # type: ignore[operator]
    found = history(norms)
    assert found.percentiles(50, 100)[1] == norms.max()
    resumed, older = NormHistory(), NormHistory()
    resumed.load_state_dict(
        {"norms": torch.from_numpy(found.counts), "largest_norm": found.largest}
    )
    older.load_state_dict(found.state_dict() | {"largest_norm": None})
    assert resumed.percentiles(100) == [norms.max()]
    assert norms.max() <= older.percentiles(100)[0] < norms.max() * HALF_A_BIN**2
    older.load_state_dict(NormHistory().state_dict() | {"largest_norm": None})
    assert older.percentiles(100) == [0.0]


def test_it_goes_on_from_counts_that_were_saved() -> None:
    norms = np.random.default_rng(6).lognormal(0, 1, 400)
    whole, first = history(norms), history(norms[:150])
    resumed = NormHistory()
    resumed.load_state_dict(
        {"norms": torch.from_numpy(first.counts.copy()), "largest_norm": first.largest}
    )
    for norm in norms[150:].tolist():
        resumed.add(norm)
    assert resumed.total == 400
    assert resumed.percentiles(*PERCENTS) == whole.percentiles(*PERCENTS)
    assert first.total == 150
