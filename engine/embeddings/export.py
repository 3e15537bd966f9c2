"""Word vectors written to a file that other programs read.

word2vec and glove are text (a header `words size`, or none), word2vec-binary is its twin with
little-endian float32, projector is the pair of tables that the Embedding Projector loads, npz holds
two NumPy arrays, `words` and `vectors`. Numbers in text have the nine significant digits that bring
a float32 back.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np

from engine.embeddings.space import Vectors
from engine.errors import UserError
from engine.files import replacing
from engine.paths import check_plain
from engine.visible import quoted, shortened, visible

ExportFormat = Literal["word2vec", "word2vec-binary", "projector", "npz", "glove"]
ROWS = 1000
"""Written at once."""
_SURROGATE = "\ud800-\udfff"
_BREAKING: dict[ExportFormat, re.Pattern[str]] = {
    "projector": re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{_SURROGATE}]"),
    "npz": re.compile(f"[\x00{_SURROGATE}]"),
}
_BREAKING_WORDS = re.compile(rf"[\s\x00-\x1f\x7f-\x9f{_SURROGATE}]")
"""What would part a word in two, in formats that part words by blanks."""


class Written(NamedTuple):
    """What an export has put on the disk."""

    files: list[Path]
    escaped: int
    """Words that are written in another way, with codes such as \\x20."""


def written_files(path: Path, form: ExportFormat) -> list[Path]:
    """The files that an export to `path` consists of."""
    if form != "projector":
        return [path]
    return [path, path.with_name(f"{path.stem}.metadata{path.suffix}")]


def export_vectors(
    path: Path,
    form: ExportFormat,
    tokens: Sequence[str],
    counts: Sequence[int],
    vectors: Vectors,
) -> Iterator[int | Written]:
    """Write words with their counts and vectors (words, size), in their order. Yields how many are
    written so far, and in the end what there is; nothing is there before that.

    Raises UserError where the vectors are not finite, two words would be written the same way, or
    the file can't be written.
    """
    if not np.isfinite(vectors).all():
        raise UserError("The vectors are no longer finite numbers: there is nothing to export.")
    names = _names(tokens, form)
    files = [check_plain(file.resolve()) for file in written_files(path, form)]
    try:
        with replacing(*files) as temporary:
            if form == "npz":
                with temporary[0].open("wb") as file:
                    np.savez(file, words=np.array(names), vectors=vectors)
            else:
                with temporary[0].open("wb") as file:
                    yield from _write_rows(file, form, names, vectors)
            if form == "projector":
                rows = zip(names, counts, strict=True)
                lines = [f"{name}\t{count}\n" for name, count in rows]
                text = "word\tcount\n" + "".join(lines)
                temporary[1].write_bytes(text.encode())
    except OSError as error:
        raise UserError(
            f"Can't write {shortened(visible(str(path)), 200)}: {error.strerror}; nothing of it is "
            "left."
        ) from None
    escaped = sum(name != token for name, token in zip(names, tokens, strict=True))
    yield Written(files, escaped)


def _write_rows(
    file: BinaryIO, form: ExportFormat, names: list[str], vectors: Vectors
) -> Iterator[int]:
    size = vectors.shape[1]
    if form.startswith("word2vec"):
        file.write(f"{len(names)} {size}\n".encode())
    numbers = ("\t" if form == "projector" else " ").join(["%.9g"] * size)
    for begin in range(0, len(names), ROWS):
        rows = vectors[begin : begin + ROWS]
        some = names[begin : begin + ROWS]
        if form == "word2vec-binary":
            parts = zip(some, rows.astype("<f4"), strict=True)
            file.write(b"".join(f"{name} ".encode() + row.tobytes() + b"\n" for name, row in parts))
        else:
            written = [numbers % tuple(row) for row in rows.tolist()]
            if form != "projector":
                written = [f"{name} {row}" for name, row in zip(some, written, strict=True)]
            file.write("".join(f"{line}\n" for line in written).encode())
        yield min(begin + ROWS, len(names))


def _names(tokens: Sequence[str], form: ExportFormat) -> list[str]:
    """The tokens as the format can hold them. Raises UserError where two would be the same."""
    breaking = _BREAKING.get(form, _BREAKING_WORDS)
    names = [_escaped(token, breaking) for token in tokens]
    if len(set(names)) < len(names):
        taken: dict[str, str] = {}
        for token, name in zip(tokens, names, strict=True):
            if (other := taken.setdefault(name, token)) != token:
                raise UserError(
                    f"{quoted(other)} and {quoted(token)} would be the same word in a {form} file: "
                    "choose another format."
                )
    return names


def _escaped(token: str, breaking: re.Pattern[str]) -> str:
    if token.isspace():
        return "".join(map(_code, token))
    return breaking.sub(lambda match: _code(match[0]), token)


def _code(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
