"""A model read one token at a time: what each next token's logits are, and what they cost.

For one token the calls around a layer cost more than its sums, and the sums little more than
reading the weights from memory. So on a CPU a step is written out in NumPy, over views of the
model's own weights: nothing is copied or prepared, and a step reads the weights as they then are.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.model.lstm import CarriedState, LayerState, LSTMLanguageModel
from engine.model.output import Product

Floats = NDArray[np.float32]
T = TypeVar("T")
Step = Callable[[int], Floats]
"""Reads a token; returns logits (vocabulary,) of the one after it, the caller's to change."""


WORK = 1 << 28
"""Multiplications in a stretch of text: some hundredths of a second on a CPU."""
SHORTEST, LONGEST = 16, 1024
"""Tokens of a stretch, at least and at most. Calls of a single token are rounded differently."""


def stepper(model: LSTMLanguageModel, text: Sequence[int]) -> Step:
    """Steps of a model that has read a text, perhaps of no tokens, with its dropouts off."""
    return at_once(reading(model, text))


def at_once(work: Generator[None, None, T]) -> T:
    """What is returned at the end of work that pauses."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: T = end.value
            return found


def reading(model: LSTMLanguageModel, text: Sequence[int]) -> Generator[None, None, Step]:
    """As `stepper`, with a pause between the stretches of a long text. What is returned is the
    same to the last bit, if the weights are."""
    return decoder(model, (yield from state_after(model, text))).step


def state_after(
    model: LSTMLanguageModel, text: Sequence[int]
) -> Generator[None, None, CarriedState]:
    """The state of a model that has read a text, with a pause between the stretches of a long
    one."""
    state = model.initial_state(1)
    for number, (begin, end) in enumerate(stretches(len(text), model.lstm)):
        if number:
            yield
        state = _state_after(model, text[begin:end], state)
    return state


def decoder(model: LSTMLanguageModel, state: CarriedState) -> "_Called | _WrittenOut":
    """What steps a model on from the state of one text."""
    weight = model.embedding.weight
    if weight.device.type == "cpu" and weight.dtype == torch.float32:
        return _WrittenOut(model, state)
    return _Called(model, state)


def stretches(length: int, module: nn.Module) -> Iterator[tuple[int, int]]:
    """(begin, end) of stretches of so many tokens, each read by these weights in a short time."""
    weights = sum(parameter.numel() for parameter in module.parameters())
    size = min(LONGEST, max(SHORTEST, WORK // weights))
    begin = 0
    while begin < length:
        end = begin + size if length - begin >= size + SHORTEST else length
        yield begin, end
        begin = end


@torch.no_grad()
def _state_after(
    model: LSTMLanguageModel, text: Sequence[int], state: CarriedState
) -> CarriedState:
    model.eval()
    column = torch.tensor(text, device=model.embedding.weight.device)[:, None]
    _, state = model.features(column, state)
    return state


class SideBySide:
    """Steps of several texts at once, which have read the same so far, by weights that stay as they
    are.

    A step reads the weights once for all of them, and that is most of what a step of one text
    costs. It is rounded differently from that, in the last bits.
    """

    @torch.no_grad()
    def __init__(self, model: LSTMLanguageModel, state: CarriedState, texts: int) -> None:
        self._embedding = model.embedding.weight.detach()
        self._layers = [_Gates(*layer.parameters()) for layer in model.lstm]
        self._projection = None if model.projection is None else Product(model.projection.weight)
        self._output = Product(model.output.weight, model.output.bias)
        self._state = [(h[0].repeat(texts, 1), c[0].repeat(texts, 1)) for h, c in state]

    @torch.no_grad()
    def step(self, tokens: Sequence[int]) -> Tensor:
        """Reads a token of each text; returns logits (texts, vocabulary) of those after them, on
        the CPU."""
        hidden = self._embedding[torch.tensor(tokens, device=self._embedding.device)]
        for number, (gates, (h, c)) in enumerate(zip(self._layers, self._state, strict=True)):
            hidden, c = gates(hidden, h, c)
            self._state[number] = hidden, c
        if self._projection is not None:
            hidden = self._projection(hidden)
        return self._output(hidden).float().cpu()

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these of the texts, in this order; one may come several times."""
        index = torch.tensor(rows, dtype=torch.int64, device=self._embedding.device)
        self._state = [(h[index], c[index]) for h, c in self._state]

    def put(self, row: int, state: CarriedState) -> None:
        """Give one of the texts the state of a text that was read alone."""
        for ours, alone in zip(self._state, state, strict=True):
            for part, value in zip(ours, alone, strict=True):
                part[row] = value[0, 0]


