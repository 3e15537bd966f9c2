"""The terms that stand on the screen, each explained in a sentence."""

import re
from functools import cache

from msgspec import Struct
from textual.content import Content


class Term(Struct, frozen=True):
    """A word of the field."""

    name: str
    meaning: str
    """A sentence."""
    labels: tuple[str, ...] = ()
    """How else it stands on the screen."""


TERMS: tuple[Term, ...] = (
    # --- text -------------------------------------------------------------------------------------
    Term(
        "corpus",
        "The text that the model learns from and is measured on.",
    ),
    Term(
        "token",
        "What the model reads and writes one at a time: a word, a character or a piece of a word.",
        ("tokens", "words", "characters", "pieces"),
    ),
    Term(
        "train, valid, test",
        "The parts of the text: one to learn from, one to see meanwhile how well, one to measure "
        "with in the end.",
        ("train", "valid", "test", "validation"),
    ),
    Term(
        "vocabulary",
        "All tokens that the model knows; any other is unknown to it.",
    ),
    Term(
        "unknown",
        "The share of the text's tokens that aren't in the vocabulary: to the model they are all "
        "the same one, <unk>.",
        ("<unk>",),
    ),
    Term(
        "<eos>",
        "The token that ends a sentence or a line.",
    ),
    Term(
        "id",
        "A token's place in the vocabulary, from 0.",
    ),
    Term(
        "one-hot row",
        "A token as a row as long as the vocabulary, with a 1 at the token's id and 0 everywhere "
        "else: it says nothing of which tokens are alike.",
        ("one-hot",),
    ),
    Term(
        "embedding",
        "A token as a short row of numbers that are learnt, so that tokens used alike come to have "
        "rows alike.",
    ),
    Term(
        "cosine",
        "How alike two embeddings are by their direction: 1 for the same, 0 for unrelated, -1 for "
        "opposite.",
    ),
    Term(
        "Spearman",
        "How far two orders agree, here that of the cosines and that of people's scores: 1 for the "
        "same order, 0 for unrelated ones.",
    ),
    Term(
        "Pearson",
        "How far cosines and people's scores lie on one straight line: 1 for all of them, 0 for "
        "unrelated numbers.",
    ),
    Term(
        "coverage",
        "The share of pairs or questions whose words the model knows: only those are measured.",
    ),
    Term(
        "analogies",
        "Questions such as: as man is to king, so is woman to what? Solved where the word nearest "
        "to king - man + woman is the one expected.",
        ("analogy",),
    ),
    # --- loss -------------------------------------------------------------------------------------
    Term(
        "loss",
        "How surprised the model is by the token that really comes next: minus the natural "
        "logarithm of the probability it gave it, on average; lower is better.",
    ),
    Term(
        "nats/token",
        "The unit of the loss, by natural logarithms, per token or character; divided by 0.693 it "
        "is in bits.",
        ("nats",),
    ),
    Term(
        "bits per character",
        "The loss per character in bits (logarithms to base 2): of one text it can be compared "
        "between tokenizers.",
        ("bits/character", "bits"),
    ),
    Term(
        "perplexity",
        "The exponential of the loss: among how many equally likely tokens the model hesitates; 1 "
        "would be certainty, and the size of the vocabulary knowing nothing.",
        ("ppl", "per word token", "per character", "per sub-word piece"),
    ),
    Term(
        "validation",
        "The loss or perplexity of text held out from training (the held-out loss): where it rises "
        "while the training loss falls, the model learns by heart.",
        ("held-out", "not validated yet", "best", "exact"),
    ),
    Term(
        "each step",
        "The loss of a single step's tokens; it jumps, as each step sees other text.",
    ),
    Term(
        "smoothed",
        "The mean of the losses of the last steps, the latest counting most.",
    ),
    Term(
        "sampled",
        "The loss of a step that compared its targets with a sample of the vocabulary: an "
        "estimate, a little low; validations are exact.",
    ),
    # --- training ---------------------------------------------------------------------------------
    Term(
        "step",
        "One change of the weights: a window of text is read, its loss measured, and the gradient "
        "followed.",
        ("steps",),
    ),
    Term(
        "epoch",
        "One pass over all the text to learn from.",
    ),
    Term(
        "learning rate",
        "How far the weights move along the gradient in a step: too low learns slowly, too high "
        "explodes.",
        ("rate", "lr"),
    ),
    Term(
        "base rate",
        "The learning rate before the schedule multiplies it.",
        ("of base",),
    ),
    Term(
        "averaging",
        "From then on the mean of the weights since is what is measured and saved (nt-asgd).",
    ),
    Term(
        "patience",
        "How many validations without a better one end the run.",
        ("without a better one",),
    ),
    Term(
        "bptt",
        "Truncated back-propagation through time: the gradient goes back through a window of this "
        "many tokens, and no further.",
        ("window",),
    ),
    Term(
        "carried state",
        "What the LSTM remembers at a window's end is where the next one begins.",
    ),
    Term(
        "tied weights",
        "The embedding serves as the output layer too, so that there is one such table, not two.",
        ("tied",),
    ),
    Term(
        "parameters",
        "The numbers of the model that are learnt.",
    ),
    # --- gradients --------------------------------------------------------------------------------
    Term(
        "gradient norm",
        "The length of the gradient as one vector: how strongly a step pulls at the weights.",
        ("norm", "norms", "gradient"),
    ),
    Term(
        "before and after clipping",
        'The norm as it was (pre-clip) and as it was followed (post-clip): "norm 0.17 → 0.15" is a '
        "gradient that was scaled down to the threshold 0.15.",
        ("norm", "before clipping", "after"),
    ),
    Term(
        "clipping",
        "Making a gradient shorter that is too long, so that one bad step can't throw the weights "
        "far off.",
        ("clip", "by norm above", "each number to", "each layer by its norm"),
    ),
    Term(
        "threshold",
        "The longest gradient that clipping lets through as it is.",
        ("clip threshold",),
    ),
    Term(
        "clip fraction",
        "The share of steps whose gradient was clipped, of the last 1,000 and of all: near 0% "
        "clipping does nothing, near 100% it sets the length of every step.",
        ("clipped", "of all"),
    ),
    Term(
        "median",
        "Half of the norms before clipping were below this.",
        ("median norm",),
    ),
    Term(
        "p90, p99",
        "90% and 99% of the norms before clipping were below this (the 90th and 99th percentile).",
        ("p90", "p99", "90th percentile", "99th"),
    ),
    Term(
        "percentile",
        "Adaptive clipping takes as its threshold the norm that this percentage of the norms so "
        "far were below.",
        ("above percentile",),
    ),
    Term(
        "not finite",
        "A number that is none any more (NaN) or infinite: what an exploded loss or gradient turns "
        "into; such a step is skipped unless it was let happen.",
        ("NaN", "nan", "inf"),
    ),
    Term(
        "exploding",
        "Gradients that grow on their way back through time, until steps throw the weights off and "
        "the loss shoots up: clipping is the cure.",
        ("explode", "explodes", "exploded"),
    ),
    Term(
        "vanishing",
        "Gradients that fade on their way back through time, so that early tokens teach nothing: "
        "what the LSTM's cell was made against.",
        ("vanish", "vanishes"),
    ),
    Term(
        "back",
        "The run was put back to an earlier checkpoint.",
        ("went back",),
    ),
    # --- writing ----------------------------------------------------------------------------------
    Term(
        "temperature",
        "What the model's scores are divided by before a token is drawn: below 1 safer, above 1 "
        "bolder, and 0 always takes the most probable.",
        ("temp",),
    ),
    Term(
        "top-k",
        "Drawing only from the k most probable tokens.",
    ),
    Term(
        "top-p",
        "Drawing only from the most probable tokens that together make up the share p (nucleus).",
    ),
    Term(
        "prompt",
        "The text that the model goes on from.",
    ),
    Term(
        "seed",
        "What the random numbers begin from: the same seed writes the same text.",
    ),
)
"""In the order in which they are shown."""


def terms_in(text: str) -> list[Term]:
    """Those that stand in a text of the screen, in the order of `TERMS`."""
    return [term for term in TERMS if _pattern(term).search(text)]


@cache
def _pattern(term: Term) -> re.Pattern[str]:
    """Any of its labels as words of their own."""
    labels = "|".join(re.escape(label) for label in (term.name, *term.labels))
    return re.compile(rf"(?<![\w-])(?:{labels})(?![\w-])")


def explained(text: str) -> Content | None:
    """The terms of a text with their meanings, for a tooltip; None where it has none."""
    lines = [Content.assemble((term.name, "bold"), f"  {term.meaning}") for term in terms_in(text)]
    return Content("\n").join(lines) if lines else None
