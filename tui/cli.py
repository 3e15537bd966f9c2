"""The console script: `lstm-tui` opens the playground, its sub-commands do without a screen.

Without arguments there is nothing to parse, so what parses them isn't loaded: the first frame comes
the sooner.
"""

import os
import signal
import sys
import traceback

from engine.errors import UserError
from engine.visible import is_unicode, quoted
from tui.output import OutputFailed, complain, prepare_streams, silence

DEBUG_VARIABLE = "LSTM_TUI_DEBUG"
_COMPLETION_VARIABLE = "_LSTM_TUI_COMPLETE"
"""Set by a shell that completes a command line."""


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
        return _run(sys.argv[1:])
    except OutputFailed:
        raise
    except KeyboardInterrupt:
        return 130
    except UserError as error:
        from tui.advice import on_command_line

        return complain(f"{error} {on_command_line(error.advice)}")
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
            return 1
        return complain(_unforeseen(error))


def _run(arguments: list[str]) -> int:
    _require_unicode(arguments)
    if arguments or _COMPLETION_VARIABLE in os.environ:
        from tui.commands import group

        return group.run()
    from engine.runs import models_dir
    from tui.commands.play import play

    return play(models_dir(None))


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
    return complain(str(failed))


if __name__ == "__main__":
    main()
