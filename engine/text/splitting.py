"""Cutting one text into training, validation and test splits by position."""

from collections.abc import Iterable, Iterator

from engine.text.decoding import characters

NEAREST = 10_000
"""Characters a cut may move to reach a line end, at most."""


def divide(
    first: str, chunks: Iterable[bytes], length: int, shares: dict[str, float]
) -> Iterator[tuple[str, bytes]]:
    """The text of `chunks`, in UTF-8 and `length` characters long, as (split, chunk): the split
    `first`, then each of `shares`, a share of the characters each.

    A cut stands after the next line end, if that is near: within NEAREST characters and a quarter
    of the smallest split. Else it stands exactly where the shares say.
    """
    lengths = {split: round(length * share) for split, share in shares.items() if share > 0}
    lengths = {first: length - sum(lengths.values()), **lengths}
    near = min(NEAREST, min(lengths.values()) // 4)

    split, *rest = lengths
    end, position = lengths[split], 0
    for chunk in chunks:
        behind = position + characters(chunk)
        while rest and behind >= end:
            text = chunk.decode()
            cut = _cut(text, max(0, end - position), near)
            if cut:
                yield split, text[:cut].encode()
            chunk, position = text[cut:].encode(), position + cut
            split, *rest = rest
            end += lengths[split]
        if chunk:
            yield split, chunk
        position = behind


def _cut(chunk: str, index: int, near: int) -> int:
    """Where to cut `chunk` for a split that should end at `index`."""
    line_end = chunk.find("\n", max(index - 1, 0), index + near)
    return index if line_end < 0 else line_end + 1
