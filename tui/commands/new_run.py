"""A run as the command line describes it: its settings, its text, its folder."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.visible import quoted

if TYPE_CHECKING:
    from engine.config import RunConfig

_BLOCK = 1 << 20
"""Bytes read at once."""


def configure(
    corpus: str,
    preset: str | None,
    config_file: str | None,
    settings: tuple[str, ...],
    limits: dict[str, Any],
) -> "RunConfig":
    """The preset's settings, then the file's, then each --set, then the limits."""
    from engine import config as c
    from engine.paths import named_path

    named: str | None = None
    changes: dict[str, Any] = {}
    if config_file is not None:
        named, changes = c.read_toml(named_path(config_file, "The file of settings"))
    default = "toy" if corpus == "toy-world" else c.DEFAULT_PRESET
    config = c.preset(preset or named or default)
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not equals:
            raise UserError(
                f"--set takes key=value, such as model.layers=2; {quoted(setting)} is not."
            )
        changes[path.strip()] = value
    changes |= limit_changes(limits)
    changes |= vector_changes(changes)
    changes["corpus.source"] = source_of(corpus)
    return c.replace(config, changes)


def limit_changes(limits: dict[str, Any]) -> dict[str, Any]:
    """A limit on the command line takes the place of all the others; none leaves them."""
    if all(value is None for value in limits.values()):
        return {}
    return {f"training.{name}": value for name, value in limits.items()}


def vector_changes(changes: dict[str, Any]) -> dict[str, Any]:
    """Where settings name a file of vectors: its path, and as the embedding's size that of its
    vectors, unless that is set too. Raises UserError where the file can't be read."""
    from engine.paths import named_path

    name = changes.get("model.vectors")
    if not isinstance(name, str) or name.strip().lower() in ("", "none", "null", "off"):
        return {}
    from engine.text.vector_files import VectorFile

    path = named_path(name.strip(), "The file of vectors")
    found: dict[str, Any] = {"model.vectors": str(path)}
    size = VectorFile(path).head.size
    return found if "model.embedding_size" in changes else found | {"model.embedding_size": size}


def source_of(corpus: str) -> str:
    """The corpus as the run's record names it. Raises UserError where there is no such text."""
    from tui.source import chosen_source

    return "standard-input" if corpus == "-" else chosen_source(corpus)


def new_run(models: Path, corpus: str, name: str | None, config: "RunConfig") -> Path:
    """The folder of a new run; its text is in it where it came by standard input."""
    from engine.config import replace
    from engine.runs import allow, create_run, save_config

    folder = create_run(models, name, config)
    if corpus == "-":
        try:
            spool(folder / "corpus.txt")
            source = str(folder / "corpus.txt")
            save_config(folder, replace(config, {"corpus.source": source}))
            allow(folder, source)
        except BaseException as error:
            import shutil

            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise UserError(f"Can't write to {folder}: {error.strerror}.") from None
            raise
    return folder


def spool(path: Path) -> None:
    """Copy standard input to a file. Raises UserError where one of them fails, or where there is
    nothing to learn from."""
    from engine.text.reading import check_beginning, resolve

    try:
        with path.open("wb") as file:
            while block := _read_input():
                file.write(block)
    except OSError as error:
        raise UserError(f"Can't keep standard input in {path}: {error.strerror}.") from None
    if path.stat().st_size == 0:
        raise UserError("Standard input was empty: there is no text to read.")
    try:
        check_beginning(resolve(str(path)))
    except UserError as error:
        raise UserError(str(error).replace(str(path), "Standard input")) from None


def _read_input() -> bytes:
    try:
        return sys.stdin.buffer.read(_BLOCK)
    except OSError as error:
        raise UserError(f"Can't read standard input: {error.strerror}.") from None
