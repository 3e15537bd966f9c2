"""Checkpoints: a run goes on as if it had never stopped, and the last good one survives."""

import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine import files
from engine.errors import UserError
from engine.events import Stepped
from engine.training import checkpoint
from engine.training.checkpoint import load_latest, save
from engine.training.trainer import Trainer

Make = Callable[..., Trainer]


def train(trainer: Trainer, count: int) -> list[Stepped]:
    found = (event for event in trainer.train() if isinstance(event, Stepped))
    return list(itertools.islice(found, count))


def state_bytes(trainer: Trainer) -> dict[str, bytes]:
    tensors = checkpoint._weights(trainer.judged) | checkpoint._state_tensors(trainer)
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def losses(events: list[Stepped]) -> list[float | None]:
    return [event.loss for event in events]


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize("stop_at", [1, 9, 61])
def test_a_resumed_run_equals_one_that_never_stopped(
    make_trainer: Make, tmp_path: Path, optimiser: str, stop_at: int
) -> None:
    """With dropout on, at an evaluation's edge, and past the end of an epoch."""
    whole = make_trainer(optimiser__name=optimiser)
    events = train(whole, stop_at + 20)
    assert whole.epoch > 1 or stop_at < 61
    first = make_trainer(optimiser__name=optimiser)
    train(first, stop_at)
    save(tmp_path, first)
    second = make_trainer(optimiser__name=optimiser)
    train(second, 2)  # what the new trainer was before does not matter
    restored, note = load_latest(tmp_path)
    assert restored is not None
    assert note == restored.restore(second) == ""
    assert losses(train(second, 20)) == losses(events[stop_at:])
    assert state_bytes(second) == state_bytes(whole)


@pytest.mark.parametrize(
    "left_out",
    ["random.dropout", "carried.0.h", "carried.1.c", "optimiser.embedding.weight.exp_avg"],
)
def test_leaving_out_any_saved_tensor_would_show(
    make_trainer: Make, tmp_path: Path, left_out: str
) -> None:
    whole = make_trainer()
    events = train(whole, 30)
    first = make_trainer()
    train(first, 9)
    save(tmp_path, first)
    second = make_trainer()
    restored, _ = load_latest(tmp_path)
    assert restored is not None
    fresh = checkpoint._state_tensors(second)
    old = restored._state[left_out]
    restored._state[left_out] = fresh.get(left_out, torch.zeros_like(old))
    restored.restore(second)
    assert losses(train(second, 21)) != losses(events[9:])


def test_knobs_turned_by_hand_are_kept(make_trainer: Make, tmp_path: Path) -> None:
    first = make_trainer()
    first.learning_rate, first.clip_mode, first.clip_threshold = 0.125, "value", 0.5
    train(first, 2)
    save(tmp_path, first)
    second = make_trainer()
    restored, _ = load_latest(tmp_path)
    assert restored is not None
    restored.restore(second)
    assert (second.learning_rate, second.clip_mode, second.clip_threshold) == (0.125, "value", 0.5)


def test_other_threads_are_told(make_trainer: Make, tmp_path: Path) -> None:
    trainer = make_trainer()
    train(trainer, 1)
    save(tmp_path, trainer)
    restored, _ = load_latest(tmp_path)
    assert restored is not None
    second = make_trainer()
    torch.set_num_threads(2)
    assert "not bit-exact: the number of threads was 1, is 2" in restored.restore(second)


class _Crash(BaseException):
    """The process is killed here."""


@pytest.mark.parametrize("fail_at", range(12))
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), _Crash()])
def test_whatever_fails_while_saving_the_last_good_checkpoint_loads(
    make_trainer: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fail_at: int,
    error: BaseException,
) -> None:
    trainer = make_trainer()
    train(trainer, 3)
    save(tmp_path, trainer)
    good = state_bytes(trainer)
    train(trainer, 3)
    better = state_bytes(trainer)
    counter = itertools.count()

    def failing(original: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object, **kwargs: object) -> object:
            if next(counter) == fail_at:
                raise error
            return original(*args, **kwargs)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(os.fsync))
        patch.setattr(Path, "rename", failing(Path.rename))
        patch.setattr(Path, "replace", failing(Path.replace))
        patch.setattr(Path, "mkdir", failing(Path.mkdir))
        if isinstance(error, _Crash):
            patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # no clean-up after a kill
        failed = False
        try:
            save(tmp_path, trainer)
        except (OSError, _Crash):
            failed = True
    assert failed == (next(counter) > fail_at)
    restored, note = load_latest(tmp_path)
    assert restored is not None
    assert note == ""
    second = make_trainer()
    restored.restore(second)
    if failed:
        assert state_bytes(second) in (good, better)
        assert second.step == 3 or fail_at > 8
    else:
        assert state_bytes(second) == better
    save(tmp_path, trainer)  # and saving works again
    restored, _ = load_latest(tmp_path)
    assert restored is not None
    assert restored.training.step == 6


@pytest.mark.parametrize("name", ["model.safetensors", "state.safetensors", "training.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(
    make_trainer: Make, tmp_path: Path, name: str, damage: str
) -> None:
    trainer = make_trainer()
    train(trainer, 2)
    save(tmp_path, trainer)
    good = state_bytes(trainer)
    train(trainer, 2)
    path = tmp_path / "checkpoints" / save(tmp_path, trainer) / name
    data = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(data[:-1])
        case "changed":
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        case "gone":
            path.unlink()
    restored, note = load_latest(tmp_path)
    assert restored is not None
    assert "is damaged" in note
    assert "Went back to step-00000002" in note
    second = make_trainer()
    restored.restore(second)
    assert state_bytes(second) == good
    (tmp_path / "checkpoints" / "step-00000002" / "manifest.json").write_bytes(b"{")
    with pytest.raises(UserError, match="is damaged"):
        load_latest(tmp_path)


def test_another_vocabulary_is_refused(make_trainer: Make, tmp_path: Path) -> None:
    trainer = make_trainer()
    save(tmp_path, trainer)
    restored, _ = load_latest(tmp_path)
    assert restored is not None
    restored.tokenizer.vocabulary.tokens[3] = "other"
    with pytest.raises(UserError, match=r"vocabulary of .* has changed"):
        restored.restore(make_trainer())


def test_old_checkpoints_are_removed_but_for_the_one_before(
    make_trainer: Make, tmp_path: Path
) -> None:
    trainer = make_trainer()
    for _ in range(4):
        train(trainer, 1)
        save(tmp_path, trainer)
    save(tmp_path, trainer)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step-00000004", "step-00000004.2"]


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    files.replace_file(path, b"old")

    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="Input/output error"):
            files.replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
