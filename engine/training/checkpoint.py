"""Checkpoints: everything a run needs to go on as if it had never stopped.

A checkpoint is a folder: tokenizer.json, model.safetensors, state.safetensors (optimiser, carried
state, random state), training.json (all that is not a tensor) and manifest.json (size and SHA-256
of each). It is written under a temporary name, synced, renamed, and only then named by `latest`.
Files are read as bytes, checked, and never unpickled.
"""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import msgspec
import safetensors
import torch
from msgspec import Struct
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from engine.config import ClipMode
from engine.errors import UserError
from engine.files import replace_file, sync_folder, write_synced
from engine.model.lstm import LSTMLanguageModel
from engine.service.runs import latest_checkpoint
from engine.text.tokenizer import load_tokenizer
from engine.training.trainer import Trainer


class TrainingState(Struct, frozen=True, kw_only=True):
    """training.json: the state of a run that is not a tensor."""

    step: int
    seconds: float
    window: int
    """Index of the next window in the epoch."""
    learning_rate: float
    clip_mode: ClipMode
    clip_threshold: float
    best_valid_loss: float | None
    evaluated_at: int
    sampled_at: int
    non_finite_in_a_row: int
    corpus: str
    """The corpus fingerprint."""
    torch: str
    threads: int
    device: str


class FileRecord(Struct, frozen=True):
    """What manifest.json says of one file."""

    size: int
    sha256: str


def save(folder: Path, trainer: Trainer) -> str:
    """Write a checkpoint of the run in `folder` and return its name. Raises OSError.

    When it returns, the checkpoint is on the disk; until then the one before stays in force.
    """
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    name = _free_name(checkpoints, trainer.step)
    temporary = checkpoints / f".{name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        _write_files(temporary, trainer)
        temporary.rename(checkpoints / name)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(checkpoints)
    sync_folder(folder)
    before = latest_checkpoint(folder)
    replace_file(folder / "latest", f"{name}\n".encode())
    _prune(checkpoints, {name, before.name if before else name})
    trainer.saved()
    return name


def _free_name(checkpoints: Path, step: int) -> str:
    """step-N, or step-N.2 and so on where knobs were saved at the same step before."""
    name, number = f"step-{step:08d}", 1
    while (checkpoints / name).exists():
        number += 1
        name = f"step-{step:08d}.{number}"
    return name


def _write_files(folder: Path, trainer: Trainer) -> None:
    trainer.corpus.tokenizer.save(folder / "tokenizer.json")
    contents = {
        "tokenizer.json": (folder / "tokenizer.json").read_bytes(),
        "model.safetensors": tensors_to_bytes(_weights(trainer)),
        "state.safetensors": tensors_to_bytes(_state_tensors(trainer)),
        "training.json": msgspec.json.encode(_training_state(trainer)),
    }
    manifest = {
        name: FileRecord(len(data), hashlib.sha256(data).hexdigest())
        for name, data in contents.items()
    }
    contents["manifest.json"] = msgspec.json.encode(manifest)
    for name, data in contents.items():
        write_synced(folder / name, data)
    sync_folder(folder)


def _prune(checkpoints: Path, keep: set[str]) -> None:
    for path in checkpoints.iterdir():
        if path.name not in keep:
            shutil.rmtree(path, ignore_errors=True)


def _weights(trainer: Trainer) -> dict[str, Tensor]:
    """Every parameter once: a tied output weight is the embedding's."""
    return {
        name: parameter.detach().contiguous()
        for name, parameter in trainer.model.named_parameters()
    }


def _state_tensors(trainer: Trainer) -> dict[str, Tensor]:
    names = [name for name, _ in trainer.model.named_parameters()]
    optimiser = trainer.optimiser.state_dict()["state"]
    tensors = {
        f"optimiser.{names[index]}.{key}": value.contiguous()
        for index, values in optimiser.items()
        for key, value in values.items()
        if value is not None
    }
    tensors["carried.h"], tensors["carried.c"] = (part.contiguous() for part in trainer.carried)
    tensors["random.torch"] = torch.get_rng_state()
    tensors["random.sampling"] = trainer.sampling.get_state()
    if trainer.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(trainer.device)
    return tensors


def _training_state(trainer: Trainer) -> TrainingState:
    return TrainingState(
        step=trainer.step,
        seconds=trainer.seconds,
        window=trainer.cursor.window,
        learning_rate=trainer.learning_rate,
        clip_mode=trainer.clip_mode,
        clip_threshold=trainer.clip_threshold,
        best_valid_loss=trainer.best_valid_loss,
        evaluated_at=trainer.evaluated_at,
        sampled_at=trainer.sampled_at,
        non_finite_in_a_row=trainer.non_finite_in_a_row,
        corpus=trainer.corpus.fingerprint,
        torch=str(torch.__version__),
        threads=torch.get_num_threads(),
        device=trainer.device.type,
    )


