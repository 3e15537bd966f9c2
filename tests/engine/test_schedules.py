import math

import pytest

from engine.config import ScheduleConfig
from engine.training.schedules import factor


def test_constant_is_one() -> None:
    assert {factor(ScheduleConfig(), step, None) for step in (0, 1, 10**6)} == {1.0}


def test_warm_up_rises_to_one_and_never_starts_at_zero() -> None:
    schedule = ScheduleConfig(warmup_steps=4)
    assert [factor(schedule, step, None) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_cosine_is_half_in_the_middle_and_zero_from_the_end_on() -> None:
    schedule = ScheduleConfig(name="cosine", warmup_steps=10)
    assert factor(schedule, 10, 110) == 1.0
    assert factor(schedule, 60, 110) == pytest.approx(0.5)
    assert factor(schedule, 35, 110) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert factor(schedule, 110, 110) == factor(schedule, 500, 110) == 0.0
