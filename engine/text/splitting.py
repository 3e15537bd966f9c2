"""Cutting one text into training, validation and test splits by position."""

from collections.abc import Iterable, Iterator

NEAREST = 10_000
"""Characters a cut may move to reach a line end, at most."""


def divide(
    first: str, chunks: Iterable[str], characters: int, shares: dict[str, float]
) -> Iterator[tuple[str, str]]:
    """The text of `chunks`, `characters` long, as (split, chunk): the split
    `first`, then each of `shares`, a share of the characters each.

    A cut stands after the next line end, if that is near: within NEAREST characters and a quarter
    of the smallest split. Else it stands exactly where the shares say.
    """
    lengths = {split: round(characters * share) for split, share in shares.items() if share > 0}
    lengths = {first: characters - sum(lengths.values()), **lengths}
    near = min(NEAREST, min(lengths.values()) // 4)

    split, *rest = lengths
    end, position = lengths[split], 0
    for chunk in chunks:
        while rest and position + len(chunk) >= end:
            cut = _cut(chunk, max(0, end - position), near)
            if cut:
                yield split, chunk[:cut]
            chunk, position = chunk[cut:], position + cut
            split, *rest = rest
            end += lengths[split]
        if chunk:
            yield split, chunk
        position += len(chunk)


def _cut(chunk: str, index: int, near: int) -> int:
    """Where to cut `chunk` for a split that should end at `index`."""
    line_end = chunk.find("\n", max(index - 1, 0), index + near)
    return index if line_end < 0 else line_end + 1
