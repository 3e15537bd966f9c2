"""The inside of the LSTM's cells."""

import copy
import math
from collections.abc import Generator, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from engine.events import Progress
from engine.generation.cell import (
    QUANTITIES,
    following,
    input_gradients,
    saturation,
    text_features,
    traces,
)
from engine.generation.sampling import start_token
from engine.messages.cell import (
    CellPart,
    CellTokens,
    Feature,
    FindUnits,
    FollowingUnits,
    GateSaturation,
    HowFarBack,
    InputGradients,
    LayerSaturation,
    LayerSaturations,
    Saturation,
    TraceCell,
    UnitFollowing,
)
from engine.service.answers import answers, check_finite, check_length
from engine.service.background import in_background
from engine.service.run import Run
from engine.sizes import layer_sizes
from engine.text.stretches import stretches
from engine.text.tokenizer import Tokenizer

MAX_TEXT, MAX_LOOKED_BACK = 100_000, 20_000
"""Characters."""
MAX_TOKENS = 2_000
"""That one prediction is traced back over."""
STREAMS, WINDOW = 8, 64
"""Of the training text, at most, that saturation is measured on."""
HELD_OUT = 4_000
"""Tokens of held-out text that units are compared on."""
MAX_UNITS = 1_000


@answers(TraceCell)
def trace_cell(query: TraceCell, run: Run) -> Iterator[CellTokens | CellPart]:
    """Stretch by stretch, from the weights of the beginning."""
    tokenizer, model = run.require_model()
    check_length(query.text, MAX_TEXT)
    units = layer_sizes(model.config)[1:]
    layers = query.layers or list(range(len(units)))
    for layer in layers:
        _check_layer(layer, len(units))
    ids, texts = _read(query.text, tokenizer)
    work = traces(model, np.array(ids)[:, None])
    begun = next(work)  # by now it has its weights, which are those of this step
    tokens = tokenizer.vocabulary.tokens
    yield CellTokens(
        step=run.step, ids=ids, raw=[tokens[each] for each in ids], texts=texts, units=units
    )
    first = 0
    for found in chain([begun], work):
        rows = len(found[0]["cell"])
        for layer in layers:
            for quantity in query.quantities or QUANTITIES:
                values = found[layer][quantity][:, 0].astype("<f4").tobytes()
                yield CellPart(
                    layer=layer, quantity=quantity, first=first, rows=rows, values=values
                )
        first += rows


@answers(HowFarBack)
def how_far_back(query: HowFarBack, run: Run) -> Generator[Progress | None, None, InputGradients]:
    """Raises UserError where the prediction is no number, or too far into the text."""
    tokenizer, model = run.require_model()
    check_length(query.text, MAX_LOOKED_BACK)
    ids, texts = _read(query.text, tokenizer)
    place = len(ids) if query.position is None else query.position + 1
    if not 1 <= place <= len(ids) - (query.position is not None):
        raise UserError(f"The text has {len(ids) - 1:,} tokens: choose one of them.")
    if place > MAX_TOKENS:
        raise UserError(f"Choose one of the first {MAX_TOKENS:,} tokens.")
    target = None if query.position is None else ids[place]
    step, model = run.step, copy.deepcopy(model)
    predicted, score, norms = yield from in_background(
        lambda: input_gradients(model, ids[:place], target), []
    )
    check_finite(score, *norms)
    return InputGradients(
        step=step,
        texts=texts[:place],
        norms=norms,
        predicted=tokenizer.vocabulary.tokens[predicted],
        probability=math.exp(score),
    )


@answers(Saturation)
def saturations(_: Saturation, run: Run) -> LayerSaturations:
    """On the window that the next step will take, or some of it."""
    trainer = run.require_trainer()
    window, _targets = trainer.cursor.peek()
    tokens = window[:WINDOW, :STREAMS].numpy()
    layers: list[LayerSaturation] = []
    for shares, still, units in saturation(trainer.eval_model, tokens):
        gates = {
            gate: GateSaturation(near_zero=near_zero, near_one=near_one)
            for gate, (near_zero, near_one) in shares.items()
        }
        layers.append(
            LayerSaturation(
                input_gate=gates["input_gate"],
                forget_gate=gates["forget_gate"],
                output_gate=gates["output_gate"],
                still=still,
                units=units,
            )
        )
    return LayerSaturations(step=run.step, tokens=tokens.size, layers=layers)


@answers(FindUnits)
def find_units(query: FindUnits, run: Run) -> Generator[None, None, FollowingUnits]:
    """Compared over all tokens of the text but the one it begins after."""
    tokenizer, model = run.require_model()
    check_length(query.text, MAX_TEXT)
    _check_layer(query.layer, len(model.lstm))
    if not 1 <= query.top <= MAX_UNITS:
        raise UserError(f"Ask for 1 to {MAX_UNITS:,} units.")
    step = run.step
    ids, texts = _read(query.text, tokenizer) if query.text else _held_out(run, tokenizer)
    found: list[NDArray[np.float64]] = []
    for stretch in traces(model, np.array(ids)[:, None]):
        found.append(stretch[query.layer][query.quantity][:, 0])
        yield
    units = np.concatenate(found)[1:]
    features = [
        Feature(name=name, units=_best(following(units, values), query.top))
        for name, values in text_features(texts[1:]).items()
    ]
    return FollowingUnits(step=step, tokens=len(units), features=features)


def _best(correlations: NDArray[np.float64], top: int) -> list[UnitFollowing]:
    order = np.argsort(-np.abs(correlations), kind="stable")[:top]
    return [
        UnitFollowing(int(unit), float(correlations[unit]))
        for unit in order
        if correlations[unit] != 0
    ]


def _read(text: str, tokenizer: Tokenizer) -> tuple[list[int], list[str]]:
    """Ids and stretches of a text, behind the token it begins after. Raises UserError where it has
    none."""
    ids = tokenizer.encode(text).tolist()
    if not ids:
        raise UserError("There is nothing in the text to read: give at least one token.")
    return [start_token(tokenizer), *ids], ["", *stretches(text, tokenizer)]


def _held_out(run: Run, tokenizer: Tokenizer) -> tuple[list[int], list[str]]:
    """As `_read`, of the run's own text."""
    if run.corpus is None:
        raise UserError("The run's own text can't be used now: give a text.")
    splits = run.corpus.splits
    ids = splits.get("valid", splits["train"])[:HELD_OUT].tolist()
    return [start_token(tokenizer), *ids], ["", *map(tokenizer.streaming_decoder(), ids)]


def _check_layer(layer: int, layers: int) -> None:
    if not 0 <= layer < layers:
        raise UserError(f"There is no layer {layer:,}: they go from 0 to {layers - 1}.")
