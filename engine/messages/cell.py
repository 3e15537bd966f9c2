"""Questions about the inside of the LSTM's cells."""

from typing import Literal

from msgspec import Struct, field

from engine.messages.base import Message

Quantity = Literal["input_gate", "forget_gate", "candidate", "output_gate", "cell", "hidden"]
"""Of a layer at each token: three gates (0 to 1), what would be written (-1 to 1), and the two
states after the token."""


class TraceCell(Message, frozen=True, kw_only=True):
    """What gates and states do while a text is read from an empty state, behind the token that a
    text begins after: a stream of CellTokens, then of CellPart."""

    text: str
    """At most 100,000 characters."""
    layers: list[int] = field(default_factory=list)
    """0 is the first one; empty for all."""
    quantities: list[Quantity] = field(default_factory=list)
    """Empty for all."""


class CellTokens(Message, frozen=True, kw_only=True):
    """What is read: the rows of the traces."""

    step: int
    ids: list[int]
    """The first is the token that a text begins after."""
    raw: list[str]
    """As the vocabulary has them."""
    texts: list[str]
    """What each was read from, behind the white space before it; of the first nothing."""
    units: list[int]
    """Of each layer."""


class CellPart(Message, frozen=True, kw_only=True):
    """Consecutive rows of one quantity of one layer."""

    layer: int
    quantity: Quantity
    first: int
    """The row it begins with."""
    rows: int
    values: bytes
    """(rows, units), little-endian float32, row after row."""


class HowFarBack(Message, frozen=True, kw_only=True):
    """How much each earlier token matters for one prediction: InputGradients."""

    text: str
    """At most 20,000 characters, and 2,000 tokens up to the one that is predicted."""
    position: int | None = None
    """Of the token that is predicted, among the text's; None for the most probable one behind the
    whole text."""


class InputGradients(Message, frozen=True, kw_only=True):
    """The L2 norm of the gradient of one prediction's log-probability by each token's vector."""

    step: int
    texts: list[str]
    """What each token was read from; the first, which a text begins after, from nothing."""
    norms: list[float]
    """As many."""
    predicted: str
    """The token that is predicted, as the vocabulary has it."""
    probability: float


class PlainFarBack(Message, frozen=True, kw_only=True):
    """The same of a plain RNN of the run's sizes, for the token that HowFarBack tells of: a stream
    of Progress while it is trained, from its beginning as the run was and for as many steps, 1,000
    at most; then PlainGradients. Cancel it by `Cancel`: what it has learnt is kept."""

    text: str
    """As in HowFarBack."""
    position: int | None = None
    """As in HowFarBack."""


class PlainGradients(Message, frozen=True, kw_only=True):
    """As InputGradients, of the plain RNN."""

    steps: int
    """That it was trained for."""
    loss: float | None
    """The mean of its last 50 training losses, nats per token; None before its first step."""
    norms: list[float]
    probability: float


class Saturation(Message, frozen=True, kw_only=True):
    """How far the gates are shut or open, on a stretch of the training text: LayerSaturations."""


class GateSaturation(Struct, frozen=True, kw_only=True):
    """Shares of a gate's values, over units and tokens."""

    near_zero: float
    """Below 0.1."""
    near_one: float
    """Above 0.9."""


class LayerSaturation(Struct, frozen=True, kw_only=True):
    """Of one layer."""

    input_gate: GateSaturation
    forget_gate: GateSaturation
    output_gate: GateSaturation
    still: int
    """Units whose hidden state never differs by more than 0.01."""
    units: int


class LayerSaturations(Message, frozen=True, kw_only=True):
    """Of each layer, the first one first."""

    step: int
    tokens: int
    """That were read."""
    layers: list[LayerSaturation]


class FindUnits(Message, frozen=True, kw_only=True):
    """Which units of a layer follow something of a text: FollowingUnits."""

    text: str = ""
    """At most 100,000 characters; empty takes the beginning of the run's held-out text."""
    layer: int = 0
    quantity: Quantity = "cell"
    top: int = 10
    """Units of each feature, at most 1,000."""


class UnitFollowing(Struct, frozen=True):
    """A unit, and how well it follows."""

    unit: int
    correlation: float
    """Pearson's, -1 to 1."""


class Feature(Struct, frozen=True, kw_only=True):
    """Something of a text that a unit may follow."""

    name: str
    """quotes, brackets: inside them or not. line_position: characters since the line began.
    line_length: of the whole line. capitals: share of the token's letters."""
    units: list[UnitFollowing]
    """Those that follow it best, either way, first; none where the text has nothing of it."""


class FollowingUnits(Message, frozen=True, kw_only=True):
    """The units of each feature."""

    step: int
    tokens: int
    """That were read."""
    features: list[Feature]


class FindPlaces(Message, frozen=True, kw_only=True):
    """Where in the training text the same units of a layer are on as at one token of another text
    (after LSTMVis, Strobelt et al. 2018): a stream of Progress, then SimilarPlaces."""

    text: str
    """At most 20,000 characters, and 2,000 tokens up to the one that is meant."""
    position: int | None = None
    """Of that token, among the text's; None for the last one."""
    layer: int = 0
    quantity: Quantity = "cell"
    top: int = 20
    """Places, at most 100."""


class SimilarPlace(Struct, frozen=True, kw_only=True):
    """A token of the training text."""

    place: int
    """Of the training text's tokens."""
    share: float
    """Of the training text that lies before it."""
    common: int
    """Units that are on there, too."""
    likeness: float
    """Those, of all that are on at either: 0 to 1."""
    before: str
    """Some of the text before it."""
    token: str
    """As it reads there."""
    after: str


class SimilarPlaces(Message, frozen=True, kw_only=True):
    """The places that are most alike, these first; among equals in the order of the text."""

    step: int
    tokens: int
    """That were searched: of a long text stretches that lie evenly over it, each read from an empty
    state."""
    token: str
    """The one that was meant, as the vocabulary has it."""
    on: list[int]
    """The units that are on at it: a gate above 0.5, anything else above 0.3 (a cell's state as the
    output gate sees it, by tanh)."""
    places: list[SimilarPlace]


CellQuestion = TraceCell | HowFarBack | PlainFarBack | Saturation | FindUnits | FindPlaces
CellReply = (
    CellTokens
    | CellPart
    | InputGradients
    | PlainGradients
    | LayerSaturations
    | FollowingUnits
    | SimilarPlaces
)
