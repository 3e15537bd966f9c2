"""Checkpoints: everything a run needs to go on as if it had never stopped.

A checkpoint is a folder: tokenizer.json, model.safetensors (the weights to use: nt-asgd's average
once there is one), state.safetensors (optimiser, carried state, random states, norms seen),
training.json (all that is not a tensor) and manifest.json (size and SHA-256 of each). It is written
under a temporary name, synced, renamed, and only then named, by `best` where it holds the best
validation, and by `latest`. Files are bounded, read as bytes, checked, and never unpickled.
"""

import hashlib
import logging
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import safetensors
import torch
from msgspec import Meta, Struct, field, structs
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from engine.config import ClipMode, RunConfig, get
from engine.errors import UserError
from engine.files import read_plain, remove, replace_file, sync, write_synced
from engine.model.lstm import LSTMLanguageModel
from engine.runs import (
    MAX_TRAINING,
    Count,
    checkpoints_to_try,
    load_config,
    named_checkpoint,
    place,
    saved_checkpoints,
)
from engine.text.tokenizer import MAX_FILE, load_tokenizer
from engine.training.rehearsal import fault
from engine.training.tensor_files import (
    Layout,
    read_tensor_file,
    state_layout,
    weights_layout,
)
from engine.training.trainer import Trainer


class TrainingState(Struct, frozen=True, kw_only=True):
    """training.json: the state of a run that is not a tensor. Names are those of the trainer."""

    step: Count
    seconds: Annotated[float, Meta(ge=0, le=1e12)]
    row: Count
    """Where in the columns of the training text the next window begins."""
    epoch: Count
    learning_rate: Annotated[float, Meta(ge=0, le=1e4)]
    clip_mode: ClipMode
    clip_threshold: Annotated[float, Meta(ge=0, le=1e7)]
    clipped_steps: Count
    non_finite_steps: Count
    non_finite_in_a_row: Count
    valid_losses: list[float]
    best_valid_loss: float | None
    plateau_decays: Count = field(name="divisions")
    evaluated_at: Count
    ended_at: Count = 0
    sampled_at: Count
    largest_norm: Annotated[float, Meta(ge=0)] | None = None
    """Before clipping; None in older checkpoints."""
    averaged_steps: Count
    """0 before nt-asgd begins to average."""
    config: RunConfig
    """As the run was made, but for its limits."""
    corpus: str
    """The corpus fingerprint."""
    vectors: str = ""
    """Fingerprint of the file of vectors that the embedding started from; empty where it didn't."""
    torch: str
    processor: str
    threads: Count
    device: str


LIMITS = ("training.steps", "training.epochs", "training.minutes", "training.patience")
SHAPING = (
    "model.embedding_size",
    "model.hidden_size",
    "model.last_size",
    "model.layers",
    "model.tied",
    "optimiser.name",
    "training.batch_size",
)
"""Settings that a checkpoint fits only as they were."""
MAX_MANIFEST = 1 << 16
"""Bytes."""


class FileRecord(Struct, frozen=True):
    """What manifest.json says of one file."""

    size: int
    sha256: str

    def check(self, name: str, data: bytes) -> bytes:
        """The data, if it is what was saved. Raises ValueError."""
        if len(data) != self.size:
            raise ValueError(f"{name} was cut short")
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ValueError(f"{name} has changed")
        return data


def save(folder: Path, trainer: Trainer, *, best: bool = False) -> str:
    """Write a checkpoint of the run in `folder` and return its name.

    When it returns, the checkpoint is on the disk; until then the one before stays in force.
    Raises OSError, and UserError where the model no longer computes finite numbers.
    """
    if problem := fault(trainer):
        raise UserError(f"Not saved: {problem}. The checkpoint before is untouched.")
    checkpoints = folder / "checkpoints"
    if checkpoints.is_symlink():
        raise UserError(f"Not saved: {checkpoints} is a symbolic link; put a folder in its place.")
    checkpoints.mkdir(exist_ok=True)
    name = _new_name(folder, trainer.step)
    temporary = checkpoints / f".{name}.tmp"
    remove(temporary)
    try:
        temporary.mkdir()
        _write_files(temporary, trainer)
        temporary.rename(checkpoints / name)
    except BaseException:
        remove(temporary)
        raise
    sync(checkpoints)
    sync(folder)
    if best:  # before `latest`: a run that goes on from there has to have its best named
        replace_file(folder / "best", [f"{name}\n".encode()])
    replace_file(folder / "latest", [f"{name}\n".encode()])
    try:
        _prune(folder, name, trainer.config.training.keep)
    except OSError as error:
        logging.warning("Can't remove old checkpoints: %s", error)
    trainer.rest()
    return name


