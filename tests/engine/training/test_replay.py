"""A run steered by hand is reproduced bit by bit from its record."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import messages as p
from engine.config import RunConfig, replace
from engine.errors import UserError
from engine.events import RolledBack
from engine.runs import create_run, load_config, open_past, read_metrics, recorder, save_config
from engine.runs.steps import HEADER, SAMPLED, Layout
from engine.service.conductor import Conductor
from engine.training.checkpoint import Checkpoint
from tests.conducted import conducted, parts
from tests.recorded import write_old

Open = Callable[..., Conductor]
ROW = Layout(["embedding", "lstm.0", "lstm.1", "output"]).step.itemsize


@pytest.fixture
def open_run(tmp_path: Path, small_config: RunConfig) -> Open:
    """The conductor of the run in tmp_path, made with these changes to its configuration."""

    def open_(**changes: Any) -> Conductor:
        paths = {name.replace("__", "."): value for name, value in changes.items()}
        folder = tmp_path / "run"
        if not folder.exists():
            create_run(tmp_path, "run", replace(small_config, paths))
        return conducted(folder)

    return open_


def train(conductor: Conductor, until: int) -> None:
    """As the engine does, to a step or a limit."""
    conductor.command(p.Start())
    while conductor.run.state == "running" and conductor.run.step < until:
        conductor.advance()
    if conductor.run.state == "running":
        conductor.command(p.Pause())


def steer(conductor: Conductor) -> None:
    train(conductor, 5)
    conductor.command(p.SetKnob(knob="learning_rate", value=0.02))
    train(conductor, 13)
    conductor.command(p.SetKnob(knob="clip_mode", value="value"))
    conductor.command(p.SetKnob(knob="clip_threshold", value=0.01))
    conductor.command(p.Evaluate(split="test"))
    train(conductor, 20)
    conductor.saver.save_asked()
    train(conductor, 33)
    conductor.command(p.Stop())


def replayed(conductor: Conductor) -> p.Replayed:
    *progress, result = parts(p.Replay(), conductor.run)
    assert isinstance(result, p.Replayed)
    assert len(progress) == result.steps
    return result


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule__name": "cosine", "training__epochs": 1},
        {"optimiser__name": "sgd", "optimiser__learning_rate": 5.0, "schedule__name": "plateau"},
        {"optimiser__name": "nt-asgd", "optimiser__trigger": 1, "training__random_bptt": True},
        {"clipping__mode": "adaptive", "schedule__name": "linear", "training__minutes": 60},
    ],
)
def test_a_run_steered_by_hand_is_reproduced(open_run: Open, changes: dict[str, Any]) -> None:
    conductor = open_run(**changes)
    steer(conductor)
    before = conductor.run.trainer
    assert before is not None
    weights = [parameter.clone() for parameter in before.model.parameters()]
    result = replayed(conductor)
    assert (result.steps, result.first_difference, result.note) == (33, None, "")
    assert result.weights_equal is True
    assert all(map(torch.equal, weights, before.model.parameters()))


def test_a_run_resumed_with_another_limit_is_reproduced(open_run: Open, tmp_path: Path) -> None:
    conductor = open_run(schedule__name="linear", training__steps=12)
    train(conductor, 100)
    assert conductor.run.state == "finished"
    folder = tmp_path / "run"
    save_config(folder, replace(load_config(folder), {"training.steps": 30}))
    conductor = open_run()
    train(conductor, 100)
    assert conductor.run.state == "finished"
    result = replayed(conductor)
    assert (result.steps, result.first_difference, result.weights_equal) == (30, None, True)


def test_a_run_that_was_rolled_back_is_reproduced(
    open_run: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate explodes once; on a replay it explodes at the same step."""
    conductor = open_run(
        training__non_finite="roll-back", clipping__mode="off", optimiser__name="sgd"
    )
    train(conductor, 8)
    conductor.saver.save_asked()
    conductor.command(p.SetKnob(knob="learning_rate", value=1000.0))
    train(conductor, 60)
    result = replayed(conductor)
    assert (result.first_difference, result.note) == (None, "")


@pytest.mark.parametrize("field", ["loss", "norm_after", "learning_rate"])
def test_a_number_that_differs_is_found(open_run: Open, tmp_path: Path, field: str) -> None:
    conductor = open_run()
    steer(conductor)
    path = tmp_path / "run" / "steps.bin"
    layout = Layout(json.loads(path.read_bytes()[:HEADER])["groups"])
    rows = np.memmap(path, layout.step, "r+", offset=HEADER)
    rows[field][rows["step"] == 17] = np.nextafter(rows[field][rows["step"] == 17], 9)
    rows.flush()
    assert replayed(conductor).first_difference == 17


def test_what_was_not_recorded_is_found(open_run: Open, tmp_path: Path) -> None:
    conductor = open_run()
    train(conductor, 5)
    assert conductor.run.trainer is not None
    conductor.run.trainer.learning_rate *= 1.5  # behind the record's back
    train(conductor, 9)
    conductor.command(p.Stop())
    result = replayed(conductor)
    assert (result.first_difference, result.weights_equal) == (6, False)


def test_a_run_that_went_on_where_its_replay_meets_a_limit_is_replayed_to_its_end(
    open_run: Open,
) -> None:
    conductor = open_run()
    train(conductor, 20)
    trainer = conductor.run.trainer
    assert trainer is not None
    conductor.command(p.Stop())
    trainer.config = replace(trainer.config, {"training.steps": 12})
    result = replayed(conductor)
    assert (result.steps, result.first_difference, result.weights_equal) == (20, None, True)


def test_nothing_to_replay_is_told(open_run: Open) -> None:
    conductor = open_run()
    with pytest.raises(UserError, match="no step to replay"):
        list(parts(p.Replay(), conductor.run))


