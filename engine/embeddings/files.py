"""Word vectors from a file: all of them to be asked, or those of a vocabulary to start from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.embeddings.space import Vectors
from engine.embeddings.transformations import principal_directions
from engine.errors import UserError
from engine.text.vector_files import VectorFile
from engine.text.vocabulary import MAX_TOKENS, UNKNOWN, Vocabulary

Tell = Callable[[int], None]
"""Told the bytes of the file read so far."""
_FIRST = 1 << 12
"""Rows that there is room for at first."""


def load_vectors(path: Path, tell: Tell = lambda _: None) -> tuple[Vocabulary, Vectors]:
    """All words of a file, at most a million, and their vectors (vocabulary, size), in its order,
    which is most often the most frequent first; of a word that comes twice the first. `<unk>` is
    among them, a vector of zeros where the file has none.

    It takes little more memory than the numbers. Raises UserError, also where there is too little.
    """
    try:
        return _load(path, tell)
    except MemoryError:
        raise UserError(f"This machine has too little memory for all vectors of {path}.") from None


def _load(path: Path, tell: Tell) -> tuple[Vocabulary, Vectors]:
    file = VectorFile(path)
    size = file.head.size
    vectors = np.empty((_FIRST, size), np.float32)
    words: dict[str, int] = {}
    for word, vector in file.vectors(tell=tell):
        if word in words:
            continue
        if len(words) == MAX_TOKENS - 1:
            break
        if len(words) == len(vectors):
            # In place: the memory of large arrays is moved, not copied.
            vectors.resize((len(vectors) + max(_FIRST, len(vectors) // 8), size), refcheck=False)
        vectors[len(words)] = vector
        words[word] = len(words)
    if not words:
        raise UserError(f"There is no word vector in {file.name}.")
    counts = [1] * len(words)
    if UNKNOWN not in words:
        words[UNKNOWN] = len(words)
        counts.append(0)
    known = len(counts) - counts.count(0)
    vectors.resize((len(words), size), refcheck=False)
    vectors[known:] = 0
    return Vocabulary(list(words), counts), vectors


@dataclass(frozen=True)
class StartingVectors:
    """What of a file an embedding starts from."""

    rows: NDArray[np.int64]
    """Ids of the words that the file holds: 1-D, ascending."""
    vectors: Vectors
    """Of each: (rows, numbers), at most as many numbers as the embedding has; the others of its row
    stay as they were drawn."""
    fingerprint: str
    """Hex digest of what the file holds, unpacked."""
    size: int
    """Numbers of a vector in the file."""
    tokens: float
    """Share of the training text's tokens that are among the words."""


def starting_vectors(
    path: Path, vocabulary: Vocabulary, size: int, tell: Tell = lambda _: None
) -> StartingVectors:
    """The vectors in a file of a vocabulary's words, for an embedding of `size` numbers.

    Where the file has more numbers than that, they are projected on the directions in which these
    words' vectors differ most (PCA). A vector that isn't of finite numbers counts as missing. Only
    what is found is ever held. Raises UserError, also where no word is found.
    """
    file = VectorFile(path)
    wanted = dict(zip(vocabulary.tokens, range(len(vocabulary)), strict=True))
    vectors = np.zeros((len(vocabulary), file.head.size), np.float32)
    found = np.zeros(len(vocabulary), np.bool_)
    for word, vector in file.vectors(wanted, tell):
        index = wanted[word]
        if not found[index] and np.isfinite(vector).all():
            vectors[index] = vector
            found[index] = True
    rows = np.flatnonzero(found)
    if not len(rows):
        raise UserError(f"No word of the vocabulary is among the vectors of {file.name}.")
    for place, row in enumerate(rows.tolist()):
        vectors[place] = vectors[row]  # in place: rows ascend
    vectors = vectors[: len(rows)]
    if file.head.size > size:
        vectors = _projected(vectors, size)
    counts = np.array(vocabulary.counts, np.float64)
    return StartingVectors(
        rows=rows,
        vectors=vectors,
        fingerprint=file.fingerprint,
        size=file.head.size,
        tokens=float(counts[rows].sum() / max(1.0, counts.sum())),
    )


def _projected(vectors: Vectors, size: int) -> Vectors:
    """On their first principal directions, each with the sign that makes its largest number
    positive; the mean stays in."""
    top = principal_directions(vectors - vectors.mean(axis=0), size)
    largest = top[np.arange(size), np.abs(top).argmax(axis=1)]
    projected: Vectors = vectors @ (top * np.sign(largest)[:, np.newaxis]).T
    return projected
