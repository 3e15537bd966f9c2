"""What a run is: corpus, model, optimiser, schedule, clipping and training, in one frozen record.

Every field carries its range and its effect in a sentence (`msgspec.Meta`): see `settings`.
"""

from typing import Annotated, Literal

from msgspec import Meta

from engine.config.settings import Section, Settings
from engine.errors import UserError

TokenizerName = Literal["word", "whitespace", "character", "subword"]
Punctuation = Literal["separate", "drop"]
OptimiserName = Literal["sgd", "adam", "adamw", "nt-asgd"]
ScheduleName = Literal["constant", "linear", "cosine", "one-cycle", "cooldown", "plateau"]
ClipMode = Literal["off", "norm", "value", "layer", "adaptive"]
NonFinitePolicy = Literal["skip", "stop", "roll-back", "let-it-happen"]
Precision = Literal["float32", "bfloat16"]
BUILT_IN = ("toy-world", "python-docs")
"""Sources of text that are no files."""


_ENDING = ("linear", "cosine", "one-cycle", "cooldown")
"""Schedules that have to know where the run ends."""

MOST_STEPS = 10**12
"""The most of what has no natural end: a JSON number holds it exactly."""

# Ranges never say gt=0: msgspec compares with the smallest denormal then, and the engine, which
# flushes denormals to zero, would let a zero through.


class CorpusConfig(Section, frozen=True):
    """The text and how it becomes tokens."""

    source: Annotated[
        str,
        Meta(
            min_length=1,
            description="A file, folder or glob of text (.gz too), or toy-world, or python-docs.",
        ),
    ] = "toy-world"
    tokenizer: Annotated[
        TokenizerName,
        Meta(
            description="word splits off punctuation; whitespace takes pre-tokenised text as it is "
            "(PTB, WikiText); character; subword learns byte-pair pieces from the corpus."
        ),
    ] = "word"
    lowercase: Annotated[
        bool, Meta(description="Fold case, so The and the are one word (word tokenizer only).")
    ] = True
    punctuation: Annotated[
        Punctuation,
        Meta(description="Make each punctuation mark a token, or drop it (word tokenizer only)."),
    ] = "separate"
    min_count: Annotated[int, Meta(ge=1, le=1_000_000, description="Rarer words become <unk>.")] = 1
    max_vocabulary: Annotated[
        int,
        Meta(
            ge=2,
            le=1_000_000,
            description="The most frequent this many are kept, the rest become <unk>; "
            "for subword the number of pieces learnt.",
        ),
    ] = 20_000
    valid_fraction: Annotated[
        float,
        Meta(ge=0, le=0.5, description="Share of the text held out to measure validation loss."),
    ] = 0.05
    test_fraction: Annotated[
        float, Meta(ge=0, le=0.5, description="Share of the text kept for a final test.")
    ] = 0.05


class ModelConfig(Section, frozen=True):
    """The size and shape of the LSTM language model."""

    embedding_size: Annotated[
        int, Meta(ge=1, le=8192, description="Numbers in each word's vector.")
    ] = 128
    hidden_size: Annotated[
        int, Meta(ge=1, le=8192, description="Units in each LSTM layer: more remember more.")
    ] = 128
    last_size: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=8192,
                description="Units in the last LSTM layer; none takes hidden_size "
                "(awd-lstm-lm takes embedding_size).",
            ),
        ]
        | None
    ) = None
    layers: Annotated[int, Meta(ge=1, le=16, description="LSTM layers stacked.")] = 1
    tied: Annotated[
        bool,
        Meta(
            description="Share the embedding with the output layer (Press & Wolf 2017): fewer "
            "weights. Where the last layer has another size than the embedding, a projection "
            "joins them."
        ),
    ] = True
    init_range: Annotated[
        float,
        Meta(
            ge=1e-6,
            le=1,
            description="Embedding and output weights start uniform in [-range, range].",
        ),
    ] = 0.1
    forget_bias: (
        Annotated[
            float,
            Meta(
                ge=-10,
                le=10,
                description="What the forget gates' bias starts at: 1 remembers longer at first "
                "(Jozefowicz et al. 2015); none draws it like the other biases.",
            ),
        ]
        | None
    ) = None
    vectors: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="A file of word vectors that the embedding starts from: GloVe's, "
                "word2vec's text or binary, fastText's .vec, or such a .gz. Longer vectors are "
                "projected to embedding_size.",
            ),
        ]
        | None
    ) = None
    vectors_frozen: Annotated[
        bool,
        Meta(description="Keep the vectors that came from the file as they are."),
    ] = False


