"""`lstm-tui similarity`, `lstm-tui analogies` and `lstm-tui export`."""

from typing import Any

import click

from engine.visible import token
from tui.commands.shared import (
    answer,
    echo,
    json_option,
    models_dir_option,
    print_json,
    print_table,
    wait_for,
)
from tui.commands.words import seen_options, table_option, vectors_of, view_of
from tui.numbers import counted

_VECTORS = {"output": "output layer's weights", "both": "means of embedding and output layer"}
_FORMATS = ("word2vec", "word2vec-binary", "projector", "npz", "glove")


def _path(name: str, what: str) -> str:
    from engine.paths import named_path

    return str(named_path(name, what))


@click.command()
@click.argument("model")
@click.option(
    "--pairs",
    required=True,
    metavar="FILE",
    help="A pair a line: word, word, score, with tabs, commas or blanks between them.",
)
@seen_options
@json_option
@models_dir_option
def similarity(model: str, pairs: str, as_json: bool, **options: Any) -> None:
    """Compare cosines with the scores people gave to pairs of words.

    Spearman's and Pearson's correlation over the pairs whose words MODEL knows, a run or a file of
    vectors.
    """
    from engine import messages as p

    asked = p.MeasureSimilarity(pairs=_path(pairs, "The file of pairs"), view=view_of(options))
    place, connect = vectors_of(model)
    score = wait_for(answer(place, asked, connect))
    if as_json:
        print_json(score)
        return
    echo(f"Spearman {_correlation(score.spearman)}  Pearson {_correlation(score.pearson)}")
    total = score.used + score.unknown
    echo(f"{score.used:,} of {total:,} pairs ({score.used / total:.1%}) have words that are known")
    _tell_bad_lines(score.bad_lines)


def _correlation(value: float | None) -> str:
    return "undefined (all alike)" if value is None else f"{value:+.4f}"


def _tell_bad_lines(count: int) -> None:
    if count:
        echo(f"lines left out, being of another form: {count:,}", err=True)


@click.command()
@click.argument("model")
@click.argument("questions", metavar="FILE")
@seen_options
@json_option
@models_dir_option
def analogies(model: str, questions: str, as_json: bool, **options: Any) -> None:
    """Count the analogies that MODEL's word vectors solve.

    MODEL is a run or a file of vectors. FILE is in the format of word2vec's questions-words.txt:
    sections begin with `: name`, and a question is four words, the last of which is to be found by
    3CosAdd.
    """
    from engine import messages as p

    path = _path(questions, "The file of analogies")
    asked = p.MeasureAnalogies(questions=path, view=view_of(options))
    place, connect = vectors_of(model)
    score = wait_for(answer(place, asked, connect))
    if as_json:
        print_json(score)
        return
    rows = [(each.name, each.correct, each.asked, each.unknown) for each in score.sections]
    print_table(
        [("section", "right", "of", "", "not known")]
        + [
            (token(name), f"{correct:,}", f"{asked:,}", _share(correct, asked), f"{unknown:,}")
            for name, correct, asked, unknown in [
                *rows,
                ("all", score.correct, score.asked, score.unknown),
            ]
        ]
    )
    _tell_bad_lines(score.bad_lines)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


@click.command()
@click.argument("model")
@click.argument("file")
@click.option("--format", "form", type=click.Choice(_FORMATS), required=True)
@table_option
@json_option
@models_dir_option
def export(model: str, file: str, form: str, table: Any, as_json: bool) -> None:
    """Write the word vectors of MODEL to FILE.

    MODEL is a run or a file of vectors, which so takes another format. gensim and others read
    word2vec and word2vec-binary; glove is the same without a header; projector is for the Embedding
    Projector, whose words go to a second file beside FILE; npz is for NumPy.
    """
    from engine import messages as p

    path = _path(file, "The file of vectors")
    asked = p.Export(path=path, format=form, table=table)  # type: ignore[arg-type]
    place, connect = vectors_of(model)
    done = wait_for(answer(place, asked, connect))
    if as_json:
        print_json(done)
        return
    if done.escaped:
        escaped = counted(done.escaped, "word")
        echo(f"Written with codes, such as \\x20 for a blank: {escaped}.", err=True)
    vectors = _VECTORS.get(done.table, "vectors")
    when = "" if done.table == "file" else f", after {counted(done.step, 'step')}"
    echo(f"{done.words:,} {vectors} of {done.size:,} numbers{when}:")
    for name in done.files:
        echo(name)
