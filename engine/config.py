"""What a run is: corpus, model, optimiser, schedule, clipping and training, in one frozen record.

Every field carries its range and its effect in a sentence (`msgspec.Meta`); the configuration
file, `--set`, and the new-run form are all generated from them by `fields()`.
"""

import errno
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from engine.errors import UserError
from engine.files import read_plain
from engine.numerals import real_number, whole_number
from engine.visible import is_unicode, quoted, shortened, visible

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
MAX_FILE, _MAX_LINE = 1 << 16, 1000
"""Bytes of a file of settings, and of a line in it: the time to read a key of many parts grows with
its square."""

# Ranges never say gt=0: msgspec compares with the smallest denormal then, and the engine, which
# flushes denormals to zero, would let a zero through.


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the configuration."""


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
                "vocabulary. Validation and generation always do.",
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
            ge=0, le=1024, description="CPU threads; 0 takes one a core, and one for a tiny model."
        ),
    ] = 0


class RunConfig(Section, frozen=True):
    """A whole run. `preset` says where it began; every field may have been changed since."""

    preset: str = "laptop"
    corpus: CorpusConfig = CorpusConfig()
    model: ModelConfig = ModelConfig()
    regularisation: RegularisationConfig = RegularisationConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    clipping: ClippingConfig = ClippingConfig()
    training: TrainingConfig = TrainingConfig()


class Preset(Struct, frozen=True):
    """A starting point with the sentence that says what it is for."""

    purpose: str
    config: RunConfig


_PTB_SMALL = RunConfig(
    preset="ptb-small",
    corpus=CorpusConfig(tokenizer="whitespace", max_vocabulary=50_000),
    model=ModelConfig(embedding_size=200, hidden_size=200, layers=2),
    regularisation=RegularisationConfig(input_dropout=0.2, layer_dropout=0.2, output_dropout=0.2),
    optimiser=OptimiserConfig(name="sgd", learning_rate=20.0),
    schedule=ScheduleConfig(name="cosine"),
    clipping=ClippingConfig(threshold=0.25),
    training=TrainingConfig(batch_size=20, bptt=35, epochs=6),
)
_AWD_MODEL = ModelConfig(embedding_size=400, hidden_size=1150, last_size=400, layers=3)
_AWD_REGULARISATION = RegularisationConfig(
    embedding_dropout=0.1,
    input_dropout=0.4,
    layer_dropout=0.25,
    output_dropout=0.4,
    weight_drop=0.5,
    activation=2.0,
    temporal_activation=1.0,
)
_AWD_OPTIMISER = OptimiserConfig(name="nt-asgd", learning_rate=30.0, weight_decay=1.2e-6)
PRESETS: Mapping[str, Preset] = {
    "toy": Preset(
        "Learns the toy world's words in seconds: the one to watch first.",
        RunConfig(
            preset="toy",
            corpus=CorpusConfig(punctuation="drop"),
            model=ModelConfig(embedding_size=32, hidden_size=32),
            optimiser=OptimiserConfig(learning_rate=0.005, weight_decay=0.05),
            clipping=ClippingConfig(threshold=0.15),
            training=TrainingConfig(batch_size=32, bptt=16, evaluate_every=500),
        ),
    ),
    "laptop": Preset(
        "A text of your own in minutes on a laptop.",
        RunConfig(
            preset="laptop",
            model=ModelConfig(embedding_size=192, hidden_size=192),
            regularisation=RegularisationConfig(input_dropout=0.2, output_dropout=0.2),
            optimiser=OptimiserConfig(learning_rate=0.004),
            clipping=ClippingConfig(threshold=1.0),
            training=TrainingConfig(batch_size=32, bptt=32, evaluate_every=500),
        ),
    ),
    "shakespeare-char": Preset(
        "Tiny Shakespeare, or any text of a megabyte, character by character, in three minutes.",
        RunConfig(
            preset="shakespeare-char",
            corpus=CorpusConfig(tokenizer="character", valid_fraction=0.1, test_fraction=0),
            model=ModelConfig(embedding_size=64, hidden_size=320, tied=False),
            regularisation=RegularisationConfig(
                input_dropout=0.05, output_dropout=0.35, locked=False
            ),
            optimiser=OptimiserConfig(learning_rate=0.0075, weight_decay=0.05),
            schedule=ScheduleConfig(name="linear", warmup_steps=200),
            clipping=ClippingConfig(threshold=1.0),
            training=TrainingConfig(
                batch_size=32, bptt=64, minutes=3, evaluate_every=1000, precision="bfloat16"
            ),
        ),
    ),
    "ptb-small": Preset(
        "Two layers of 200 units on Penn Treebank: an honest baseline in minutes. Without dropout "
        "Zaremba et al. 2014 reach 120.7 validation, 114.5 test perplexity at this size.",
        _PTB_SMALL,
    ),
    "large-vocabulary": Preset(
        "ptb-small for 10,000 words and more: each step compares its targets with 1,024 sampled "
        "words, in less than half the time.",
        msgspec.structs.replace(
            _PTB_SMALL,
            preset="large-vocabulary",
            optimiser=OptimiserConfig(name="sgd", learning_rate=45.0),
            training=TrainingConfig(
                batch_size=20, bptt=35, epochs=7, candidates=1024, precision="bfloat16"
            ),
        ),
    ),
    "ptb-medium": Preset(
        "Two layers of 650 units on Penn Treebank, after Zaremba et al. 2014 (86.2 "
        "validation, 82.7 test perplexity, not tied).",
        RunConfig(
            preset="ptb-medium",
            corpus=CorpusConfig(tokenizer="whitespace", max_vocabulary=50_000),
            model=ModelConfig(embedding_size=650, hidden_size=650, layers=2, init_range=0.05),
            regularisation=RegularisationConfig(
                input_dropout=0.5, layer_dropout=0.5, output_dropout=0.5
            ),
            optimiser=OptimiserConfig(name="sgd", learning_rate=20.0),
            schedule=ScheduleConfig(name="plateau"),
            clipping=ClippingConfig(threshold=0.25),
            training=TrainingConfig(batch_size=20, bptt=35, epochs=39),
        ),
    ),
    "awd-lstm-ptb": Preset(
        "AWD-LSTM on Penn Treebank (Merity et al. 2018: 60.0 validation, 57.3 test perplexity); "
        "wants a GPU.",
        RunConfig(
            preset="awd-lstm-ptb",
            corpus=CorpusConfig(tokenizer="whitespace", max_vocabulary=50_000),
            model=_AWD_MODEL,
            regularisation=_AWD_REGULARISATION,
            optimiser=_AWD_OPTIMISER,
            clipping=ClippingConfig(threshold=0.25),
            training=TrainingConfig(batch_size=20, bptt=70, random_bptt=True, epochs=500),
        ),
    ),
    "awd-lstm-wikitext-2": Preset(
        "AWD-LSTM on WikiText-2 (Merity et al. 2018: 68.6 validation, 65.8 test perplexity); "
        "wants a GPU.",
        RunConfig(
            preset="awd-lstm-wikitext-2",
            corpus=CorpusConfig(tokenizer="whitespace", max_vocabulary=50_000),
            model=_AWD_MODEL,
            regularisation=msgspec.structs.replace(
                _AWD_REGULARISATION, input_dropout=0.65, layer_dropout=0.2
            ),
            optimiser=_AWD_OPTIMISER,
            clipping=ClippingConfig(threshold=0.25),
            training=TrainingConfig(batch_size=80, bptt=70, random_bptt=True, epochs=750),
        ),
    ),
}
DEFAULT_PRESET = "laptop"


class Field(Struct, frozen=True):
    """One setting, for forms, help and `--set`."""

    path: str
    """Dotted, such as `model.hidden_size`."""
    effect: str
    """What it does, in a sentence."""
    values: str
    """Its range or choices, for people: `1 to 8192`, `off | norm | value`, `yes | no`."""
    choices: tuple[str, ...]
    """The choices where there are a few (`true`, `false` for a switch), else empty."""
    optional: bool
    """Whether it may be left empty: none."""


def preset(name: str) -> RunConfig:
    """The configuration of a preset. Raises UserError for an unknown name."""
    if name not in PRESETS:
        raise UserError(f"There is no preset {quoted(name)}: choose one of {', '.join(PRESETS)}.")
    return PRESETS[name].config


def fields() -> Iterator[Field]:
    """Every setting, section by section, in the order the form shows them."""
    for section, section_type in get_type_hints(RunConfig).items():
        if not (isinstance(section_type, type) and issubclass(section_type, Section)):
            continue
        for name, annotation in get_type_hints(section_type, include_extras=True).items():
            yield _field(f"{section}.{name}", annotation)


def _field(path: str, annotation: Any) -> Field:
    kind, meta, optional = _kind(annotation)
    choices: tuple[str, ...] = ("true", "false") if kind is bool else get_args(kind)
    return Field(path, meta.description or "", _values(kind, meta, choices), choices, optional)


def _kind(annotation: Any) -> tuple[type, Meta, bool]:
    """A field's type, its range and effect, and whether it may be none."""
    optional = type(None) in get_args(annotation)
    if optional:
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    kind, meta = get_args(annotation)
    return kind, meta, optional


