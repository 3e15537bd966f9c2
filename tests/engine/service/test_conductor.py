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
    Intervened,
    NonFinite,
    Recorded,
    RolledBack,
    SaveFailed,
    StateChanged,
    Stepped,
)
from engine.service.conductor import Conductor
from engine.service.run import Run
from engine.training import checkpoint
from tests.conducted import conducted
from tests.recorded import as_recorded
from tui.run.history import History


@pytest.fixture
def told() -> list[AnyEvent]:
    return []


@pytest.fixture
def conductor(tmp_path: Path, small_config: RunConfig, told: list[AnyEvent]) -> Conductor:
    folder = runs.create_run(tmp_path, "run", small_config)
    conductor = conducted(folder, told.extend)
    assert conductor.run.state == "ready"
    return conductor


def advance(conductor: Conductor, until: Callable[[], bool], limit: int = 500) -> None:
    for _ in range(limit):
        if until():
            return
        assert conductor.run.busy
        conductor.advance()
    raise AssertionError("it never happened")


def test_three_steps_in_a_row_that_are_not_finite_pause_and_say_what_to_try(
    conductor: Conductor, told: list[AnyEvent]
) -> None:
    assert conductor.run.model is not None
    weight = conductor.run.model.embedding.weight
    conductor.command(p.Start())
    handle = weight.register_hook(lambda grad: grad * math.nan)
    advance(conductor, lambda: conductor.run.state == "paused")
    assert [e.in_a_row for e in told if isinstance(e, NonFinite)] == [1, 2, 3]
    assert conductor.run.advice == "start-over"
    for word in ("3 steps in a row", "nan in embedding.weight", "gradient computed with them"):
        assert word in conductor.run.reason
    assert bool(weight.isfinite().all())
    handle.remove()
    conductor.command(p.Start())
    step = conductor.run.step
    advance(conductor, lambda: conductor.run.step == step + 5)
    assert conductor.run.state == "running"


def test_an_unforeseen_error_fails_the_run_in_a_sentence(
    conductor: Conductor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert conductor.run.model is not None
    monkeypatch.setattr(conductor.run.model, "loss", out_of_memory)
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.state == "failed")
    assert conductor.run.reason.startswith("Out of memory: make training.batch_size")
    assert not conductor.run.busy
    with pytest.raises(UserError, match="Out of memory"):
        conductor.command(p.Start())


def out_of_memory(*_: object, **__: object) -> None:
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 TB")


