"""What the sub-commands share: options, the run that is meant, questions, and how to print."""

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from engine.errors import UserError
from engine.visible import visible

if TYPE_CHECKING:
    from engine.messages import AnyQuestion
    from engine.service.client import Engine
    from tui.progress_line import Waiting

Connect = Callable[[Path], "Awaitable[Engine]"]
"""How to reach an engine."""

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])


def _remember_models_dir(
    context: click.Context, _parameter: click.Parameter, value: str | None
) -> None:
    if value is not None:
        context.meta["models_dir"] = value


models_dir_option = click.option(
    "--models-dir",
    metavar="PATH",
    callback=_remember_models_dir,
    expose_value=False,
    help="Where models live: else LSTM_TUI_MODELS, else ./saved_models.",
)
_SETTINGS = (
    click.option("--preset", help="Where the settings start from: `lstm-tui settings` lists them."),
    click.option(
        "--config",
        "config_file",
        metavar="FILE.toml",
        help="Settings from a file, over the preset's.",
    ),
    click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        help="One setting, such as model.layers=2, over the file's. May be repeated.",
    ),
)


def settings_options(command: Command) -> Command:
    """The options that say what a new run is, as `configure` takes them."""
    for option in reversed(_SETTINGS):
        command = option(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def models_folder() -> Path:
    """Where runs are kept: as the command line says, else as the environment does."""
    from engine.runs import models_dir

    return models_dir(click.get_current_context().meta.get("models_dir"))


def find(model: str) -> Path:
    """The folder of a run, by its name or path. Raises UserError where there is none."""
    from engine.runs import find_run

    return find_run(models_folder(), model)


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """What the work returns, once it is done."""
    import asyncio

    return asyncio.run(work)


def echo(text: str = "", *, err: bool = False) -> None:
    """A line of standard output, or beside it on standard error, made visible: nothing else prints,
    but `write_text`."""
    click.echo(visible(text), err=err)


def write_lines(lines: Iterable[str]) -> None:
    """Many lines, made visible, as fast as they come."""
    for line in lines:
        sys.stdout.write(f"{visible(line)}\n")


def write_text(text: str, *, begins: bool = True) -> None:
    """Part of a model's text, at once: as it is to a pipe or a file, visible on a terminal. It
    `begins` there, or goes on from what was written before."""
    shown = visible(text, keep_newlines=True, begins=begins) if sys.stdout.isatty() else text
    sys.stdout.write(shown)
    sys.stdout.flush()


def print_json(value: Any) -> None:
    """A value as indented JSON."""
    from tui.output import json_text

    click.echo(json_text(value, indent=2))


def with_corpus(folder: Path) -> "Connect":
    """How to ask about a run what takes the text it was trained on: its path is told first."""
    import os
    from functools import partial

    from engine.config import BUILT_IN
    from engine.runs import load_config
    from engine.service.client import ask
    from engine.text.reading import resolve

    source = load_config(folder).corpus.source
    if source not in BUILT_IN:
        resolve(source)
        real = os.path.realpath(source)
        leads = "" if real == source else f", which is {real}"
        echo(f"Reading the run's own text, {source}{leads}.", err=True)
    return partial(ask, corpus=True)


async def answers(
    folder: Path, query: "AnyQuestion", waiting: "Waiting", connect: "Connect | None" = None
) -> AsyncGenerator[Any, None]:
    """The engine's answers to a streamed question; its progress shows in the line that waits.

    `connect` says how to reach it, if not by `client.ask`. Raises UserError.
    """
    from engine.events import Progress
    from engine.service.client import ask
    from tui.run.asking import opened

    try:
        async with opened(folder, waiting.tell, connect or ask) as engine:
            async for found in engine.stream(query):
                if isinstance(found, Progress):
                    waiting.tell(found)
                else:
                    yield found
    finally:
        waiting.clear()


async def answer(folder: Path, query: "AnyQuestion", connect: "Connect | None" = None) -> Any:
    """The one answer to a question that takes a while. Raises UserError."""
    from tui.progress_line import Waiting

    async with aclosing(answers(folder, query, Waiting(sys.stderr), connect)) as found:
        async for each in found:
            return each
    raise UserError("The engine ended before it had an answer.")


async def ask(folder: Path, query: "AnyQuestion", connect: "Connect | None" = None) -> Any:
    """The answer to a question that is answered at once. Raises UserError."""
    from engine.service import client
    from tui.progress_line import Waiting
    from tui.run.asking import opened

    waiting = Waiting(sys.stderr)
    try:
        async with opened(folder, waiting.tell, connect or client.ask) as engine:
            waiting.clear()
            return await engine.call(query)
    finally:
        waiting.clear()


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell on a terminal, two spaces between them."""
    from rich.cells import cell_len

    shown = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        padded = [
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        echo("  ".join(padded).rstrip())
