r"""A file's bytes to text: from UTF-8, or UTF-16 with its mark, and nothing else, to UTF-8.

Only `\n`, `\r\n` and `\r` end a line, and each is given as `\n`; U+2028, U+0085 and the like
are ordinary characters.
"""

import codecs
import io
from collections.abc import Iterable, Iterator

import numpy as np

from engine.errors import UserError

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decode(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The text of `blocks` (a file's bytes, cut anywhere; the first at least 3 bytes long unless
    the file is shorter) as UTF-8 in chunks that end between two characters, its byte order mark
    removed and its line ends normalised.

    Raises UserError with `name` and the byte offset of the first byte that isn't text.
    """
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    decoder: codecs.IncrementalDecoder = codecs.getincrementaldecoder("utf-8")()
    encoding, offset, pending = "utf-8", 0, b""
    plain = True
    for block in blocks:
        if offset == 0:
            mark, encoding = _mark(block)
            decoder = codecs.getincrementaldecoder(encoding)()
            block, offset = block[len(mark) :], len(mark)
        text = _decode_block(decoder, block, offset, encoding, name)
        plain = plain and encoding == "utf-8" and b"\r" not in block
        if plain:  # most often, and then there is nothing to translate
            data = pending + block
            pending = decoder.getstate()[0]  # the beginning of a character
            yield data[: len(data) - len(pending)]
        else:
            yield newlines.decode(text).encode()
        offset += len(block)
    text = _decode_block(decoder, b"", offset, encoding, name, final=True)
    yield newlines.decode(text, True).encode()


_IN_TEXT = bytes({*b"\a\b\t\n\f\r\x1b", *range(0x20, 0x7F), *range(0x80, 0x100)})
"""Bytes that texts hold: of the control characters those that lay out or colour."""


def begins_as_text(beginning: bytes) -> bool:
    """Whether a file's first bytes look like text, UTF-8 or not: its mark says UTF-16, or there is
    no control character that texts don't have."""
    mark, encoding = _mark(beginning)
    if mark and encoding != "utf-8":
        return True
    return not beginning.translate(None, _IN_TEXT)


def characters(text: bytes) -> int:
    """Of a text in UTF-8: the bytes that don't go on with a character."""
    return int(np.count_nonzero(np.frombuffer(text, np.int8) >= -64))


def _mark(block: bytes) -> tuple[bytes, str]:
    for mark, encoding in MARKS:
        if block.startswith(mark):
            return mark, encoding
    return b"", "utf-8"


def _decode_block(
    decoder: codecs.IncrementalDecoder,
    block: bytes,
    offset: int,
    encoding: str,
    name: str,
    *,
    final: bool = False,
) -> str:
    """The characters that `block`, the bytes at `offset`, completes."""
    begin = offset - len(decoder.getstate()[0])  # where the character cut by the last block began
    try:
        text = decoder.decode(block, final)
    except UnicodeDecodeError as error:
        _refuse_nul(error.object[: error.start].decode(encoding), begin, encoding, name)
        raise UserError(_explain(error, begin, encoding, name)) from None
    if b"\0" in block:
        _refuse_nul(text, begin, encoding, name)
    return text


def _refuse_nul(text: str, begin: int, encoding: str, name: str) -> None:
    index = text.find("\0")
    if index >= 0:
        offset = begin + len(text[:index].encode(encoding))
        raise UserError(
            f"{name} isn't text: byte {offset} is NUL. It is a binary file, or UTF-16 or UTF-32 "
            f"that should be converted to UTF-8."
        )


def _explain(error: UnicodeDecodeError, begin: int, encoding: str, name: str) -> str:
    offset = begin + error.start
    if error.reason in ("unexpected end of data", "truncated data"):
        return (
            f"{name} ends in the middle of a character: the one that begins at byte {offset} is "
            f"incomplete in {encoding.upper()}."
        )
    advice = (
        "It looks like a binary file."
        if b"\0" in error.object and encoding == "utf-8"
        else "Convert the file to UTF-8."
    )
    byte = error.object[error.start]
    return (
        f"{name} isn't {encoding.upper()} text: byte {offset} is 0x{byte:02X}, which can't stand "
        f"there. {advice}"
    )
