"""Presets: starting points for a run, each with the sentence that says what it is for."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from engine.config.schema import (
    ClippingConfig,
    CorpusConfig,
    ModelConfig,
    OptimiserConfig,
    RegularisationConfig,
    RunConfig,
    ScheduleConfig,
    TrainingConfig,
)
from engine.errors import UserError
from engine.visible import quoted


class Preset(Struct, frozen=True):
    """A starting point with the sentence that says what it is for."""

    purpose: str
    config: RunConfig


_TOY_SEED = 22
"""One with which, before training, *mathematician* and *physicist* are not among each other's
neighbours: what brings them together is seen to be training."""
_TOY = RunConfig(
    preset="toy",
    corpus=CorpusConfig(punctuation="drop"),
    model=ModelConfig(embedding_size=32, hidden_size=32),
    optimiser=OptimiserConfig(learning_rate=0.005, weight_decay=0.05),
    clipping=ClippingConfig(threshold=0.15),
    training=TrainingConfig(batch_size=32, bptt=16, evaluate_every=500, seed=_TOY_SEED),
)
_PTB_SMALL = RunConfig(
    preset="ptb-small",
    corpus=CorpusConfig(tokenizer="whitespace", max_vocabulary=50_000),
    model=ModelConfig(embedding_size=200, hidden_size=200, layers=2),
    regularisation=RegularisationConfig(input_dropout=0.2, layer_dropout=0.2, output_dropout=0.2),
    optimiser=OptimiserConfig(name="sgd", learning_rate=30.0),
    schedule=ScheduleConfig(name="cooldown"),
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
        _TOY,
    ),
    "toy-clipping": Preset(
        "The toy world by plain sgd at a rate that only clipping makes good: without it the loss "
        "explodes within seconds.",
        msgspec.structs.replace(
            _TOY,
            preset="toy-clipping",
            optimiser=OptimiserConfig(name="sgd", learning_rate=63.0),
            clipping=ClippingConfig(threshold=0.05),
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
            model=ModelConfig(embedding_size=64, hidden_size=448, tied=False),
            regularisation=RegularisationConfig(
                input_dropout=0.05, output_dropout=0.2, locked=False
            ),
            optimiser=OptimiserConfig(learning_rate=0.006, weight_decay=0.05),
            schedule=ScheduleConfig(name="cooldown", cooldown=0.5, warmup_steps=200),
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


def preset(name: str) -> RunConfig:
    """The configuration of a preset. Raises UserError for an unknown name."""
    if name not in PRESETS:
        raise UserError(f"There is no preset {quoted(name)}: choose one of {', '.join(PRESETS)}.")
    return PRESETS[name].config