def _new_name(folder: Path, step: int) -> str:
    """step-N, or step-N.2 and so on where knobs were saved at the same step before."""
    numbers = [place(path.name) for path in saved_checkpoints(folder)]
    number = 1 + max((number for at, number in numbers if at == step), default=0)
    return f"step-{step:08d}" + (f".{number}" if number > 1 else "")


def _write_files(folder: Path, trainer: Trainer) -> None:
    tokenizer = folder / "tokenizer.json"
    trainer.corpus.tokenizer.save(tokenizer)
    sync(tokenizer)
    contents = {
        "model.safetensors": tensors_to_bytes(_weights(trainer.eval_model)),
        "state.safetensors": tensors_to_bytes(_state_tensors(trainer)),
        "training.json": msgspec.json.encode(_training_state(trainer)),
    }
    manifest = {
        name: FileRecord(len(data), hashlib.sha256(data).hexdigest())
        for name, data in (contents | {tokenizer.name: tokenizer.read_bytes()}).items()
    }
    contents["manifest.json"] = msgspec.json.encode(manifest)
    for name, data in contents.items():
        write_synced(folder / name, [data])
    sync(folder)


def _prune(folder: Path, newest: str, keep: int) -> None:
    """Remove all but the last `keep` checkpoints, the best, and what is no checkpoint's.

    One of more steps than the newest is of a past that was gone back from. Raises OSError.
    """
    saved = saved_checkpoints(folder)
    past = [path for path in saved if place(path.name) <= place(newest)]
    kept = {*past[:keep], named_checkpoint(folder / "best")}
    unfinished = (folder / "checkpoints").glob(".step-*.tmp")
    for path in (*saved, *unfinished):
        if path not in kept:
            remove(path)


def _weights(model: LSTMLanguageModel) -> dict[str, Tensor]:
    """Every parameter once: a tied output weight is the embedding's."""
    return {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}


def _state_tensors(trainer: Trainer) -> dict[str, Tensor]:
    state = trainer.state_dict()
    return {name: part for name, part in state.items() if isinstance(part, Tensor)}


def _training_state(trainer: Trainer) -> TrainingState:
    state = trainer.state_dict()
    return TrainingState(
        **{name: part for name, part in state.items() if not isinstance(part, Tensor)},
        config=trainer.config,
        corpus=trainer.corpus.fingerprint,
        torch=str(torch.__version__),
        processor=_processor(trainer),
        threads=torch.get_num_threads(),
        device=trainer.device.type,
    )


def _processor(trainer: Trainer) -> str:
    """What the last bit of a result depends on."""
    parts = [platform.machine(), torch.backends.cpu.get_cpu_capability()]
    if trainer.model.training_dtype is not None:
        parts.append(str(trainer.model.training_dtype).removeprefix("torch."))
    return " ".join(parts)


