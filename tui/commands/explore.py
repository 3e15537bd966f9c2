"""`lstm-tui generate`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import structs, to_builtins

from tui.commands.numbers import MOST, WholeRange
from tui.commands.sampling import sampling_of, sampling_options
from tui.commands.shared import (
    answers,
    echo,
    find,
    json_option,
    models_dir_option,
    print_json,
    wait_for,
    write_text,
)

if TYPE_CHECKING:
    from engine.messages import WrittenToken

ALTERNATIVES = 10
"""Other tokens that JSON tells of beside each that was written."""


@click.command()
@click.argument("model")
@click.option("--prompt", default="", help="The text to go on from.")
@click.option(
    "--tokens", type=WholeRange(1, MOST), default=100, show_default=True, help="How many tokens."
)
@click.option(
    "--count",
    type=WholeRange(1, MOST),
    default=1,
    show_default=True,
    help="How many texts, side by side; each has the seed after the one before.",
)
@click.option(
    "--readable", is_flag=True, help="Words with their punctuation and capitals put back by rules."
)
@sampling_options
@json_option
@models_dir_option
def generate(model: str, count: int, as_json: bool, **options: Any) -> None:
    """Write text with a model.

    MODEL is a run's name, or a path to its folder. The knobs are applied in the order in which they
    stand below: <unk>, repetition penalty, no-repeat, temperature, top-k, top-p, min-p, typical.
    """
    sampling = sampling_of(options)
    request = options | structs.asdict(sampling)
    if count == 1:
        wait_for(_generate(find(model), request, as_json))
    else:
        wait_for(_generate_many(find(model), count, request, as_json))


async def _generate(folder: Path, request: dict[str, Any], as_json: bool) -> None:
    from engine import messages as p
    from tui.run.asking import opened

    texts: list[str] = []
    step, seed, begins = 0, request["seed"], not request["prompt"]
    pieces: list[dict[str, Any]] = []
    query = p.Generate(**request, alternatives=ALTERNATIVES if as_json else 0)
    async with opened(folder) as engine:
        if not as_json:
            write_text(request["prompt"])
        async for piece in engine.stream(query):
            assert isinstance(piece, p.WrittenToken)
            if piece.note:
                echo(piece.note, err=True)
            if not as_json:
                write_text(piece.text, begins=begins)
            elif piece.opened is not None:
                pieces.append(_piece(piece))
            texts.append(piece.text)
            begins = begins and not piece.text
            step, seed = piece.step, piece.seed
    text = "".join(texts)
    if as_json:
        answer = {"model": folder.name, "step": step, **request, "seed": seed, "text": text}
        print_json(answer | {"pieces": pieces})
        return
    if not text.endswith("\n"):
        echo()
    if request["seed"] is None:
        echo(f"seed {seed}", err=True)


async def _generate_many(folder: Path, count: int, request: dict[str, Any], as_json: bool) -> None:
    from engine import messages as p
    from tui.progress_line import Waiting

    texts: list[dict[str, Any]] = []
    pieces: list[dict[str, Any]] = []
    step = 0
    query = p.GenerateMany(**request, count=count, alternatives=ALTERNATIVES if as_json else None)
    async for written in answers(folder, query, Waiting(sys.stderr)):
        if isinstance(written, p.WrittenToken):
            pieces.append(_piece(written))
            continue
        step = written.step
        texts.append({"seed": written.seed, "text": written.text, "pieces": pieces})
        pieces = []
        if written.note:
            echo(written.note, err=True)
        if not as_json:
            echo(f"--- {len(texts):,} of {count:,}, seed {written.seed}")
            write_text(request["prompt"] + written.text)
            echo()
    if as_json:
        answer = {"model": folder.name, "step": step, **request, "seed": texts[0]["seed"]}
        print_json(answer | {"texts": texts})


def _piece(piece: "WrittenToken") -> dict[str, Any]:
    """As JSON tells of it, with what it is opened to."""
    return {"text": piece.text, **to_builtins(piece.opened)}
