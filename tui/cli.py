"""The command line: `lstm-tui` opens the playground, its sub-commands do without a screen.

A sub-command is imported when it is called or listed, and what takes time (the engine's client,
asyncio, Textual) is left to the one that needs it: the first frame, help and errors come at once.
"""

import os
import platform
import signal
import sys
import traceback
from importlib import import_module

import click

from engine.errors import UserError
from engine.visible import is_unicode, quoted, shortened, visible
from tui.commands.runs import open_text, play
from tui.commands.shared import echo, models_dir_option
from tui.output import OutputFailed, prepare_streams, silence

DEBUG_VARIABLE = "LSTM_TUI_DEBUG"
_LONGEST, _LONGEST_WORD = 2000, 200
"""Characters of an error, and of a word in it."""
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


def main() -> None:
    """The console script: every user error is one line on standard error."""
    prepare_streams()
    code = 0
    try:
        code = _exit_code()
        sys.stdout.flush()
    except OutputFailed as failed:
        silence(1)
        code = code or _without_output(failed)
    sys.exit(code)


def _exit_code() -> int:
    try:
        _require_unicode(sys.argv[1:])
        return int(cli.main(prog_name="lstm-tui", standalone_mode=False) or 0)
    except OutputFailed:
        raise
    except click.Abort:
        return 130
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "lstm-tui"
        return _complain(f"{error.format_message()} See `{command} --help`.", error.exit_code)
    except UserError as error:
        from tui.advice import on_command_line

        return _complain(f"{error} {on_command_line(error.advice)}")
    except click.ClickException as error:
        return _complain(str(error))
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
            return 1
        return _complain(_unforeseen(error))


def _require_unicode(arguments: list[str]) -> None:
    """Neither a message to an engine nor the file of a run can hold any other."""
    for argument in arguments:
        if not is_unicode(argument):
            raise UserError(f"{quoted(argument)} isn't UTF-8: rename it, or write it otherwise.")


def _unforeseen(error: Exception) -> str:
    """A sentence for what no command answers itself."""
    from engine.service.client import EngineEnded

    match error:
        case EngineEnded(reason=reason):
            return reason
        case OSError(filename=name, strerror=problem) if problem:
            return f"Can't use {quoted(str(name))}: {problem}." if name else f"{problem}."
        case MemoryError():
            return "This machine has too little memory left for that."
    return (
        f"{type(error).__name__}: {error}. This is a fault of lstm-tui; "
        f"{DEBUG_VARIABLE}=1 shows where it is."
    )


def _without_output(failed: OutputFailed) -> int:
    """The exit code where standard output takes nothing more: like other tools, quietly by SIGPIPE
    where its reader has left."""
    if failed.reader_left:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    return _complain(str(failed))


def _complain(text: str, exit_code: int = 1) -> int:
    words = [shortened(visible(word), _LONGEST_WORD) for word in text.split()]
    try:
        print(f"lstm-tui: {shortened(' '.join(words), _LONGEST)}", file=sys.stderr)  # noqa: T201
    except OSError:  # nobody hears it; the exit code tells
        silence(2)
    return exit_code


def _tell_versions(context: click.Context) -> None:
    from importlib.metadata import version

    below = ", ".join(f"{name} {version(name)}" for name in ("torch", "textual", "numpy"))
    echo(f"lstm-tui {version('lstm-tui')} (Python {platform.python_version()}, {below})")
    context.exit()


class _Doors(click.Group):
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
    cls=_Doors,
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
def cli(context: click.Context) -> None:
    """A playground for LSTM language models, in this terminal.

    With FILE it opens on that text: a file, a folder, toy-world or python-docs. A sub-command of
    the same name comes first; ./FILE is always the text.
    """
    if context.invoked_subcommand is None:
        play(None)


if __name__ == "__main__":
    main()
