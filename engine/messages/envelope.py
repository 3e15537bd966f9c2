"""The narrow door: how typed messages cross between the engine process and its clients.

A message is one msgpack object behind its length as four big-endian bytes, over a Unix socket.
The engine speaks first, with `Welcome`. Then the client sends `Call`s, each answered by one
`Answer` (or, for a stream, several, the last one marked), and the engine sends `Events` of its own.

Commands take effect between two steps and are answered by `Done` with that step. Questions are
answered from the weights as they stand between two steps and change nothing. Each topic has a
module of its own, which ends with the unions of its questions and of its replies.
"""

from functools import cache
from typing import Any

import msgspec

from engine.config import RunConfig
from engine.errors import Advice
from engine.events import AnyEvent, CorpusSummary, Extent, Progress, State
from engine.messages.base import Message
from engine.messages.cell import CellQuestion, CellReply
from engine.messages.embeddings import EmbeddingQuestion, EmbeddingReply
from engine.messages.evaluation import EvaluationQuestion, EvaluationReply
from engine.messages.generation import GenerationQuestion, GenerationReply
from engine.messages.reading import ReadingQuestion, ReadingReply
from engine.messages.training import (
    Save,
    TrainingCommand,
    TrainingQuestion,
    TrainingReply,
)

MAX_MESSAGE = 64 * 1024 * 1024
"""Longer messages from an engine are refused, in bytes."""
SILENCE = 5.0
"""Seconds without a word after which something is wrong with an engine: it gives a sign of life
every second."""
MAX_CALL = 1024 * 1024
"""Longer messages to an engine are refused, in bytes."""


class AskStatus(Message, frozen=True, kw_only=True):
    """Answered by Status."""


class Status(Message, frozen=True, kw_only=True):
    """The run as it stands between two steps."""

    run: str
    """Its name: the last part of its folder."""
    folder: str
    pid: int
    state: State
    reason: str
    advice: Advice = ""
    config: RunConfig
    step: int
    epoch: float
    learning_rate: float
    """The base rate, before the schedule."""
    clip_mode: str
    clip_threshold: float
    parameters: int
    """Trainable numbers in the model; 0 until it is built."""
    groups: list[str]
    device: str
    threads: int
    precision: str
    """What the LSTM layers compute in while they train."""
    corpus: CorpusSummary | None
    progress: Progress | None
    """What is under way, if it takes a while."""
    asking: bool = False
    """Whether this engine only answers questions, and neither trains nor writes."""
    others: int = 0
    """Programs connected to the engine besides the one that asks."""


class Cancel(Message, frozen=True, kw_only=True):
    """End a stream early: the answer marked last follows at once. Answered by Done."""

    call: int


class Detach(Message, frozen=True, kw_only=True):
    """This client leaves. Training goes on without it until its limit, and a paused run stays as it
    is, or until another client takes over: starts, steps, pauses or stops it."""


class Shutdown(Message, frozen=True, kw_only=True):
    """End the engine process, saving first if asked. A run that never took a step is removed."""

    save: bool = True


class Done(Message, frozen=True, kw_only=True):
    """A command took effect after this many steps. `note` is a sentence worth showing, if any."""

    step: int
    note: str = ""


class Refusal(Message, frozen=True, kw_only=True):
    """The call can't be done: one sentence for the user."""

    reason: str
    suggestions: list[str] = msgspec.field(default_factory=list)
    advice: Advice = ""


AnyCommand = TrainingCommand | Save | Detach | Shutdown
AnyQuestion = (
    CellQuestion
    | EmbeddingQuestion
    | GenerationQuestion
    | EvaluationQuestion
    | ReadingQuestion
    | TrainingQuestion
)
"""Questions that take time: they wait for their turn, and nothing else waits for them."""
AnyQuery = AskStatus | AnyQuestion | Cancel
AnyAnswer = (
    Done
    | Refusal
    | Status
    | Progress
    | CellReply
    | EmbeddingReply
    | GenerationReply
    | EvaluationReply
    | ReadingReply
    | TrainingReply
)


class Call(Message, frozen=True, kw_only=True):
    """From a client; `id` is the client's own number, answered under the same."""

    id: int
    body: AnyCommand | AnyQuery


class Welcome(Message, frozen=True, kw_only=True):
    """The first message on a connection. The run's record holds exactly what happened before this
    as far as `recorded` says; events follow from there. All of it where that is None: then nothing
    is recorded before Rewound tells how much counts."""

    status: Status
    recorded: Extent | None


class Answer(Message, frozen=True, kw_only=True):
    """To the call of this `id`: all of it, or one part of a stream, whose end is marked."""

    id: int
    body: AnyAnswer
    last: bool = True


class Events(Message, frozen=True, kw_only=True):
    """What happened since the last one, in order; at most about 20 of these a second."""

    events: list[AnyEvent]


class Alive(Message, frozen=True, kw_only=True):
    """A sign of life, once a second whatever else is told."""

    idle: float
    """Seconds since training last let commands and questions in."""


class Goodbye(Message, frozen=True, kw_only=True):
    """The engine ends; `reason` is a sentence."""

    reason: str


FromEngine = Welcome | Answer | Events | Alive | Goodbye

_encoder = msgspec.msgpack.Encoder()


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    """Made when it is first needed: either side reads but one kind, and a screen is to be seen
    before its engine has said anything."""
    return msgspec.msgpack.Decoder(kind)


def decode_call(data: bytes) -> Call:
    """What a client sent. Raises DecodeError."""
    call: Call = _decoder(Call).decode(data)
    return call


def decode_from_engine(data: bytes) -> FromEngine:
    """What an engine sent. Raises DecodeError."""
    message: FromEngine = _decoder(FromEngine).decode(data)
    return message


def frame(message: Message) -> bytes:
    """The message as it goes over the socket: four bytes of length, then msgpack."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body
