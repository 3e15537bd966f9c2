"""The inside of the LSTM's cells."""

import copy
import math
from collections.abc import Generator, Iterator
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from engine.events import Progress
from engine.generation.cell import (
    QUANTITIES,
    are_on,
    following,
    input_gradients,
    likeness,
    saturation,
    text_features,
    traces,
)
from engine.generation.sampling import start_token
from engine.messages.cell import (
    CellPart,
    CellTokens,
    Feature,
    FindPlaces,
    FindUnits,
    FollowingUnits,
    GateSaturation,
    HowFarBack,
    InputGradients,
    LayerSaturation,
    LayerSaturations,
    PlainFarBack,
    PlainGradients,
    Saturation,
    SimilarPlace,
    SimilarPlaces,
    TraceCell,
    UnitFollowing,
)
from engine.service.answers import answers, check_finite, check_length
from engine.service.background import Job, in_background
from engine.service.run import Run
from engine.sizes import layer_sizes
from engine.text.stretches import stretches
from engine.text.tokenizer import Tokenizer
from engine.training.plain_rnn import MOST_STEPS, Beside

MAX_TEXT, MAX_LOOKED_BACK = 100_000, 20_000
"""Characters."""
MAX_TOKENS = 2_000
"""That one prediction is traced back over."""
STREAMS, WINDOW = 8, 64
"""Of the training text, at most, that saturation is measured on."""
HELD_OUT = 4_000
"""Tokens of held-out text that units are compared on."""
MAX_UNITS = 1_000
STRETCHES, STRETCH_TOKENS = 16, 500
"""Of the training text, at most, that are searched for places."""
MAX_PLACES = 100
CONTEXT, SPELT_CONTEXT = 10, 40
"""Tokens on each side of a place: words, and what spells them."""


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
    tokens, texts, target = _predicted(query, tokenizer)
    step, model = run.step, copy.deepcopy(model)
    predicted, score, norms = yield from in_background(
        lambda _: input_gradients(model, tokens, target)
    )
    check_finite(score, *norms)
    return InputGradients(
        step=step,
        texts=texts,
        norms=norms,
        predicted=tokenizer.vocabulary.tokens[predicted],
        probability=math.exp(score),
    )


@answers(PlainFarBack)
def plain_far_back(
    query: PlainFarBack, run: Run
) -> Generator[Progress | None, None, PlainGradients]:
    """As `how_far_back`. Raises UserError where the run can't be trained, too."""
    tokenizer, model = run.require_model()
    trainer = run.require_trainer()
    tokens, _, target = _predicted(query, tokenizer)
    if run.plain is None:
        run.plain = Beside(trainer)
    plain, steps, model = run.plain, min(run.step, MOST_STEPS), copy.deepcopy(model)

    def look(job: Job) -> tuple[float, list[float]]:
        def tell(done: int) -> None:
            job.tell(Progress(task="training a plain RNN", done=done, total=steps, unit="steps"))

        aim = input_gradients(model, tokens, target)[0] if target is None else target
        return plain.look(tokens, aim, steps, tell)

    score, norms = yield from in_background(look)
    check_finite(score, *norms)
    return PlainGradients(
        steps=plain.steps, loss=plain.loss, norms=norms, probability=math.exp(score)
    )


def _predicted(
    query: HowFarBack | PlainFarBack, tokenizer: Tokenizer
) -> tuple[list[int], list[str], int | None]:
    """The tokens that a prediction is made from, what they were read from, and the one that is
    predicted; None for the most probable one. Raises UserError."""
    check_length(query.text, MAX_LOOKED_BACK)
    ids, texts = _read(query.text, tokenizer)
    place = len(ids) if query.position is None else _chosen(query.position, ids)
    if place > MAX_TOKENS:
        raise UserError(f"Choose one of the first {MAX_TOKENS:,} tokens.")
    return ids[:place], texts[:place], None if query.position is None else ids[place]


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


