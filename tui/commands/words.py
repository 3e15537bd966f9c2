"""`lstm-tui neighbours` and `lstm-tui words`: questions to word vectors."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from engine.errors import UserError
from engine.visible import quoted, token
from tui.commands.numbers import MOST, WholeRange
from tui.commands.shared import (
    Connect,
    ask,
    echo,
    find,
    json_option,
    models_dir_option,
    models_folder,
    print_json,
    print_table,
    wait_for,
)

if TYPE_CHECKING:
    from engine.messages import AnyAnswer, View, WordAnswer

Command = TypeVar("Command", bound=Callable[..., Any])

GRAMMAR = """QUERY is a word, or one of `king - man + woman` (an analogy), `a b c` (their centroid),
`odd: apple banana train` (which doesn't belong), `a ~ b` (how near, and each one's rank),
`closer: a b` (the words nearer to a than b is); a word that is itself a sign in double quotes."""
_MOST_LISTED = 1 << 20
"""Bytes of a list of words."""
table_option = click.option(
    "--table",
    type=click.Choice(["input", "output", "both"]),
    default="input",
    show_default=True,
    help="The embedding, the output layer's weights, or the mean of both; tied, they are one.",
)
_SEEN = (
    table_option,
    click.option(
        "--transform",
        type=click.Choice(["raw", "mean-removed", "all-but-the-top"]),
        default="raw",
        show_default=True,
        help="Take away the vectors' mean, or the directions they differ most in as well (Mu & "
        "Viswanath 2018).",
    ),
    click.option(
        "--components",
        type=WholeRange(1, 8192),
        metavar="K",
        help="How many directions all-but-the-top takes; else a hundredth of the vectors' size.",
    ),
)
_FILTERS = (
    click.option(
        "--min-count",
        type=WholeRange(0, MOST),
        default=0,
        help="Answer only words that occur at least so often in the training text.",
    ),
    click.option(
        "--among", metavar="FILE", help="Answer only the words in this file, between blanks."
    ),
    click.option("--words-only", is_flag=True, help="Leave out <unk>, <eos> and numbers."),
)
_QUERY = (
    click.option(
        "--top", type=WholeRange(1, 1000), default=10, show_default=True, help="How many words."
    ),
    click.option("--multiply", is_flag=True, help="Analogies by 3CosMul (Levy & Goldberg 2014)."),
)


def seen_options(command: Command) -> Command:
    """The options that say which vectors are asked, seen how: `view_of` takes them."""
    return _with(_SEEN, command)


def view_options(command: Command) -> Command:
    """The same, and which words may be answered."""
    return _with((*_SEEN, *_FILTERS), command)


def query_options(command: Command) -> Command:
    """The options of a query, beside those of its view."""
    return _with((*_QUERY, *_SEEN, *_FILTERS), command)


def _with(options: "tuple[Callable[[Command], Command], ...]", command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def view_of(options: dict[str, Any]) -> "View":
    """Takes the options of a view out of all that were given. Raises UserError."""
    from engine.messages import View

    among = options.pop("among", None)
    return View(
        table=options.pop("table"),
        transformation=options.pop("transform"),
        components=options.pop("components"),
        min_count=options.pop("min_count", 0),
        among=[] if among is None else listed_words(among),
        words_only=options.pop("words_only", False),
    )


def listed_words(name: str) -> list[str]:
    """The words in a file, between blanks and line ends. Raises UserError."""
    from engine.files import read_plain
    from engine.paths import named_path

    path = named_path(name, "The list of words")
    try:
        words = read_plain(path.resolve(), _MOST_LISTED).decode("utf-8-sig").split()
    except OSError as error:
        raise UserError(f"Can't read {quoted(name)}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{quoted(name)} isn't text in UTF-8.") from None
    if not words:
        raise UserError(f"There is no word in {quoted(name)}.")
    return list(dict.fromkeys(words))


@click.command(
    help="Ask the word vectors of a model.\n\nMODEL is a run's name or a path to its folder, or a "
    f"file of vectors. {GRAMMAR}"
)
@click.argument("model")
@click.argument("query")
@query_options
@click.option("--rank", metavar="OTHER", help="Say instead which place OTHER takes among them.")
@click.option(
    "--at",
    type=WholeRange(0, MOST),
    metavar="STEP",
    help="Of the vectors as they were then: kept are those of the most frequent words.",
)
@click.option(
    "--compare",
    is_flag=True,
    help="Say how many of the first ten an earlier checkpoint has too, and another run on the "
    "same corpus.",
)
@json_option
@models_dir_option
def neighbours(model: str, query: str, rank: str | None, as_json: bool, **options: Any) -> None:
    """Ask a run's word vectors."""
    from engine import messages as p

    (place, connect), view = vectors_of(model), view_of(options)
    if rank is not None:
        _refuse_beside_rank()
        asked = p.Rank(word=query, other=rank, view=view)
        _tell_rank(wait_for(ask(place, asked, connect)), as_json)
        return
    asked_for = p.WordQuery(query=query, view=view, **options)
    _tell(wait_for(ask(place, asked_for, connect)), as_json)


