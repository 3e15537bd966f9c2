"""`lstm-tui bench`."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from engine.errors import UserError
from tui.commands.shared import echo, json_option, print_json

if TYPE_CHECKING:
    from engine.bench.results import Message, Result
    from tui.progress_line import Waiting

_MIB = 1 << 20


@click.command()
@json_option
def bench(as_json: bool) -> None:
    """Measure what this machine can do.

    Training and generation beside a plain PyTorch loop, peak memory, and neighbours: no corpus is
    needed, and nothing is kept. It takes about a minute, and the machine to itself.
    """
    from engine.bench.machine import this_machine
    from engine.bench.results import SECTIONS
    from tui.progress_line import Waiting

    machine, results = this_machine(), []
    if not as_json:
        echo(str(machine))
    for section in SECTIONS:
        result = _measured(section, Waiting(sys.stderr))
        results.append(result)
        if not as_json:
            echo(_sentence(result))
    if as_json:
        print_json({"machine": machine, "results": results})


def _measured(section: str, waiting: "Waiting") -> "Result":
    """The section's result; its progress shows in the line that waits. Raises UserError."""
    from engine.events import Progress

    try:
        for message in _messages([sys.executable, "-P", "-m", "engine.bench", section]):
            if isinstance(message, Progress):
                waiting.tell(message)
            else:
                return message
    finally:
        waiting.clear()
    raise UserError(f"Measuring {section} ended without a result.")


def _messages(command: list[str]) -> "Iterator[Message]":
    """What a process tells, until it ends; it does not outlive its listener. Raises UserError."""
    import msgspec

    from engine.bench.results import Message
    from engine.service.process import ENVIRONMENT

    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Message)
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # a key that interrupts is for the listener
            env=ENVIRONMENT | os.environ,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield from map(decoder.decode, process.stdout)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        if process.wait():
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"it ended with {process.returncode}"
            raise UserError(f"Measuring failed: {reason}.")


def _sentence(result: "Result") -> str:
    """A line of the table."""
    from engine.bench.results import Lookup, Memory

    words = f"{result.vocabulary:>6,} words"
    if isinstance(result, Memory):
        ours, reference = result.ours / _MIB, result.reference / _MIB
        return (
            f"memory      {words}  {ours:,.0f} MiB on top at the peak of a step, plain PyTorch "
            f"{reference:,.0f}: {ours / reference:.2f} times"
        )
    if isinstance(result, Lookup):
        return (
            f"neighbours  {words}  {1000 * result.median:.1f} ms, 99th percentile "
            f"{1000 * result.percentile_99:.1f} ms of {result.queries:,}"
        )
    return (
        f"{result.what:<10}  {words}  {result.ours:,.0f} tokens/s on {result.device} "
        f"({_threads(result.threads)}), plain PyTorch {result.reference:,.0f} "
        f"({_threads(result.reference_threads)}): {result.ratio:.2f} times, "
        f"{result.least:.2f} to {result.greatest:.2f} in {result.pairs} pairs"
    )


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
