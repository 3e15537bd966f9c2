"""`lstm-tui models`, `lstm-tui settings`, `lstm-tui attach`, and the playground itself."""

import gc
import os
import sys
from contextlib import suppress
from pathlib import Path

import click

from engine.errors import UserError
from engine.visible import shortened
from tui.commands.shared import (
    echo,
    find,
    json_option,
    models_dir_option,
    models_folder,
    print_json,
    print_table,
)


@click.command()
@json_option
@models_dir_option
def models(as_json: bool) -> None:
    """List the saved runs, the one changed last first."""
    from datetime import UTC, datetime

    from engine.runs import list_runs
    from tui.units import known_perplexity

    runs = list_runs(models_folder())
    if as_json:
        print_json(
            [
                {
                    "name": run.name,
                    "folder": str(run.folder),
                    "corpus": run.config.corpus.source if run.config else None,
                    "preset": run.config.preset if run.config else None,
                    "step": run.step,
                    "valid_perplexity": run.valid_perplexity,
                    "live": run.live,
                    "modified": datetime.fromtimestamp(run.modified, UTC),
                    "problem": run.problem or None,
                }
                for run in runs
            ]
        )
    elif not runs:
        echo(f"No run is saved in {models_folder()} yet: `lstm-tui train toy-world` makes one.")
    else:
        print_table(
            [("name", "steps", "valid perplexity", "", "modified", "corpus")]
            + [
                (
                    run.name,
                    f"{run.step:,}",
                    known_perplexity(run, 2),
                    "live" if run.live else "",
                    datetime.fromtimestamp(run.modified).strftime("%Y-%m-%d %H:%M"),
                    shortened(run.config.corpus.source if run.config else run.problem, 200),
                )
                for run in runs
            ]
        )


@click.command()
@click.argument("run", required=False)
@models_dir_option
def attach(run: str | None) -> None:
    """Open the playground on a run that is training.

    RUN is its name; it may be left out where there is only one.
    """
    from engine.runs import is_live, list_runs

    if run is not None:
        folder = find(run)
        if not is_live(folder):
            raise UserError(
                f"{folder.name} is not training now: `lstm-tui` opens it from the disk."
            )
        play(folder)
        return
    live = [info for info in list_runs(models_folder()) if info.live]
    if not live:
        raise UserError(f"No run in {models_folder()} is training now.")
    if len(live) > 1:
        names = ", ".join(info.name for info in live)
        raise UserError(f"Several runs are training: attach to one of {names}.")
    play(live[0].folder)


@click.command()
@json_option
def settings(as_json: bool) -> None:
    """List the settings and the presets."""
    from engine.config import PRESETS, RunConfig, fields

    if as_json:
        presets = [
            {"name": name, "purpose": preset.purpose, "config": preset.config}
            for name, preset in PRESETS.items()
        ]
        print_json({"settings": list(fields(RunConfig)), "presets": presets})
        return
    for field in fields(RunConfig):
        echo(f"{field.path}  ({field.values}{', or none' if field.optional else ''})")
        echo(f"    {field.effect}")
    echo()
    echo("Presets, for --preset:")
    print_table([(f"  {name}", preset.purpose) for name, preset in PRESETS.items()])


def _started_first_run(models: Path) -> Path | None:
    """A run whose engine starts while the screen is still being loaded.

    None where there can be none: the playground tells why, and offers others.
    """
    from engine.service.process import start_ahead
    from tui.first_run import first_run

    with suppress(UserError):
        folder = first_run(models)
        start_ahead(folder)
        return folder
    return None


def play(folder: Path | None) -> None:
    """Open the playground, on a run's live engine if its folder is given."""
    # Drawn on standard error, in the size of standard output.
    on_terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    if not on_terminal and "TEXTUAL_DRIVER" not in os.environ:
        raise UserError("The playground needs a terminal: `lstm-tui train` does without one.")
    models = models_folder()
    gc.disable()  # most of what is loaded now stays: the app turns it on again
    if folder is None:
        folder = _started_first_run(models)
    from tui.app import PlaygroundApp
    from tui.panes.registry import ACTIONS
    from tui.settings import load_settings, remembered

    app = PlaygroundApp(models, folder, settings=load_settings(ACTIONS), layout=remembered())
    if farewell := app.run():
        echo(farewell)
    if app.return_code:
        raise click.exceptions.Exit(app.return_code)