def _values(kind: type, meta: Meta, choices: tuple[str, ...]) -> str:
    if kind is bool:
        return "yes | no"
    if choices:
        return " | ".join(choices)
    if kind is str:
        return "text"
    write = "{:,}".format if kind is int else "{:g}".format
    if meta.le is not None:
        return f"{write(meta.ge)} to {write(meta.le)}"
    return f"{write(meta.ge)} to below {write(meta.lt)}"


def get(config: RunConfig, path: str) -> Any:
    """The value at a dotted path."""
    section, _, name = path.partition(".")
    return getattr(getattr(config, section), name)


def replace(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """A copy with the values at dotted paths changed. Strings are read as the field's type.

    Raises UserError naming the field, what was given and what is allowed.
    """
    known = {field.path: field for field in fields()}
    table = msgspec.to_builtins(config)
    for path, value in changes.items():
        if path not in known:
            raise UserError(
                f"There is no setting {quoted(path)}: `lstm-tui settings` lists them all."
            )
        section, _, name = path.partition(".")
        table[section][name] = _parse(known[path], value)
    return _converted(table, changes)


def _parse(field: Field, value: Any) -> Any:
    """The value, where it is a string as the field's type. Raises UserError where it isn't one."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if field.optional and text.lower() in ("", "none", "null", "off"):
        return None
    section, _, name = field.path.partition(".")
    section_type = get_type_hints(RunConfig)[section]
    kind, _, _ = _kind(get_type_hints(section_type, include_extras=True)[name])
    read: dict[type, Callable[[str], Any]] = {
        bool: lambda text: _SWITCH.get(text.lower()),
        int: whole_number,
        float: real_number,
    }
    parsed = read[kind](text) if kind in read else text
    if parsed is None or not is_unicode(text):
        raise UserError(_refusal(field, value))
    return parsed


_SWITCH = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def _refusal(field: Field, given: Any) -> str:
    hint = "; decimals are written with a point" if isinstance(given, str) and "," in given else ""
    return f"{field.path} can't be {quoted(given)}: it takes {field.values}{hint}."


def from_table(table: Mapping[str, Any]) -> RunConfig:
    """A configuration from nested plain values; missing ones take the default.

    Raises UserError naming the field and what is allowed.
    """
    return _converted(table, {})


def _converted(table: Mapping[str, Any], written: Mapping[str, Any]) -> RunConfig:
    """The same; `written` holds, by dotted path, the values whose user wrote them otherwise."""
    try:
        config = msgspec.convert(table, RunConfig, strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        raise UserError(_explain(str(error), table, written)) from None
    _check_together(config)
    return config


def _explain(message: str, table: Mapping[str, Any], written: Mapping[str, Any]) -> str:
    """A sentence from msgspec's "Expected ... - at `$.model.layers`"."""
    problem, _, where = message.partition(" - at `$.")
    path = where.rstrip("`")
    for field in fields():
        if field.path == path:
            section, _, name = path.partition(".")
            return _refusal(field, written.get(path, table.get(section, {}).get(name)))
    problem, path = shortened(visible(problem)), shortened(visible(path))
    return f"The configuration can't be used: {problem}{f' in {path}' if path else ''}."


def _check_together(config: RunConfig) -> None:
    """The rules that join two settings."""
    corpus, training = config.corpus, config.training
    if corpus.valid_fraction + corpus.test_fraction > 0.9:
        raise UserError("corpus.valid_fraction and corpus.test_fraction leave too little to train.")
    limits = (training.steps, training.epochs, training.minutes)
    if config.schedule.name in _ENDING and limits == (None, None, None):
        raise UserError(
            f"A {config.schedule.name} schedule needs an end: set training.steps, training.epochs "
            "or training.minutes."
        )


def read_toml(path: Path) -> tuple[str | None, dict[str, Any]]:
    """The preset a TOML file names, if any, and its settings by dotted path, for `replace`.

    Raises UserError where the file can't be read, isn't TOML, or holds anything but tables.
    """
    name = shortened(visible(str(path)), 200)
    try:
        table = tomllib.loads(_settings_text(path).decode())
    except OSError as error:
        raise UserError(f"Can't read {name}: {error.strerror}.") from None
    except RecursionError:
        raise UserError(f"{name} can't be used: its values are nested too deeply.") from None
    except ValueError as error:  # not TOML, not UTF-8, an integer of thousands of digits
        raise UserError(f"{name} isn't TOML: {shortened(visible(str(error)), 200)}.") from None
    chosen = table.pop("preset", None)
    if chosen is not None and not isinstance(chosen, str):
        raise UserError(
            f"{name}: preset can't be {quoted(chosen)}: it takes a name in quotation marks."
        )
    changes: dict[str, Any] = {}
    for section, values in table.items():
        if not isinstance(values, dict):
            raise UserError(
                f"{name}: {shortened(visible(section))} stands outside a table such as [training]."
            )
        changes |= {f"{section}.{key}": value for key, value in values.items()}
    return chosen, changes


def _settings_text(path: Path) -> bytes:
    """What a file of settings holds. Raises OSError, also where it is no plain file."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a plain file", str(path))
    data = read_plain(path.resolve(), MAX_FILE)
    if any(len(line) > _MAX_LINE for line in data.split(b"\n")):
        raise OSError(errno.EFBIG, f"it has a line of more than {_MAX_LINE:,} bytes", str(path))
    return data
