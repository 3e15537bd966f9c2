"""What is said of a run before it trains."""

import pytest

from engine.config import TrainingConfig
from tui.commands.train import _until


@pytest.mark.parametrize(
    ("training", "told"),
    [
        (TrainingConfig(steps=1_000_000, epochs=None), "until 1,000,000 steps; "),
        (TrainingConfig(steps=None, epochs=1), "until 1 epoch; "),
        (TrainingConfig(steps=None, epochs=2.5, minutes=3), "until 2.5 epochs or 3 minutes; "),
        (TrainingConfig(steps=None, epochs=None, minutes=None), "without a limit: "),
    ],
)
def test_the_end_of_a_run_is_told_in_whole_numbers(training: TrainingConfig, told: str) -> None:
    assert _until(training) == told
