"""Other models of the same words, for what a list of neighbours is worth: an earlier checkpoint of
the run, and another run on the same corpus."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

from engine.config import CorpusConfig
from engine.embeddings.space import Vectors
from engine.errors import UserError
from engine.messages.embeddings import View
from engine.runs import checkpoints_to_try, load_config, place, saved_checkpoints
from engine.service.answers.embeddings.view import Seen, chosen_table, listed_words, seen_as
from engine.service.background import in_background
from engine.service.run import Run
from engine.text.tokenizer import Tokenizer

_OTHERS = 100
"""Runs that are looked through for one on the same corpus."""
FRESH = 10.0
"""Seconds for which nothing newer is looked for: a list on the screen asks every second."""


class Reference(NamedTuple):
    """A model to compare with."""

    name: str
    """`checkpoint`, or the name of its run."""
    step: int
    path: Path
    tokenizer: Tokenizer
    embedding: Vectors
    """Its vectors, (vocabulary, size)."""
    output: Vectors | None
    """Those of its output layer; None where they are the same."""

    def see(self, view: View) -> Generator[None, None, Seen]:
        """Its vectors as a view says. Raises UserError."""
        listed = yield from listed_words(self.tokenizer, view.among)
        vectors, table = chosen_table(view, self.embedding, self.output)
        return seen_as(self.tokenizer, vectors, table, view, listed)


class _Found(NamedTuple):
    """What there was when it was looked for last."""

    references: list[Reference]
    at: float
    """By the monotonic clock."""


_found_last: WeakKeyDictionary[Run, _Found] = WeakKeyDictionary()


def references(run: Run) -> Generator[None, None, list[Reference]]:
    """Those there were at most FRESH seconds ago. They are looked for and read in the background;
    what was read before is not read again, and what can't be read is left out."""
    if run.file_vectors is not None:
        return []
    folder, corpus, step = run.folder, run.config.corpus, run.step
    known, at = _found_last.get(run, _Found([], -math.inf))
    if time.monotonic() - at < FRESH:
        return known
    found = yield from in_background(  # type: ignore[misc]
        lambda job: list(_find(folder, corpus, step, known, job.go_on))
    )
    _found_last[run] = _Found(found, time.monotonic())
    return found


def _find(
    folder: Path,
    corpus: CorpusConfig,
    step: int,
    known: list[Reference],
    go_on: Callable[[], None],
) -> Iterator[Reference]:
    for name, path in (("checkpoint", _earlier(folder, step)), *_other(folder, corpus)):
        if path is None:
            continue
        go_on()
        found = next((each for each in known if each.path == path), None) or _read(name, path)
        if found is not None:
            yield found


def _earlier(folder: Path, step: int) -> Path | None:
    """The newest checkpoint of the run from before a step."""
    try:
        saved = saved_checkpoints(folder)
    except OSError:
        return None
    return next((path for path in saved if place(path.name)[0] < step), None)


def _other(folder: Path, corpus: CorpusConfig) -> Iterator[tuple[str, Path]]:
    """The newest checkpoint of the first other run, by name, on the same corpus."""
    for config in sorted(folder.parent.glob("*/config.json"))[:_OTHERS]:
        other = config.parent
        try:
            if other.name == folder.name or load_config(other).corpus != corpus:
                continue
            paths = checkpoints_to_try(other)
        except UserError:
            continue
        if paths:
            yield other.name, paths[0]
            return


def _read(name: str, path: Path) -> Reference | None:
    from engine.training.checkpoint import Checkpoint

    try:
        checkpoint = Checkpoint(path)
    except UserError:
        return None
    tied = checkpoint.training.config.model.tied
    embedding = checkpoint.weight("embedding.weight").numpy()
    output = None if tied else checkpoint.weight("output.weight").numpy()
    step, tokenizer = checkpoint.training.step, checkpoint.tokenizer
    return Reference(name, step, path, tokenizer, embedding, output)
