"""What is measured, and what each section tells. Free of torch."""

from msgspec import Struct

from engine.events import Progress

SECTIONS = (
    "training-10000",
    "training-33278",
    "memory-33278",
    "generation-10000",
    "generation-33278",
    "neighbours-33278",
)
"""What is measured and the vocabulary, in the order of their telling. Each is measured in a process
of its own, so nothing that one leaves behind in memory or threads is in the way of the next."""


class Race(Struct, frozen=True, tag=True):
    """Ours beside the plain PyTorch loop, block by block in turns."""

    what: str
    """training or generation"""
    vocabulary: int
    device: str
    threads: int
    """That ours trains or writes with."""
    reference_threads: int
    """The same in training; in generation one or torch's own choice, whichever is faster here."""
    ours: float
    """Tokens a second, the median of the blocks."""
    reference: float
    ratio: float
    """Ours to the reference, the median of the pairs of blocks."""
    least: float
    greatest: float
    pairs: int


class Memory(Struct, frozen=True, tag=True):
    """Bytes by which the first steps raise a fresh process's peak memory."""

    vocabulary: int
    ours: int
    reference: int


class Lookup(Struct, frozen=True, tag=True):
    """The nearest neighbours of a word, while nothing else goes on."""

    vocabulary: int
    size: int
    """Of each vector."""
    median: float
    """Seconds."""
    percentile_99: float
    queries: int


Result = Race | Memory | Lookup
Message = Progress | Result
