"""The conductor without a process: what it does when training goes wrong."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.config import RunConfig
from engine.errors import UserError
from engine.events import AnyEvent, NonFinite, StateChanged, Stepped
from engine.service import protocol as p
from engine.service import runs
from engine.service.conductor import Conductor
from engine.service.record import Record


@pytest.fixture
def told() -> list[AnyEvent]:
    return []


@pytest.fixture
def conductor(tmp_path: Path, small_config: RunConfig, told: list[AnyEvent]) -> Conductor:
    folder = runs.create_run(tmp_path, "run", small_config)
    conductor = Conductor(folder, Record(folder, told.extend))
    problem = conductor.open_corpus(lambda _: None)
    conductor.build(problem)
    assert conductor.state == "ready"
    return conductor


def advance(conductor: Conductor, until: Callable[[], bool], limit: int = 500) -> None:
    for _ in range(limit):
        if until():
            return
        assert conductor.busy
        conductor.advance()
    raise AssertionError("it never happened")


def test_three_steps_in_a_row_that_are_not_finite_pause_and_say_what_to_try(
    conductor: Conductor, told: list[AnyEvent]
) -> None:
    assert conductor.model is not None
    weight = conductor.model.embedding.weight
    conductor.command(p.Start())
    handle = weight.register_hook(lambda grad: grad * math.nan)
    advance(conductor, lambda: conductor.state == "paused")
    assert [e.in_a_row for e in told if isinstance(e, NonFinite)] == [1, 2, 3]
    for word in ("3 steps in a row", "nan in embedding.weight", "lower learning rate"):
        assert word in conductor.reason
    assert bool(weight.isfinite().all())
    handle.remove()
    conductor.command(p.Start())
    step = conductor.step
    advance(conductor, lambda: conductor.step == step + 5)
    assert conductor.state == "running"


def test_an_unforeseen_error_fails_the_run_in_a_sentence(
    conductor: Conductor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 TB")

    assert conductor.model is not None
    monkeypatch.setattr(conductor.model, "loss", explode)
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.state == "failed")
    assert conductor.reason.startswith("Out of memory: make training.batch_size")
    assert not conductor.busy
    with pytest.raises(UserError, match="Out of memory"):
        conductor.command(p.Start())


def test_a_pause_in_an_evaluation_lets_it_end_and_takes_no_step(
    conductor: Conductor, told: list[AnyEvent]
) -> None:
    conductor.command(p.Start())
    advance(conductor, lambda: not conductor.between_steps)
    steps = conductor.step
    conductor.command(p.Pause())
    advance(conductor, lambda: not conductor.busy)
    assert conductor.between_steps
    assert conductor.step == steps


def test_a_failed_save_is_told_and_training_goes_on(
    conductor: Conductor, told: list[AnyEvent]
) -> None:
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.step == 2)
    blocker = conductor.folder / "checkpoints"
    blocker.write_text("in the way")
    with pytest.raises(UserError, match="could not be saved"):
        conductor.save_asked()
    assert conductor.state == "running"
    advance(conductor, lambda: conductor.step == 4)
    blocker.unlink()
    conductor.save_asked()
    assert runs.load_standing(conductor.folder).step == 4  # type: ignore[union-attr]


def test_a_run_gone_back_to_a_checkpoint_forgets_what_came_after(
    conductor: Conductor, told: list[AnyEvent]
) -> None:
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.step == 5)
    conductor.save_asked()
    advance(conductor, lambda: conductor.step == 12)
    conductor._record.close()
    again: list[AnyEvent] = []
    second = Conductor(conductor.folder, Record(conductor.folder, again.extend))
    second.build(second.open_corpus(lambda _: None))
    past = [e.step for e in runs.read_metrics(conductor.folder) if isinstance(e, Stepped)]
    assert past == [1, 2, 3, 4, 5]
    assert second.step == 5
    assert [e.state for e in again if isinstance(e, StateChanged)] == ["paused"]
