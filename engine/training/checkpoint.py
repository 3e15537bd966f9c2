"""Checkpoints: everything a run needs to go on as if it had never stopped.

A checkpoint is a folder: tokenizer.json, model.safetensors (the weights to use: nt-asgd's average
once there is one), state.safetensors (optimiser, carried state, random states, norms seen),
training.json (all that is not a tensor) and manifest.json (size and SHA-256 of each). It is written
under a temporary name, synced, renamed, and only then named by `latest`, and by `best` where it
holds the best validation. Files are read as bytes, checked, and never unpickled.
"""

import copy
import hashlib
import platform
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import safetensors
import torch
from msgspec import Struct
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from engine.config import ClipMode, get
from engine.errors import UserError
from engine.files import replace_file, sync_folder, write_synced
from engine.model.lstm import LSTMLanguageModel
from engine.service.runs import best_checkpoint, latest_checkpoint, saved_checkpoints
from engine.text.tokenizer import load_tokenizer
from engine.training.optimisers import Average
from engine.training.trainer import Trainer


class TrainingState(Struct, frozen=True, kw_only=True):
    """training.json: the state of a run that is not a tensor. Names are those of the trainer."""

    step: int
    seconds: float
    row: int
    """Where in the columns of the training text the next window begins."""
    epoch: int
    learning_rate: float
    clip_mode: ClipMode
    clip_threshold: float
    clipped_steps: int
    non_finite_steps: int
    non_finite_in_a_row: int
    valid_losses: list[float]
    best_valid_loss: float | None
    divisions: int
    evaluated_at: int
    sampled_at: int
    best_saved: int
    averaged_steps: int
    """0 before nt-asgd begins to average."""
    limits: dict[str, float | None]
    """The limits the run had, by setting."""
    corpus: str
    """The corpus fingerprint."""
    torch: str
    processor: str
    threads: int
    device: str


PLAIN = (
    "step",
    "seconds",
    "learning_rate",
    "clip_mode",
    "clip_threshold",
    "clipped_steps",
    "non_finite_steps",
    "non_finite_in_a_row",
    "valid_losses",
    "divisions",
    "evaluated_at",
    "sampled_at",
    "best_saved",
)
"""Attributes of the trainer that go to TrainingState and back as they are."""
LIMITS = ("training.steps", "training.epochs", "training.minutes", "training.patience")


class FileRecord(Struct, frozen=True):
    """What manifest.json says of one file."""

    size: int
    sha256: str


def save(folder: Path, trainer: Trainer, *, best: bool = False) -> str:
    """Write a checkpoint of the run in `folder` and return its name.

    When it returns, the checkpoint is on the disk; until then the one before stays in force.
    Raises OSError, and UserError where the weights are not finite.
    """
    _refuse_non_finite(trainer)
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    name = _free_name(checkpoints, trainer.step)
    best_saved = trainer.best_saved
    if best:
        trainer.best_saved = len(trainer.valid_losses)
    temporary = checkpoints / f".{name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        _write_files(temporary, trainer)
        temporary.rename(checkpoints / name)
    except BaseException:
        trainer.best_saved = best_saved
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(checkpoints)
    sync_folder(folder)
    replace_file(folder / "latest", f"{name}\n".encode())
    if best:
        replace_file(folder / "best", f"{name}\n".encode())
    _prune(folder, trainer.config.training.keep)
    trainer.rest()
    return name


def _refuse_non_finite(trainer: Trainer) -> None:
    for name, parameter in trainer.model.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise UserError(
                f"Not saved: {name} holds numbers that are not finite. The checkpoint before is "
                "untouched."
            )


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
        "model.safetensors": tensors_to_bytes(_weights(trainer.judged)),
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


