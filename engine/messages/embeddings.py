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
    word: str
    cosine: float


class NeighbourList(Message, frozen=True, kw_only=True):
    word: str
    """As the vocabulary has it."""
    note: str = ""
    """How the word was read, where it is in another form in the vocabulary."""
    step: int
    count: int
    """How often the word occurs in the training split."""
    neighbours: list[Neighbour]


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
    """The first 8 numbers of its vector; empty until the model is built."""


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


EmbeddingQuestion = Neighbours | Represent
EmbeddingReply = NeighbourList | Representation
