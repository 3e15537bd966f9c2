"""How words' neighbours came about."""

from collections.abc import Generator

import numpy as np

from engine.embeddings.history import LIMIT, MAX_PINNED, Kept, WordHistory
from engine.embeddings.space import Space
from engine.errors import UserError
from engine.messages.embeddings import (
    Drift,
    DriftedNeighbour,
    PinWords,
    View,
    WordDrift,
    WordPast,
)
from engine.service.answers import answers, check_length
from engine.service.answers.embeddings.queries import MAX_QUERY
from engine.service.answers.embeddings.view import history_of, see
from engine.service.run import Run
from engine.text.lookup import find_token, known_token, unit

MOST = 50
"""Neighbours that are followed."""


@answers(PinWords)
def pin_words(query: PinWords, run: Run) -> WordPast:
    """From the next frame on, in the place of those pinned before; without words nothing changes.
    Raises UserError where there are too many, or the run isn't trained here."""
    tokenizer, history = run.require_tokenizer(), history_of(run)
    if query.words is not None:
        if len(query.words) > MAX_PINNED:
            raise UserError(f"At most {MAX_PINNED} {unit(tokenizer)}s can be pinned.")
        if run.trainer is None or run.asking:
            raise UserError(
                f"A {unit(tokenizer)} is pinned in a run that trains: this one is only asked."
            )
        found = (known_token(word, tokenizer) for word in query.words)
        history.pin([each[0] for each in found if each is not None])
    return past(run, history)


def past(run: Run, history: WordHistory) -> WordPast:
    """What is kept of a run's words."""
    tokens = run.require_tokenizer().vocabulary.tokens
    return WordPast(
        pinned=[tokens[index] for index in history.pinned],
        kept=len(history.words),
        steps=[frame.step for frame in history.frames if frame.step <= run.step],
        bytes=history.taken,
        most_bytes=LIMIT,
    )


@answers(WordDrift)
def word_drift(query: WordDrift, run: Run) -> Generator[None, None, Drift]:
    """Of the input embedding. Raises UnknownWord and UserError."""
    check_length(query.word, MAX_QUERY)
    if query.top > MOST:
        raise UserError(f"At most {MOST} neighbours can be followed.")
    space, tokenizer, *_ = yield from see(run, View(table="input"))
    history, step = history_of(run), run.step
    token, note = find_token(query.word, tokenizer)
    top = max(1, query.top)
    today = space.most_similar([space.meant(token)], top=top)
    ids = [index for index, _ in today]
    steps: list[int] = []
    cosines: dict[int, list[float | None]] = {index: [] for index in ids}
    arrived: dict[int, int | None] = dict.fromkeys(ids)
    for frame in [frame for frame in history.frames if frame.step <= step]:
        then = history.read(frame)
        if then is None:
            continue
        steps.append(frame.step)
        near, best = _neighbourhood(space, then, token, top)
        for index in ids:
            cosines[index].append(near.get(index))
            if index not in best:
                arrived[index] = None
            elif arrived[index] is None:
                arrived[index] = frame.step
        yield None
    return Drift(
        word=tokenizer.vocabulary.tokens[token],
        note=note,
        step=step,
        steps=steps,
        neighbours=[
            DriftedNeighbour(
                word=space.tokens[index],
                cosine=cosine,
                cosines=cosines[index],
                arrived=arrived[index],
            )
            for index, cosine in today
        ],
        past=past(run, history),
    )


def _neighbourhood(
    space: Space, then: Kept, token: int, top: int
) -> tuple[dict[int, float], set[int]]:
    """The cosines of a token with all whose vectors were kept, and the nearest of them; none where
    its own was not, or had no direction."""
    ids = then.ids.tolist()
    kept = Space([space.tokens[index] for index in ids], then.vectors, space.answerable[then.ids])
    try:
        asked = kept.meant(ids.index(token))
    except (ValueError, UserError):
        return {}, set()
    (scores,) = kept.cosines(asked.unit)
    near = {index: float(score) for index, score in zip(ids, scores, strict=True)}
    best = {ids[place] for place, _ in kept.most_similar([asked], top=top)}
    return {index: score for index, score in near.items() if np.isfinite(score)}, best
