"""Words as points in a plane."""

from collections.abc import Generator, Iterable

import numpy as np
from numpy.typing import NDArray

from engine.embeddings.projection import (
    LEAST,
    Plane,
    Points,
    aligned,
    check_tsne,
    nearest_points,
    pca,
    tsne,
    unit_vectors,
)
from engine.embeddings.space import Vectors
from engine.errors import UserError
from engine.messages.embeddings import MapPoint, MapWords, WordMap
from engine.service.answers import answers, check_length
from engine.service.answers.embeddings.queries import MAX_QUERY
from engine.service.answers.embeddings.view import Seen, see
from engine.service.background import in_background
from engine.service.run import Run
from engine.text.lookup import find_tokens, known_token, unit
from engine.text.queries import parse_query
from engine.text.toy_world import CLASSES

MOST = 2_000
"""Points."""
_GROUPS = {word: group for group, words in CLASSES.items() for word in words}


@answers(MapWords)
def map_words(query: MapWords, run: Run) -> Generator[None, None, WordMap]:
    """Of the vectors as they are when it begins. Raises BadQuery, UnknownWord and UserError."""
    tokenizer = run.require_tokenizer()
    if max(query.top, len(query.words), len(query.previous)) > MOST:
        raise UserError(f"A map holds at most {MOST:,} {unit(tokenizer)}s.")
    check_length(query.around, MAX_QUERY)
    if query.method == "tsne":
        check_tsne()
    seen = yield from see(run, query.view)
    step = run.step
    ids, unknown = _chosen(query, seen)
    tokens, counts = tokenizer.vocabulary.tokens, tokenizer.vocabulary.counts
    units = unit_vectors(seen.space.vectors[ids])
    sound: NDArray[np.bool_] = np.all(np.isfinite(units), axis=1)
    unknown += [tokens[index] for index, fine in zip(ids, sound, strict=True) if not fine]
    ids, units = [index for index, fine in zip(ids, sound, strict=True) if fine], units[sound]
    if len(ids) < LEAST:
        raise UserError(
            f"A map needs at least two {unit(tokenizer)}s that are known and have a direction."
        )
    before = _before(query.previous, [tokens[index] for index in ids])
    plane = yield from _plane(query, units, before)
    points = aligned(plane.points, before).tolist()
    nearest = nearest_points(units).tolist()
    grouped = run.config.corpus.source == "toy-world" and seen.table != "file"
    return WordMap(
        points=[
            MapPoint(
                word=tokens[index],
                x=x,
                y=y,
                count=counts[index],
                group=_GROUPS.get(tokens[index].lower(), "") if grouped else "",
                nearest=near,
            )
            for index, (x, y), near in zip(ids, points, nearest, strict=True)
        ],
        method=query.method,
        explained=plane.explained,
        unknown=unknown,
        table=seen.table,
        transformation=query.view.transformation,
        components=seen.components,
        step=step,
    )


def _plane(query: MapWords, units: Vectors, before: Points) -> Generator[None, None, Plane]:
    if query.method == "pca":
        return pca(units, before if query.previous else None)
    return (yield from in_background(lambda job: tsne(units, job.go_on)))  # type: ignore[misc]


def _chosen(query: MapWords, seen: Seen) -> tuple[list[int], list[str]]:
    """The ids of the words on the map, none twice, and the words that are not known."""
    unknown: list[str] = []
    if query.words:
        ids: list[int] = []
        for word in query.words:
            found = known_token(word, seen.tokenizer)
            if found is None:
                unknown.append(word)
            else:
                ids.append(found[0])
        return list(dict.fromkeys(ids)), unknown
    top = max(LEAST, query.top)
    if not query.around:
        return np.flatnonzero(seen.space.answerable)[:top].tolist(), unknown
    understood = parse_query(query.around)
    terms = [find_tokens(term.text, seen.tokenizer)[0] for term in understood.terms]
    meant = [seen.space.meant(*each) for each in terms]
    pairs = list(zip(understood.terms, meant, strict=True))
    positive = [each for term, each in pairs if term in understood.positive]
    negative = [each for term, each in pairs if term in understood.negative]
    near = [index for index, _ in seen.space.most_similar(positive, negative, top)]
    asked: Iterable[int] = (index for each in terms for index in each)
    return list(dict.fromkeys([*asked, *near]))[:top], unknown


def _before(previous: list[MapPoint], words: list[str]) -> Points:
    """Where words were, NaN where they weren't seen."""
    places = {point.word: (point.x, point.y) for point in previous}
    return np.array([places.get(word, (np.nan, np.nan)) for word in words])
