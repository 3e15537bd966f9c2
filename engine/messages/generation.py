"""Questions that are answered by text of the model's own."""

from engine.messages.base import Message


class Generate(Message, frozen=True, kw_only=True):
    """Text from the live weights: a stream of TextPiece. Cancel it by `Cancel`."""

    prompt: str = ""
    """At most 100,000 characters. What is written goes on right after its last one."""
    tokens: int = 100
    overrun: int = 0
    """So many tokens more, at most, to come to the end of the sentence."""
    temperature: float = 1.0
    """0 takes the most probable token always."""
    top_k: int = 0
    """0 for no limit."""
    top_p: float = 1.0
    seed: int | None = None
    """None lets chance draw one: see TextPiece."""
    per_second: float = 0.0
    """At most this many tokens a second, so that people can read along; 0 for no limit."""


class TextPiece(Message, frozen=True, kw_only=True):
    """A piece of generated text, written by the weights after `step` steps."""

    text: str
    step: int
    seed: int | None = None
    """That of the whole text: the one asked for, or the one chance drew."""
    note: str = ""
    """With the first piece: which words of the prompt are unknown, if any."""


GenerationQuestion = Generate
GenerationReply = TextPiece
