"""Runs on disk: a folder a run. Free of torch, so that the screen can list them.

NAME/config.json, metrics.jsonl, steps.bin, older.bin,
     engine.log, engine.json, engine.lock, latest, best,
     checkpoints/step-N/{tokenizer.json, model.safetensors, state.safetensors,
                         training.json, manifest.json}
"""

import difflib
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.config import RunConfig
from engine.errors import UserError
from engine.files import read_plain, replace_file, sync
from engine.measures import perplexity
from engine.runs.checkpoints import latest_checkpoint, load_standing
from engine.runs.lives import is_live

MODELS_VARIABLE = "LSTM_TUI_MODELS"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
MAX_CONFIG = 1 << 20
"""Bytes of config.json, at most."""
_OWN = {
    "config.json",
    ".config.json.tmp",
    "corpus.txt",
    "metrics.jsonl",
    ".metrics.jsonl.tmp",
    "steps.bin",
    ".steps.bin.tmp",
    "older.bin",
    ".older.bin.tmp",
    "engine.log",
    "engine.json",
    ".engine.json.tmp",
    "engine.lock",
    "checkpoints",
}
"""What is in the folder of a run before its first checkpoint."""


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
