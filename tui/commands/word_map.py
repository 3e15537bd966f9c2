"""`lstm-tui map`."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.errors import UserError
from engine.visible import quoted, token
from tui.commands.numbers import WholeRange
from tui.commands.shared import (
    ask,
    echo,
    json_option,
    models_dir_option,
    print_json,
    wait_for,
)
from tui.commands.words import listed_words, vectors_of, view_of, view_options

if TYPE_CHECKING:
    from engine.messages import WordMap

_NAMED = 8
"""Words left out that are named."""


@click.command("map")
@click.argument("model")
@click.option("--words", "listed", metavar="FILE", help="The words of this file, between blanks.")
@click.option(
    "--around", metavar="QUERY", default="", help="The words of a query, and their neighbours."
)
@click.option(
    "--top",
    type=WholeRange(2, 2000),
    default=200,
    show_default=True,
    help="How many words, where no file of them is given.",
)
@click.option(
    "--method",
    type=click.Choice(["pca", "tsne"]),
    default="pca",
    show_default=True,
    help="t-SNE needs openTSNE: pip install 'lstm-tui[tsne]'.",
)
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    help="map.svg is a drawing, map.png a picture of it (needs resvg_py: pip install "
    "'lstm-tui[png]'), map.csv a table of the points.",
)
@view_options
@json_option
@models_dir_option
def word_map(
    model: str,
    listed: str | None,
    around: str,
    top: int,
    method: Any,
    output: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Draw the words of MODEL as points in a plane.

    MODEL is a run or a file of vectors. Words that it holds alike lie close together, as far as two
    dimensions can show it: those of a query's neighbourhood, of a file, or else the most frequent
    ones.
    """
    from engine import messages as p

    if listed and around:
        raise UserError("--words and --around each say which words are drawn: give one of them.")
    path = _drawn(output, as_json)
    asked = p.MapWords(
        words=listed_words(listed) if listed else [],
        around=around,
        top=top,
        method=method,
        view=view_of(options),
    )
    place, connect = vectors_of(model)
    found = wait_for(ask(place, asked, connect))
    if path is not None:
        _write(path, _contents(path, found, model))
    if as_json:
        print_json(found)
        return
    _tell(found, path)


def _drawn(output: str | None, as_json: bool) -> Path | None:
    """Where the map is written to. Raises UserError where it can't be."""
    from engine.paths import check_plain, named_path

    if output is None:
        if as_json:
            return None
        raise UserError("Give a file for the map by -o, such as map.svg, or take --json.")
    path = named_path(output, "The map")
    kind = path.suffix.lower()
    if kind not in (".svg", ".png", ".csv"):
        raise UserError(
            f"A map is a drawing, .svg or .png, or a table, .csv, not {quoted(path.name)}."
        )
    if kind == ".png":
        from tui.commands.svg_map import check_png

        check_png()
    return check_plain(path.resolve())


def _contents(path: Path, found: "WordMap", model: str) -> bytes:
    kind = path.suffix.lower()
    if kind == ".csv":
        return _table(found)
    from tui.commands.svg_map import png, svg

    step = "" if found.table == "file" else f", step {found.step}"
    caption = f"{len(found.points)} points of {model}{step}, {found.method}"
    drawing = "".join(f"{line}\n" for line in svg(found, caption))
    return png(drawing) if kind == ".png" else drawing.encode("utf-8", "replace")


def _table(found: "WordMap") -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("word", "x", "y", "count", "group", "nearest"))
    for point in found.points:
        near = found.points[point.nearest].word
        rows.writerow((point.word, point.x, point.y, point.count, point.group, near))
    return text.getvalue().encode("utf-8", "replace")


def _write(path: Path, contents: bytes) -> None:
    from engine.files import replace_file

    try:
        replace_file(path, [contents])
    except OSError as error:
        raise UserError(f"Can't write {quoted(str(path))}: {error.strerror}.") from None


def _tell(found: "WordMap", path: Path | None) -> None:
    if found.unknown:
        named = ", ".join(token(word) for word in found.unknown[:_NAMED])
        more = ", …" if len(found.unknown) > _NAMED else ""
        echo(f"{len(found.unknown):,} not on the map: {named}{more}", err=True)
    shown = sum(found.explained)
    variance = f", which show {shown:.0%} of the variance" if found.method == "pca" else ""
    echo(f"{len(found.points):,} points in two dimensions{variance}:")
    echo(str(path))