@click.command(
    help="Ask a file of word vectors; without a QUERY on the screen.\n\nFILE is of GloVe's format, "
    f"of word2vec's (text or binary; fastText's .vec too), or such a .gz. {GRAMMAR}"
)
@click.argument("file")
@click.argument("query", required=False)
@query_options
@json_option
def words(file: str, query: str | None, as_json: bool, **options: Any) -> int:
    """Ask a file of word vectors."""
    from engine import messages as p

    if query is None:
        from engine.paths import named_path
        from tui.commands.play import look_at_words

        return look_at_words(models_folder(), named_path(file, "The file of vectors"))
    view = view_of(options)
    asked = p.WordQuery(query=query, view=view, **options)
    _tell(wait_for(ask(*of_file(file, asked))), as_json)
    return 0


def vectors_of(model: str) -> "tuple[Path, Connect | None]":
    """Where the word vectors are that are asked, and how: of a run, by its name or a path to its
    folder, or those of a file. Raises UserError where there is neither."""
    try:
        return find(model), None
    except UserError:
        if not os.path.isfile(os.path.expanduser(model)):  # noqa: PTH111, PTH113 - Path's raises
            raise
    from engine.paths import named_path
    from engine.service.client import ask_vectors

    return named_path(model, "The file of vectors"), ask_vectors


def of_file(name: str, asked: Any) -> "tuple[Path, Any, Connect]":
    """A question to a file of vectors, as `answer` takes it."""
    from engine.paths import named_path
    from engine.service.client import ask_vectors

    return named_path(name, "The file of vectors"), asked, ask_vectors


def _refuse_beside_rank() -> None:
    """Raises UserError where an option was given that a rank has no use for."""
    given = click.get_current_context().get_parameter_source
    for name in ("top", "multiply", "at", "compare"):
        if given(name) is ParameterSource.COMMANDLINE:
            raise UserError(f"--rank tells one place in the list of now: leave out --{name}.")


def _tell_rank(found: "AnyAnswer", as_json: bool) -> None:
    from engine import messages as p

    assert isinstance(found, p.NeighbourRank)
    if as_json:
        print_json(found)
        return
    for note in found.notes:
        echo(note, err=True)
    echo(f"{found.rank:,} of {found.among:,}  {found.cosine:+.3f}")


def _tell(found: "WordAnswer", as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for note in found.notes:
        echo(note, err=True)
    if found.ranks is not None:
        first, second = (token(each.word) for each in found.words)
        ahead, back = found.ranks
        echo(f"cosine {found.cosine:+.3f}")
        echo(f"{second} is number {ahead:,} of {found.among:,} near {first}")
        echo(f"{first} is number {back:,} of {found.among:,} near {second}")
        return
    if found.kind == "closer":
        first, second = (token(each.word) for each in found.words)
        verb = "is" if found.among == 1 else "are"
        echo(f"{found.among:,} {verb} nearer to {first} than {second}, at {found.cosine:+.3f}")
    if found.neighbours:
        print_table([(token(near.word), f"{near.cosine:+.3f}") for near in found.neighbours])
    if found.kind == "odd":
        echo(f"{token(found.neighbours[-1].word)} doesn't belong")
    for overlap in found.overlaps:
        other = "the checkpoint" if overlap.other == "checkpoint" else overlap.other
        echo(
            f"{overlap.shared} of the first {overlap.of} are also those of {other} at step "
            f"{overlap.step:,}"
        )
