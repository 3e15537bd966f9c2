"""`lstm-tui models`, `lstm-tui settings`, and the ways into the playground: `lstm-tui FILE`,
`lstm-tui open`, `lstm-tui attach`."""

import difflib
import os

import click

from engine.errors import UserError
from engine.visible import quoted, shortened
from tui.commands.play import play, require_terminal
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


class _OpenText(click.Command):
    """What stands where a sub-command could, but is a text: its help is that of them all."""

    def get_help(self, ctx: click.Context) -> str:
        return ctx.parent.get_help() if ctx.parent else super().get_help(ctx)


@click.command(cls=_OpenText)
@click.argument("file")
@models_dir_option
@click.pass_context
def open_text(context: click.Context, file: str) -> int:
    """Open the playground on a new run that learns this text."""
    from engine.service.process import start_ahead
    from tui.commands.new_run import configure, new_run

    if file == "-":
        raise UserError(
            "The playground reads keys from standard input, not a text: `lstm-tui train -` does."
        )
    _require_text(context, file)
    config = configure(file, None, None, (), {})
    require_terminal()
    folder = new_run(models_folder(), file, None, config)
    start_ahead(folder)
    return play(models_folder(), folder)


def _require_text(context: click.Context, name: str) -> None:
    """Raises UsageError where nothing has this name, be it a text or a sub-command."""
    import glob

    from engine.config import BUILT_IN
    from tui.source import named_source

    if name.strip() in BUILT_IN or glob.has_magic(name) or os.path.lexists(named_source(name)):
        return
    group = context.find_root().command
    commands = group.list_commands(context) if isinstance(group, click.Group) else []
    near = difflib.get_close_matches(name, commands, n=1)
    hint = f"; is it {near[0]}?" if near else "."
    raise click.UsageError(
        f"There is no such file as {quoted(name)}, and no such sub-command{hint}", context.parent
    )


@click.command("open")
@click.argument("run")
@models_dir_option
def open_run(run: str) -> int:
    """Open the playground on a saved run.

    RUN is its name, or a path to its folder. One that is training is shown as it trains.
    """
    return play(models_folder(), find(run))


@click.command()
@click.argument("run", required=False)
@models_dir_option
def attach(run: str | None) -> int:
    """Open the playground on a run that is training.

    RUN is its name; it may be left out where only one is training. One that has ended meanwhile is
    opened as it was saved.
    """
    from engine.runs import is_live, list_runs

    if run is not None:
        folder = find(run)
        ended = f"{folder.name} is not training any more: this is the run as it was saved."
        return play(models_folder(), folder, "" if is_live(folder) else ended)
    live = [info for info in list_runs(models_folder()) if info.live]
    if not live:
        raise UserError(
            f"No run in {models_folder()} is training now: `lstm-tui open RUN` opens a saved one."
        )
    if len(live) > 1:
        names = ", ".join(info.name for info in live)
        raise UserError(f"Several runs are training: attach to one of {names}.")
    return play(models_folder(), live[0].folder)


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
