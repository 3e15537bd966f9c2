"""Schedules: their values at key points, and that nothing but their arguments decides them."""

import math
from typing import get_args

import pytest
import torch

from engine.config import ScheduleConfig, ScheduleName
from engine.training.schedules import factor

NAMES: tuple[ScheduleName, ...] = get_args(ScheduleName)


def at(name: ScheduleName, progress: float, **settings: float) -> float:
    return factor(ScheduleConfig(name=name, **settings), 10**6, progress, 0)  # type: ignore[arg-type]


def test_constant_is_one() -> None:
    schedule = ScheduleConfig()
    found = {
        factor(schedule, step, step / 100, divisions)
        for step in (0, 1, 100)
        for divisions in (0, 3)
    }
    assert found == {1.0}


@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "cooldown", "plateau"])
def test_warm_up_rises_to_one_and_never_starts_at_zero(name: ScheduleName) -> None:
    schedule = ScheduleConfig(name=name, warmup_steps=4)
    found = [factor(schedule, step, 0.0, 0) for step in range(6)]
    assert found == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", ["linear", "cosine", "plateau"])
def test_warm_up_is_multiplied_with_what_the_schedule_says(name: ScheduleName) -> None:
    warm, plain = ScheduleConfig(name=name, warmup_steps=8), ScheduleConfig(name=name)
    assert factor(warm, 1, 0.3, 2) == pytest.approx(0.25 * factor(plain, 1, 0.3, 2))
    assert factor(plain, 1, 0.3, 2) not in (0, 1)


def test_linear_falls_in_a_straight_line_to_zero() -> None:
    assert [at("linear", share) for share in (0, 0.25, 0.5, 1)] == [1, 0.75, 0.5, 0]


def test_cosine_is_half_in_the_middle_and_zero_at_the_end() -> None:
    assert at("cosine", 0) == 1
    assert at("cosine", 0.25) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert at("cosine", 0.5) == pytest.approx(0.5)
    assert at("cosine", 1) == 0


def test_cooldown_is_flat_then_falls_in_a_straight_line_to_zero() -> None:
    assert [at("cooldown", share) for share in (0, 0.5, 0.75)] == [1, 1, 1]
    assert [at("cooldown", share) for share in (0.8, 0.875, 1)] == pytest.approx([0.8, 0.5, 0])
    assert at("cooldown", 0.75, cooldown=0.5) == 0.5
    assert [at("cooldown", share, cooldown=1.0) for share in (0, 0.25, 1)] == [1, 0.75, 0]


def test_cooldown_depends_on_no_limit_before_it_begins() -> None:
    schedule = ScheduleConfig(name="cooldown", cooldown=0.3, warmup_steps=7)
    short, long = ([factor(schedule, s, s / n, 0) for s in range(n)] for n in (100, 170))
    assert short[:71] == long[:71]
    assert short[71] < long[71]


@pytest.mark.parametrize("total", [4, 5, 6, 7, 10, 11, 33, 100, 1000, 12_345])
def test_one_cycle_is_torch_s(total: int) -> None:
    weight = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.SGD([weight], 1.0)
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 1.0, total_steps=total, cycle_momentum=False
    )
    schedule = ScheduleConfig(name="one-cycle")
    for step in range(total):
        found = factor(schedule, step, step / total, 0)
        assert found == pytest.approx(torchs.get_last_lr()[0], rel=1e-9, abs=1e-15)
        if step + 1 < total:
            optimiser.step()
            torchs.step()
    assert found == pytest.approx(1 / 250_000)


def test_plateau_divides_once_for_each_division() -> None:
    schedule = ScheduleConfig(name="plateau", divide_by=4.0)
    assert [factor(schedule, 7, 0.5, divisions) for divisions in range(4)] == [
        1,
        0.25,
        0.0625,
        0.015625,
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_arguments_give_the_same_rate_in_any_order(name: ScheduleName) -> None:
    schedule = ScheduleConfig(name=name, warmup_steps=0 if name == "one-cycle" else 10)
    places = [(step, step / 50, step // 20) for step in range(51)]
    forwards = [factor(schedule, *place) for place in places]
    backwards = [factor(schedule, *place) for place in reversed(places)]
    assert forwards == backwards[::-1]
    assert all(0 <= value <= 1 for value in forwards)