class RegularisationConfig(Section, frozen=True):
    """What holds the model back while it trains, against over-fitting; off in evaluation."""

    embedding_dropout: Annotated[
        float,
        Meta(ge=0, lt=1, description="Share of the words zeroed for a whole window (Gal 2016)."),
    ] = 0.0
    input_dropout: Annotated[
        float,
        Meta(
            ge=0,
            lt=1,
            description="Share of each word vector's numbers zeroed, the same through a window "
            "(locked dropout, Gal & Ghahramani 2016).",
        ),
    ] = 0.0
    layer_dropout: Annotated[
        float,
        Meta(ge=0, lt=1, description="Share of units zeroed between two LSTM layers, locked."),
    ] = 0.0
    output_dropout: Annotated[
        float,
        Meta(ge=0, lt=1, description="Share of units zeroed after the last LSTM layer, locked."),
    ] = 0.0
    locked: Annotated[
        bool,
        Meta(
            description="Input, layer and output dropout drop the same units throughout a window "
            "(Gal & Ghahramani 2016); without, others at every token (Zaremba et al. 2014)."
        ),
    ] = True
    weight_drop: Annotated[
        float,
        Meta(
            ge=0,
            lt=1,
            description="Share of the recurrent weights zeroed for a window (DropConnect, Merity "
            "et al. 2018).",
        ),
    ] = 0.0
    activation: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="AR: weight of the mean square of the last layer's activations, added to "
            "the loss (Merity et al. 2018 take 2).",
        ),
    ] = 0.0
    temporal_activation: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="TAR: weight of the mean square of their change from token to token "
            "(Merity et al. 2018 take 1).",
        ),
    ] = 0.0


class OptimiserConfig(Section, frozen=True):
    """How a gradient becomes a change of the weights."""

    name: Annotated[
        OptimiserName,
        Meta(
            description="sgd is plain and strong on PTB; adam and adamw need less tuning; nt-asgd "
            "is sgd that averages its weights once validation stalls (Merity et al. 2018)."
        ),
    ] = "adamw"
    learning_rate: Annotated[
        float,
        Meta(ge=1e-9, le=1000, description="About 20 for sgd, about 0.005 for adamw."),
    ] = 0.005
    momentum: Annotated[
        float,
        Meta(ge=0, lt=1, description="Share of the last change that goes on (sgd, nt-asgd)."),
    ] = 0.0
    weight_decay: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Pulls weights towards zero at every step: through the gradient, for adamw "
            "apart from it (Loshchilov & Hutter 2019).",
        ),
    ] = 0.0
    trigger: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="nt-asgd averages once validation is worse than the best of all but the "
            "last this many.",
        ),
    ] = 5


class ScheduleConfig(Section, frozen=True):
    """How the learning rate moves over the run."""

    name: Annotated[
        ScheduleName,
        Meta(
            description="constant; linear and cosine fall to zero at the run's limit (Loshchilov & "
            "Hutter 2017); one-cycle rises to the rate and falls (Smith & Topin 2019); cooldown is "
            "constant until the last share of the run and falls to zero there (Hägele et al. "
            "2024); plateau divides the rate where validation stops improving."
        ),
    ] = "constant"
    warmup_steps: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Steps over which the rate rises from zero (not for one-cycle).",
        ),
    ] = 0
    cooldown: Annotated[
        float,
        Meta(
            ge=0.01,
            le=1,
            description="Share of the run in which cooldown falls: until it begins, the run can "
            "be extended as if its limit had been further away.",
        ),
    ] = 0.25
    divide_by: Annotated[
        float, Meta(ge=1.01, le=1000, description="What plateau divides the rate by.")
    ] = 4.0


class ClippingConfig(Section, frozen=True):
    """What is done to a gradient that is too large (Pascanu et al. 2013)."""

    mode: Annotated[
        ClipMode,
        Meta(
            description="norm rescales the whole gradient; value cuts each number into "
            "[-threshold, threshold]; layer rescales each parameter group by itself; adaptive "
            "takes a percentile of the norms so far (Seetharaman et al. 2020); off lets it through."
        ),
    ] = "norm"
    threshold: Annotated[
        float,
        Meta(
            ge=1e-9,
            le=1e6,
            description="The largest norm (or number) let through unchanged; for adaptive only "
            "until it has seen 10 norms.",
        ),
    ] = 1.0
    percentile: Annotated[
        float,
        Meta(
            ge=1,
            le=100,
            description="Adaptive clipping's threshold: this percentile of the norms so far.",
        ),
    ] = 10.0


