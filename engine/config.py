"""What a run is: corpus, model, optimiser, schedule, clipping and training, in one frozen record.

Every field carries its range and its effect in a sentence (`msgspec.Meta`); the configuration
file, `--set`, and the new-run form are all generated from them by `fields()`.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from engine.errors import UserError

TokenizerName = Literal["word", "whitespace", "character", "subword"]
Punctuation = Literal["separate", "drop"]
OptimiserName = Literal["sgd", "adamw"]
ScheduleName = Literal["constant", "cosine"]
ClipMode = Literal["off", "norm", "value"]


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
    layers: Annotated[int, Meta(ge=1, le=16, description="LSTM layers stacked.")] = 1
    dropout: Annotated[
        float,
        Meta(
            ge=0,
            lt=1,
            description="Share of activations zeroed while training, against over-fitting.",
        ),
    ] = 0.0
    tied: Annotated[
        bool,
        Meta(
            description="Share the embedding with the output layer (Press & Wolf 2017): fewer "
            "weights; needs embedding_size = hidden_size."
        ),
    ] = True
    init_range: Annotated[
        float,
        Meta(ge=1e-6, le=1, description="Embedding weights start uniform in [-range, range]."),
    ] = 0.1


class OptimiserConfig(Section, frozen=True):
    """How a gradient becomes a change of the weights."""

    name: Annotated[
        OptimiserName, Meta(description="sgd is plain and strong on PTB; adamw needs less tuning.")
    ] = "adamw"
    learning_rate: Annotated[
        float,
        Meta(ge=1e-9, le=1000, description="About 20 for sgd, about 0.005 for adamw."),
    ] = 0.005
    weight_decay: Annotated[
        float, Meta(ge=0, le=1, description="Pulls weights towards zero at every step.")
    ] = 0.0


class ScheduleConfig(Section, frozen=True):
    """How the learning rate moves over the run."""

    name: Annotated[
        ScheduleName,
        Meta(
            description="constant, or cosine decay to zero over the run's steps or epochs "
            "(Loshchilov & Hutter 2017)."
        ),
    ] = "constant"
    warmup_steps: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Steps over which the rate rises from zero.")
    ] = 0


class ClippingConfig(Section, frozen=True):
    """What is done to a gradient that is too large (Pascanu et al. 2013)."""

    mode: Annotated[
        ClipMode,
        Meta(
            description="norm rescales the whole gradient, value cuts each number into "
            "[-threshold, threshold], off lets it through."
        ),
    ] = "norm"
    threshold: Annotated[
        float,
        Meta(ge=1e-9, le=1e6, description="The largest norm (or number) let through unchanged."),
    ] = 1.0


class TrainingConfig(Section, frozen=True):
    """The loop: batches, length, and what happens at intervals. Null limits mean no limit."""

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
    steps: Annotated[int, Meta(ge=1, description="Finish after this many steps.")] | None = None
    epochs: (
        Annotated[float, Meta(ge=1e-6, description="Finish after this many passes over the text.")]
        | None
    ) = None
    minutes: (
        Annotated[float, Meta(ge=1e-6, description="Finish after this many minutes of training.")]
        | None
    ) = None
    evaluate_every: Annotated[
        int,
        Meta(ge=0, description="Steps between validations; 0 validates at the end of each epoch."),
    ] = 0
    sample_every: Annotated[
        int, Meta(ge=0, description="Steps between samples of text; 0 means at each validation.")
    ] = 0
    save_every: Annotated[
        int,
        Meta(ge=0, description="Steps between checkpoints; 0 saves about once a minute."),
    ] = 0
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
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    clipping: ClippingConfig = ClippingConfig()
    training: TrainingConfig = TrainingConfig()


class Preset(Struct, frozen=True):
    """A starting point with the sentence that says what it is for."""

    purpose: str
    config: RunConfig


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
            model=ModelConfig(embedding_size=192, hidden_size=192, dropout=0.2),
            optimiser=OptimiserConfig(learning_rate=0.004),
            clipping=ClippingConfig(threshold=1.0),
            training=TrainingConfig(batch_size=32, bptt=32, evaluate_every=500),
        ),
    ),
    "ptb-small": Preset(
        "A two-layer, 200-unit word model for Penn Treebank: an honest small baseline.",
        RunConfig(
            preset="ptb-small",
            corpus=CorpusConfig(tokenizer="whitespace", max_vocabulary=50_000),
            model=ModelConfig(embedding_size=200, hidden_size=200, layers=2, dropout=0.2),
            optimiser=OptimiserConfig(name="sgd", learning_rate=20.0),
            clipping=ClippingConfig(threshold=0.25),
            training=TrainingConfig(batch_size=20, bptt=35),
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
    """Whether it may be left empty, for no limit."""


def preset(name: str) -> RunConfig:
    """The configuration of a preset. Raises UserError for an unknown name."""
    if name not in PRESETS:
        raise UserError(f"There is no preset {name!r}: choose one of {', '.join(PRESETS)}.")
    return PRESETS[name].config


def fields() -> Iterator[Field]:
    """Every setting, section by section, in the order the form shows them."""
    for section, section_type in get_type_hints(RunConfig).items():
        if not (isinstance(section_type, type) and issubclass(section_type, Section)):
            continue
        for name, annotation in get_type_hints(section_type, include_extras=True).items():
            yield _field(f"{section}.{name}", annotation)


def _field(path: str, annotation: Any) -> Field:
    optional = type(None) in get_args(annotation)
    if optional:
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    kind, meta = get_args(annotation)
    if kind is bool:
        choices: tuple[str, ...] = ("true", "false")
    else:
        choices = get_args(kind)
    return Field(path, meta.description, _values(kind, meta, choices), choices, optional)


def _values(kind: type, meta: Meta, choices: tuple[str, ...]) -> str:
    if kind is bool:
        return "yes | no"
    if choices:
        return " | ".join(choices)
    if kind is str:
        return "text"
    low = f"{meta.ge:g}"
    if meta.le is not None:
        return f"{low} to {meta.le:g}"
    if meta.lt is not None:
        return f"{low} to below {meta.lt:g}"
    return f"{low} or more"


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
            raise UserError(f"There is no setting {path!r}: `lstm-tui settings` lists them all.")
        section, _, name = path.partition(".")
        table[section][name] = _parse(known[path], value)
    return from_table(table)


def _parse(field: Field, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.strip()
    if field.optional and text.lower() in ("", "none", "null", "off"):
        return None
    if field.choices == ("true", "false"):
        words = {"true": True, "yes": True, "on": True, "1": True}
        words |= {"false": False, "no": False, "off": False, "0": False}
        return words.get(text.lower(), text)
    return text


def from_table(table: Mapping[str, Any]) -> RunConfig:
    """A configuration from nested plain values; missing ones take the default.

    Raises UserError naming the field and what is allowed.
    """
    try:
        config = msgspec.convert(table, RunConfig, strict=False)
    except msgspec.ValidationError as error:
        raise UserError(_explain(str(error), table)) from None
    _check_together(config)
    return config


def _explain(message: str, table: Mapping[str, Any]) -> str:
    """A sentence from msgspec's "Expected ... - at `$.model.layers`"."""
    problem, _, where = message.partition(" - at `$.")
    path = where.rstrip("`")
    for field in fields():
        if field.path == path:
            section, _, name = path.partition(".")
            given = table.get(section, {}).get(name)
            return f"{path} can't be {given!r}: it takes {field.values}."
    return f"The configuration can't be used: {problem}{f' in {path}' if path else ''}."


