"""The conductor without a process: what it does when training goes wrong."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import messages as p
from engine import runs
from engine.config import RunConfig, replace
from engine.errors import UserError
from engine.events import (
    AnyEvent,
    Evaluated,
    NonFinite,
    Recorded,
    RolledBack,
    SaveFailed,
    StateChanged,
    Stepped,
)
from engine.service.conductor import Conductor
from engine.service.record import Record
from tests.recorded import as_recorded
from tui.run.history import History


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
    assert conductor.advice == "start-over"
    for word in ("3 steps in a row", "nan in embedding.weight", "gradient computed with them"):
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


def steps_of(conductor: Conductor) -> list[int]:
    """The steps in the record as far as it counts."""
    past = runs.read_metrics(conductor.folder, conductor._record.extent)
    return [event.step for event in past if isinstance(event, Stepped)]


def test_a_run_gone_back_to_a_checkpoint_forgets_what_came_after(
    conductor: Conductor, told: list[AnyEvent]
) -> None:
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.step == 5)
    conductor.save_asked()
    advance(conductor, lambda: conductor.step == 9)  # at 10 the best would be saved
    conductor.command(p.SetKnob(knob="learning_rate", value=0.25))
    conductor._record.close()
    again: list[AnyEvent] = []
    second = Conductor(conductor.folder, Record(conductor.folder, again.extend))
    second.build(second.open_corpus(lambda _: None))
    assert steps_of(second) == [1, 2, 3, 4, 5]
    assert second.step == 5
    assert second.status().learning_rate == 0.005
    assert [e.state for e in again if isinstance(e, StateChanged)] == ["paused"]


# --- what is done about a loss or gradient that is not finite ------------------------------------


def conduct(folder: Path, told: list[AnyEvent]) -> Conductor:
    conductor = Conductor(folder, Record(folder, told.extend))
    conductor.build(conductor.open_corpus(lambda _: None))
    return conductor


@pytest.fixture
def make_conductor(
    tmp_path: Path, small_config: RunConfig, told: list[AnyEvent]
) -> Callable[..., Conductor]:
    """A conducted run; keyword arguments are changes with double underscores for dots."""

    def make(**changes: Any) -> Conductor:
        paths = {name.replace("__", "."): value for name, value in changes.items()}
        folder = runs.create_run(tmp_path, "made", replace(small_config, paths))
        return conduct(folder, told)

    return make


def spoil(conductor: Conductor, steps: int) -> None:
    """Make so many gradients of the embedding nan, beginning with the next."""
    assert conductor.model is not None
    left = iter(range(steps))
    conductor.model.embedding.weight.register_hook(
        lambda grad: grad * math.nan if next(left, None) is not None else grad
    )


def weights(conductor: Conductor) -> dict[str, bytes]:
    assert conductor.trainer is not None
    parameters = conductor.trainer.model.named_parameters()
    return {name: parameter.detach().numpy().tobytes() for name, parameter in parameters}


def checkpoints(conductor: Conductor) -> list[str]:
    return sorted(path.name for path in (conductor.folder / "checkpoints").iterdir())


def test_stop_pauses_at_the_first_step_that_is_not_finite(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__non_finite="stop")
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.step == 3)
    before = weights(conductor)
    spoil(conductor, 1)
    advance(conductor, lambda: conductor.state == "paused")
    assert conductor.step == 4
    assert conductor.reason.startswith("This step was not finite (nan in embedding.weight)")
    assert weights(conductor) == before
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.step == 8)
    assert conductor.state == "running"


def test_two_bad_steps_are_skipped_without_a_pause(
    conductor: Conductor, told: list[AnyEvent]
) -> None:
    conductor.command(p.Start())
    spoil(conductor, 2)
    advance(conductor, lambda: conductor.step == 6)
    assert conductor.state == "running"
    conductor._record.flush()
    assert [e.in_a_row for e in told if isinstance(e, NonFinite)] == [1, 2]
    assert [e.skipped for e in told if isinstance(e, Stepped)] == [True, True] + 4 * [False]


def test_rolling_back_goes_on_from_the_last_good_checkpoint_at_half_the_rate(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__non_finite="roll-back")
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.step == 5)
    conductor.save_asked()
    good = weights(conductor)
    advance(conductor, lambda: conductor.step == 8)
    spoil(conductor, 1)
    advance(conductor, lambda: any(isinstance(e, RolledBack) for e in conductor._record._waiting))
    assert conductor.state == "running"
    assert conductor.trainer is not None
    assert (conductor.step, conductor.trainer.learning_rate) == (5, 0.0025)
    assert weights(conductor) == good
    assert conductor.unsaved
    advance(conductor, lambda: conductor.step == 9)
    conductor._record.flush()
    (back,) = [event for event in told if isinstance(event, RolledBack)]
    assert (back.step, back.from_step, back.learning_rate) == (5, 9, 0.0025)
    steps = [event for event in told if isinstance(event, Stepped)]
    assert [event.step for event in steps] == [*range(1, 10), *range(6, 10)]
    assert steps[-1].learning_rate == 0.0025
    recorded = [as_recorded(event) for event in told if isinstance(event, Recorded)]
    assert list(runs.read_metrics(conductor.folder)) == recorded
    shown = History()
    for piece in runs.open_past(conductor.folder).pieces():
        shown.recall(piece)
    assert shown.step == 9
    assert shown.loss.values().tolist() == pytest.approx([e.loss for e in steps[:5] + steps[9:]])
    assert shown.non_finite == []

    # The half rate is in no checkpoint yet: after a crash the run stands where it was saved.
    again: list[AnyEvent] = []
    conductor._record.close()
    second = conduct(conductor.folder, again)
    assert second.trainer is not None
    assert (second.step, second.trainer.learning_rate) == (5, 0.005)
    past = list(runs.read_metrics(conductor.folder, second._record.extent))
    assert [event.step for event in past if isinstance(event, Stepped)] == [1, 2, 3, 4, 5]
    assert not any(isinstance(event, RolledBack) for event in past)


def test_a_record_keeps_a_roll_back_that_a_checkpoint_came_after(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__non_finite="roll-back")
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.step == 2)
    conductor.save_asked()
    advance(conductor, lambda: conductor.step == 4)
    spoil(conductor, 1)
    advance(conductor, lambda: conductor.step == 2)
    advance(conductor, lambda: conductor.step == 3)
    conductor.save_asked()
    conductor._record.flush()
    before = list(runs.read_metrics(conductor.folder))
    advance(conductor, lambda: conductor.step == 6)
    conductor._record.close()
    second = conduct(conductor.folder, [])
    assert second.trainer is not None
    assert (second.step, second.trainer.learning_rate) == (3, 0.0025)
    assert list(runs.read_metrics(conductor.folder, second._record.extent)) == before
    assert [e.step for e in before if isinstance(e, Stepped)] == [1, 2, 3, 4, 5, 3]


def test_rolling_back_with_nothing_saved_pauses(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__non_finite="roll-back")
    conductor.command(p.Start())
    spoil(conductor, 1)
    advance(conductor, lambda: conductor.state == "paused")
    assert "This step was not finite" in conductor.reason


def test_rolling_back_ends_where_the_rate_can_not_be_halved(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__non_finite="roll-back", training__save_every=1)
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.step == 1)
    conductor.save_asked()
    spoil(conductor, 1000)
    advance(conductor, lambda: conductor.state == "paused")
    conductor._record.flush()
    rates = [event.learning_rate for event in told if isinstance(event, RolledBack)]
    assert rates == [0.005 / 2**times for times in range(1, len(rates) + 1)]
    assert 1e-9 <= rates[-1] < 2e-9


def test_the_best_after_a_roll_back_is_saved_as_the_best(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    """The validation that is made again must not count as told in the past that is void."""
    conductor = make_conductor(training__non_finite="roll-back", training__keep=1)
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.step == 10)
    conductor.save_asked()  # before the validation of this step
    assert not (conductor.folder / "best").exists()
    conductor.folder.joinpath("checkpoints").rename(conductor.folder / "kept")
    conductor.folder.joinpath("checkpoints").write_text("in the way")
    advance(conductor, lambda: conductor.step == 12)
    conductor._record.flush()
    assert [event.step for event in told if isinstance(event, SaveFailed)] == [10]
    conductor.folder.joinpath("checkpoints").unlink()
    conductor.folder.joinpath("kept").rename(conductor.folder / "checkpoints")
    spoil(conductor, 1)
    advance(conductor, lambda: conductor.step == 10)
    advance(conductor, lambda: conductor.step == 11)
    best = runs.named_checkpoint(conductor.folder / "best")
    assert best is not None
    assert best.name == "step-00000010.2"


def test_the_best_and_the_last_checkpoints_are_never_removed(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    """Not by newer ones, nor by a second at the same step, nor after a roll-back."""
    conductor = make_conductor(training__non_finite="roll-back", training__keep=2)
    assert conductor.trainer is not None
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.step == 11)
    assert checkpoints(conductor) == ["step-00000010"]
    conductor.trainer.best_valid_loss = 0.0  # none will be better
    for _ in range(3):
        conductor.save_asked()
    assert checkpoints(conductor) == ["step-00000010", "step-00000011.2", "step-00000011.3"]
    spoil(conductor, 1)
    advance(conductor, lambda: any(isinstance(e, RolledBack) for e in conductor._record._waiting))
    assert conductor.step == 11
    advance(conductor, lambda: conductor.step == 13)
    conductor.save_asked()
    assert checkpoints(conductor) == ["step-00000010", "step-00000011.3", "step-00000013"]
    assert (conductor.folder / "best").read_text() == "step-00000010\n"
    assert (conductor.folder / "latest").read_text() == "step-00000013\n"


def test_let_it_happen_goes_on_to_weights_that_are_never_saved(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(
        training__non_finite="let-it-happen", training__save_every=2, training__steps=9
    )
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.step == 3)
    good = checkpoints(conductor)
    assert good == ["step-00000002"]
    spoil(conductor, 1)
    advance(conductor, lambda: conductor.step == 8)
    assert conductor.state == "running"
    with pytest.raises(UserError, match="could not be saved"):
        conductor.save_asked()
    advance(conductor, lambda: conductor.state == "finished")
    assert "Not saved: embedding.weight holds numbers that are not finite." in conductor.reason
    refused = [event for event in told if isinstance(event, SaveFailed)]
    assert {event.step for event in refused} == {4, 6, 8}, "only where a save is due"
    assert "embedding.weight holds numbers that are not finite" in refused[0].reason
    assert checkpoints(conductor) == good
    conductor._record.close()
    second = conduct(conductor.folder, [])
    assert second.step == 2
    assert second.trainer is not None
    assert not second.trainer.broken_weight


# --- saves that fail ------------------------------------------------------------------------------


def test_a_save_that_fails_is_not_tried_again_at_every_step(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__save_every=4, training__steps=15)
    (conductor.folder / "checkpoints").write_text("in the way")
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.state == "paused")
    assert conductor.step == 15
    assert conductor.reason == "Reached training.steps, but it could not be saved."
    failed = [event.step for event in told if isinstance(event, SaveFailed)]
    assert failed == [4, 8, 10, 12, 15]  # 10: the best; 15: the best, and the end
    assert not conductor.busy
    (conductor.folder / "checkpoints").unlink()
    conductor.save_asked()
    assert not conductor.unsaved


def test_an_evaluation_asked_for_is_kept_by_the_next_save(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__steps=3)
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.state == "finished")
    assert not conductor.unsaved
    conductor.command(p.Evaluate(split="test"))
    advance(conductor, lambda: not conductor.busy)
    assert conductor.unsaved
    conductor.save()
    conductor._record.close()
    second = conduct(conductor.folder, [])
    past = runs.read_metrics(second.folder)
    assert [event.split for event in past if isinstance(event, Evaluated)][-1] == "test"


def test_a_run_left_at_its_limit_before_its_last_validation_still_makes_it(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__steps=12)
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.step == 12)
    conductor.save()
    conductor._record.close()
    second = conduct(conductor.folder, told)
    second.command(p.Start())
    advance(second, lambda: second.state == "finished")
    assert [event.step for event in told if isinstance(event, Evaluated)] == [10, 12]
    assert not second.unsaved
    second._record.close()
    with pytest.raises(UserError, match="has reached its limit"):
        conduct(conductor.folder, []).command(p.Start())