def test_training_is_not_replayed_while_it_runs(open_run: Open) -> None:
    conductor = open_run()
    conductor.command(p.Start())
    conductor.advance()
    with pytest.raises(UserError, match="pause it first"):
        next(parts(p.Replay(), conductor.run))


def test_other_threads_are_named(open_run: Open) -> None:
    conductor = open_run()
    train(conductor, 3)
    conductor.command(p.Stop())
    torch.set_num_threads(2)
    assert "the number of threads was 1, is 2" in replayed(conductor).note


@pytest.fixture
def _thinned_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of 20 whole steps at most, of which the older half is thinned."""
    monkeypatch.setattr(recorder, "STEPS_BYTES", 20 * ROW)


def thinned(folder: Path) -> int:
    """Steps in rows of several."""
    counts = [span.counts for span in open_past(folder).spans()]
    return int(sum(count[count > 1].sum() for count in counts))


@pytest.mark.usefixtures("_thinned_soon")
def test_a_run_of_which_some_steps_were_thinned_is_reproduced(
    open_run: Open, tmp_path: Path
) -> None:
    conductor = open_run(schedule__name="cosine", training__epochs=1)
    steer(conductor)
    assert thinned(tmp_path / "run") >= 16
    result = replayed(conductor)
    assert (result.steps, result.first_difference, result.note) == (33, None, "")
    assert result.weights_equal is True


@pytest.mark.usefixtures("_thinned_soon")
@pytest.mark.parametrize(("field", "end"), [("loss", 0), ("norm_after", 2), ("groups_before", 2)])
def test_a_number_that_differs_among_thinned_steps_is_found(
    open_run: Open, tmp_path: Path, field: str, end: int
) -> None:
    conductor = open_run()
    steer(conductor)
    path = tmp_path / "run" / "older.bin"
    layout = Layout(json.loads(path.read_bytes()[:HEADER])["groups"])
    rows = np.memmap(path, layout.older, "r+", offset=HEADER)
    rows[field][1, ..., end] = np.nextafter(rows[field][1, ..., end], 9)
    first = int(rows["step"][1] - rows["steps"][1]) + 1
    rows.flush()
    assert replayed(conductor).first_difference == first > 1


@pytest.mark.usefixtures("_thinned_soon")
def test_a_clock_that_was_thinned_away_is_told(open_run: Open) -> None:
    conductor = open_run(training__minutes=60, schedule__name="linear")
    steer(conductor)
    result = replayed(conductor)
    assert "The run goes by minutes" in result.note
    assert result.steps == 33


def test_lost_numbers_are_passed_over_and_told(open_run: Open, tmp_path: Path) -> None:
    conductor = open_run()
    steer(conductor)
    path = tmp_path / "run" / "steps.bin"
    data = bytearray(path.read_bytes())
    data[HEADER + 10 * ROW : HEADER + 15 * ROW] = bytes(5 * ROW)
    path.write_bytes(data)
    result = replayed(conductor)
    assert (result.steps, result.first_difference, result.weights_equal) == (33, None, True)
    assert result.note == "The record lacks the numbers of 5 steps."


def test_a_damaged_line_is_told(open_run: Open, tmp_path: Path) -> None:
    conductor = open_run()
    steer(conductor)
    path = tmp_path / "run" / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"x" * (len(lines[3]) - 1) + b"\n", *lines[4:]]))
    with pytest.raises(UserError, match="damaged in line 4"):
        replayed(conductor)


def test_a_run_of_an_earlier_version_is_reproduced(open_run: Open, tmp_path: Path) -> None:
    conductor = open_run()
    steer(conductor)
    folder = tmp_path / "run"
    past = list(read_metrics(folder))
    (folder / "steps.bin").unlink()
    write_old(folder, past)
    conductor = open_run()
    result = replayed(conductor)
    assert (result.steps, result.first_difference, result.weights_equal) == (33, None, True)
    assert not (folder / "steps.bin").exists(), "nothing was written"
    train(conductor, 40)
    result = replayed(conductor)
    assert (result.steps, result.first_difference) == (40, None)
    assert (folder / "steps.bin").exists()


def test_a_record_that_does_not_say_what_was_sampled_is_reproduced(
    open_run: Open, tmp_path: Path
) -> None:
    conductor = open_run(training__candidates=16)
    steer(conductor)
    path = tmp_path / "run" / "steps.bin"
    layout = Layout(json.loads(path.read_bytes()[:HEADER])["groups"])
    rows = np.memmap(path, layout.step, "r+", offset=HEADER)
    assert (rows["flags"] & SAMPLED > 0).all()
    rows["flags"] &= ~np.uint8(SAMPLED)
    rows.flush()
    result = replayed(conductor)
    assert (result.steps, result.first_difference, result.weights_equal) == (33, None, True)


def test_a_run_that_went_back_to_an_earlier_checkpoint_is_reproduced(
    open_run: Open, tmp_path: Path
) -> None:
    """Not to the newest, which is of a past that is void by then."""
    conductor = open_run(training__keep=3)
    trainer = conductor.run.trainer
    assert trainer is not None
    for step in (4, 8):
        train(conductor, step)
        conductor.saver.save_asked()
    train(conductor, 9)
    first = tmp_path / "run" / "checkpoints" / "step-00000004"
    Checkpoint(first).restore(trainer)
    conductor.run.publish(RolledBack(step=4, from_step=9, learning_rate=trainer.learning_rate))
    train(conductor, 14)
    conductor.saver.save_asked()
    result = replayed(conductor)
    assert (result.steps, result.first_difference, result.weights_equal) == (15 + 4, None, True)