def _prune(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, the latest and the best."""
    named = {path for path in (latest_checkpoint(folder), best_checkpoint(folder)) if path}
    kept = named | set(saved_checkpoints(folder)[:keep])
    for path in (folder / "checkpoints").iterdir():
        if path not in kept:
            shutil.rmtree(path, ignore_errors=True)


def _weights(model: LSTMLanguageModel) -> dict[str, Tensor]:
    """Every parameter once: a tied output weight is the embedding's."""
    return {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}


def _state_tensors(trainer: Trainer) -> dict[str, Tensor]:
    names = [name for name, _ in trainer.model.named_parameters()]
    optimiser = trainer.optimiser.state_dict()["state"]
    tensors = {
        f"optimiser.{names[index]}.{key}": value.contiguous()
        for index, values in optimiser.items()
        for key, value in values.items()
        if value is not None
    }
    if trainer.average is not None:
        weights = _weights(trainer.model)
        tensors |= {f"trained.{name}": weight for name, weight in weights.items()}
    for index, (h, c) in enumerate(trainer.carried):
        tensors[f"carried.{index}.h"], tensors[f"carried.{index}.c"] = h, c
    for name, random in _generators(trainer).items():
        tensors[f"random.{name}"] = random.get_state()
    tensors["norms"] = torch.from_numpy(trainer.norms.counts)
    return tensors


def _generators(trainer: Trainer) -> dict[str, torch.Generator]:
    return {
        "data": trainer.data_random,
        "dropout": trainer.dropout_random,
        "sample": trainer.sample_random,
    }


def _training_state(trainer: Trainer) -> TrainingState:
    return TrainingState(
        **{name: getattr(trainer, name) for name in PLAIN},
        row=trainer.cursor.row,
        epoch=trainer.cursor.epoch,
        best_valid_loss=trainer.best_valid_loss,
        averaged_steps=trainer.average.steps if trainer.average else 0,
        limits={path: get(trainer.config, path) for path in LIMITS},
        corpus=trainer.corpus.fingerprint,
        torch=str(torch.__version__),
        processor=f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
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
        self._restore_weights(trainer)
        self._restore_optimiser(trainer)
        training = self.training
        for name in PLAIN:
            setattr(trainer, name, copy.copy(getattr(training, name)))
        trainer.cursor.row, trainer.cursor.epoch = training.row, training.epoch
        trainer.norms.restore(self._state["norms"].numpy())
        trainer.carried = tuple(
            (self._carried(layer, "h", trainer), self._carried(layer, "c", trainer))
            for layer in range(trainer.config.model.layers)
        )
        for name, random in _generators(trainer).items():
            random.set_state(self._state[f"random.{name}"])
        return self._exactness(trainer)

    def _carried(self, layer: int, part: str, trainer: Trainer) -> Tensor:
        return self._state[f"carried.{layer}.{part}"].to(trainer.device)

    def _restore_weights(self, trainer: Trainer) -> None:
        trainer.average = None
        if self.training.averaged_steps:
            trainer.average = Average(trainer.model)
            trainer.average.steps = self.training.averaged_steps
            _load(trainer.model, _under("trained.", self._state), self.path)
        self.load_weights(trainer.judged)

    def load_weights(self, model: LSTMLanguageModel) -> None:
        """Put the weights to use into a model. Raises UserError where they don't fit."""
        _load(model, self._weights, self.path)

    def changed_limits(self, trainer: Trainer) -> Iterator[tuple[str, float | None, float | None]]:
        """Settings of the run's end that are not what they were: name, before, now."""
        for path, before in self.training.limits.items():
            if before != (now := get(trainer.config, path)):
                yield path, before, now

    def _restore_optimiser(self, trainer: Trainer) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for index, (name, parameter) in enumerate(trainer.model.named_parameters()):
            values = _under(f"optimiser.{name}.", self._state)
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
                ("the processor", self.training.processor, now.processor),
                ("the number of threads", self.training.threads, now.threads),
                ("the device", self.training.device, now.device),
            )
            if old != new
        ]
        if self.training.corpus != now.corpus:
            changed.append("the text has changed")
        return f"Continues, not bit-exact: {'; '.join(changed)}." if changed else ""


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


@torch.no_grad()
def _load(model: LSTMLanguageModel, weights: Mapping[str, Tensor], path: Path) -> None:
    parameters = dict(model.named_parameters())
    expected = {name: parameter.shape for name, parameter in parameters.items()}
    if expected != {name: tensor.shape for name, tensor in weights.items()}:
        raise UserError(f"The weights in {path} don't fit the run's config.json.")
    for name, parameter in parameters.items():
        parameter.copy_(weights[name])


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
    for path in saved_checkpoints(folder):
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
