"""`lstm-tui evaluate` and `lstm-tui replay`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tui.commands.new_run import source_of, spool
from tui.commands.numbers import Real, Whole
from tui.commands.shared import (
    answer,
    echo,
    find,
    json_option,
    models_dir_option,
    print_json,
    wait_for,
    with_corpus,
)
from tui.numbers import counted, grouped

if TYPE_CHECKING:
    from engine.messages import CorpusScore, Replayed


_TOKENS = {"character": "character", "subword": "piece"}
"""What a token is, where it is no word or mark."""


@click.command()
@click.argument("model")
@click.argument("corpus")
@click.option(
    "--split",
    type=click.Choice(["train", "valid", "test"]),
    help="A split of MODEL's own text, or of a folder that brings train.txt.",
)
@click.option(
    "--dynamic",
    is_flag=True,
    help="Let a copy of the weights learn from the text as it is read (Krause et al. 2018).",
)
@click.option(
    "--cache",
    is_flag=True,
    help="Beside the model, a cache of the recent text (Grave et al. 2017).",
)
@click.option("--theta", type=Real(), help="Of the cache: sharpness; 0.662 where not given.")
@click.option("--lambda", "share", type=Real(), help="Of the cache: its share; 0.1279.")
@click.option("--window", type=Whole(), help="Of the cache: tokens remembered; 2,000.")
@click.option("--rate", type=Real(), help="Of dynamic evaluation: the learning rate; 1.2e-4.")
@click.option("--decay", type=Real(), help="Of dynamic evaluation: back to the weights; 0.008.")
@click.option(
    "--fit",
    is_flag=True,
    help="Choose those that are not given on the validation split of MODEL's own text.",
)
@json_option
@models_dir_option
def evaluate(
    model: str,
    corpus: str,
    split: str | None,
    dynamic: bool,
    cache: bool,
    theta: float | None,
    share: float | None,
    window: int | None,
    rate: float | None,
    decay: float | None,
    fit: bool,
    as_json: bool,
) -> None:
    """Measure a model on a text.

    The perplexity of CORPUS (as for train) under MODEL, a run's name or a path to its folder, per
    token, and for pieces of words per word too; and the bits a character takes. Of the text MODEL
    was trained on, and of a folder with train.txt, one split is measured: without --split its
    test, else valid.
    """
    from engine.messages import EvaluateCorpus, OnlineSettings

    folder = find(model)
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as temporary:
        source = source_of(corpus)
        if corpus == "-":
            source = str(Path(temporary, "corpus.txt"))
            spool(Path(source))
        query = EvaluateCorpus(
            source=source,
            split=split or "",
            dynamic=dynamic,
            cache=cache,
            settings=OnlineSettings(
                theta=theta, share=share, window=window, rate=rate, decay=decay
            ),
            fit=fit,
        )
        connect = with_corpus(folder) if dynamic or fit else None
        score = wait_for(answer(folder, query, connect))
    if as_json:
        print_json(score)
    else:
        _print_score(folder.name, score)


def _print_score(run: str, score: "CorpusScore") -> None:
    """What the model is measured by first: bits for characters, perplexity for words."""
    part = "" if score.split == "all" else f", {score.split} split"
    echo(f"{run} after {counted(score.step, 'step')}, on {score.source}{part}")
    token = _TOKENS.get(score.tokenizer, "token")
    measures = [
        f"perplexity {grouped(score.perplexity, 2)} per {token}",
        f"loss {grouped(score.loss, 4)} nats",
    ]
    if score.perplexity_per_word is not None:
        measures.insert(1, f"{grouped(score.perplexity_per_word, 2)} per word")
    if (bits := score.bits_per_character) is not None:
        measures.insert(
            0 if score.tokenizer == "character" else len(measures),
            f"{grouped(bits, 3)} bits/character",
        )
    counts = f"{counted(score.tokens, 'token')}, {score.unknown:,} unknown"
    echo("  ".join([*measures, counts]))
    echo(score.convention)


@click.command()
@click.argument("run")
@json_option
@models_dir_option
def replay(run: str, as_json: bool) -> int:
    """Train a run once more and compare bit by bit.

    Everything done to RUN by hand is done again at its step. Exit codes: 0 the same, 1 not.
    """
    from engine.messages import Replay

    folder = find(run)
    result = wait_for(answer(folder, Replay(), with_corpus(folder)))
    same = result.first_difference is None and result.weights_equal is not False
    if as_json:
        print_json({"run": folder.name, "same": same, "result": result})
        return 0 if same else 1
    echo(_verdict(result))
    if result.note:
        echo(result.note)
    return 0 if same else 1


def _verdict(result: "Replayed") -> str:
    steps = f"{counted(result.steps, 'step')} replayed"
    if result.first_difference is not None:
        return f"{steps}: the first difference is at step {result.first_difference:,}."
    weights = {
        True: " and the checkpoint's weights",
        False: ", but the checkpoint's weights are others",
        None: "; there is no checkpoint to compare weights with",
    }
    return f"{steps}: every recorded number is the same{weights[result.weights_equal]}."
