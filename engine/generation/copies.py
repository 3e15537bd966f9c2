"""What of a text was copied from another, and how much it repeats itself."""

from collections.abc import Iterator, Sequence


def maximal(longest: Sequence[int], least: int) -> Iterator[tuple[int, int]]:
    """(begin, length) of the stretches of at least so many tokens that no longer one contains, from
    how many tokens are copied from each one on."""
    reached = 0
    for begin, length in enumerate(longest):
        if length >= least and begin + length > reached:
            yield begin, length
        reached = max(reached, begin + length)


def copied_share(stretches: Sequence[tuple[int, int]], tokens: int) -> float:
    """Share of the tokens of a text that are in one of its stretches (begin, length)."""
    covered = reached = 0
    for begin, length in sorted(stretches):
        end = begin + length
        covered += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return covered / max(1, tokens)


def distinct(tokens: Sequence[int], size: int) -> float | None:
    """Different n-grams of this size by all of them (Li et al. 2016, "A Diversity-Promoting
    Objective Function for Neural Conversation Models"); None where there are none."""
    found = _ngrams(tokens, size)
    return len(set(found)) / len(found) if found else None


def repetition(tokens: Sequence[int], size: int) -> float | None:
    """Share of the n-grams of this size that came before in the text (Welleck et al. 2020, "Neural
    Text Generation with Unlikelihood Training"); None where there are none."""
    share = distinct(tokens, size)
    return None if share is None else 1 - share


def _ngrams(tokens: Sequence[int], size: int) -> list[tuple[int, ...]]:
    return [tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]
