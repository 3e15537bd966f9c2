"""Inside the cells: what gates and states of the LSTM layers do while a text is read.

Hochreiter & Schmidhuber 1997 ("Long Short-Term Memory") with the forget gate of Gers et al. 2000.
Sums are float64, so that what is shown is the weights' doing and no rounding's.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from engine.messages.cell import Quantity
from engine.model.lstm import LSTMLanguageModel

Doubles = NDArray[np.float64]
Traces = dict[str, Doubles]
"""By its name in QUANTITIES, (time, batch, units) of a layer."""
QUANTITIES: tuple[Quantity, ...] = (
    "input_gate",
    "forget_gate",
    "candidate",
    "output_gate",
    "cell",
    "hidden",
)
"""Of a layer at each token: three gates (0 to 1), what would be written (-1 to 1), and the two
states after it: cell = forget_gate * cell before + input_gate * candidate,
hidden = output_gate * tanh(cell)."""
STRETCH = 32
"""Tokens read at once, over all of a batch."""
NEAR = 0.1
"""A gate below this is near 0, one above 1 - NEAR near 1 (Karpathy et al. 2015, "Visualizing and
Understanding Recurrent Networks")."""
STILL = 0.01
"""A unit whose hidden state never differs by more doesn't change."""


def traces(model: LSTMLanguageModel, tokens: NDArray[np.integer]) -> Iterator[list[Traces]]:
    """What each layer does over tokens (time, batch), stretch by stretch, from an empty state. The
    weights are those of the beginning."""
    embedding = model.embedding.weight.detach().cpu().numpy()
    layers = [_Layer(layer, tokens.shape[1]) for layer in model.lstm]
    vectors = embedding[tokens]  # a copy
    steps = max(1, STRETCH // tokens.shape[1])
    for begin in range(0, len(tokens), steps):
        hidden = vectors[begin : begin + steps].astype(np.float64)
        found: list[Traces] = []
        for layer in layers:
            found.append(layer.read(hidden))
            hidden = found[-1]["hidden"]
        yield found


class _Layer:
    """A layer in float64, and its state."""

    def __init__(self, layer: nn.Module, batch: int) -> None:
        inputs, recurrent, *biases = (
            parameter.detach().double().cpu().numpy() for parameter in layer.parameters()
        )
        self._inputs, self._recurrent = inputs, recurrent
        self._bias: Doubles = np.sum(biases, axis=0)
        units = recurrent.shape[1]
        self._hidden, self._cell = np.zeros((batch, units)), np.zeros((batch, units))

    def read(self, vectors: Doubles) -> Traces:
        time, batch, _ = vectors.shape
        gates = vectors @ self._inputs.T + self._bias
        shape = (time, batch, self._cell.shape[1])
        found: Traces = {name: np.empty(shape) for name in QUANTITIES}
        for at in range(time):
            sums = np.split(gates[at] + self._hidden @ self._recurrent.T, 4, axis=1)
            now = [_sigmoid(sums[0]), _sigmoid(sums[1]), np.tanh(sums[2]), _sigmoid(sums[3])]
            self._cell = now[1] * self._cell + now[0] * now[2]
            self._hidden = now[3] * np.tanh(self._cell)
            for name, values in zip(QUANTITIES, [*now, self._cell, self._hidden], strict=True):
                found[name][at] = values
        return found


def _sigmoid(values: Doubles) -> Doubles:
    shares: Doubles = 0.5 * np.tanh(0.5 * values) + 0.5
    return shares


# --- saturation ---------------------------------------------------------------------------------


def saturation(
    model: LSTMLanguageModel, tokens: NDArray[np.integer]
) -> list[tuple[dict[str, tuple[float, float]], int, int]]:
    """For each layer, over tokens (time, batch) read from an empty state: by gate the shares of its
    values near 0 and near 1; how many units never change; and how many there are."""
    whole: list[list[Traces]] = [[] for _ in model.lstm]
    for stretch in traces(model, tokens):
        for layer, found in zip(whole, stretch, strict=True):
            layer.append(found)
    results: list[tuple[dict[str, tuple[float, float]], int, int]] = []
    for layer in whole:
        shares: dict[str, tuple[float, float]] = {}
        for gate in ("input_gate", "forget_gate", "output_gate"):
            values = np.concatenate([found[gate] for found in layer])
            shares[gate] = float((values < NEAR).mean()), float((values > 1 - NEAR).mean())
        hidden = np.concatenate([found["hidden"] for found in layer])
        still = np.ptp(hidden, axis=(0, 1)) < STILL
        results.append((shares, int(still.sum()), len(still)))
    return results


# --- how far back -------------------------------------------------------------------------------


def input_gradients(
    model: LSTMLanguageModel, tokens: Sequence[int], target: int | None
) -> tuple[int, float, list[float]]:
    """How much each token read matters for the next one: the token that is predicted, `target` or
    where that is None the most probable one, its log-probability in nats, and the L2 norm of that
    one's gradient by each token's vector (after Pascanu et al. 2013).

    The dropouts are off, and nothing of the model changes.
    """
    model.eval()
    column = torch.tensor(list(tokens), device=model.embedding.weight.device)[:, None]
    with torch.enable_grad():
        vectors = model.embed(column).detach().requires_grad_()
        features, _ = model.features_of_vectors(vectors, model.initial_state(1))
        scores: Tensor = functional.log_softmax(model.output(features[-1, 0]), dim=0)
        predicted = int(scores.argmax()) if target is None else target
        (gradient,) = torch.autograd.grad(scores[predicted], vectors)
    # Squares of what has nearly vanished would be nothing in float32.
    norms: list[float] = gradient[:, 0].double().square().sum(1).sqrt().tolist()
    return predicted, scores[predicted].item(), norms


# --- where the same units are on ----------------------------------------------------------------

OPEN, ON = 0.5, 0.3
"""A gate above OPEN is on; of anything else what is above ON."""


def are_on(values: Doubles, quantity: Quantity) -> NDArray[np.bool_]:
    """Which of these are on; a cell's state counts as the output gate sees it."""
    if quantity.endswith("_gate"):
        return values > OPEN
    return (np.tanh(values) if quantity == "cell" else values) > ON


def likeness(on: NDArray[np.bool_], others: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Doubles]:
    """How many units of `on` (units,), of which some must be, are on in `others` (..., units), too;
    and what share that is of those on in either."""
    common = (others & on).sum(-1)
    return common, common / (others | on).sum(-1)


# --- what units follow --------------------------------------------------------------------------

FEATURES = ("quotes", "brackets", "line_position", "line_length", "capitals")
"""Of the end of each token: inside quotation marks, inside brackets (0 or 1); characters since the
line began; characters of its line; share of its letters that are capitals."""
_OPENS = {'"': '"', "“": "”", "„": "“", "«": "»"}
_BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


def text_features(stretches: Sequence[str]) -> dict[str, Doubles]:
    """Each of FEATURES, (tokens,), of a text in the stretches its tokens were read from."""
    text = "".join(stretches)
    lengths = [len(line) for line in text.split("\n")]
    rows = np.zeros((len(stretches), len(FEATURES)))
    closes, depth, position, line = "", 0, 0, 0
    for row, stretch in zip(rows, stretches, strict=True):
        for character in stretch:
            if closes:
                closes = "" if character == closes else closes
            else:
                closes = _OPENS.get(character, "")
            depth = max(0, depth + _BRACKETS.get(character, 0))
            position += 1
            if character == "\n":
                if position == 1:  # a blank line: what was left open is over
                    closes, depth = "", 0
                position, line = 0, line + 1
        letters = [each for each in stretch if each.isalpha()]
        capitals = sum(map(str.isupper, letters)) / max(1, len(letters))
        row[:] = bool(closes), depth > 0, position, lengths[line], capitals
    return {name: rows[:, index] for index, name in enumerate(FEATURES)}


def following(units: Doubles, feature: Doubles) -> Doubles:
    """Pearson's correlation of each unit (tokens, units) with a feature (tokens,); 0 where one of
    the two doesn't change."""
    ours = units - units.mean(0)
    theirs = feature - feature.mean()
    scale = np.sqrt((ours**2).sum(0) * (theirs**2).sum())
    found: Doubles = np.divide(theirs @ ours, scale, out=np.zeros(len(scale)), where=scale > 1e-12)
    return found
