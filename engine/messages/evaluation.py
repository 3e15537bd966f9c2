"""Questions for how well the model predicts a text."""

from msgspec import Struct, field

from engine.messages.base import Message


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


class CorpusScore(Message, frozen=True, kw_only=True):
    """`tokens` predicted with the state carried, at `loss` nats each; perplexity is exp(loss).
    <unk> and <eos> count."""

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
    tried: list[SettingsTried] = field(default_factory=list)
    """What they were chosen among, if they were."""


EvaluationQuestion = EvaluateCorpus
EvaluationReply = CorpusScore
