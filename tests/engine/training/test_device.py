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


def test_the_threads_asked_for_are_taken(make_trainer: Make) -> None:
    assert pick_threads(make_trainer(training__threads=3)) == 3


def test_a_small_step_takes_one_and_another_all_cores_whatever_the_clock_says(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(training__threads=0)
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    work = 6 * parameters * 8 * 7
    for bound, threads in ((work + 1, 1), (work, 4)):
        monkeypatch.setattr(device, "SMALL_STEP", bound)
        assert {pick_threads(trainer) for _ in range(5)} == {threads}


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
