"""Questions that are answered by text of the model's own."""

from msgspec import Struct, field

from engine.config import Sampling
from engine.messages.base import Message


class Generate(Sampling, Message, frozen=True, kw_only=True):
    """Text from the live weights, chosen as the knobs say: a stream of WrittenToken, one a token.
    Cancel it by `Cancel`. Where the seed is None, chance draws one: see WrittenToken."""

    prompt: str = ""
    """At most 100,000 characters. What is written goes on right after its last one."""
    given: list[int] = field(default_factory=list)
    """Tokens behind the prompt that are there already, at most 100,000: with another one chosen in
    the place of the last, the text goes on from there. That last one is the first piece, and counts
    among `tokens`. With the first tokens of a text, and its seed, the text goes on as it did; other
    knobs may be turned on the way."""
    tokens: int = 100
    overrun: int = 0
    """So many tokens more, at most, to come to the end of the sentence; none by beam search."""
    alternatives: int = 0
    """How many other tokens each piece is to tell of, at most 50."""
    readable: bool = False
    """Whether words are written as people write them: punctuation, contractions and capitals put
    back by rules (`engine.text.readable`)."""
    checkpoint: str = ""
    """The name of a checkpoint of the run (`step-00000100`) that is to write in its place."""
    per_second: float = 0.0
    """At most this many tokens a second, so that people can read along; 0 for no limit."""


class Alternative(Struct, frozen=True):
    """A token that could have come, too."""

    token: int
    text: str
    """As the vocabulary has it."""
    probability: float


class TokenOpened(Struct, frozen=True, kw_only=True):
    """A token laid open: what the model itself thought of it, before temperature and filters."""

    token: int
    """Its id, to be `given`."""
    raw: str
    """As the vocabulary has it."""
    probability: float
    rank: int
    """1 for the most probable."""
    entropy: float
    """Of the moment, in bits: 0 where there is nothing to choose."""
    alternatives: list[Alternative]
    """The most probable other tokens, the most probable first."""


class WrittenToken(Message, frozen=True, kw_only=True):
    """A piece of generated text, written by the weights after `step` steps."""

    text: str
    step: int
    seed: int | None = None
    """That of the whole text: the one asked for, or the one chance drew."""
    note: str = ""
    """With the first piece: which words of the prompt are unknown, if any."""
    opened: TokenOpened | None = None
    """The token that it is; None of the one empty piece of a text that ended with its first."""


class GenerateMany(Sampling, Message, frozen=True, kw_only=True):
    """Many texts after one prompt, side by side, from the weights of the moment it begins: a stream
    of Progress, then of each text its tokens as WrittenToken, if they are asked for, and its
    WrittenText. Each is what its seed writes alone."""

    prompt: str = ""
    """At most 100,000 characters."""
    tokens: int = 100
    readable: bool = False
    """As in Generate."""
    count: int = 1
    """At most 1,000, and with `tokens` at most 1,000,000 tokens in all."""
    alternatives: int | None = None
    """How many other tokens each piece is to tell of, at most 50, and 1,000,000 in all; None for no
    pieces."""


class WrittenText(Message, frozen=True, kw_only=True):
    """One of many texts."""

    text: str
    step: int
    seed: int
    """The first text has the seed that was asked for, or that chance drew; each other one more."""
    note: str = ""
    """With the first: which words of the prompt are unknown, if any."""


class ThroughTime(Message, frozen=True, kw_only=True):
    """What the model wrote while it was trained, each time after the same prompt and by the same
    seed (training.sample_prompt, training.sample_every): Samples. Void ones are left out."""

    most: int = 1_000
    """How many, at most 1,000: of more, some that lie evenly between the first and the last."""


class Sample(Struct, frozen=True):
    """A text that was written at a step."""

    step: int
    text: str
    """The prompt and what the model wrote after it; at most 2,000 characters."""


class Samples(Message, frozen=True, kw_only=True):
    """Samples in the order of their steps."""

    prompt: str
    """That of the run now."""
    seed: int
    """By which the same weights write the same text after it."""
    total: int
    """How many the run has."""
    samples: list[Sample]


GenerationQuestion = Generate | GenerateMany | ThroughTime
GenerationReply = WrittenToken | WrittenText | Samples
