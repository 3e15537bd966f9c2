"""The tokens of a sentence compared with one another."""

import numpy as np

from engine.embeddings.space import Vectors
from engine.messages.embeddings import Similarities, SimilarityMatrix, View
from engine.service.answers import answers, check_length
from engine.service.answers.embeddings.sentences import MAX_SENTENCE
from engine.service.answers.embeddings.view import tables
from engine.service.run import Run

MOST = 64
"""Tokens that are compared."""


@answers(Similarities)
def similarities(query: Similarities, run: Run) -> SimilarityMatrix:
    """By the input embedding as it stands. Raises UserError."""
    tokenizer, vectors, _ = tables(run, View())
    check_length(query.text, MAX_SENTENCE)
    texts = tokenizer.tokens(query.text)[:MOST]
    found = [tokenizer.vocabulary.id(text) for text in texts]
    ids = [tokenizer.vocabulary.unknown if id is None else id for id in found]  # noqa: A001
    vocabulary, size = vectors.shape
    text_tokens = run.corpus.summary.tokens["train"] if run.corpus is not None else 0
    return SimilarityMatrix(
        tokens=texts,
        ids=ids,
        cosines=_cosines(vectors[ids]),
        step=run.step,
        vocabulary_one_hot_bytes=vocabulary * vocabulary * 4,
        vocabulary_embedding_bytes=vocabulary * size * 4,
        text_tokens=text_tokens,
        text_one_hot_bytes=text_tokens * vocabulary * 4,
    )


def _cosines(vectors: Vectors) -> list[list[float | None]]:
    """Of each row of (tokens, size) with each, None where one of them has no direction."""
    with np.errstate(all="ignore"):
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = (units @ units.T).clip(-1, 1)
    return [[value if np.isfinite(value) else None for value in row] for row in cosines.tolist()]
