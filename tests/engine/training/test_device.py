"""How many threads a run takes."""

from collections.abc import Callable, Iterator

import pytest
import torch

from engine.training import device, rehearsal
from engine.training.device import pick_threads
from engine.training.trainer import Trainer

Make = Callable[..., Trainer]


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(device, "_cores", lambda: 4)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """Seconds that a rehearsal takes, by threads."""
    now = 0.0
    seconds = {4: 0.1, 1: 0.2}

    def rehearse(_: Trainer) -> None:
        nonlocal now
        now += seconds[torch.get_num_threads()]

    monkeypatch.setattr(device, "rehearse", rehearse)
    monkeypatch.setattr(device.time, "perf_counter", lambda: now)
    return seconds


def big(make_trainer: Make, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    monkeypatch.setattr(device, "SMALL_STEP", 0)
    return make_trainer(training__threads=0)


def test_the_threads_asked_for_are_taken(make_trainer: Make, clock: dict[int, float]) -> None:
    assert pick_threads(make_trainer(training__threads=3)) == 3


def test_a_tiny_model_takes_one(make_trainer: Make, clock: dict[int, float]) -> None:
    clock[4] = 0.0
    assert pick_threads(make_trainer(training__threads=0)) == 1


def test_the_faster_number_is_taken(
    make_trainer: Make, clock: dict[int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = big(make_trainer, monkeypatch)
    assert pick_threads(trainer) == 4
    clock.update({4: 0.3, 1: 0.2})
    assert pick_threads(trainer) == 1


def test_a_long_step_takes_all_cores_untried(
    make_trainer: Make, clock: dict[int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.update({4: 5.0, 1: 0.2})
    assert pick_threads(big(make_trainer, monkeypatch)) == 4


def test_a_rehearsal_changes_nothing(make_trainer: Make) -> None:
    recipe = {"training__random_bptt": True, "training__candidates": 16}
    regularisation = {"regularisation__output_dropout": 0.3}
    first, second = (make_trainer(**recipe, **regularisation) for _ in range(2))
    rehearsal.rehearse(first)
    for _ in range(3):
        (one, *_), (two, *_) = list(first.take_step()), list(second.take_step())
        assert one.loss == two.loss  # type: ignore[union-attr]
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True)
    )
