"""The sub-commands of `lstm-tui`, and what may stand in their place.

A sub-command is imported when it is called or listed, and what takes time (the engine's client,
asyncio, Textual) is left to the one that needs it: help and errors come at once.
"""

import platform
from importlib import import_module

import click

from tui.commands.play import play
from tui.commands.runs import open_text
from tui.commands.shared import echo, models_dir_option, models_folder
from tui.output import complain

_COMMANDS = {
    "analogies": "vectors",
    "attach": "runs",
    "bench": "bench",
    "copies": "reading",
    "evaluate": "measure",
    "export": "vectors",
    "generate": "explore",
    "inspect": "inspect",
    "lr-find": "find_rate",
    "map": "word_map",
    "metrics": "metrics",
    "models": "runs",
    "neighbours": "words",
    "open": "runs",
    "replay": "measure",
    "settings": "runs",
    "similarity": "vectors",
    "surprise": "reading",
    "train": "train",
    "words": "words",
}
"""The module of `tui.commands` that each is in."""


def run() -> int:
    """Do what the arguments of the program say. Returns the exit code."""
    try:
        return int(cli.main(prog_name="lstm-tui", standalone_mode=False) or 0)
    except click.Abort:
        return 130
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "lstm-tui"
        return complain(f"{error.format_message()} See `{command} --help`.", error.exit_code)
    except click.ClickException as error:
        return complain(str(error))


def _tell_versions(context: click.Context) -> None:
    from importlib.metadata import version

    below = ", ".join(f"{name} {version(name)}" for name in ("torch", "textual", "numpy"))
    echo(f"lstm-tui {version('lstm-tui')} (Python {platform.python_version()}, {below})")
    context.exit()


class _CommandsOrTexts(click.Group):
    """Sub-commands, and texts in their place: what is no sub-command's name is a text's."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if (module := _COMMANDS.get(cmd_name)) is None:
            return None
        found = vars(import_module(f"tui.commands.{module}")).values()
        return next(
            each for each in found if isinstance(each, click.Command) and each.name == cmd_name
        )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is not None:
            return super().resolve_command(ctx, args)
        return "", open_text, args


@click.group(
    cls=_CommandsOrTexts,
    invoke_without_command=True,
    subcommand_metavar="[FILE | COMMAND [ARGS]...]",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _option, wanted: _tell_versions(context) if wanted else None,
    help="Print the version, and those of what it stands on.",
)
@models_dir_option
@click.pass_context
def cli(context: click.Context) -> int:
    """A playground for LSTM language models, in this terminal.

    With FILE it opens on that text: a file, a folder, toy-world or python-docs. A sub-command of
    the same name comes first; ./FILE is always the text.
    """
    if context.invoked_subcommand is None:
        return play(models_folder())
    return 0
