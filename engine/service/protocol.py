"""The narrow door: typed messages between the engine process and its clients.

A message is one msgpack object behind its length as four big-endian bytes, over a Unix socket.
The engine speaks first, with `Welcome`. Then the client sends `Call`s, each answered by one
`Answer` (or, for a stream, several, the last one marked), and the engine sends `Events` of its own.

Commands take effect between two steps and are answered by `Done` with that step. Queries are
answered from the weights as they stand between two steps and change nothing.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from engine.config import RunConfig
from engine.errors import Advice
from engine.events import AnyEvent, CorpusSummary, Extent, Progress, State

MAX_MESSAGE = 64 * 1024 * 1024
"""Longer messages from an engine are refused, in bytes."""
SILENCE = 5.0
"""Seconds without a word after which something is wrong with an engine: it gives a sign of life
every second."""
MAX_CALL = 1024 * 1024
"""Longer messages to an engine are refused, in bytes."""

Knob = Literal["learning_rate", "clip_mode", "clip_threshold"]


class Message(Struct, frozen=True, tag=True, kw_only=True):
    """Anything that crosses the door."""


# --- commands: answered by Done ---------------------------------------------------------------


class Start(Message, frozen=True, kw_only=True):
    """Train, or go on training."""


class Pause(Message, frozen=True, kw_only=True):
    """Wait after the current step."""


class Step(Message, frozen=True, kw_only=True):
    """Take one step, then wait."""


class Stop(Message, frozen=True, kw_only=True):
    """End training and save; the engine stays for questions and may be started again."""


class SetKnob(Message, frozen=True, kw_only=True):
    """Change a setting from the next step on. `learning_rate` sets the schedule's base rate."""

    knob: Knob
    value: float | str


class Evaluate(Message, frozen=True, kw_only=True):
    """Measure a split's loss now. Answered when the evaluation is queued, told by Evaluated."""

    split: str = "valid"


class Save(Message, frozen=True, kw_only=True):
    """Write a checkpoint now. Answered when it is on the disk, or with a Refusal."""


class GoBack(Message, frozen=True, kw_only=True):
    """Put the run back to a checkpoint, with its knobs as they were: told by RolledBack.

    `to` is `last-good` (the newest with which the model computes finite numbers), `best` (by
    validation) or the step of one. Refused while training runs."""

    to: str = "last-good"


class Detach(Message, frozen=True, kw_only=True):
    """This client leaves. Training goes on without it until its limit or another client, and a
    paused run stays as it is."""


class Shutdown(Message, frozen=True, kw_only=True):
    """End the engine process, saving first if asked. A run that never took a step is removed."""

    save: bool = True


# --- queries ----------------------------------------------------------------------------------


class AskStatus(Message, frozen=True, kw_only=True):
    """Answered by Status."""


class Neighbours(Message, frozen=True, kw_only=True):
    """The words whose embeddings have the largest cosine with this word's: NeighbourList. Of
    characters and pieces of words it is one as it stands in the text, a blank too."""

    word: str
    """At most 2,000 characters."""
    top: int = 10
    """At most 1,000."""


class Represent(Message, frozen=True, kw_only=True):
    """A sentence as one-hot rows, ids and embeddings: Representation."""

    text: str
    """At most 2,000 characters."""


class Generate(Message, frozen=True, kw_only=True):
    """Text from the live weights: a stream of TextPiece. Cancel it by `Cancel`."""

    prompt: str = ""
    """At most 100,000 characters. What is written goes on right after its last one."""
    tokens: int = 100
    temperature: float = 1.0
    """0 takes the most probable token always."""
    top_k: int = 0
    """0 for no limit."""
    top_p: float = 1.0
    seed: int | None = None
    """None lets chance draw one: see TextPiece."""
    per_second: float = 0.0
    """At most this many tokens a second, so that people can read along; 0 for no limit."""


class Score(Message, frozen=True, kw_only=True):
    """The perplexity of a text, each line by itself: TextScore."""

    text: str
    """At most 100,000 characters."""


class OnlineSettings(Struct, frozen=True, kw_only=True, rename={"share": "lambda"}):
    """Of a neural cache, and of dynamic evaluation; None where it isn't used, or left open."""

    theta: float | None = None
    """Of the cache: what a dot product of features is multiplied by."""
    share: float | None = None
    """Of the cache: its share of the probability, lambda."""
    window: int | None = None
    """Of the cache: tokens remembered."""
    rate: float | None = None
    """Of dynamic evaluation: the learning rate."""
    decay: float | None = None
    """Of dynamic evaluation: how fast weights go back to the trained ones."""


class SettingsTried(Struct, frozen=True):
    """Settings, and the perplexity with them on validation text."""

    settings: OnlineSettings
    perplexity: float


class EvaluateCorpus(Message, frozen=True, kw_only=True):
    """The perplexity of a text under this model's tokenizer: a stream of Progress, then
    CorpusScore. The weights are those of the moment it begins, and stay as they are.

    `split` names a split of the run's own text, as training has it, or of a folder with given
    splits; empty takes the first there is of test, valid and train, and of any other source all
    the text."""

    source: str
    split: str = ""
    dynamic: bool = False
    """Dynamic evaluation: the weights follow the text as it is read (Krause et al. 2018)."""
    cache: bool = False
    """A neural cache of the recent text (Grave et al. 2017)."""
    settings: OnlineSettings = OnlineSettings()
    """Of these two; None takes the papers' value, or what fits."""
    fit: bool = False
    """Choose the other settings on the validation split of the run's own text."""