class Checkpoint:
    """A checkpoint read from disk and checked, ready to be put into a trainer."""

    def __init__(self, path: Path) -> None:
        """Raises UserError where a file is missing, changed or unusable."""
        self.path = path
        files = _read_checked(path)
        try:
            self.training = msgspec.json.decode(files["training.json"], type=TrainingState)
            self._weights = tensors_from_bytes(files["model.safetensors"])
            self._state = tensors_from_bytes(files["state.safetensors"])
            self.tokenizer = load_tokenizer(path / "tokenizer.json")
        except (msgspec.DecodeError, safetensors.SafetensorError) as error:
            raise UserError(f"The checkpoint {path} is damaged: {error}.") from None

    def restore(self, trainer: Trainer) -> str:
        """Put everything back; random state last. Returns a sentence where the continuation
        can't be bit-exact, else an empty string. Raises UserError where it doesn't fit.
        """
        if self.tokenizer.vocabulary.tokens != trainer.corpus.tokenizer.vocabulary.tokens:
            raise UserError(
                f"The vocabulary of {trainer.config.corpus.source} has changed since "
                f"{self.path.name} was saved: put the old text back, or begin a new run."
            )
        self.load_weights(trainer.model)
        self._restore_optimiser(trainer)
        training = self.training
        trainer.step = training.step
        trainer.seconds = training.seconds
        trainer.cursor.window = training.window
        trainer.learning_rate = training.learning_rate
        trainer.clip_mode = training.clip_mode
        trainer.clip_threshold = training.clip_threshold
        trainer.best_valid_loss = training.best_valid_loss
        trainer.evaluated_at = training.evaluated_at
        trainer.sampled_at = training.sampled_at
        trainer.non_finite_in_a_row = training.non_finite_in_a_row
        carried = self._state["carried.h"], self._state["carried.c"]
        trainer.carried = (carried[0].to(trainer.device), carried[1].to(trainer.device))
        trainer.sampling.set_state(self._state["random.sampling"])
        torch.set_rng_state(self._state["random.torch"])
        if trainer.device.type == "cuda" and "random.cuda" in self._state:
            torch.cuda.set_rng_state(self._state["random.cuda"], trainer.device)
        return self._exactness(trainer)

    @torch.no_grad()
    def load_weights(self, model: LSTMLanguageModel) -> None:
        """Put the weights into a model. Raises UserError where they don't fit."""
        parameters = dict(model.named_parameters())
        expected = {name: parameter.shape for name, parameter in parameters.items()}
        found = {name: tensor.shape for name, tensor in self._weights.items()}
        if expected != found:
            raise UserError(f"The weights in {self.path} don't fit the run's config.json.")
        for name, parameter in parameters.items():
            parameter.copy_(self._weights[name])

    def _restore_optimiser(self, trainer: Trainer) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for index, (name, parameter) in enumerate(trainer.model.named_parameters()):
            prefix = f"optimiser.{name}."
            values = {
                key.removeprefix(prefix): tensor
                for key, tensor in self._state.items()
                if key.startswith(prefix)
            }
            if values:
                state[index] = {key: tensor.to(parameter.device) for key, tensor in values.items()}
        full: dict[str, Any] = trainer.optimiser.state_dict()
        trainer.optimiser.load_state_dict({**full, "state": state})

    def _exactness(self, trainer: Trainer) -> str:
        now = _training_state(trainer)
        changed = [
            f"{what} was {old}, is {new}"
            for what, old, new in (
                ("torch", self.training.torch, now.torch),
                ("the number of threads", self.training.threads, now.threads),
                ("the device", self.training.device, now.device),
            )
            if old != new
        ]
        if self.training.corpus != now.corpus:
            changed.append("the text has changed")
        return f"Continues, not bit-exact: {'; '.join(changed)}." if changed else ""


def load_latest(folder: Path) -> tuple[Checkpoint | None, str]:
    """The newest usable checkpoint of a run, and a sentence where an older one had to do.

    (None, "") before the first save. Raises UserError where there are some and none is usable.
    """
    latest = latest_checkpoint(folder)
    if latest is None:
        return None, ""
    try:
        return Checkpoint(latest), ""
    except UserError as error:
        problem = str(error)
    others = sorted((folder / "checkpoints").glob("step-*"), reverse=True)
    for path in others:
        if path == latest:
            continue
        try:
            return Checkpoint(path), f"{problem} Went back to {path.name}."
        except UserError:
            continue
    raise UserError(problem)


def _read_checked(folder: Path) -> dict[str, bytes]:
    try:
        manifest = msgspec.json.decode(
            (folder / "manifest.json").read_bytes(), type=dict[str, FileRecord]
        )
        names = ("tokenizer.json", "model.safetensors", "state.safetensors", "training.json")
        files = {name: _read_exactly(folder / name, manifest[name]) for name in names}
    except (OSError, KeyError, msgspec.DecodeError) as error:
        raise UserError(f"The checkpoint {folder} is damaged: {error}.") from None
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != manifest[name].sha256:
            raise UserError(f"The checkpoint {folder} is damaged: {name} has changed.")
    return files


def _read_exactly(path: Path, record: FileRecord) -> bytes:
    if path.stat().st_size != record.size:
        raise UserError(f"The checkpoint {path.parent} is damaged: {path.name} was cut short.")
    return path.read_bytes()