class Checkpoint:
    """A checkpoint read from disk and checked, ready to be put into a trainer."""

    def __init__(self, path: Path) -> None:
        """Raises UserError where a file is missing, changed or unusable."""
        self.path = path
        try:
            self._read()
        except OSError as error:
            name = Path(error.filename or path).name
            reason = f"{name}: {error.strerror}"
        except MemoryError:
            reason = "its tensors don't fit into this machine's memory"
        except (ValueError, RecursionError, safetensors.SafetensorError) as error:
            reason = str(error)
        else:
            return
        raise UserError(f"The checkpoint {path} is damaged: {reason}.")

    def _read(self) -> None:
        """What is read later is bounded by what was read and checked before."""
        for folder in (self.path.parent, self.path):
            if folder.is_symlink():
                raise ValueError(f"{folder.name} is a symbolic link")
        manifest = read_plain(self.path / "manifest.json", MAX_MANIFEST)
        self._records = msgspec.json.decode(manifest, type=dict[str, FileRecord])
        training = self._checked("training.json", MAX_TRAINING)
        self.training = msgspec.json.decode(training, type=TrainingState)
        run = self.path.parent.parent
        if (run / "config.json").exists():
            self._require_fit(load_config(run))
        self._checked("tokenizer.json", MAX_FILE)
        self.tokenizer = load_tokenizer(self.path / "tokenizer.json")
        config, vocabulary = self.training.config, len(self.tokenizer.vocabulary)
        state = state_layout(config, vocabulary, averaged=self.training.averaged_steps > 0)
        self._weights = self._tensors("model.safetensors", weights_layout(config, vocabulary))
        self._state = self._tensors("state.safetensors", state)

    def _checked(self, name: str, limit: int) -> bytes:
        return self._record(name).check(name, read_plain(self.path / name, limit))

    def _tensors(self, name: str, layout: Layout) -> dict[str, Tensor]:
        record = self._record(name)
        data = read_tensor_file(self.path / name, record.size, layout)
        return tensors_from_bytes(record.check(name, data))

    def _record(self, name: str) -> FileRecord:
        if name not in self._records:
            raise ValueError(f"its manifest lacks {name}")
        return self._records[name]

    def restore(self, trainer: Trainer) -> str:
        """Put everything back; random state last. Returns a sentence where the continuation
        can't be bit-exact, else an empty string. Raises UserError where it doesn't fit.
        """
        if self.tokenizer.vocabulary.tokens != trainer.corpus.tokenizer.vocabulary.tokens:
            raise UserError(
                f"The vocabulary of {trainer.config.corpus.source} has changed since "
                f"{self.path.name} was saved: put the old text back, or begin a new run."
            )
        self._require_fit(trainer.config)
        state = structs.asdict(self.training) | self._state
        if trainer.device.type != self.training.device:  # whose generators have another state
            state["random.dropout"] = trainer.dropout_random.get_state()
        try:
            trainer.load_state_dict(state, self._weights)
        except ValueError as error:
            raise UserError(f"The checkpoint {self.path} is damaged: {error}.") from None
        return self.exactness(trainer)

    def _require_fit(self, config: RunConfig) -> None:
        for path in SHAPING:
            if (saved := get(self.training.config, path)) != (now := get(config, path)):
                raise UserError(
                    f"{self.path} was saved with {path} = {saved}, and config.json says {now}: "
                    "put it back, or begin a new run."
                )

    def load_weights(self, model: LSTMLanguageModel) -> None:
        """Put the weights to use into a model. Raises UserError where they don't fit."""
        try:
            model.load_weights(self._weights)
        except ValueError:
            raise UserError(
                f"The weights in {self.path} don't fit the run's config.json."
            ) from None

    def weight(self, name: str) -> Tensor:
        """A parameter to use, by its name."""
        return self._weights[name]

    def changed_limits(self, trainer: Trainer) -> Iterator[tuple[str, float | None, float | None]]:
        """Settings of the run's end that are not what they were: name, before, now."""
        for path in LIMITS:
            if (before := get(self.training.config, path)) != (now := get(trainer.config, path)):
                yield path, before, now

    def same_weights(self, model: LSTMLanguageModel) -> bool:
        """Whether a model has the weights to use, byte by byte."""
        weights = _weights(model)
        return tensors_to_bytes(weights) == tensors_to_bytes(self._weights)

    def exactness(self, trainer: Trainer) -> str:
        """A sentence where a trainer can't go on bit by bit as the saved one would have, or ""."""
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


def load_latest(folder: Path) -> tuple[Checkpoint | None, str]:
    """The newest usable checkpoint of a run, and a sentence where `latest` doesn't name it.

    There is no `latest` where the first save was cut off before its end: nothing to tell of.
    (None, "") before the first save. Raises UserError where there are some and none is usable.
    """
    problem, latest = "", folder / "latest"
    for path in checkpoints_to_try(folder):
        if not problem and path != _named(latest) and os.path.lexists(latest):
            problem = f"{latest} doesn't name a checkpoint."
        try:
            checkpoint = Checkpoint(path)
        except UserError as error:
            problem = problem or str(error)
        else:
            return checkpoint, f"{problem} Went back to {path.name}." if problem else ""
    if problem:
        raise UserError(problem)
    return None, ""


def to_go_back_to(folder: Path, to: str) -> list[Path]:
    """The checkpoints that `to` stands for, the first to be tried first: `last-good` (all), `best`
    by validation, or the step of one. Raises UserError where it stands for none."""
    try:
        if to == "last-good":
            return checkpoints_to_try(folder)
        if to == "best":
            best = named_checkpoint(folder / "best")
            return [] if best is None else [best]
        saved = saved_checkpoints(folder)
    except OSError as error:
        raise UserError(f"Can't list the checkpoints of {folder}: {error.strerror}.") from None
    found = [path for path in saved if str(place(path.name)[0]) == to]
    if not found:
        steps = ", ".join(sorted({str(place(path.name)[0]) for path in saved}, key=int))
        there = f"there are checkpoints of steps {steps}" if steps else "there is none yet"
        raise UserError(
            f"There is no checkpoint {to[:40]!r}: {there}; `best` and `last-good` work too."
        )
    return found


def _named(pointer: Path) -> Path | None:
    try:
        return named_checkpoint(pointer)
    except OSError:
        return None
