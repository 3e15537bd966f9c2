"""`lstm-tui inspect`: what the cells of a model do while it reads a text, as arrays in a file."""

import sys
from pathlib import Path
from typing import Any

import click

from engine.errors import UserError
from engine.visible import quoted
from tui.commands.shared import answers, echo, find, models_dir_option, wait_for
from tui.numbers import counted


@click.command()
@click.argument("model")
@click.option("--text", required=True, help="The text that is read.")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE.npz",
    help="The file that is written; what was there before goes.",
)
@models_dir_option
def inspect(model: str, text: str, output: str) -> None:
    """Write what the cells of a model do while it reads a text.

    MODEL is a run's name, or a path to its folder. FILE.npz is for numpy.load. It holds, for T
    tokens of which the first is the one that a text begins after: ids (T,), tokens (T,) as the
    vocabulary has them, texts (T,) as they stand in the text, step (), and of each layer N, from 0,
    with U units: layerN.input_gate, .forget_gate, .candidate, .output_gate, .cell and .hidden, each
    (T, U), float32. cell and hidden are the states after the token; cell is forget_gate times the
    cell before plus input_gate times candidate, hidden is output_gate times tanh(cell).
    """
    from engine.paths import check_plain, named_path

    path = check_plain(named_path(output, "The file of arrays").resolve())
    wait_for(_inspect(find(model), text, path))


async def _inspect(folder: Path, text: str, output: Path) -> None:
    import numpy as np

    from engine import messages as p
    from engine.files import replacing
    from tui.progress_line import Waiting

    tokens: p.CellTokens | None = None
    arrays: dict[str, Any] = {}
    async for found in answers(folder, p.TraceCell(text=text), Waiting(sys.stderr)):
        if isinstance(found, p.CellTokens):
            tokens = found
            continue
        assert tokens is not None
        name, units = f"layer{found.layer}.{found.quantity}", tokens.units[found.layer]
        whole = arrays.setdefault(name, np.empty((len(tokens.ids), units), np.float32))
        rows = np.frombuffer(found.values, "<f4").reshape(found.rows, units)
        whole[found.first : found.first + found.rows] = rows
    if tokens is None:
        raise UserError("The engine ended before it had an answer.")
    arrays |= {name: np.array(getattr(tokens, name)) for name in ("ids", "texts", "step")}
    arrays["tokens"] = np.array(tokens.raw)
    try:
        with replacing(output) as (new,), new.open("xb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise UserError(f"Can't write {quoted(str(output))}: {error.strerror}.") from None
    layers = "one layer" if len(tokens.units) == 1 else f"{len(tokens.units)} layers"
    echo(f"{counted(len(tokens.ids), 'token')}, {layers}: {output}")
