"""The command line: `lstm-tui` opens the playground, its sub-commands do without a screen.

Imports that take time (the engine's client, asyncio, Textual) are left to the command that needs
them, so that help and errors come at once.
"""

import os
import sys
import traceback

import click

from engine.errors import UserError
from tui.commands import bench, explore, find_rate, measure, metrics, runs, train
from tui.commands.shared import models_dir_option

DEBUG_VARIABLE = "LSTM_TUI_DEBUG"


def main() -> None:
    """The console script: every user error is one line on standard error."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        return int(cli.main(prog_name="lstm-tui", standalone_mode=False) or 0)
    except click.Abort:
        return 130
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "lstm-tui"
        return _complain(f"{error.format_message()} See `{command} --help`.", error.exit_code)
    except (click.ClickException, UserError) as error:
        return _complain(str(error))
    except Exception as error:
        from engine.service.client import EngineEnded

        if isinstance(error, EngineEnded):
            return _complain(error.reason)
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
            return 1
        return _complain(
            f"{type(error).__name__}: {error}. This is a fault of lstm-tui; "
            f"{DEBUG_VARIABLE}=1 shows where it is."
        )


def _complain(text: str, exit_code: int = 1) -> int:
    from tui.sanitize import visible

    print(f"lstm-tui: {visible(' '.join(text.split()))}", file=sys.stderr)  # noqa: T201
    return exit_code


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@models_dir_option
@click.pass_context
def cli(context: click.Context) -> None:
    """A playground for LSTM language models. Without a command it opens in this terminal."""
    if context.invoked_subcommand is None:
        runs.play(None)


for command in (
    train.train,
    explore.generate,
    explore.neighbours,
    measure.evaluate,
    find_rate.find_rate,
    measure.replay,
    metrics.metrics,
    runs.models,
    runs.attach,
    runs.settings,
    bench.bench,
):
    cli.add_command(command)


if __name__ == "__main__":
    main()
