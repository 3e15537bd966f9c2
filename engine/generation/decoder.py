"""A model read one token at a time: what each next token's logits are, and what they cost.

For one token the calls around a layer cost more than its sums, and the sums little more than
reading the weights from memory. So on a CPU a step is written out in NumPy, over views of the
model's own weights: nothing is copied or prepared, and a step reads the weights as they then are.
"""

from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.model.lstm import CarriedState, LSTMLanguageModel

Floats = NDArray[np.float32]
Step = Callable[[int], Floats]
"""Reads a token; returns logits (vocabulary,) of the one after it, the caller's to change."""


WORK = 1 << 28
"""Multiplications in a stretch of text: some hundredths of a second on a CPU."""
SHORTEST, LONGEST = 16, 1024
"""Tokens of a stretch, at least and at most. Calls of a single token are rounded differently."""


def stepper(model: LSTMLanguageModel, text: Sequence[int]) -> Step:
    """Steps of a model that has read a text, perhaps of no tokens, with its dropouts off."""
    work = reading(model, text)
    while True:
        try:
            next(work)
        except StopIteration as end:
            step: Step = end.value
            return step


def reading(model: LSTMLanguageModel, text: Sequence[int]) -> Generator[None, None, Step]:
    """As `stepper`, with a pause between the stretches of a long text. What is returned is the
    same to the last bit, if the weights are."""
    state = model.initial_state(1)
    for number, (begin, end) in enumerate(stretches(len(text), model.lstm)):
        if number:
            yield
        state = _state_after(model, text[begin:end], state)
    weight = model.embedding.weight
    if weight.device.type == "cpu" and weight.dtype == torch.float32:
        return _WrittenOut(model, state).step
    return _Called(model, state).step


def stretches(length: int, module: nn.Module) -> Iterator[tuple[int, int]]:
    """(begin, end) of stretches of so many tokens, each read by these weights in a short time."""
    weights = sum(parameter.numel() for parameter in module.parameters())
    size = min(LONGEST, max(SHORTEST, WORK // weights))
    begin = 0
    while begin < length:
        end = begin + size if length - begin >= size + SHORTEST else length
        yield begin, end
        begin = end


@torch.inference_mode()
def _state_after(
    model: LSTMLanguageModel, text: Sequence[int], state: CarriedState
) -> CarriedState:
    model.eval()
    column = torch.tensor(text, device=model.embedding.weight.device)[:, None]
    _, state = model.features(column, state)
    return state


class _Called:
    """Steps by calling the model, on any device."""

    def __init__(self, model: LSTMLanguageModel, state: CarriedState) -> None:
        self._model = model
        self._state = state

    @torch.inference_mode()
    def step(self, token: int) -> Floats:
        model = self._model
        model.eval()
        column = torch.tensor([[token]], device=model.embedding.weight.device)
        logits, self._state = model(column, self._state)
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

    @np.errstate(all="ignore")  # what has exploded is told by its logits
    def step(self, token: int) -> Floats:
        hidden = self._embedding[token]
        for layer in self._layers:
            hidden = layer.step(hidden)
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
