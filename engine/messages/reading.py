"""Questions about a text that somebody reads with the model: how surprising it is, and how much of
it was copied."""

from msgspec import Struct

from engine.messages.base import Message


class Surprise(Message, frozen=True, kw_only=True):
    """How surprising each token of a text is: a stream of Progress, then of SurprisePart, then
    SurpriseTotals. The weights are those of the moment it begins."""

    text: str = ""
    """At most 100,000 characters; empty where `source` says what is read."""
    source: str = ""
    """A file, folder or glob, or the name of a built-in text: at most 2,000,000 characters."""


class SurprisePart(Message, frozen=True, kw_only=True):
    """Some tokens of the text, in order; joined, all `texts` are the text."""

    texts: list[str]
    """What each token was read from, behind the white space before it."""
    bits: list[float | None]
    """The surprisal of each, -log2 of its probability; None for the very first, which nothing
    predicts, and where it is no finite number."""
    unknown: list[int]
    """Which of these tokens are unknown to the model, by their places in the list."""


class Baseline(Struct, frozen=True, kw_only=True):
    """What a simpler model makes of the same text."""

    name: str
    """uniform: all tokens alike. unigram: by how often each occurs in the training text, and once
    more. gzip, xz: the text compressed, without any training text."""
    bits: float
    perplexity: float
    """Per token of the model's."""
    bits_per_character: float | None


class SurpriseTotals(Message, frozen=True, kw_only=True):
    """All of the text: `bits`, and `loss` nats a token, as `EvaluateCorpus` measures it."""

    step: int
    tokens: int
    """That were predicted: all but the first."""
    unknown: int
    """Of all tokens."""
    characters: int
    """That were predicted."""
    bits: float
    loss: float
    perplexity: float
    bits_per_character: float | None
    """As in CorpusScore."""
    baselines: list[Baseline]
    convention: str
    """In a sentence: what counts as a token, and how the text was read."""


class HeldOutBaselines(Message, frozen=True, kw_only=True):
    """What simpler models make of a split of the run's own text, to be set beside its loss:
    BaselineList."""

    split: str = "valid"


class BaselineList(Message, frozen=True, kw_only=True):
    """uniform and unigram; of tokens that spell the text out gzip and xz too, if it isn't longer
    than Surprise reads. Their loss in nats a token is the logarithm of the perplexity."""

    split: str
    tokens: int
    """That are predicted: all but the first."""
    baselines: list[Baseline]


class FindCopies(Message, frozen=True, kw_only=True):
    """Which stretches of a text stand verbatim in the run's own training text: a stream of
    Progress, then Copies. The first time an index of the training text is built, and kept with the
    encoded corpus."""

    text: str
    """At most 100,000 characters."""
    least: int = 4
    """Tokens of a stretch that is told, at least; at least 2."""


class Copy(Struct, frozen=True, kw_only=True):
    """A stretch of tokens that stands in the training text, and that no longer one contains."""

    begin: int
    """Of the text's tokens, the first of the stretch."""
    length: int
    """In tokens."""
    text: str
    """As it was read, without white space around it."""
    places: int
    """How often it stands in the training text."""
    place: int
    """Of the training text's tokens, where it stands the first time that was found."""
    share: float
    """How far that is through the training text, 0 to 1."""


class Copies(Message, frozen=True, kw_only=True):
    """What of a text stands verbatim in the training text. Unknown tokens never do."""

    tokens: int
    texts: list[str]
    """What each token was read from, behind the white space before it."""
    longest: list[int]
    """For each token, how many from it on stand verbatim in the training text."""
    copies: list[Copy]
    """The longest first, at most 1,000."""
    copied: float
    """Share of the tokens that are in one of them, also of those beyond the 1,000."""
    least: int
    training_tokens: int
    distinct: list[float | None]
    """distinct-1, -2 and -3: different n-grams by all n-grams (Li et al. 2016); None for a text
    that has none."""
    repetition: float | None
    """Share of 4-grams that came before in the text (seq-rep-4; Welleck et al. 2020)."""


ReadingQuestion = Surprise | HeldOutBaselines | FindCopies
ReadingReply = SurprisePart | SurpriseTotals | BaselineList | Copies
