"""Runs on disk: a folder a run. Free of torch, so that the screen can list them.

NAME/config.json, metrics.jsonl, engine.log, engine.json, engine.lock, latest, best,
     checkpoints/step-N/{tokenizer.json, model.safetensors, state.safetensors,
                         training.json, manifest.json}
"""

import difflib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.config import RunConfig
from engine.errors import UserError
from engine.events import AnyRecorded
from engine.files import replace_file
from engine.measures import perplexity

MODELS_VARIABLE = "LSTM_TUI_MODELS"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class RunInfo(Struct, frozen=True, kw_only=True):
    """A line of the list of runs."""

    name: str
    folder: Path
    config: RunConfig | None
    step: int
    valid_perplexity: float | None
    """The lowest measured."""
    modified: float
    """Unix seconds."""
    live: bool
    """Whether an engine serves it now."""
    problem: str = ""
    """Why it can't be opened, in a sentence."""


class Standing(Struct, frozen=True, kw_only=True):
    """How far a checkpoint is: the plain part of its training.json."""

    step: int
    best_valid_loss: float | None = None


class EngineAddress(Struct, frozen=True):
    """engine.json: where a live engine listens."""

    pid: int
    socket: str


def models_dir(option: Path | None) -> Path:
    """The option, else $LSTM_TUI_MODELS, else ./saved_models; absolute."""
    return Path(option or os.environ.get(MODELS_VARIABLE) or "saved_models").expanduser().absolute()


def create_run(models: Path, name: str | None, config: RunConfig) -> Path:
    """A new folder with its config.json. Without a name one is made from the corpus: toy-world-1.

    Raises UserError if the name is taken or unusable, or the folder can't be written.
    """
    try:
        models.mkdir(parents=True, exist_ok=True)
        folder = _fresh_folder(models, config) if name is None else _named_folder(models, name)
        save_config(folder, config)
    except OSError as error:
        raise UserError(
            f"Can't write to {error.filename or models}: {error.strerror}; "
            f"choose another place with --models-dir or {MODELS_VARIABLE}."
        ) from None
    return folder


def _named_folder(models: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r} can't be a run's name: use up to 80 letters, digits, '.', '_' or '-'."
        )
    folder = models / name
    try:
        folder.mkdir()
    except FileExistsError:
        raise UserError(
            f"There is a run {name!r} already: choose another name, or go on with it by --resume."
        ) from None
    return folder


def _fresh_folder(models: Path, config: RunConfig) -> Path:
    source = Path(config.corpus.source)
    known_by = source.parent.name if source.stem in ("input", "train", "corpus") else source.stem
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", known_by).strip("-.")[:60] or "run"
    number = 1
    while True:
        folder = models / f"{stem}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def discard_unopened(folder: Path) -> None:
    """Remove a run that no engine ever opened; leave any other alone."""
    if not (folder / "engine.lock").exists():
        shutil.rmtree(folder, ignore_errors=True)


def save_config(folder: Path, config: RunConfig) -> None:
    """Replace the run's config.json. Raises OSError."""
    data = msgspec.json.format(msgspec.json.encode(config), indent=2)
    replace_file(folder / "config.json", data + b"\n")


def load_config(folder: Path) -> RunConfig:
    """The run's configuration. Raises UserError where it is missing or damaged."""
    path = folder / "config.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunConfig)
    except OSError as error:
        raise UserError(
            f"{folder} holds no run: can't read {path.name}, {error.strerror}."
        ) from None
    except msgspec.DecodeError as error:
        raise UserError(f"{path} is damaged: {error}.") from None


def find_run(models: Path, name: str) -> Path:
    """The folder of a run, by its name or by a path to it. Raises UserError if there is none."""
    for folder in (models / name, Path(name).expanduser().absolute()):
        if (folder / "config.json").is_file():
            return folder
    names = [info.name for info in list_runs(models)]
    near = difflib.get_close_matches(name, names, n=3) or names[:3]
    advice = f"is it {' or '.join(near)}?" if near else "`lstm-tui train` makes one."
    raise UserError(f"There is no run {name!r} in {models}: {advice}")


def list_runs(models: Path) -> list[RunInfo]:
    """Every run in a models folder, the one changed last first."""
    if not models.is_dir():
        return []
    runs = [_inspect(path.parent) for path in models.glob("*/config.json")]
    return sorted(runs, key=lambda info: info.modified, reverse=True)


def _inspect(folder: Path) -> RunInfo:
    config, standing, problem = None, None, ""
    try:
        config = load_config(folder)
        standing = load_standing(folder)
    except UserError as error:
        problem = str(error)
    loss = standing.best_valid_loss if standing else None
    marks = [path for path in (folder / "latest", folder / "config.json") if path.exists()]
    return RunInfo(
        name=folder.name,
        folder=folder,
        config=config,
        step=standing.step if standing else 0,
        valid_perplexity=None if loss is None else perplexity(loss),
        modified=max((path.stat().st_mtime for path in marks), default=0.0),
        live=is_live(folder),
        problem=problem,
    )


def latest_checkpoint(folder: Path) -> Path | None:
    """The folder of the newest complete checkpoint, or None before the first."""
    return _named_checkpoint(folder / "latest")


def best_checkpoint(folder: Path) -> Path | None:
    """The folder of the checkpoint with the best validation, or None before the first."""
    return _named_checkpoint(folder / "best")


def _named_checkpoint(pointer: Path) -> Path | None:
    try:
        name = pointer.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return pointer.parent / "checkpoints" / Path(name).name if name else None


def saved_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints on the disk, the one of the most steps first."""
    return sorted((folder / "checkpoints").glob("step-*"), key=_age, reverse=True)


def _age(checkpoint: Path) -> list[int]:
    """Orders step-00000100 before step-00000100.2 and that before step-00000100.10."""
    return [int(number) for number in re.findall(r"\d+", checkpoint.name)]


def load_standing(folder: Path) -> Standing | None:
    """How far the newest checkpoint is. Raises UserError where it is damaged."""
    checkpoint = latest_checkpoint(folder)
    if checkpoint is None:
        return None
    path = checkpoint / "training.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Standing)
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(f"{path} is damaged: {error}.") from None


def read_metrics(folder: Path, size: int | None = None) -> Iterator[AnyRecorded]:
    """The run's past from the first `size` bytes of metrics.jsonl, oldest first.

    A last line cut short by a crash is left out. Raises UserError on a damaged line.
    """
    decode = msgspec.json.Decoder[AnyRecorded](AnyRecorded).decode
    path = folder / "metrics.jsonl"
    try:
        data = path.read_bytes()[:size]
    except FileNotFoundError:
        return
    complete = data[: data.rfind(b"\n") + 1]
    for number, line in enumerate(complete.splitlines(), start=1):
        try:
            yield decode(line)
        except msgspec.DecodeError as error:
            raise UserError(f"{path} is damaged in line {number}: {error}.") from None


def is_live(folder: Path) -> bool:
    """Whether an engine process holds this run."""
    try:
        with (folder / "engine.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def read_address(folder: Path) -> EngineAddress | None:
    """Where the run's engine listens, if it has said so."""
    try:
        return msgspec.json.decode((folder / "engine.json").read_bytes(), type=EngineAddress)
    except (OSError, msgspec.DecodeError):
        return None
