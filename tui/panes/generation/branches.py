"""A text with all the ways it was taken from one of its tokens on: a small tree of branches."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.messages import Alternative, WrittenToken

MOST = 40
"""Branches of a text that are kept."""


@dataclass(eq=False, slots=True)
class Branch:
    """The tokens of one way through, from the prompt on."""

    tokens: list[WrittenToken] = field(default_factory=list)
    parent: "Branch | None" = None
    """The one it was taken from."""
    fork: int = 0
    """How many of its tokens are that one's."""
    name: str = ""
    """What it was called, if anything."""

    @property
    def text(self) -> str:
        """As it reads behind the prompt."""
        return "".join(token.text for token in self.tokens)

    @property
    def ids(self) -> list[int] | None:
        """Of its tokens; None where one of them wasn't laid open."""
        ids = [token.opened.token for token in self.tokens if token.opened is not None]
        return ids if len(ids) == len(self.tokens) else None


class Tree:
    """The branches of one text, and the one that is seen."""

    def __init__(self) -> None:
        self.now = Branch()
        self._branches = [self.now]

    def __len__(self) -> int:
        return len(self._branches)

    @property
    def full(self) -> bool:
        """Whether there is no room for another branch: none can go."""
        return len(self) >= MOST and not self._spare

    @property
    def _spare(self) -> list[Branch]:
        """What may go for another branch: not the first one, the present one, or one with a
        name."""
        return [each for each in self._branches[1:] if each is not self.now and not each.name]

    def fork(self, tokens: int) -> Branch | None:
        """Begin a branch that has so many tokens of the present one; it is the present one from now
        on. Must not be full. Returns the branch that went, if there were too many: the oldest that
        nothing came of, or else the oldest, whose own are from now on its parent's."""
        gone = None
        if len(self) >= MOST:
            parents = {branch.parent for branch in self._branches}
            gone = min(self._spare, key=lambda each: each in parents)
            self._remove(gone)
        self.now = Branch(self.now.tokens[:tokens], self.now, tokens)
        self._branches.append(self.now)
        return gone

    def _remove(self, gone: Branch) -> None:
        self._branches.remove(gone)
        for each in self._branches:
            if each.parent is gone:
                each.parent, each.fork = gone.parent, min(each.fork, gone.fork)

    def back(self) -> bool:
        """Go to the branch that the present one was taken from, if it was."""
        if self.now.parent is None:
            return False
        self.now = self.now.parent
        return True

    def walk(self, change: int) -> None:
        """Go to the next branch in the order of `rows`, or one before."""
        order = [branch for _, branch in self.rows()]
        self.now = order[(order.index(self.now) + change) % len(order)]

    def rows(self) -> Iterator[tuple[int, Branch]]:
        """Every branch behind the one it was taken from, with how deep it lies."""
        yield from self._below(self._branches[0], 0)

    def _below(self, branch: Branch, depth: int) -> Iterator[tuple[int, Branch]]:
        yield depth, branch
        for each in self._branches:
            if each.parent is branch:
                yield from self._below(each, depth + 1)


def candidates(piece: WrittenToken) -> list[Alternative]:
    """The token and those it beat, the most probable first; none where it wasn't laid open."""
    opened = piece.opened
    if opened is None:
        return []
    own = Alternative(opened.token, opened.raw, opened.probability)
    return sorted([own, *opened.alternatives], key=lambda each: -each.probability)
