"""Checkpoints: a run goes on as if it had never stopped, and the last good one survives."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
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
    tensors = checkpoint._weights(trainer.eval_model) | checkpoint._state_tensors(trainer)
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def losses(events: list[Stepped]) -> list[float | None]:
    return [event.loss for event in events]


def test_other_threads_are_told(make_trainer: Make, tmp_path: Path) -> None:
    trainer = make_trainer()
    train(trainer, 1)
    save(tmp_path, trainer)
    restored, _ = load_latest(tmp_path)
    assert restored is not None
    second = make_trainer()
    torch.set_num_threads(2)
    assert "not bit-exact: the number of threads was 1, is 2" in restored.restore(second)


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
    files.replace_file(path, [b"old"])

    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="Input/output error"):
            files.replace_file(path, [b"new"])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fell_back_does_not_keep_a_past_that_is_void(
    make_trainer: Make, tmp_path: Path
) -> None:
    """The damaged checkpoint of step 4 must not take the place of a good one."""
    trainer = make_trainer()
    train(trainer, 2)
    save(tmp_path, trainer)
    train(trainer, 2)
    bad = tmp_path / "checkpoints" / save(tmp_path, trainer)
    (bad / "model.safetensors").unlink()
    restored, _ = load_latest(tmp_path)
    assert restored is not None
    restored.restore(trainer)
    train(trainer, 1)
    save(tmp_path, trainer)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step-00000002", "step-00000003"]


def test_a_text_that_has_become_shorter_is_read_on(make_trainer: Make, tmp_path: Path) -> None:
    trainer = make_trainer()
    save(tmp_path, trainer)
    restored, _ = load_latest(tmp_path)
    assert restored is not None
    restored.training = msgspec.structs.replace(restored.training, row=10**9, corpus="another")
    assert "the text has changed" in restored.restore(trainer)
    assert trainer.cursor.row < trainer.cursor.rows
    train(trainer, 1)


@pytest.mark.parametrize(
    ("path", "value"),
    [("model__hidden_size", 9), ("optimiser__name", "sgd"), ("training__batch_size", 4)],
)
def test_another_configuration_is_refused_in_a_sentence(
    make_trainer: Make, tmp_path: Path, path: str, value: object
) -> None:
    save(tmp_path, make_trainer())
    restored, _ = load_latest(tmp_path)
    assert restored is not None
    with pytest.raises(UserError, match=rf"saved with {path.replace('__', '.')} = .* says {value}"):
        restored.restore(make_trainer(**{path: value}))


def test_a_first_save_that_was_cut_off_before_it_was_named_is_gone_on_from(
    make_trainer: Make, tmp_path: Path
) -> None:
    name = save(tmp_path, make_trainer())
    (tmp_path / "latest").unlink()
    restored, note = load_latest(tmp_path)
    assert restored is not None and restored.path.name == name
    assert note == ""
