"""Word vectors measured, and written to files."""

from collections.abc import Callable, Generator, Iterator

import msgspec
import numpy as np

from engine.embeddings.benchmarks import (
    Correlation,
    Section,
    correlate,
    known_words,
    read_analogies,
    read_pairs,
    solve_analogies,
)
from engine.embeddings.export import Written, export_vectors
from engine.embeddings.space import Space, Vectors
from engine.errors import UserError
from engine.events import Progress
from engine.messages.embeddings import (
    AnalogyScore,
    AnalogySection,
    Export,
    Exported,
    MeasureAnalogies,
    MeasureSimilarity,
    SimilarityScore,
    View,
)
from engine.paths import named_path
from engine.service.answers import answers
from engine.service.answers.embeddings.view import Seen, see, tables
from engine.service.run import Run
from engine.text.lookup import find_tokens


@answers(MeasureSimilarity)
def measure_similarity(
    query: MeasureSimilarity, run: Run
) -> Generator[SimilarityScore | None, None, None]:
    """Of the vectors as they are when it begins; of characters and pieces words are composed. The
    file is read as a stream. Raises UserError, on the way, where it can't be read,
    or the model knows too little of it."""
    pairs = read_pairs(named_path(query.pairs, "The file of pairs"))
    seen = _still((yield from see(run, _unfiltered(query.view))), query.view)
    step = run.step
    for found in correlate(pairs, _finder(seen)):
        if isinstance(found, Correlation):
            yield _similarity_score(found, seen, query.view, step)
        else:
            yield None


def _similarity_score(found: Correlation, seen: Seen, view: View, step: int) -> SimilarityScore:
    return SimilarityScore(
        spearman=found.spearman,
        pearson=found.pearson,
        used=found.used,
        unknown=found.unknown,
        bad_lines=found.bad,
        table=seen.table,
        transformation=view.transformation,
        components=seen.components,
        step=step,
    )


def _still(seen: Seen, view: View) -> Seen:
    """The vectors as they are now, whatever training makes of them."""
    if view.transformation != "raw" or seen.table == "file":
        return seen
    space = Space(seen.space.tokens, seen.space.vectors.copy(), seen.space.answerable)
    return seen._replace(space=space)


def _unfiltered(view: View) -> View:
    return msgspec.structs.replace(view, min_count=0, among=[], words_only=False)


def _finder(seen: Seen) -> Callable[[str], Vectors | None]:
    """From a word to its unit vector; of zeros where it has no direction, None where it isn't
    known."""
    space, known = seen.space, known_words(seen.tokenizer.vocabulary.tokens)

    def find(word: str) -> Vectors | None:
        index = known.get(word.upper())
        ids = [index] if index is not None else []
        if seen.tokenizer.spells:
            try:
                ids, _ = find_tokens(word, seen.tokenizer)
            except UserError:
                return None
        return _unit_or_zeros(space, ids) if ids else None

    return find


def _unit_or_zeros(space: Space, ids: list[int]) -> Vectors:
    if not np.isfinite(space.vectors[ids]).all():
        raise UserError("The vectors are no longer finite numbers: there is nothing to measure.")
    try:
        return space.meant(*ids).unit
    except UserError:
        return np.zeros(space.vectors.shape[1], np.float32)


@answers(MeasureAnalogies)
def measure_analogies(
    query: MeasureAnalogies, run: Run
) -> Generator[Progress | AnalogyScore | None, None, None]:
    """Of the vectors as they are when it begins. Raises UserError, on the way, where the file can't
    be read."""
    sections, bad = read_analogies(named_path(query.questions, "The file of analogies"))
    seen = _still((yield from see(run, _unfiltered(query.view))), query.view)
    step = run.step
    total = sum(len(questions) for _, questions in sections)
    tokens, vectors = seen.tokenizer.vocabulary.tokens, seen.space.vectors
    found: list[Section] = []
    for told in solve_analogies(sections, tokens, vectors):
        if isinstance(told, int):
            yield Progress(task="solving analogies", done=told, total=total, unit="questions")
        else:
            found = told
    yield AnalogyScore(
        sections=[AnalogySection(**section._asdict()) for section in found],
        correct=sum(section.correct for section in found),
        asked=sum(section.asked for section in found),
        unknown=sum(section.unknown for section in found),
        bad_lines=bad,
        table=seen.table,
        transformation=query.view.transformation,
        components=seen.components,
        step=step,
    )


@answers(Export)
def export(query: Export, run: Run) -> Iterator[Progress | Exported]:
    """Of the vectors as they are when it begins. Raises UserError, on the way, where they can't be
    written."""
    if not query.path.startswith("/"):
        raise UserError("The file to write has to be named by an absolute path.")
    tokenizer, vectors, table = tables(run, View(table=query.table))
    tokens, counts, step = tokenizer.vocabulary.tokens, tokenizer.vocabulary.counts, run.step
    words = len(tokens)
    if table == "file":  # without the <unk> that it got
        words -= counts.count(0)
    vectors = vectors[:words].copy()
    path = named_path(query.path, "The file of vectors")
    for told in export_vectors(path, query.format, tokens[:words], counts[:words], vectors):
        if isinstance(told, Written):
            yield Exported(
                files=[str(file) for file in told.files],
                words=len(vectors),
                size=vectors.shape[1],
                escaped=told.escaped,
                table=table,
                step=step,
            )
        else:
            yield Progress(task="writing vectors", done=told, total=len(vectors), unit="words")
