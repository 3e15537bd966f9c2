"""Questions to the word vectors."""

from msgspec import Struct

from engine.messages.base import Message


class Neighbours(Message, frozen=True, kw_only=True):
    """The words whose embeddings have the largest cosine with this word's: NeighbourList. Of
    characters and pieces of words it is one as it stands in the text, a blank too."""

    word: str
    """At most 2,000 characters."""
    top: int = 10
    """At most 1,000."""


class Neighbour(Struct, frozen=True):
    """A word near another."""

    word: str
    cosine: float


class NeighbourList(Message, frozen=True, kw_only=True):
    """The words nearest to one, the nearest first."""

    word: str
    """As the vocabulary has it."""
    note: str = ""
    """How the word was read, where it is in another form in the vocabulary."""
    step: int
    count: int
    """How often the word occurs in the training split."""
    neighbours: list[Neighbour]


class Rank(Message, frozen=True, kw_only=True):
    """Which place one word takes among the neighbours of another: NeighbourRank. Words are read as
    those of Neighbours."""

    word: str
    """At most 2,000 characters."""
    other: str
    """The one whose place is asked for; at most 2,000 characters."""


class NeighbourRank(Message, frozen=True, kw_only=True):
    """The place of `other` among the neighbours of `word`, as `rank` of gensim's KeyedVectors."""

    word: str
    """As the vocabulary has it."""
    other: str
    """The same."""
    notes: list[str]
    """How the two were read, where they are in another form in the vocabulary."""
    step: int
    rank: int
    """1 for the nearest neighbour."""
    among: int
    """How many words have a place."""
    cosine: float
    """Of the two words' vectors."""


class Represent(Message, frozen=True, kw_only=True):
    """A sentence as one-hot rows, ids and embeddings: Representation."""

    text: str
    """At most 2,000 characters."""


class TokenView(Struct, frozen=True, kw_only=True):
    """One token of a sentence, both ways."""

    text: str
    id: int
    known: bool
    """False: it is <unk> to the model; `id` is that of <unk>."""
    embedding: list[float]
    """Its vector, or the first 1,024 numbers of it; empty until the model is built, and for the
    tokens behind the first 64."""


class Representation(Message, frozen=True, kw_only=True):
    """A sentence as one-hot rows and as embedding rows, with what each costs as float32."""

    tokens: list[TokenView]
    vocabulary: int
    """Length of a one-hot row."""
    embedding_size: int
    one_hot_bytes: int
    """For the whole sentence: tokens x vocabulary x 4."""
    embedding_bytes: int
    """For the whole sentence: tokens x embedding_size x 4."""


EmbeddingQuestion = Neighbours | Rank | Represent
EmbeddingReply = NeighbourList | NeighbourRank | Representation