def _check_together(config: RunConfig) -> None:
    """The rules that join two settings."""
    model, corpus, training = config.model, config.corpus, config.training
    if model.tied and model.embedding_size != model.hidden_size:
        raise UserError(
            f"Tied weights need model.embedding_size ({model.embedding_size}) equal to "
            f"model.hidden_size ({model.hidden_size}): make them equal or set model.tied to no."
        )
    if corpus.valid_fraction + corpus.test_fraction > 0.9:
        raise UserError("corpus.valid_fraction and corpus.test_fraction leave too little to train.")
    if config.schedule.name == "cosine" and training.steps is None and training.epochs is None:
        raise UserError("A cosine schedule needs an end: set training.steps or training.epochs.")


def read_toml(path: Path) -> tuple[str | None, dict[str, Any]]:
    """The preset a TOML file names, if any, and its settings by dotted path, for `replace`.

    Raises UserError where the file can't be read, isn't TOML, or holds anything but tables.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"Can't read {path}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} isn't TOML: {error}.") from None
    name = table.pop("preset", None)
    changes: dict[str, Any] = {}
    for section, values in table.items():
        if not isinstance(values, dict):
            raise UserError(f"{path}: {section} stands outside a table such as [training].")
        changes |= {f"{section}.{key}": value for key, value in values.items()}
    return None if name is None else str(name), changes
