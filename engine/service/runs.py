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
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.config import RunConfig
from engine.errors import UserError
from engine.events import AnyRecorded
from engine.files import open_plain, read_plain, replace_file, sync
from engine.measures import perplexity

MODELS_VARIABLE = "LSTM_TUI_MODELS"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_CHECKPOINT = re.compile(r"step-(\d{8,16})(?:\.(\d{1,9}))?", re.ASCII)
MAX_CONFIG = 1 << 20
"""Bytes of config.json, at most."""
MAX_TRAINING = 1 << 26
"""Bytes of training.json, at most."""
MAX_LINE = 1 << 20
"""Bytes of a line of metrics.jsonl, at most."""
_OWN = {
    "config.json",
    ".config.json.tmp",
    "corpus.txt",
    "metrics.jsonl",
    "engine.log",
    "engine.json",
    ".engine.json.tmp",
    "engine.lock",
    "checkpoints",
}
"""What is in the folder of a run before its first checkpoint."""
_MAX_NOTE = 1 << 12
"""Bytes of `latest`, `best` and engine.json, at most."""


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
        _make_synced(models)
        folder = _fresh_folder(models, config) if name is None else _named_folder(models, name)
        save_config(folder, config)
        sync(models)
    except OSError as error:
        raise UserError(
            f"Can't write to {error.filename or models}: {error.strerror}; "
            f"choose another place with --models-dir or {MODELS_VARIABLE}."
        ) from None
    return folder


def _make_synced(folder: Path) -> None:
    """Make a folder and those above it, each to stay after a crash. Raises OSError."""
    if not folder.is_dir():
        _make_synced(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


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
        remove_unbegun(folder)


def remove_unbegun(folder: Path) -> None:
    """Remove a run without a checkpoint; leave a folder alone that holds anything else."""
    with suppress(OSError, UserError):
        if latest_checkpoint(folder) is None and _OWN.issuperset(os.listdir(folder)):  # noqa: PTH208
            shutil.rmtree(folder)


def save_config(folder: Path, config: RunConfig) -> None:
    """Replace the run's config.json. Raises OSError."""
    data = msgspec.json.format(msgspec.json.encode(config), indent=2)
    replace_file(folder / "config.json", [data, b"\n"])


def load_config(folder: Path) -> RunConfig:
    """The run's configuration. Raises UserError where it is missing or damaged."""
    path = folder / "config.json"
    try:
        return msgspec.json.decode(read_plain(path, MAX_CONFIG), type=RunConfig)
    except OSError as error:
        raise UserError(
            f"{folder} holds no run: can't read {path.name}, {error.strerror}."
        ) from None
    except (ValueError, RecursionError) as error:
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
    """The checkpoint a run goes on from, as far as names tell; None before the first."""
    return next(iter(checkpoints_to_try(folder)), None)


def checkpoints_to_try(folder: Path) -> list[Path]:
    """The one `latest` names, then the others on the disk, that of the most steps first.

    Raises UserError where the checkpoints can't be listed.
    """
    try:
        named = named_checkpoint(folder / "latest")
    except OSError:
        named = None
    try:
        others = [path for path in saved_checkpoints(folder) if path != named]
    except OSError as error:
        raise UserError(f"Can't list the checkpoints of {folder}: {error.strerror}.") from None
    return others if named is None else [named, *others]


def named_checkpoint(pointer: Path) -> Path | None:
    """The checkpoint that a run's file `latest` or `best` names; None where there is no such file
    or it names none. Raises OSError where the file can't be read."""
    try:
        name = read_plain(pointer, _MAX_NOTE).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    return pointer.parent / "checkpoints" / name if _CHECKPOINT.fullmatch(name) else None


def saved_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints on the disk, the one of the most steps first. Raises OSError."""
    try:
        names = os.listdir(folder / "checkpoints")  # noqa: PTH208 - names are wanted
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [name for name in names if _CHECKPOINT.fullmatch(name)]
    return [folder / "checkpoints" / name for name in sorted(found, key=place, reverse=True)]


def place(name: str) -> tuple[int, int]:
    """The step of a checkpoint's name, and its number among those of the same step."""
    match = _CHECKPOINT.fullmatch(name)
    assert match is not None
    return int(match[1]), int(match[2] or 1)


def load_standing(folder: Path) -> Standing | None:
    """How far the newest readable checkpoint is; None before the first.

    Raises UserError where there are some and none is readable.
    """
    problem = ""
    for checkpoint in checkpoints_to_try(folder):
        path = checkpoint / "training.json"
        try:
            return msgspec.json.decode(read_plain(path, MAX_TRAINING), type=Standing)
        except OSError as error:
            problem = problem or f"{path} is damaged: {error.strerror}."
        except (ValueError, RecursionError) as error:
            problem = problem or f"{path} is damaged: {error}."
    if problem:
        raise UserError(problem)
    return None


def read_metrics(folder: Path, size: int | None = None) -> Iterator[AnyRecorded]:
    """The run's past from the first `size` bytes of metrics.jsonl, oldest first.

    A last line cut short by a crash is left out. Raises UserError on a damaged line.
    """
    for number, line in enumerate(read_record(folder, size), start=1):
        event = decode_event(line)
        if event is None:
            raise UserError(f"{folder / 'metrics.jsonl'} is damaged in line {number}.")
        yield event


def read_record(folder: Path, size: int | None = None) -> Iterator[bytes]:
    """The whole lines in the first `size` bytes of metrics.jsonl, a line that is too long as the
    last. Raises UserError where it can't be read."""
    path = folder / "metrics.jsonl"
    try:
        with open_plain(path) as file:
            left = os.fstat(file.fileno()).st_size if size is None else size
            while line := file.readline(min(left, MAX_LINE)):
                left -= len(line)
                if line.endswith(b"\n"):
                    yield line
                elif len(line) == MAX_LINE:
                    yield line
                    return
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"Can't read {path}: {error.strerror}.") from None


_decode_event = msgspec.json.Decoder[AnyRecorded](AnyRecorded).decode


def decode_event(line: bytes) -> AnyRecorded | None:
    """The event of a line of metrics.jsonl; None where the line is damaged."""
    try:
        event: AnyRecorded = _decode_event(line)
    except (ValueError, RecursionError):
        return None
    return event


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
        return msgspec.json.decode(
            read_plain(folder / "engine.json", _MAX_NOTE), type=EngineAddress
        )
    except (OSError, ValueError):
        return None