class TrainingConfig(Section, frozen=True):
    """The loop: batches, length, and what happens at intervals."""

    batch_size: Annotated[
        int, Meta(ge=1, le=65_536, description="Streams of text read side by side.")
    ] = 32
    bptt: Annotated[
        int,
        Meta(
            ge=1,
            le=65_536,
            description="Tokens back-propagated through at once; the carried state goes on.",
        ),
    ] = 32
    random_bptt: Annotated[
        bool,
        Meta(
            description="Vary the window's length around bptt, the rate with it, so that no token "
            "always stands at a window's edge (Merity et al. 2018)."
        ),
    ] = False
    candidates: (
        Annotated[
            int,
            Meta(
                ge=16,
                le=1_000_000,
                description="Sampled softmax (Jean et al. 2015): words each step compares its "
                "targets with, the frequent ones always, the rare by turns; none takes the whole "
                "vocabulary. Validation and generation always do. Made for sgd: adamw diverges "
                "with it.",
            ),
        ]
        | None
    ) = None
    steps: (
        Annotated[int, Meta(ge=1, le=MOST_STEPS, description="Finish after this many steps.")]
        | None
    ) = None
    epochs: (
        Annotated[
            float,
            Meta(ge=1e-6, le=1e6, description="Finish after this many passes over the text."),
        ]
        | None
    ) = None
    minutes: (
        Annotated[
            float,
            Meta(ge=1e-6, le=1e6, description="Finish after this many minutes of training."),
        ]
        | None
    ) = None
    patience: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=MOST_STEPS,
                description="Early stopping: finish after this many validations without a better "
                "one.",
            ),
        ]
        | None
    ) = None
    evaluate_every: Annotated[
        int,
        Meta(
            ge=0,
            le=MOST_STEPS,
            description="Steps between validations; 0 validates at the end of each epoch.",
        ),
    ] = 0
    sample_every: Annotated[
        int,
        Meta(
            ge=0,
            le=MOST_STEPS,
            description="Steps between samples of text; 0 means at each validation.",
        ),
    ] = 0
    sample_prompt: Annotated[
        str,
        Meta(
            max_length=1_000,
            description="What each sample goes on from, always by the same seed, so that those of "
            "different steps can be compared; empty begins anew.",
        ),
    ] = ""
    save_every: Annotated[
        int,
        Meta(
            ge=0,
            le=MOST_STEPS,
            description="Steps between checkpoints; 0 saves about once a minute.",
        ),
    ] = 0
    keep: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Checkpoints kept, the newest; the best by validation stays besides.",
        ),
    ] = 2
    non_finite: Annotated[
        NonFinitePolicy,
        Meta(
            description="On a loss or gradient that is nan or inf: skip the step, stop, roll-back "
            "to the last checkpoint at half the rate, or let-it-happen, to see a run explode."
        ),
    ] = "skip"
    precision: Annotated[
        Precision,
        Meta(
            description="bfloat16 trains the LSTM layers with numbers of 8 significant bits, on a "
            "CPU with instructions for it (AVX512-BF16) and else not: faster, and as good with "
            "dropout. Weights, loss and validation stay float32."
        ),
    ] = "float32"
    seed: Annotated[int, Meta(ge=0, le=2**53, description="The same seed gives the same run.")] = 1
    threads: Annotated[
        int,
        Meta(
            ge=0,
            le=1024,
            description="CPU threads. 0 takes one a core, but one alone for a step of fewer than "
            "2e9 operations, 6 for each parameter and token.",
        ),
    ] = 0


class RunConfig(Settings, frozen=True):
    """A whole run. `preset` says where it began; every field may have been changed since."""

    preset: str = "laptop"
    corpus: CorpusConfig = CorpusConfig()
    model: ModelConfig = ModelConfig()
    regularisation: RegularisationConfig = RegularisationConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    clipping: ClippingConfig = ClippingConfig()
    training: TrainingConfig = TrainingConfig()

    def check(self) -> None:
        """Raise UserError where two settings don't go together."""
        corpus, training = self.corpus, self.training
        if corpus.valid_fraction + corpus.test_fraction > 0.9:
            raise UserError(
                "corpus.valid_fraction and corpus.test_fraction leave too little to train."
            )
        if self.model.vectors_frozen and self.model.vectors is None:
            raise UserError(
                "model.vectors_frozen can't be yes without vectors to keep: set model.vectors."
            )
        limits = (training.steps, training.epochs, training.minutes)
        if self.schedule.name in _ENDING and limits == (None, None, None):
            raise UserError(
                f"A {self.schedule.name} schedule needs an end: set training.steps, "
                "training.epochs or training.minutes."
            )

    @property
    def warning(self) -> str:
        """A sentence where two settings can go together, but go badly; empty where none do."""
        if self.training.candidates is not None and self.optimiser.name == "adamw":
            return (
                "adamw diverges with sampled words: set optimiser.name to sgd, or leave "
                "training.candidates open."
            )
        return ""