def test_what_a_run_that_ran_out_of_memory_has_reached_can_be_saved(
    conductor: Conductor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step can be computed any more, yet the weights are sound."""
    assert conductor.run.model is not None
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.step == 3)
    monkeypatch.setattr(conductor.run.model, "loss", out_of_memory)
    advance(conductor, lambda: conductor.run.state == "failed")
    assert conductor.saver.unsaved
    assert conductor.saver.save_asked().step == 3
    assert runs.load_standing(conductor.run.folder).step == 3  # type: ignore[union-attr]
    assert conductor.saver.keep() and not conductor.saver.unsaved


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory.")])
def test_no_memory_for_a_save_is_told_and_the_checkpoint_before_is_kept(
    conductor: Conductor,
    told: list[AnyEvent],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def fail(*_: object) -> None:
        raise error

    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.step == 3)
    conductor.saver.save_asked()
    advance(conductor, lambda: conductor.run.step == 4)
    monkeypatch.setattr(checkpoint, "tensors_to_bytes", fail)
    with pytest.raises(UserError, match=r"Can't save to .*: Out of memory: .* is untouched"):
        conductor.saver.save_asked()
    assert not conductor.saver.keep()
    conductor.run.record.flush()
    assert [e.step for e in told if isinstance(e, SaveFailed)] == [4]
    assert checkpoints(conductor) == ["step-00000003"]
    monkeypatch.setattr(Run, "fault", fail)
    assert not conductor.saver.keep(), "whether it is worth keeping can't be told either"


def test_a_run_that_is_only_asked_is_not_saved(conductor: Conductor) -> None:
    conductor.run.asking = True
    with pytest.raises(UserError, match="asked only"):
        conductor.saver.save_asked()
    assert not (conductor.run.folder / "checkpoints").exists()


def test_a_pause_in_an_evaluation_lets_it_end_and_takes_no_step(
    conductor: Conductor, told: list[AnyEvent]
) -> None:
    conductor.command(p.Start())
    advance(conductor, lambda: not conductor.run.between_steps)
    steps = conductor.run.step
    conductor.command(p.Pause())
    advance(conductor, lambda: not conductor.run.busy)
    assert conductor.run.between_steps
    assert conductor.run.step == steps


def test_a_failed_save_is_told_and_training_goes_on(
    conductor: Conductor, told: list[AnyEvent]
) -> None:
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.step == 2)
    blocker = conductor.run.folder / "checkpoints"
    blocker.write_text("in the way")
    with pytest.raises(UserError, match="could not be saved"):
        conductor.saver.save_asked()
    assert conductor.run.state == "running"
    advance(conductor, lambda: conductor.run.step == 4)
    blocker.unlink()
    conductor.saver.save_asked()
    assert runs.load_standing(conductor.run.folder).step == 4  # type: ignore[union-attr]


def steps_of(conductor: Conductor) -> list[int]:
    """The steps in the record as far as it counts."""
    past = runs.read_metrics(conductor.run.folder, conductor.run.record.extent)
    return [event.step for event in past if isinstance(event, Stepped)]


def test_a_run_gone_back_to_a_checkpoint_forgets_what_came_after(
    conductor: Conductor, told: list[AnyEvent]
) -> None:
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.step == 5)
    conductor.saver.save_asked()
    advance(conductor, lambda: conductor.run.step == 9)  # at 10 the best would be saved
    conductor.command(p.SetKnob(knob="learning_rate", value=0.25))
    conductor.run.record.close()
    again: list[AnyEvent] = []
    second = conducted(conductor.run.folder, again.extend)
    assert steps_of(second) == [1, 2, 3, 4, 5]
    assert second.run.step == 5
    assert second.run.status().learning_rate == 0.005
    assert [e.state for e in again if isinstance(e, StateChanged)] == ["paused"]


def test_knobs_turned_together_are_turned_at_one_step_or_not_at_all(
    conductor: Conductor, told: list[AnyEvent]
) -> None:
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.step == 5)
    with pytest.raises(UserError, match=r"optimiser\.learning_rate can't be"):
        conductor.command(p.SetKnobs(values={"clip_mode": "off", "learning_rate": 5000.0}))
    conductor.command(p.SetKnobs(values={"clip_mode": "off", "learning_rate": 5.0}))
    conductor.command(p.SetKnobs(values={}))
    advance(conductor, lambda: conductor.run.step == 6)
    conductor.run.record.flush()
    turned = [event for event in told if isinstance(event, Intervened) and event.old is not None]
    assert [(e.step, e.action, e.old, e.new) for e in turned] == [
        (5, "clip_mode", "norm", "off"),
        (5, "learning_rate", 0.005, 5.0),
    ]
    last = [event for event in told if isinstance(event, Stepped)][-1]
    assert (last.step, last.clip_mode, last.learning_rate) == (6, "off", 5.0)


# --- what is done about a loss or gradient that is not finite ------------------------------------


@pytest.fixture
def make_conductor(
    tmp_path: Path, small_config: RunConfig, told: list[AnyEvent]
) -> Callable[..., Conductor]:
    """A conducted run; keyword arguments are changes with double underscores for dots."""

    def make(**changes: Any) -> Conductor:
        paths = {name.replace("__", "."): value for name, value in changes.items()}
        folder = runs.create_run(tmp_path, "made", replace(small_config, paths))
        return conducted(folder, told.extend)

    return make


def spoil(conductor: Conductor, steps: int) -> None:
    """Make so many gradients of the embedding nan, beginning with the next."""
    assert conductor.run.model is not None
    left = iter(range(steps))
    conductor.run.model.embedding.weight.register_hook(
        lambda grad: grad * math.nan if next(left, None) is not None else grad
    )


def weights(conductor: Conductor) -> dict[str, bytes]:
    assert conductor.run.trainer is not None
    parameters = conductor.run.trainer.model.named_parameters()
    return {name: parameter.detach().numpy().tobytes() for name, parameter in parameters}


def checkpoints(conductor: Conductor) -> list[str]:
    return sorted(path.name for path in (conductor.run.folder / "checkpoints").iterdir())


def test_stop_pauses_at_the_first_step_that_is_not_finite(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__non_finite="stop")
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.step == 3)
    before = weights(conductor)
    spoil(conductor, 1)
    advance(conductor, lambda: conductor.run.state == "paused")
    assert conductor.run.step == 4
    assert conductor.run.reason.startswith("This step was not finite (nan in embedding.weight)")
    assert weights(conductor) == before
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.step == 8)
    assert conductor.run.state == "running"


def test_two_bad_steps_are_skipped_without_a_pause(
    conductor: Conductor, told: list[AnyEvent]
) -> None:
    conductor.command(p.Start())
    spoil(conductor, 2)
    advance(conductor, lambda: conductor.run.step == 6)
    assert conductor.run.state == "running"
    conductor.run.record.flush()
    assert [e.in_a_row for e in told if isinstance(e, NonFinite)] == [1, 2]
    assert [e.skipped for e in told if isinstance(e, Stepped)] == [True, True] + 4 * [False]


def test_rolling_back_goes_on_from_the_last_good_checkpoint_at_half_the_rate(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__non_finite="roll-back")
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.step == 5)
    conductor.saver.save_asked()
    good = weights(conductor)
    advance(conductor, lambda: conductor.run.step == 8)
    spoil(conductor, 1)
    advance(
        conductor, lambda: any(isinstance(e, RolledBack) for e in conductor.run.record._waiting)
    )
    assert conductor.run.state == "running"
    assert conductor.run.trainer is not None
    assert (conductor.run.step, conductor.run.trainer.learning_rate) == (5, 0.0025)
    assert weights(conductor) == good
    assert conductor.saver.unsaved
    advance(conductor, lambda: conductor.run.step == 9)
    conductor.run.record.flush()
    (back,) = [event for event in told if isinstance(event, RolledBack)]
    assert (back.step, back.from_step, back.learning_rate) == (5, 9, 0.0025)
    steps = [event for event in told if isinstance(event, Stepped)]
    assert [event.step for event in steps] == [*range(1, 10), *range(6, 10)]
    assert steps[-1].learning_rate == 0.0025
    recorded = [as_recorded(event) for event in told if isinstance(event, Recorded)]
    assert list(runs.read_metrics(conductor.run.folder)) == recorded
    shown = History()
    for span in runs.open_past(conductor.run.folder).spans():
        shown.recall(span)
    assert shown.step == 9
    assert shown.loss.values().tolist() == pytest.approx([e.loss for e in steps[:5] + steps[9:]])
    assert shown.non_finite == []

    # The half rate is in no checkpoint yet: after a crash the run stands where it was saved.
    again: list[AnyEvent] = []
    conductor.run.record.close()
    second = conducted(conductor.run.folder, again.extend)
    assert second.run.trainer is not None
    assert (second.run.step, second.run.trainer.learning_rate) == (5, 0.005)
    past = list(runs.read_metrics(conductor.run.folder, second.run.record.extent))
    assert [event.step for event in past if isinstance(event, Stepped)] == [1, 2, 3, 4, 5]
    assert not any(isinstance(event, RolledBack) for event in past)


def test_a_record_keeps_a_roll_back_that_a_checkpoint_came_after(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__non_finite="roll-back")
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.step == 2)
    conductor.saver.save_asked()
    advance(conductor, lambda: conductor.run.step == 4)
    spoil(conductor, 1)
    advance(conductor, lambda: conductor.run.step == 2)
    advance(conductor, lambda: conductor.run.step == 3)
    conductor.saver.save_asked()
    conductor.run.record.flush()
    before = list(runs.read_metrics(conductor.run.folder))
    advance(conductor, lambda: conductor.run.step == 6)
    conductor.run.record.close()
    second = conducted(conductor.run.folder)
    assert second.run.trainer is not None
    assert (second.run.step, second.run.trainer.learning_rate) == (3, 0.0025)
    assert list(runs.read_metrics(conductor.run.folder, second.run.record.extent)) == before
    assert [e.step for e in before if isinstance(e, Stepped)] == [1, 2, 3, 4, 5, 3]


def test_rolling_back_with_nothing_saved_pauses(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__non_finite="roll-back")
    conductor.command(p.Start())
    spoil(conductor, 1)
    advance(conductor, lambda: conductor.run.state == "paused")
    assert "This step was not finite" in conductor.run.reason


def test_rolling_back_ends_where_the_rate_can_not_be_halved(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__non_finite="roll-back", training__save_every=1)
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.step == 1)
    conductor.saver.save_asked()
    spoil(conductor, 1000)
    advance(conductor, lambda: conductor.run.state == "paused")
    conductor.run.record.flush()
    rates = [event.learning_rate for event in told if isinstance(event, RolledBack)]
    assert rates == [0.005 / 2**times for times in range(1, len(rates) + 1)]
    assert 1e-9 <= rates[-1] < 2e-9


def test_the_best_after_a_roll_back_is_saved_as_the_best(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    """The validation that is made again must not count as told in the past that is void."""
    conductor = make_conductor(training__non_finite="roll-back", training__keep=1)
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.step == 10)
    conductor.saver.save_asked()  # before the validation of this step
    assert not (conductor.run.folder / "best").exists()
    conductor.run.folder.joinpath("checkpoints").rename(conductor.run.folder / "kept")
    conductor.run.folder.joinpath("checkpoints").write_text("in the way")
    advance(conductor, lambda: conductor.run.step == 12)
    conductor.run.record.flush()
    assert [event.step for event in told if isinstance(event, SaveFailed)] == [10]
    conductor.run.folder.joinpath("checkpoints").unlink()
    conductor.run.folder.joinpath("kept").rename(conductor.run.folder / "checkpoints")
    spoil(conductor, 1)
    advance(conductor, lambda: conductor.run.step == 10)
    advance(conductor, lambda: conductor.run.step == 11)
    best = runs.named_checkpoint(conductor.run.folder / "best")
    assert best is not None
    assert best.name == "step-00000010.2"


def test_the_best_and_the_last_checkpoints_are_never_removed(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    """Not by newer ones, nor by a second at the same step, nor after a roll-back."""
    conductor = make_conductor(training__non_finite="roll-back", training__keep=2)
    assert conductor.run.trainer is not None
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.step == 11)
    assert checkpoints(conductor) == ["step-00000010"]
    conductor.run.trainer.validations.best_loss = 0.0  # none will be better
    for _ in range(3):
        conductor.saver.save()
    assert checkpoints(conductor) == ["step-00000010", "step-00000011.2", "step-00000011.3"]
    spoil(conductor, 1)
    advance(
        conductor, lambda: any(isinstance(e, RolledBack) for e in conductor.run.record._waiting)
    )
    assert conductor.run.step == 11
    advance(conductor, lambda: conductor.run.step == 13)
    conductor.saver.save_asked()
    assert checkpoints(conductor) == ["step-00000010", "step-00000011.3", "step-00000013"]
    assert (conductor.run.folder / "best").read_text() == "step-00000010\n"
    assert (conductor.run.folder / "latest").read_text() == "step-00000013\n"


def test_let_it_happen_goes_on_to_weights_that_are_never_saved(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(
        training__non_finite="let-it-happen", training__save_every=2, training__steps=9
    )
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.step == 3)
    good = checkpoints(conductor)
    assert good == ["step-00000002"]
    spoil(conductor, 1)
    advance(conductor, lambda: conductor.run.step == 8)
    assert conductor.run.state == "running"
    with pytest.raises(UserError, match="could not be saved"):
        conductor.saver.save_asked()
    advance(conductor, lambda: conductor.run.state == "finished")
    assert "Not saved: embedding.weight holds numbers that are not finite." in conductor.run.reason
    refused = [event for event in told if isinstance(event, SaveFailed)]
    assert {event.step for event in refused} == {4, 6, 8}, "only where a save is due"
    assert "embedding.weight holds numbers that are not finite" in refused[0].reason
    assert checkpoints(conductor) == good
    conductor.run.record.close()
    second = conducted(conductor.run.folder)
    assert second.run.step == 2
    assert second.run.trainer is not None
    assert not second.run.fault()


# --- saves that fail ------------------------------------------------------------------------------


def test_a_save_that_fails_is_not_tried_again_at_every_step(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__save_every=4, training__steps=15)
    (conductor.run.folder / "checkpoints").write_text("in the way")
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.state == "paused")
    assert conductor.run.step == 15
    assert conductor.run.reason == "Reached training.steps, but it could not be saved."
    failed = [event.step for event in told if isinstance(event, SaveFailed)]
    assert failed == [4, 8, 10, 12, 15]  # 10: the best; 15: the best, and the end
    assert not conductor.run.busy
    (conductor.run.folder / "checkpoints").unlink()
    conductor.saver.save_asked()
    assert not conductor.saver.unsaved


def test_an_evaluation_asked_for_is_kept_by_the_next_save(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__steps=3)
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.state == "finished")
    assert not conductor.saver.unsaved
    conductor.command(p.Evaluate(split="test"))
    advance(conductor, lambda: not conductor.run.busy)
    assert conductor.saver.unsaved
    conductor.saver.save()
    conductor.run.record.close()
    second = conducted(conductor.run.folder)
    past = runs.read_metrics(second.run.folder)
    assert [event.split for event in past if isinstance(event, Evaluated)][-1] == "test"


def test_a_run_left_at_its_limit_before_its_last_validation_still_makes_it(
    make_conductor: Callable[..., Conductor], told: list[AnyEvent]
) -> None:
    conductor = make_conductor(training__steps=12)
    conductor.command(p.Start())
    advance(conductor, lambda: conductor.run.step == 12)
    conductor.saver.save()
    conductor.run.record.close()
    second = conducted(conductor.run.folder, told.extend)
    second.command(p.Start())
    advance(second, lambda: second.run.state == "finished")
    assert [event.step for event in told if isinstance(event, Evaluated)] == [10, 12]
    assert not second.saver.unsaved
    second.run.record.close()
    with pytest.raises(UserError, match="has reached its limit"):
        conducted(conductor.run.folder).command(p.Start())
