"""How long a run will still take, whatever ends it, however long its windows are."""

import random
from collections.abc import Iterator

import msgspec
import pytest

from engine.config import TrainingConfig
from engine.events import Evaluated, Stepped
from tests.tui.fake_engine import step
from tui.pace import Pace

TOKENS_A_SECOND = 1000
TOKENS_AN_EPOCH = 50_000


def steps(windows: list[int]) -> Iterator[Stepped]:
    """Steps over windows of so many tokens each, at a steady speed."""
    tokens = 0
    for number, window in enumerate(windows, start=1):
        tokens += window
        yield step(number, seconds=tokens / TOKENS_A_SECOND, epoch=tokens / TOKENS_AN_EPOCH)


def paced(windows: list[int], *, validation: float = 0.0) -> Pace:
    pace = Pace()
    for event in steps(windows):
        pace.step(event)
    for split, seconds in (("valid", validation), ("test", 1e6)):
        pace.validation(
            Evaluated(step=1, split=split, loss=1.0, perplexity=2.7, tokens=9, seconds=seconds)
        )
    return pace


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        ({}, None),
        ({"steps": 200}, 100 * 0.5),
        ({"epochs": 3.0}, 100.0),
        ({"minutes": 1.0}, 10.0),
        ({"steps": 200, "epochs": 3.0, "minutes": 2.0}, 50.0),
        ({"steps": 50}, 0.0),
        ({"patience": 3}, None),
    ],
)
def test_the_first_limit_counts(limits: dict[str, float], seconds: float | None) -> None:
    left = paced([500] * 100).seconds_left(TrainingConfig(**limits))  # 50 s, one epoch
    assert left == (None if seconds is None else pytest.approx(seconds))


def test_windows_of_random_lengths_are_counted_as_they_were() -> None:
    draw = random.Random(3)
    windows = [draw.randint(5, 130) for _ in range(4000)]
    used = sum(windows)
    left = paced(windows).seconds_left(TrainingConfig(bptt=10, batch_size=1, epochs=10.0))
    assert left == pytest.approx((10 * TOKENS_AN_EPOCH - used) / TOKENS_A_SECOND)


def test_only_the_last_half_minute_tells_the_speed() -> None:
    pace, seconds = Pace(), 0.0
    for number in range(1, 201):
        seconds += 10.0 if number <= 100 else 1.0
        pace.step(step(number, seconds=seconds, epoch=number / 100))
    assert pace.seconds_left(TrainingConfig(steps=300)) == pytest.approx(100)


@pytest.mark.parametrize(
    ("limits", "validations"),
    [
        ({"steps": 200, "evaluate_every": 40}, 3),
        ({"steps": 200}, 1),
        ({"epochs": 3.0}, 2),
        ({"minutes": 1.0, "evaluate_every": 5}, 4),
    ],
)
def test_the_validations_on_the_way_take_their_time(
    limits: dict[str, float], validations: int
) -> None:
    config = TrainingConfig(**limits)
    without = paced([500] * 100).seconds_left(config)
    assert without is not None
    left = paced([500] * 100, validation=7.0).seconds_left(config)
    assert left == pytest.approx(without + 7 * validations)


def test_it_begins_anew_where_the_run_went_back() -> None:
    pace = paced([500] * 100)
    pace.step(step(50, seconds=25.0, epoch=0.5))
    assert pace.seconds_left(TrainingConfig(steps=100)) is None
    pace.step(step(51, seconds=27.0, epoch=0.51))
    assert pace.seconds_left(TrainingConfig(steps=100)) == pytest.approx(49 * 2)


def test_one_step_gives_no_speed() -> None:
    assert paced([500]).seconds_left(TrainingConfig(steps=9)) is None
    assert Pace().seconds_left(TrainingConfig(minutes=9)) is None
    frozen = Pace()
    for event in steps([1, 1]):
        frozen.step(msgspec.structs.replace(event, seconds=1.0))
    assert frozen.seconds_left(TrainingConfig(steps=9)) is None
