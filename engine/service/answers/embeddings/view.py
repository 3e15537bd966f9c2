"""The word vectors that a question is about, as its view of them says."""

from collections.abc import Generator
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from engine.embeddings.history import WordHistory
from engine.embeddings.space import Space, Vectors
from engine.embeddings.transformations import default_components, transformed
from engine.errors import UserError
from engine.messages.embeddings import SeenTable, View
from engine.service.run import Run
from engine.text.lookup import known_token, unit
from engine.text.tokenizer import Tokenizer
from engine.text.vocabulary import Vocabulary
from engine.visible import shortened, token

MAX_AMONG = 20_000
"""Words that an answer may be limited to."""
_STRETCH = 200
"""Words of a list that are looked up between two steps."""


class Seen(NamedTuple):
    """Word vectors, seen as a view says."""

    space: Space
    tokenizer: Tokenizer
    table: SeenTable
    components: int
    """Taken away by all-but-the-top."""
    kept: NDArray[np.bool_] | None = None
    """Of the past: whose vectors are kept, (vocabulary,); None of the present."""


def see(run: Run, view: View) -> Generator[None, None, Seen]:
    """The vectors of a run, or of a file, as they stand once the words of a list are looked up.
    Raises UserError."""
    listed = yield from listed_words(run.require_tokenizer(), view.among)
    return seen_as(*tables(run, view), view, listed)


def see_past(run: Run, view: View, step: int) -> Generator[None, None, tuple[Seen, int]]:
    """The input embedding as it was kept at the last step not after this one, and that step. Raises
    UserError where nothing is kept of it."""
    history, tokenizer = history_of(run), run.require_tokenizer()
    listed = yield from listed_words(tokenizer, view.among)
    if view.table != "input" and not run.config.model.tied:
        raise UserError("Only the input embedding's past is kept: ask that.")
    frame = history.frame_at(min(step, run.step))
    past = history.read(frame) if frame else None
    if past is None:
        raise UserError(
            f"Nothing of the {unit(tokenizer)}s' past is kept from before step {step + 1:,}."
        )
    vectors = np.full((len(tokenizer.vocabulary), history.size), np.nan, np.float32)
    vectors[past.ids] = past.vectors
    kept = np.zeros(len(vectors), np.bool_)
    kept[past.ids] = True
    table: SeenTable = "tied" if run.config.model.tied else "input"
    return seen_as(tokenizer, vectors, table, view, listed, kept), past.step


def history_of(run: Run) -> WordHistory:
    """What is kept of the past of a run's embedding. Raises UserError where there is no run, or it
    isn't read yet."""
    tokenizer = run.require_tokenizer()
    if run.file_vectors is not None:
        raise UserError(run.reason)
    if run.history is None:
        size = run.config.model.embedding_size
        run.history = WordHistory(run.folder, size, tokenizer.vocabulary.readable)
    return run.history


def check_kept(seen: Seen, ids: list[int]) -> None:
    """Raises UserError where the past of a word isn't kept."""
    for index in ids:
        if seen.kept is not None and not seen.kept[index]:
            word = shortened(token(seen.tokenizer.vocabulary.tokens[index]))
            raise UserError(
                f"The past of '{word}' isn't kept: only that of the {seen.kept.sum():,} "
                f"{unit(seen.tokenizer)}s that were the most frequent or pinned."
            )


def seen_as(
    tokenizer: Tokenizer,
    vectors: Vectors,
    table: SeenTable,
    view: View,
    listed: NDArray[np.bool_] | None,
    kept: NDArray[np.bool_] | None = None,
) -> Seen:
    """Vectors (vocabulary, size) of a table, seen as a view says; only the `kept` ones of the past.
    `listed` is which tokens are in its list, where it has one. Raises UserError."""
    readable = tokenizer.vocabulary.readable
    may = _answerable(tokenizer, view, listed)
    if kept is not None:
        readable, may = readable & kept, may & kept
    components = 0
    if view.transformation == "all-but-the-top":
        size = vectors.shape[1]
        components = default_components(size) if view.components is None else view.components
    seen = transformed(vectors, view.transformation, components, readable)
    space = Space(tokenizer.vocabulary.tokens, seen, may)
    return Seen(space, tokenizer, table, components, kept)


def tables(run: Run, view: View) -> tuple[Tokenizer, Vectors, SeenTable]:
    """The tokenizer, the vectors (vocabulary, size) of the table that is meant, and which it is.
    Raises UserError."""
    if run.file_vectors is not None:
        return run.require_tokenizer(), run.file_vectors, "file"
    tokenizer, model = run.require_model()
    embedding, output = (
        layer.weight.detach().cpu().numpy() for layer in (model.embedding, model.output)
    )
    return tokenizer, *chosen_table(view, embedding, None if model.config.tied else output)


def chosen_table(
    view: View, embedding: Vectors, output: Vectors | None
) -> tuple[Vectors, SeenTable]:
    """The vectors (vocabulary, size) of the table that is meant, and which it is; `output` is None
    where it is tied. Raises UserError where the two have no mean."""
    if output is None:
        return embedding, "tied"
    if view.table == "input":
        return embedding, "input"
    if view.table == "output":
        return output, "output"
    if embedding.shape != output.shape:
        raise UserError(
            f"The input embedding's vectors have {embedding.shape[1]:,} numbers and the output "
            f"layer's {output.shape[1]:,}, so there is no mean of both: ask one of them."
        )
    return (embedding + output) / np.float32(2), "both"


def listed_words(
    tokenizer: Tokenizer, words: list[str]
) -> Generator[None, None, NDArray[np.bool_] | None]:
    """Which tokens (vocabulary,) are in a list, which is looked up once, a stretch at a time; None
    without a list. Raises UserError where it is too long."""
    if not words:
        return None
    if len(words) > MAX_AMONG:
        raise UserError(f"An answer can be limited to at most {MAX_AMONG:,} {unit(tokenizer)}s.")
    vocabulary = tokenizer.vocabulary
    last, listed = _listed_last.get(vocabulary, ([], None))
    if words != last:
        listed = np.zeros(len(vocabulary), np.bool_)
        for place, word in enumerate(words):
            if place and place % _STRETCH == 0:
                yield None
            if found := known_token(word, tokenizer):  # it may be made for a larger vocabulary
                listed[found[0]] = True
        _listed_last[vocabulary] = words, listed
    return listed


_listed_last: WeakKeyDictionary[Vocabulary, tuple[list[str], NDArray[np.bool_] | None]] = (
    WeakKeyDictionary()
)


def _answerable(
    tokenizer: Tokenizer, view: View, listed: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Which tokens may be answered (vocabulary,): those that can be read and pass the filters.
    Raises UserError where none does."""
    vocabulary = tokenizer.vocabulary
    may = vocabulary.readable.copy()
    if view.min_count > 0:
        may &= np.array(vocabulary.counts) >= view.min_count
    if listed is not None:
        may &= listed
    if view.words_only:
        may &= ~vocabulary.marks
    if not may.any():
        raise UserError(f"No {unit(tokenizer)} is left that may be answered: loosen the filters.")
    return may
