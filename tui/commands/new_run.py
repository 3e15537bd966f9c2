"""A run as the command line describes it: its settings, its text, its folder."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError

if TYPE_CHECKING:
    from engine.config import RunConfig


def configure(
    corpus: str,
    preset: str | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    limits: dict[str, Any],
) -> "RunConfig":
    """The preset's settings, then the file's, then each --set, then the limits."""
    from engine import config as c

    named, changes = c.read_toml(config_file) if config_file else (None, {})
    default = "toy" if corpus == "toy-world" else c.DEFAULT_PRESET
    config = c.preset(preset or named or default)
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not equals:
            raise UserError(f"--set takes key=value, such as model.layers=2; {setting!r} is not.")
        changes[path.strip()] = value
    changes |= limit_changes(limits)
    changes["corpus.source"] = source_of(corpus)
    return c.replace(config, changes)


def limit_changes(limits: dict[str, Any]) -> dict[str, Any]:
    """A limit on the command line takes the place of all the others; none leaves them."""
    if all(value is None for value in limits.values()):
        return {}
    return {f"training.{name}": value for name, value in limits.items()}


def source_of(corpus: str) -> str:
    """The corpus as the run's record names it. Raises UserError where there is no such text."""
    from tui.source import chosen_source

    return "standard-input" if corpus == "-" else chosen_source(corpus)


def new_run(models: Path, corpus: str, name: str | None, config: "RunConfig") -> Path:
    from engine.config import replace
    from engine.runs import create_run, save_config

    folder = create_run(models, name, config)
    if corpus == "-":
        try:
            spool(folder / "corpus.txt")
            save_config(folder, replace(config, {"corpus.source": str(folder / "corpus.txt")}))
        except BaseException:
            import shutil

            shutil.rmtree(folder)
            raise
    return folder


def spool(path: Path) -> None:
    """Copy standard input to a file. Raises UserError where it is empty."""
    import shutil

    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    if path.stat().st_size == 0:
        raise UserError("Standard input was empty: there is no text to read.")
