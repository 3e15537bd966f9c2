"""`lstm-tui surprise` and `lstm-tui copies`: a text read with a model."""

import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.errors import UserError
from engine.visible import shortened, token, visible
from tui.commands.new_run import source_of, spool
from tui.commands.numbers import WholeRange
from tui.commands.shared import (
    answer,
    answers,
    echo,
    find,
    json_option,
    models_dir_option,
    print_json,
    print_table,
    wait_for,
    with_corpus,
)
from tui.numbers import counted

if TYPE_CHECKING:
    from engine.messages import Copies, SurprisePart, SurpriseTotals

MOST_SURPRISING = 10
MOST_TOLD = 10
"""Copies that are printed; JSON has all."""


@click.command()
@click.argument("model")
@click.argument("file")
@json_option
@click.option("--html", "form", flag_value="html", help="Print a page that shades each token.")
@click.option("--svg", "form", flag_value="svg", help="Print a picture that shades each token.")
@models_dir_option
def surprise(model: str, file: str, form: str | None, as_json: bool) -> None:
    """Tell how surprising each token of a text is.

    FILE (as a corpus for train; - for standard input) under MODEL, a run's name or a path to its
    folder: the surprisal of each token in bits, all of it as perplexity and bits per character, and
    what simpler models make of it, which know no order (uniform, unigram) or no training text
    (gzip, xz).
    """
    if as_json and form:
        raise click.UsageError(f"--json and --{form} can't both be printed.")
    parts, totals = wait_for(_surprise(find(model), file))
    if as_json:
        _print_json(file, parts, totals)
    elif form:
        from tui.commands import shading

        draw = shading.page if form == "html" else shading.picture
        click.echo(draw(f"{file}: {_measures(totals)}", list(_tokens(parts))))
    else:
        _print_surprise(parts, totals)


async def _surprise(folder: Path, file: str) -> "tuple[list[SurprisePart], SurpriseTotals]":
    from engine import messages as p
    from tui.progress_line import Waiting

    parts: list[p.SurprisePart] = []
    totals: p.SurpriseTotals | None = None
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as temporary:
        query = p.Surprise(source=_source(file, Path(temporary)))
        async for found in answers(folder, query, Waiting(sys.stderr)):
            if isinstance(found, p.SurpriseTotals):
                totals = found
            else:
                parts.append(found)
    if totals is None:
        raise UserError("The engine ended before it had an answer.")
    return parts, totals


def _source(file: str, temporary: Path) -> str:
    """What the engine reads: standard input is put into a file."""
    if file != "-":
        return source_of(file)
    spool(temporary / "text.txt")
    return str(temporary / "text.txt")


def _tokens(parts: "list[SurprisePart]") -> Iterator[tuple[str, float | None, bool]]:
    """What each token was read from, its surprisal, and whether it is unknown."""
    for part in parts:
        unknown = set(part.unknown)
        for at, (text, bits) in enumerate(zip(part.texts, part.bits, strict=True)):
            yield text, bits, at in unknown


def _print_json(file: str, parts: "list[SurprisePart]", totals: "SurpriseTotals") -> None:
    tokens = [
        {"text": text, "bits": bits, **({"unknown": True} if unknown else {})}
        for text, bits, unknown in _tokens(parts)
    ]
    print_json({"file": file, "totals": totals, "tokens": tokens})


def _print_surprise(parts: "list[SurprisePart]", totals: "SurpriseTotals") -> None:
    echo(f"{_measures(totals)}  {counted(totals.tokens, 'token')}, {totals.unknown:,} unknown")
    echo(totals.convention)
    rows = [("", "bits", "perplexity", "bits/character")]
    model = (totals.bits, totals.perplexity, totals.bits_per_character)
    baselines = [
        (each.name, each.bits, each.perplexity, each.bits_per_character)
        for each in totals.baselines
    ]
    for name, bits, perplexity, per_character in [("this model", *model), *baselines]:
        shown = "" if per_character is None else f"{per_character:.3f}"
        rows.append((name, f"{bits:,.0f}", f"{perplexity:,.2f}", shown))
    echo()
    print_table(rows)
    echo()
    echo("Most surprising:")
    print_table([*islice(_most_surprising(parts), MOST_SURPRISING)])


def _most_surprising(parts: "list[SurprisePart]") -> Iterator[tuple[str, str, str]]:
    """Bits, token, and whether it is unknown, of each different token where it surprised most."""
    seen: set[str] = set()
    for text, bits, unknown in sorted(_tokens(parts), key=lambda each: -(each[1] or 0.0)):
        shown = text.strip() or text
        if bits is not None and shown not in seen:
            seen.add(shown)
            yield f"{bits:.1f}", token(shown), "unknown" if unknown else ""


def _measures(totals: "SurpriseTotals") -> str:
    per_character = totals.bits_per_character
    bits = "" if per_character is None else f", {per_character:.3f} bits/character"
    return f"perplexity {totals.perplexity:,.2f}{bits}"


@click.command()
@click.argument("model")
@click.argument("file")
@click.option(
    "--least",
    type=WholeRange(2, 100_000),
    default=4,
    show_default=True,
    help="Tokens of a stretch that is told.",
)
@json_option
@models_dir_option
def copies(model: str, file: str, least: int, as_json: bool) -> None:
    """Tell which stretches of a text stand verbatim in the training text.

    FILE (as a corpus for train, at most 100,000 characters; - for standard input) against what
    MODEL, a run's name or a path to its folder, was trained on. The first time an index of that is
    built, and cached. Beside it how much the text repeats itself.
    """
    from engine import messages as p

    folder = find(model)
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as temporary:
        text = _read(_source(file, Path(temporary)))
    found = wait_for(answer(folder, p.FindCopies(text=text, least=least), with_corpus(folder)))
    if as_json:
        print_json(found)
    else:
        _print_copies(found)


def _read(source: str) -> str:
    """The text of a source, as far as the engine takes one and a little more."""
    from engine.text.reading import read_chunks, resolve

    chunks: list[str] = []
    parts = [part for parts in resolve(source).splits.values() for part in parts]
    for chunk in read_chunks(parts):
        chunks.append(chunk.decode())
        if sum(map(len, chunks)) > 100_000:
            break
    return "".join(chunks)


def _print_copies(found: "Copies") -> None:
    echo(
        f"{found.copied:.1%} of {found.tokens:,} tokens are in stretches of {found.least} and more "
        f"that stand in the training text ({found.training_tokens:,} tokens)"
    )
    numbers = ("distinct-1", "distinct-2", "distinct-3", "repeated 4-grams")
    shares = [*found.distinct, found.repetition]
    named = [
        f"{name} {share:.3f}"
        for name, share in zip(numbers, shares, strict=True)
        if share is not None
    ]
    echo("  ".join(named))
    if not found.copies:
        return
    rows = [("tokens", "places", "first at", "text")]
    for copy in found.copies[:MOST_TOLD]:
        place = f"{copy.share:.1%}"
        rows.append((f"{copy.length:,}", f"{copy.places:,}", place, shortened(visible(copy.text))))
    echo()
    print_table(rows)