@answers(FindPlaces)
def find_places(query: FindPlaces, run: Run) -> Iterator[Progress | SimilarPlaces]:
    """Stretch by stretch, from the weights of the beginning."""
    tokenizer, model = run.require_model()
    check_length(query.text, MAX_LOOKED_BACK)
    _check_layer(query.layer, len(model.lstm))
    if not 1 <= query.top <= MAX_PLACES:
        raise UserError(f"Ask for 1 to {MAX_PLACES} places.")
    training = _training(run)
    ids, _ = _read(query.text, tokenizer)
    at = len(ids) - 1 if query.position is None else _chosen(query.position, ids)
    if at > MAX_TOKENS:
        raise UserError(f"Choose one of the first {MAX_TOKENS:,} tokens.")
    step, meant = run.step, tokenizer.vocabulary.tokens[ids[at]]
    *_, end = traces(model, np.array(ids[: at + 1])[:, None])
    on = are_on(end[query.layer][query.quantity][-1, 0], query.quantity)
    if not on.any():
        raise UserError(f"At {meant!r} no unit is on: choose another token, layer, gate or state.")
    places = _stretches(len(training))
    begin = np.full_like(places[:1], start_token(tokenizer))
    commons: list[NDArray[np.int64]] = []
    shares: list[NDArray[np.float64]] = []
    for stretch in traces(model, np.concatenate([begin, training[places]])):
        there = are_on(stretch[query.layer][query.quantity], query.quantity)
        common, share = likeness(on, there)
        commons.append(common)
        shares.append(share)
        done = sum(map(len, shares)) - 1
        yield Progress(
            task="searching", done=done * places.shape[1], total=places.size, unit="tokens"
        )
    where = places.ravel()
    common, share = np.concatenate(commons)[1:].ravel(), np.concatenate(shares)[1:].ravel()
    order = np.lexsort([where, -share])
    _, firsts = np.unique(where[order], return_index=True)  # stretches of a short text overlap
    best = [each for each in order[np.sort(firsts)[: query.top]] if common[each]]
    yield SimilarPlaces(
        step=step,
        tokens=len(firsts),
        token=meant,
        on=np.flatnonzero(on).tolist(),
        places=[
            SimilarPlace(
                place=int(where[each]),
                share=float(where[each] / len(training)),
                common=int(common[each]),
                likeness=float(share[each]),
                **_around(int(where[each]), training, tokenizer),
            )
            for each in best
        ],
    )


def _around(place: int, tokens: NDArray[np.integer], tokenizer: Tokenizer) -> dict[str, str]:
    """A token as it reads, with some of the text before and behind it."""
    most = SPELT_CONTEXT if tokenizer.spells else CONTEXT
    begin = max(0, place - most)
    read = map(tokenizer.streaming_decoder(), tokens[begin : place + most + 1].tolist())
    before = "".join(islice(read, place - begin))
    return {"before": before, "token": next(read), "after": "".join(read)}


def _stretches(tokens: int) -> NDArray[np.int64]:
    """Places (time, stretches) of so many tokens: all of a short text, of a longer one stretches
    that lie evenly over it."""
    length = min(tokens, STRETCH_TOKENS)
    count = min(STRETCHES, -(-tokens // length))
    begins = np.linspace(0, tokens - length, count).astype(np.int64)
    return begins + np.arange(length)[:, None]


def _chosen(position: int, ids: list[int]) -> int:
    """The place of a text's token behind the one it begins after. Raises UserError where it has no
    such token."""
    if not 0 <= position < len(ids) - 1:
        raise UserError(f"The text has {len(ids) - 1:,} tokens: choose one of them.")
    return position + 1


def _training(run: Run) -> NDArray[np.integer]:
    if run.corpus is None:
        raise UserError(
            "Places are looked for in the run's own text, which can't be used now: put it back."
        )
    return run.corpus.splits["train"]


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