class FindRate(Message, frozen=True, kw_only=True):
    """Hold a few learning rates, each on a copy of the model: a stream of Progress and RateTried,
    then RateFound. Refused while training runs. Changes nothing."""


class GradientFlow(Message, frozen=True, kw_only=True):
    """How much of the gradient of a window's last prediction reaches each earlier token:
    GradientByTime. Changes nothing."""


class Replay(Message, frozen=True, kw_only=True):
    """Train the run once more from its configuration and what was done to it, and compare: a
    stream of Progress, then Replayed. Refused while training runs. Changes nothing."""


class Cancel(Message, frozen=True, kw_only=True):
    """End a stream early: the answer marked last follows at once. Answered by Done."""

    call: int


AnyCommand = Start | Pause | Step | Stop | SetKnob | Evaluate | Save | GoBack | Detach | Shutdown
AnyStreamed = Generate | EvaluateCorpus | FindRate | Replay
"""Queries that are answered more than once."""
AnyQuestion = (
    Neighbours | Represent | Generate | Score | EvaluateCorpus | FindRate | GradientFlow | Replay
)
"""Queries that take time: they wait for their turn, and nothing else waits for them."""
AnyQuery = AskStatus | AnyQuestion | Cancel


# --- answers ----------------------------------------------------------------------------------


class Done(Message, frozen=True, kw_only=True):
    """A command took effect after this many steps. `note` is a sentence worth showing, if any."""

    step: int
    note: str = ""


class Refusal(Message, frozen=True, kw_only=True):
    """The call can't be done: one sentence for the user."""

    reason: str
    suggestions: list[str] = []
    advice: Advice = ""


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


class TextPiece(Message, frozen=True, kw_only=True):
    """A piece of generated text, written by the weights after `step` steps."""

    text: str
    step: int
    seed: int | None = None
    """That of the whole text: the one asked for, or the one chance drew."""
    note: str = ""
    """With the first piece: which words of the prompt are unknown, if any."""


class TextScore(Message, frozen=True, kw_only=True):
    """`tokens` predicted, at `loss` nats each; perplexity is exp(loss). <unk>, <eos> count."""

    loss: float
    perplexity: float
    tokens: int
    unknown: int


class CorpusScore(Message, frozen=True, kw_only=True):
    """As TextScore, for a whole text with the state carried."""

    source: str
    split: str
    """`all` for a text that has none."""
    tokenizer: str
    """Its name, as in `corpus.tokenizer`."""
    step: int
    """Of the weights that were measured."""
    dynamic: bool
    cache: bool
    loss: float
    """Nats per token."""
    perplexity: float
    """Per token."""
    perplexity_per_word: float | None
    """For sub-words: the same probability of the text, per word between white space."""
    words: int | None
    """That the perplexity per word is of."""
    bits_per_character: float | None
    """Of the text as it was read; None where that has no characters. Words don't spell it out:
    case, white space and what is <unk> cost nothing then."""
    characters: int
    """That were predicted."""
    tokens: int
    unknown: int
    convention: str
    """In a sentence: what counts as a token, and how the text was read."""
    settings: OnlineSettings
    """Those used."""
    tried: list[SettingsTried] = []
    """What they were chosen among, if they were."""


class RateTried(Message, frozen=True, kw_only=True):
    """A rate that was held, from the same start as all the others; they come in any order."""

    rate: float
    loss: float | None
    """In the end, smoothed, nats per token; None where it exploded."""


class RateFound(Message, frozen=True, kw_only=True):
    """The end of the test."""

    rate: float | None
    """The rate to begin with; None where no rate brought the loss down."""
    reason: str
    """A sentence: how the rate was chosen, or why there is none."""


class GradientByTime(Message, frozen=True, kw_only=True):
    """Norms of the gradient of the last token's loss by each token's word vector, first token
    first. They fade where the gradient vanishes on its way back."""

    step: int
    norms: list[float]
    ratio: float
    """Mean norm of the first tenth of the window over that of the last tenth."""


class Replayed(Message, frozen=True, kw_only=True):
    """What the second time gave."""

    steps: int
    """Replayed."""
    first_difference: int | None
    """The first step whose numbers differ; None where all are the same to the last bit."""
    weights_equal: bool | None
    """Whether the latest checkpoint has the same weights, byte by byte; None where there is no
    checkpoint to compare with."""
    note: str = ""
    """A sentence where a difference had to be expected."""


AnyAnswer = (
    Done
    | Refusal
    | Status
    | NeighbourList
    | Representation
    | TextPiece
    | TextScore
    | Progress
    | CorpusScore
    | RateTried
    | RateFound
    | GradientByTime
    | Replayed
)


# --- envelopes --------------------------------------------------------------------------------


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
decode_call = msgspec.msgpack.Decoder(Call).decode
decode_from_engine = msgspec.msgpack.Decoder[FromEngine](FromEngine).decode


def frame(message: Message) -> bytes:
    """The message as it goes over the socket: four bytes of length, then msgpack."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body
