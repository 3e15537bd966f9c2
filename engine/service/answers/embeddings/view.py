"""The word vectors that a question is about, as its view of them says."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.embeddings.history import WordHistory
from engine.embeddings.space import Space, Vectors
from engine.embeddings.transformations import default_components, transformed
from engine.errors import UserError
from engine.messages.embeddings import View
from engine.service.run import Run
from engine.text.lookup import known_token
from engine.text.tokenizer import Tokenizer
from engine.visible import shortened, token

MAX_AMONG = 20_000
"""Words that an answer may be limited to."""
TableName = Literal["input", "output", "tied", "file"]


class Seen(NamedTuple):
    """Word vectors, seen as a view says."""

    space: Space
    tokenizer: Tokenizer
    table: TableName
    components: int
    """Taken away by all-but-the-top."""
    kept: NDArray[np.bool_] | None = None
    """Of the past: whose vectors are kept, (vocabulary,); None of the present."""


def see(run: Run, view: View) -> Seen:
    """The vectors of a run, or of a file, as they stand now. Raises UserError."""
    return seen_as(*tables(run, view), view)


def see_past(run: Run, view: View, step: int) -> tuple[Seen, int]:
    """The input embedding as it was kept at the last step not after this one, and that step. Raises
    UserError where nothing is kept of it."""
    history, tokenizer = history_of(run), run.require_tokenizer()
    if view.table == "output" and not run.config.model.tied:
        raise UserError("Only the input embedding's past is kept: ask that.")
    frame = history.frame_at(min(step, run.step))
    past = history.read(frame) if frame else None
    if past is None:
        raise UserError(f"Nothing of the words' past is kept from before step {step + 1:,}.")
    vectors = np.full((len(tokenizer.vocabulary), history.size), np.nan, np.float32)
    vectors[past.ids] = past.vectors
    kept = np.zeros(len(vectors), np.bool_)
    kept[past.ids] = True
    table: TableName = "tied" if run.config.model.tied else "input"
    return seen_as(tokenizer, vectors, table, view, kept), past.step


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
                f"The past of '{word}' isn't kept: only that of the {seen.kept.sum():,} words that "
                "were the most frequent or pinned."
            )


def seen_as(
    tokenizer: Tokenizer,
    vectors: Vectors,
    table: TableName,
    view: View,
    kept: NDArray[np.bool_] | None = None,
) -> Seen:
    """Vectors (vocabulary, size) of a table, seen as a view says; only the `kept` ones of the past.
    Raises UserError."""
    readable = tokenizer.vocabulary.readable
    may = answerable(tokenizer, view)
    if kept is not None:
        readable, may = readable & kept, may & kept
    components = 0
    if view.transformation == "all-but-the-top":
        size = vectors.shape[1]
        components = default_components(size) if view.components is None else view.components
    seen = transformed(vectors, view.transformation, components, readable)
    space = Space(tokenizer.vocabulary.tokens, seen, may)
    return Seen(space, tokenizer, table, components, kept)


def tables(run: Run, view: View) -> tuple[Tokenizer, Vectors, TableName]:
    """The tokenizer, the vectors (vocabulary, size) of the table that is meant, and which it is."""
    if run.file_vectors is not None:
        return run.require_tokenizer(), run.file_vectors, "file"
    tokenizer, model = run.require_model()
    table: TableName = "tied" if model.config.tied else view.table
    weight = model.output.weight if table == "output" else model.embedding.weight
    return tokenizer, weight.detach().cpu().numpy(), table


def answerable(tokenizer: Tokenizer, view: View) -> NDArray[np.bool_]:
    """Which tokens may be answered (vocabulary,): those that can be read and pass the filters.
    Raises UserError where none does."""
    vocabulary = tokenizer.vocabulary
    may = vocabulary.readable.copy()
    if view.min_count > 0:
        may &= np.array(vocabulary.counts) >= view.min_count
    if len(view.among) > MAX_AMONG:
        raise UserError(f"An answer can be limited to at most {MAX_AMONG:,} words.")
    if view.among:
        listed = np.zeros(len(may), np.bool_)
        for word in view.among:
            if found := known_token(word, tokenizer):  # it may be made for a larger vocabulary
                listed[found[0]] = True
        may &= listed
    if view.words_only:
        may &= ~vocabulary.marks
    if not may.any():
        raise UserError("No word is left that may be answered: loosen the filters.")
    return may
