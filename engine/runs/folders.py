"""Runs on disk: a folder a run. Free of torch, so that the screen can list them.

NAME/config.json, mark, metrics.jsonl, steps.bin, older.bin, words.bin, pinned.json, latest, best,
     checkpoints/step-N/{tokenizer.json, model.safetensors, state.safetensors,
                         training.json, manifest.json}
"""

import difflib
import errno
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.config import RunConfig, replace
from engine.errors import Advice, UserError
from engine.events import Stepped
from engine.files import read_plain, replace_file, sync
from engine.measures import perplexity
from engine.paths import named_path
from engine.runs.checkpoints import latest_checkpoint, load_standing
from engine.runs.engines import is_live
from engine.runs.origins import MARK, has_begun, is_made_here, note_made
from engine.runs.reading import read_metrics
from engine.visible import is_unicode, quoted, shortened, visible

MODELS_VARIABLE = "LSTM_TUI_MODELS"
_LONGEST_NAME = 80
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{_LONGEST_NAME - 1}}}")
TRASH = ".trash"
"""In a folder of models, the folder of the runs that were deleted: none of them is listed."""
MAX_CONFIG = 1 << 20
"""Bytes of config.json, at most."""
_OWN = {
    "config.json",
    ".config.json.tmp",
    MARK,
    f".{MARK}.tmp",
    "corpus.txt",
    "metrics.jsonl",
    ".metrics.jsonl.tmp",
    "steps.bin",
    ".steps.bin.tmp",
    "older.bin",
    ".older.bin.tmp",
    "words.bin",
    "pinned.json",
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


def models_dir(option: str | Path | None) -> Path:
    """The option, else $LSTM_TUI_MODELS, else ./saved_models; absolute. It may not be there yet.

    Raises UserError where it can't be a folder of models.
    """
    named = os.environ.get(MODELS_VARIABLE) or "saved_models" if option is None else str(option)
    folder = named_path(named, "The folder of models")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"The folder of models can't be {quoted(named)}: that is a file.")
    if folder.exists() and not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(f"Can't read {quoted(named)}: {os.strerror(errno.EACCES)}.")
    return folder


def create_run(models: Path, name: str | None, config: RunConfig) -> Path:
    """A new folder with its config.json. Without a name one is made from the corpus: toy-world-1.

    Raises UserError if the name is taken or unusable, or the folder can't be written: then nothing
    is left behind.
    """
    if name is not None:
        check_name(name)
    if config.model.vectors is not None:
        path = named_path(config.model.vectors, "The file of vectors")
        config = replace(config, {"model.vectors": str(path)})
    data = _encoded(config)
    made: list[Path] = []
    try:
        _make_synced(models, made)
        folder = _fresh_folder(models, config) if name is None else _named_folder(models, name)
        made.append(folder)
        replace_file(folder / "config.json", data)
        sync(models)
        note_made(folder, config.corpus.source)
    except OSError as error:
        _unmake(made)
        place = shortened(visible(str(error.filename or models)), 200)
        raise UserError(
            f"Can't write to {place}: {error.strerror}; "
            f"choose another place for models with {MODELS_VARIABLE}.",
            "other-place",
        ) from None
    except UserError:
        _unmake(made)
        raise
    return folder


def _make_synced(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it, each to stay after a crash; `made` tells of which there
    were none. Raises OSError."""
    if not folder.is_dir():
        _make_synced(folder.parent, made)
        folder.mkdir(exist_ok=True)
        made.append(folder)
        sync(folder.parent)


def _unmake(made: list[Path]) -> None:
    """Remove the folders that were made for a run, as far as nobody else uses them."""
    with suppress(OSError):
        for folder in reversed(made):
            for name in ("config.json", MARK):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()


def check_name(name: str) -> None:
    """Raises UserError where a run can't have this name."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{quoted(name)} can't be a run's name: use up to {_LONGEST_NAME} letters, digits, "
            "'.', '_' or '-'."
        )


def _named_folder(models: Path, name: str) -> Path:
    folder = models / name
    try:
        folder.mkdir()
    except FileExistsError:
        raise UserError(
            f"There is a run {name!r} already: choose another name.", "resume"
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


def remove_unbegun(folder: Path) -> None:
    """Remove a run that this program made, that never took a step and that no engine serves.

    Any other is left alone, and so is a folder that holds anything else.
    """
    with suppress(OSError, UserError):
        if (
            is_made_here(folder)
            and not has_begun(folder)
            and not is_live(folder)
            and latest_checkpoint(folder) is None
            and not any(isinstance(event, Stepped) for event in read_metrics(folder))
            and _OWN.issuperset(os.listdir(folder))  # noqa: PTH208 - names are wanted
        ):
            shutil.rmtree(folder)


def save_config(folder: Path, config: RunConfig) -> None:
    """Replace the run's config.json. Raises OSError, and UserError where it can't be written as
    JSON."""
    replace_file(folder / "config.json", _encoded(config))


def _encoded(config: RunConfig) -> list[bytes]:
    """The contents of config.json. Raises UserError where a name in it isn't UTF-8."""
    try:
        return [msgspec.json.format(msgspec.json.encode(config), indent=2), b"\n"]
    except UnicodeEncodeError as error:
        raise UserError(
            f"{quoted(error.object)} can't be kept in a run: it isn't UTF-8, so rename it first."
        ) from None


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
        problem = shortened(visible(str(error)), 200)
        raise UserError(f"{path} is damaged: {problem}.") from None


def find_run(models: Path, name: str) -> Path:
    """The folder of a run, by its name or by a path to it. Raises UserError if there is none."""
    for folder in (models / name, Path(os.path.abspath(os.path.expanduser(name)))):  # noqa: PTH100, PTH111
        # os.path's answer is no where pathlib raises: for a NUL, and for a name that is too long.
        if name and os.path.isfile(folder / "config.json"):  # noqa: PTH113
            _require_unicode(folder)
            return folder
    names = [info.name for info in list_runs(models)]
    near = difflib.get_close_matches(name[:_LONGEST_NAME], names, n=3) or names[:3]
    known = f"is it {' or '.join(near)}?" if near else "there is none at all."
    advice: Advice = "" if near else "train-first"
    raise UserError(f"There is no run {quoted(name)} in {models}: {known}", advice)


def _require_unicode(folder: Path) -> None:
    """Raises UserError where the folder can't be named in a message to or from an engine."""
    if not is_unicode(str(folder)):
        raise UserError(f"The run in {quoted(str(folder))} has no UTF-8 name: rename its folder.")


def list_runs(models: Path) -> list[RunInfo]:
    """Every run in a models folder, the one changed last first."""
    if not models.is_dir():
        return []
    folders = [path.parent for path in models.glob("*/config.json")]
    runs = [_inspect(folder) for folder in folders if folder.name != TRASH]
    return sorted(runs, key=lambda info: info.modified, reverse=True)


def _changed(path: Path) -> float:
    """When a file was changed last, in Unix seconds; 0 where there is none."""
    with suppress(OSError):
        return path.lstat().st_mtime
    return 0.0


def _inspect(folder: Path) -> RunInfo:
    config, standing, problem = None, None, ""
    try:
        _require_unicode(folder)
        config = load_config(folder)
        standing = load_standing(folder)
    except UserError as error:
        problem = str(error)
    loss = standing.best_valid_loss if standing else None
    return RunInfo(
        name=folder.name,
        folder=folder,
        config=config,
        step=standing.step if standing else 0,
        valid_perplexity=None if loss is None else perplexity(loss),
        modified=max(_changed(folder / "latest"), _changed(folder / "config.json")),
        live=is_live(folder),
        problem=problem,
    )
