"""The LSTM language model: embedding, LSTM layers, output layer, and what regularises them.

Zaremba et al. 2014 ("Recurrent Neural Network Regularization") with the tied weights of Press &
Wolf 2017 and the regularisation of Merity et al. 2018 ("Regularizing and Optimizing LSTM Language
Models", AWD-LSTM). Every layer is torch's own: on a CPU oneDNN's kernel, on a GPU cuDNN's.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.config import ModelConfig, RegularisationConfig
from engine.model.dropouts import drop_weights, drop_words, elementwise, locked
from engine.model.output import Candidates, exact_loss, sampled_loss, summed_loss
from engine.sizes import layer_sizes

LayerState = tuple[Tensor, Tensor]
"""(h, c) of a layer, each (1, batch, units)."""
CarriedState = tuple[LayerState, ...]
"""The state of each layer, the first layer first."""
UNREGULARISED = RegularisationConfig()


def detached(state: CarriedState) -> CarriedState:
    """The same state, through which no gradient flows back into the window before."""
    return tuple((h.detach(), c.detach()) for h, c in state)


class WindowLoss(NamedTuple):
    """The loss of a window of text."""

    cross_entropy: Tensor
    """Mean over the targets, nats per token: the loss that is reported."""
    penalty: Tensor | None
    """What activation regularisation adds to it for back-propagation, if anything."""
    state: CarriedState
    """After the window."""
    exact: Tensor | None = None
    """The cross-entropy over the whole vocabulary, without a gradient, where it was asked for
    beside a sampled one."""


class LSTMLanguageModel(nn.Module):
    """Predicts each next token from those before it.

    In training mode the dropouts are on, and draw from `random` (torch's own generator without).
    """

    def __init__(
        self,
        vocabulary: int,
        config: ModelConfig,
        regularisation: RegularisationConfig = UNREGULARISED,
        random: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.regularisation = regularisation
        self.random = random
        self.training_dtype: torch.dtype | None = None
        """What the LSTM layers compute in while training; None leaves it to the weights."""
        self.sparse_gradients = False
        """Whether, while training by a sampled loss, embedding and output have sparse gradients."""
        self.embedding = nn.Embedding(vocabulary, config.embedding_size)
        sizes = layer_sizes(config)
        self.lstm = nn.ModuleList(self._layer(inputs, units) for inputs, units in pairwise(sizes))
        last = sizes[-1]
        decoded = config.embedding_size if config.tied else last
        # Not nn.LSTM's proj_size, which would leave oneDNN's kernel.
        self.projection = nn.Linear(last, decoded, bias=False) if decoded != last else None
        self.output = nn.Linear(decoded, vocabulary)
        nn.init.uniform_(self.embedding.weight, -config.init_range, config.init_range)
        nn.init.uniform_(self.output.weight, -config.init_range, config.init_range)
        nn.init.zeros_(self.output.bias)
        if config.forget_bias is not None:
            self._set_forget_bias(config.forget_bias)
        if config.tied:
            self.output.weight = self.embedding.weight

    @torch.no_grad()
    def _set_forget_bias(self, value: float) -> None:
        """The gates lie as input, forget, cell, output, and have two biases, which add up."""
        for units, layer in zip(layer_sizes(self.config)[1:], self.lstm, strict=True):
            *_, input_bias, recurrent_bias = layer.parameters()
            input_bias[units : 2 * units] = value
            recurrent_bias[units : 2 * units] = 0.0

    @property
    def _sparse(self) -> bool:
        return self.training and self.sparse_gradients

    def initial_state(self, batch_size: int) -> CarriedState:
        """Zeros for every layer."""
        weight = self.embedding.weight
        shapes = [(1, batch_size, units) for units in layer_sizes(self.config)[1:]]
        return tuple((weight.new_zeros(shape), weight.new_zeros(shape)) for shape in shapes)

    def features(self, tokens: Tensor, state: CarriedState) -> tuple[Tensor, CarriedState]:
        """Features (time, batch, units) of tokens (time, batch), and the new state."""
        return self.features_of_vectors(self.embed(tokens), state)

    def features_of_vectors(
        self, vectors: Tensor, state: CarriedState
    ) -> tuple[Tensor, CarriedState]:
        """As `features`, from word vectors (time, batch, embedding_size)."""
        raw, state = self._last_layer(vectors, state)
        return self._project(self._drop(raw, self.regularisation.output_dropout)), state

    def forward(self, tokens: Tensor, state: CarriedState) -> tuple[Tensor, CarriedState]:
        """Logits of the token after each of tokens (time, batch): (time, batch, vocabulary)."""
        features, state = self.features(tokens, state)
        return self.output(features), state

    def loss(
        self,
        tokens: Tensor,
        targets: Tensor,
        state: CarriedState,
        candidates: Candidates | None = None,
        *,
        exactly: bool = False,
    ) -> WindowLoss:
        """The loss of predicting targets (time, batch) from tokens (time, batch).

        Over the whole vocabulary, or where there are candidates by `sampled_loss`, with the exact
        one beside it where `exactly` asks for that.
        """
        vectors = self.embed(tokens)
        return self.loss_of_vectors(vectors, targets, state, candidates, exactly=exactly)

    def embed(self, tokens: Tensor) -> Tensor:
        """Word vectors (time, batch, embedding_size) as the first layer takes them."""
        vectors = functional.embedding(tokens, self.embedding.weight, sparse=self._sparse)
        if self.training:
            off, vocabulary = self.regularisation, self.embedding.num_embeddings
            vectors = drop_words(vectors, tokens, vocabulary, off.embedding_dropout, self.random)
        return self._drop(vectors, self.regularisation.input_dropout)

    def loss_of_vectors(
        self,
        vectors: Tensor,
        targets: Tensor,
        state: CarriedState,
        candidates: Candidates | None = None,
        *,
        exactly: bool = False,
    ) -> WindowLoss:
        """As `loss`, from word vectors (time, batch, embedding_size)."""
        raw, state = self._last_layer(vectors, state)
        features = self._drop(raw, self.regularisation.output_dropout)
        rows = self._project(features).flatten(0, 1)
        weight, bias, aims = self.output.weight, self.output.bias, targets.flatten()
        exact = None
        if candidates is None:
            cross_entropy = exact_loss(rows, weight, bias, aims)
        else:
            cross_entropy = sampled_loss(rows, weight, bias, aims, candidates, sparse=self._sparse)
            if exactly:
                with torch.no_grad():
                    exact = summed_loss(rows, weight, bias, aims) / len(aims)
        penalty = self._penalty(raw, features) if self.training else None
        return WindowLoss(cross_entropy, penalty, state, exact)

    def _last_layer(self, vectors: Tensor, state: CarriedState) -> tuple[Tensor, CarriedState]:
        """What the last layer gives, (time, batch, units), before any dropout."""
        states: list[LayerState] = []
        hidden = vectors
        for index, (layer, before) in enumerate(zip(self.lstm, state, strict=True)):
            if index:
                hidden = self._drop(hidden, self.regularisation.layer_dropout)
            hidden, after = self._run_layer(layer, hidden, before)
            states.append(after)
        return hidden, tuple(states)

    def _run_layer(
        self, layer: nn.Module, inputs: Tensor, state: LayerState
    ) -> tuple[Tensor, LayerState]:
        share = self.regularisation.weight_drop if self.training else 0.0
        input_weight, recurrent_weight, *biases = layer.parameters()
        weights = [input_weight, drop_weights(recurrent_weight, share, self.random), *biases]
        # As nn.LSTM calls it: biases, one layer, no dropout, one direction, time before batch.
        # cuDNN goes backward only from what it computed "in training".
        backward = torch.is_grad_enabled()
        dtype = inputs.dtype
        within = (self.training_dtype or dtype) if self.training else dtype
        given = [tensor.to(within) for tensor in (inputs, *state, *weights)]
        output, h, c = self._call_layer(given[0], given[1:3], given[3:], backward)
        return output.to(dtype), (h.to(dtype), c.to(dtype))

    def _layer(self, inputs: int, units: int) -> nn.Module:
        return nn.LSTM(inputs, units)

    def _call_layer(
        self, inputs: Tensor, state: list[Tensor], weights: list[Tensor], backward: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Output, h and c of a layer."""
        return torch.lstm(inputs, state, weights, True, 1, 0.0, backward, False, False)

    def _project(self, features: Tensor) -> Tensor:
        return features if self.projection is None else self.projection(features)

    def _drop(self, values: Tensor, share: float) -> Tensor:
        if not self.training:
            return values
        drop = locked if self.regularisation.locked else elementwise
        return drop(values, share, self.random)

    def _penalty(self, raw: Tensor, dropped: Tensor) -> Tensor | None:
        """Activation and temporal activation regularisation (Merity et al. 2017, 2018)."""
        weights = self.regularisation
        penalties = []
        if weights.activation:
            penalties.append(weights.activation * dropped.square().mean())
        if weights.temporal_activation and len(raw) > 1:
            penalties.append(weights.temporal_activation * (raw[1:] - raw[:-1]).square().mean())
        return torch.stack(penalties).sum() if penalties else None

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Copy every parameter from the one of its name, a tied one once. Raises ValueError where
        names or shapes differ."""
        parameters = dict(self.named_parameters())
        shapes = {name: tensor.shape for name, tensor in weights.items()}
        if shapes != {name: parameter.shape for name, parameter in parameters.items()}:
            raise ValueError("the weights don't fit the model")
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])

    def parameter_groups(self) -> Iterator[tuple[str, list[Tensor]]]:
        """The groups whose gradient norms are shown: embedding, lstm.0, ..., output.

        Every parameter is in exactly one; a tied weight counts as embedding.
        """
        yield "embedding", [self.embedding.weight]
        for index, layer in enumerate(self.lstm):
            yield f"lstm.{index}", list(layer.parameters())
        output: list[Tensor] = [] if self.projection is None else [self.projection.weight]
        if not self.config.tied:
            output.append(self.output.weight)
        yield "output", [*output, self.output.bias]
