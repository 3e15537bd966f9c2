"""How large a model is, and what training it takes of memory, told from its configuration before it
is built. Free of torch, so that a form can tell it while it is filled in.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from engine.config import ModelConfig, RunConfig

Shapes = dict[str, tuple[int, ...]]
"""By parameter."""
CHUNK = 1 << 23
"""Logits held at a time by the exact loss on a CPU; always those of one token at least."""
_FLOAT = 4
"""Bytes."""
_LAYER_FLOATS, _OUTPUT_FLOATS = 12, 3
"""That a step keeps, for each token, of each unit of an LSTM layer (gates, cell, output, dropout)
and of each number that goes into the output layer."""
_LARGE = 0.25
"""Share of the whole from which on a part is worth making smaller."""


def layer_sizes(config: ModelConfig) -> list[int]:
    """The embedding's size, then each layer's units."""
    last = config.last_size or config.hidden_size
    return [config.embedding_size, *[config.hidden_size] * (config.layers - 1), last]


def weight_shapes(config: ModelConfig, vocabulary: int) -> Shapes:
    """The shapes of a language model's parameters, a tied weight once.

    By hand: building the model on torch's meta device takes a second at its first use.
    """
    sizes = layer_sizes(config)
    decoded = config.embedding_size if config.tied else sizes[-1]
    shapes: Shapes = {"embedding.weight": (vocabulary, config.embedding_size)}
    for index, (inputs, units) in enumerate(pairwise(sizes)):
        shapes[f"lstm.{index}.weight_ih_l0"] = (4 * units, inputs)
        shapes[f"lstm.{index}.weight_hh_l0"] = (4 * units, units)
        shapes[f"lstm.{index}.bias_ih_l0"] = (4 * units,)
        shapes[f"lstm.{index}.bias_hh_l0"] = (4 * units,)
    if decoded != sizes[-1]:
        shapes["projection.weight"] = (decoded, sizes[-1])
    if not config.tied:
        shapes["output.weight"] = (vocabulary, decoded)
    return shapes | {"output.bias": (vocabulary,)}


def parameter_count(config: ModelConfig, vocabulary: int) -> int:
    """Numbers that training changes, a tied weight counted once."""
    return sum(math.prod(shape) for shape in weight_shapes(config, vocabulary).values())


@dataclass(frozen=True)
class Need:
    """Bytes that training takes, by what they grow with."""

    vocabulary: int
    """Embedding and output layer: weights, gradient, what the optimiser keeps."""
    layers: int
    """The same of the LSTM layers."""
    window: int
    """What a step keeps of its tokens."""

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return self.vocabulary + self.layers + self.window

    @property
    def settings(self) -> str:
        """Those that make it smaller, the most effective first."""
        parts = [
            (self.vocabulary, "corpus.max_vocabulary or model.embedding_size"),
            (self.layers, "model.hidden_size or model.layers"),
            (self.window, "training.batch_size or training.bptt"),
        ]
        large = [part for part in sorted(parts, reverse=True) if part[0] >= _LARGE * self.total]
        return ", ".join(settings for _, settings in large)


def training_need(config: RunConfig, vocabulary: int, tokens: int, device: str) -> Need:
    """What a run of this configuration needs in the memory of a `device` (cpu, cuda), with so many
    tokens to train on.

    An estimate from below: what has to lie in memory at the same moment of a step, without the
    program itself, the text and what an allocator rounds up.
    """
    window = min(config.training.batch_size * config.training.bptt, tokens)
    shapes = weight_shapes(config.model, vocabulary)
    sizes = {name: _FLOAT * math.prod(shape) for name, shape in shapes.items()}
    layers = sum(size for name, size in sizes.items() if name.startswith(("lstm.", "projection.")))
    tables = sum(sizes.values()) - layers
    copies = 1 + _kept_copies(config)  # the weights, what the optimiser keeps
    gradients = 0 if sparse_gradients(config, vocabulary, device) else tables
    # A tied weight is held twice while the model is built, and so is a dense gradient of it.
    beside = sizes["embedding.weight"] if config.model.tied else 0
    return Need(
        vocabulary=copies * tables + gradients + beside,
        layers=(copies + 1) * layers,
        window=_FLOAT * _window_floats(config, vocabulary, window, device),
    )


def sparse_gradients(config: RunConfig, vocabulary: int, device: str) -> bool:
    """Whether a step on a `device` (cpu, cuda) touches only some rows of embedding and output.

    It does where the loss is sampled and the optimiser plain SGD: weight decay, momentum and Adam
    change every row at each step. On a GPU adding up the rows would be to wait for it.
    """
    candidates, optimiser = config.training.candidates, config.optimiser
    return (
        device == "cpu"
        and candidates is not None
        and candidates < vocabulary
        and optimiser.name in ("sgd", "nt-asgd")
        and optimiser.momentum == optimiser.weight_decay == 0
    )


def _kept_copies(config: RunConfig) -> int:
    """Tensors as large as the weights that last from step to step, beside them."""
    optimiser = config.optimiser
    if optimiser.name in ("adam", "adamw"):
        return 2
    return (optimiser.momentum > 0) + (optimiser.name == "nt-asgd")


def _window_floats(config: RunConfig, vocabulary: int, tokens: int, device: str) -> int:
    """Floats that a step on a window of so many tokens keeps at once."""
    sizes = layer_sizes(config.model)
    kept = sum(inputs + _LAYER_FLOATS * units for inputs, units in pairwise(sizes))
    compared = min(config.training.candidates or vocabulary, vocabulary)
    logits = tokens * compared
    if device == "cpu" and compared == vocabulary:
        logits = min(logits, max(CHUNK, vocabulary))  # some rows at a time
    return tokens * (kept + _OUTPUT_FLOATS * sizes[-1]) + logits
