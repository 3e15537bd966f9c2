"""What the numbers of a model are per: its tokens are words, characters or pieces of words."""

from typing import TYPE_CHECKING, NamedTuple

from engine.config import TokenizerName
from engine.events import Evaluated
from tui.numbers import grouped

if TYPE_CHECKING:
    from engine.runs import RunInfo


class Unit(NamedTuple):
    """What a loss and a perplexity are per."""

    axis: str
    """On a chart's axis."""
    per: str
    short: str
    """Where there is little room."""
    one: str
    """What one of its tokens is called."""


UNITS: dict[TokenizerName, Unit] = {
    "word": Unit("token", "per word token", "word", "word"),
    "whitespace": Unit("token", "per word token", "word", "word"),
    "character": Unit("character", "per character", "char", "character"),
    "subword": Unit("token", "per sub-word piece", "piece", "piece"),
}


def known_perplexity(run: "RunInfo", decimals: int) -> str:
    """The lowest measured of a run with what it is per; empty where there is none."""
    if run.valid_perplexity is None:
        return ""
    per = f"/{UNITS[run.config.corpus.tokenizer].short}" if run.config else ""
    return f"{grouped(run.valid_perplexity, decimals)}{per}"


def measures(event: Evaluated, tokenizer: TokenizerName) -> list[str]:
    """What a validation tells of the model, with its units: of characters first the bits."""
    perplexity = "not finite" if event.perplexity is None else grouped(event.perplexity, 2)
    told = [f"perplexity {perplexity} {UNITS[tokenizer].per}"]
    if event.bits_per_character is not None:
        bits = f"{grouped(event.bits_per_character, 3)} bits/character"
        told.insert(0 if tokenizer == "character" else 1, bits)
    return told


def early_stopping(stale: int | None, patience: int | None) -> str:
    """How near it is, in words, from the steering validations since the best one; empty where it
    is off or nothing was measured."""
    if patience is None or stale is None:
        return ""
    return f"{stale} of {patience} validations without a better one"


def in_short(event: Evaluated, tokenizer: TokenizerName) -> str:
    """The measure a model is known by, in few characters; empty where it is not finite."""
    short = UNITS[tokenizer].short
    if tokenizer == "character" and event.bits_per_character is not None:
        return f"{grouped(event.bits_per_character, 3)} bits/{short}"
    return "" if event.perplexity is None else f"ppl {grouped(event.perplexity, 1)}/{short}"