class _Gates:
    """An LSTM layer, whose products of input and state are one."""

    def __init__(
        self, inputs: Tensor, recurrent: Tensor, input_bias: Tensor, recurrent_bias: Tensor
    ) -> None:
        self._product = Product(torch.cat([inputs, recurrent], 1), input_bias + recurrent_bias)

    def __call__(self, inputs: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The h and c, each (texts, units), after inputs (texts, size)."""
        sums = self._product(torch.cat([inputs, h], 1))
        input_gate, forget_gate, candidate, output_gate = sums.chunk(4, 1)
        c = forget_gate.sigmoid() * c + input_gate.sigmoid() * candidate.tanh()
        return output_gate.sigmoid() * c.tanh(), c


class _Called:
    """Steps by calling the model, on any device."""

    def __init__(self, model: LSTMLanguageModel, state: CarriedState) -> None:
        self._model = model
        self._state = state

    @property
    def state(self) -> CarriedState:
        """After what was read."""
        return self._state

    def read(self, token: int) -> Tensor:
        """Reads a token; returns its features (1, 1, units)."""
        model = self._model
        model.eval()
        column = torch.tensor([[token]], device=model.embedding.weight.device)
        with torch.no_grad():
            features, self._state = model.features(column, self._state)
        return features

    def step(self, token: int) -> Floats:
        with torch.no_grad():
            logits = self._model.output(self.read(token))
        found: Floats = logits[0, 0].float().cpu().numpy()
        return found


class _WrittenOut:
    """Steps on a CPU, in NumPy, whose products wake no threads in an engine: see
    `engine.service.process`."""

    def __init__(self, model: LSTMLanguageModel, state: CarriedState) -> None:
        self._embedding = _view(model.embedding.weight)
        self._layers = [_Layer(*each) for each in zip(model.lstm, state, strict=True)]
        self._projection = None if model.projection is None else _view(model.projection.weight)
        self._weight, self._bias = _view(model.output.weight), _view(model.output.bias)

    @property
    def state(self) -> CarriedState:
        """After what was read."""
        return tuple(layer.state for layer in self._layers)

    @np.errstate(all="ignore")  # what has exploded is told by its logits
    def read(self, token: int) -> Floats:
        """Reads a token; returns the last layer's hidden state (units,)."""
        hidden: Floats = self._embedding[token]
        for layer in self._layers:
            hidden = layer.step(hidden)
        return hidden

    @np.errstate(all="ignore")
    def step(self, token: int) -> Floats:
        hidden = self.read(token)
        if self._projection is not None:
            hidden = self._projection @ hidden
        logits: Floats = self._weight @ hidden
        logits += self._bias
        return logits


class _Layer:
    """An LSTM layer and its state."""

    def __init__(self, layer: nn.Module, state: tuple[Tensor, Tensor]) -> None:
        self._inputs, self._recurrent, *self._biases = map(_view, layer.parameters())
        self._h, self._c = (part[0, 0].numpy() for part in state)

    @property
    def state(self) -> LayerState:
        """(h, c), each (1, 1, units)."""
        h, c = (torch.from_numpy(part)[None, None] for part in (self._h, self._c))
        return h, c

    def step(self, inputs: Floats) -> Floats:
        gates = self._inputs @ inputs + self._recurrent @ self._h
        for bias in self._biases:
            gates += bias
        input_gate, forget_gate, cell, output_gate = gates.reshape(4, -1)
        self._c = _sigmoid(forget_gate) * self._c + _sigmoid(input_gate) * np.tanh(cell)
        self._h = _sigmoid(output_gate) * np.tanh(self._c)
        return self._h


def _sigmoid(values: Floats) -> Floats:
    """By the tangent, which can't overflow."""
    shares: Floats = 0.5 * np.tanh(0.5 * values) + 0.5
    return shares


def _view(weight: Tensor) -> Floats:
    """The same memory, for NumPy."""
    view: Floats = weight.detach().numpy()
    return view
