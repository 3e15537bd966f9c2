"""`lstm-tui generate`."""

import sys
from pathlib import Path
from typing import Any

import click

from tui.commands.numbers import MOST, RealRange, WholeRange
from tui.commands.shared import (
    echo,
    find,
    json_option,
    models_dir_option,
    print_json,
    wait_for,
    write_text,
)


@click.command()
@click.argument("model")
@click.option("--prompt", default="", help="The text to go on from.")
@click.option(
    "--tokens", type=WholeRange(1, MOST), default=100, show_default=True, help="How many tokens."
)
@click.option(
    "--temperature",
    type=RealRange(min=0),
    default=1.0,
    show_default=True,
    help="Below 1 is safer, above is wilder; 0 takes the most probable token always.",
)
@click.option(
    "--top-k", type=WholeRange(0, MOST), default=0, help="Draw from the K most probable tokens."
)
@click.option(
    "--top-p",
    type=RealRange(0, 1, min_open=True),
    default=1.0,
    help="Draw from the most probable tokens that make up this share.",
)
@click.option("--seed", type=WholeRange(0, 2**63 - 1), help="The same seed writes the same text.")
@json_option
@models_dir_option
def generate(model: str, as_json: bool, **request: Any) -> None:
    """Write text with a model.

    MODEL is a run's name, or a path to its folder.
    """
    wait_for(_generate(find(model), request, as_json))


async def _generate(folder: Path, request: dict[str, Any], as_json: bool) -> None:
    from engine import messages as p
    from tui.headless import opened

    text, step, seed = "", 0, request["seed"]
    async with opened(folder) as engine:
        if not as_json:
            write_text(request["prompt"])
        async for piece in engine.stream(p.Generate(**request)):
            assert isinstance(piece, p.TextPiece)
            if piece.note:
                echo(piece.note, err=True)
            if not as_json:
                write_text(piece.text, begins=not request["prompt"] + text)
            text += piece.text
            step, seed = piece.step, piece.seed
    if as_json:
        answer = {"model": folder.name, "step": step, **request, "seed": seed, "text": text}
        print_json(answer)
        return
    if not text.endswith("\n"):
        echo()
    if request["seed"] is None and sys.stderr.isatty():
        echo(f"seed {seed}", err=True)
