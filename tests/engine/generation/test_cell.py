"""Inside the cells: traces against an LSTM written out by hand, gradients against differences."""

import math
from collections.abc import Callable
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch

from engine import messages as p
from engine.config import CorpusConfig, ModelConfig
from engine.errors import UserError
from engine.generation.cell import (
    FEATURES,
    QUANTITIES,
    following,
    input_gradients,
    saturation,
    text_features,
    traces,
)
from engine.generation.sampling import start_token
from engine.model.lstm import LSTMLanguageModel
from engine.service.answers import cell
from engine.text.corpus import open_corpus
from tests.conducted import ask, model_of, parts, trained

SHAPES: list[dict[str, Any]] = [
    {"embedding_size": 5, "hidden_size": 7, "layers": 1, "tied": False},
    {"embedding_size": 6, "hidden_size": 9, "layers": 3, "last_size": 4},
]
TEXT = "the owl sat 3 times\nline 3 of the dog xyzzy " * 5


def made(vocabulary: int, shape: dict[str, Any]) -> LSTMLanguageModel:
    torch.set_num_threads(1)
    torch.manual_seed(3)
    return LSTMLanguageModel(vocabulary, ModelConfig(**shape, init_range=1.0))


@pytest.fixture(params=["word", "character"])
def run(request: pytest.FixtureRequest, text_file: Any) -> Any:
    config = CorpusConfig(source=str(text_file), tokenizer=request.param)
    tokenizer = open_corpus(config).tokenizer
    return model_of(tokenizer, made(len(tokenizer.vocabulary), SHAPES[1]))


def by_hand(model: LSTMLanguageModel, ids: list[int]) -> list[dict[str, np.ndarray]]:
    """Unit by unit, in float64, with plain Python's mathematics."""
    inputs = model.embedding.weight.detach().double().numpy()[ids]
    layers = []
    for layer in model.lstm:
        w, r, b, d = (each.detach().double().numpy() for each in layer.parameters())
        units = r.shape[1]
        h, c = [0.0] * units, [0.0] * units
        rows: dict[str, list[list[float]]] = {name: [] for name in QUANTITIES}
        for x in inputs:
            sums = [float(w[k] @ x + b[k] + r[k] @ np.array(h) + d[k]) for k in range(4 * units)]
            sigmoid = [1 / (1 + math.exp(-each)) for each in sums]
            i, f, o = (sigmoid[k * units : (k + 1) * units] for k in (0, 1, 3))
            g = [math.tanh(each) for each in sums[2 * units : 3 * units]]
            c = [f[k] * c[k] + i[k] * g[k] for k in range(units)]
            h = [o[k] * math.tanh(c[k]) for k in range(units)]
            for name, values in zip(QUANTITIES, (i, f, g, o, c, h), strict=True):
                rows[name].append(list(values))
        layers.append({name: np.array(values) for name, values in rows.items()})
        inputs = layers[-1]["hidden"]
    return layers


@pytest.mark.parametrize("shape", SHAPES)
def test_traces_are_those_of_an_lstm_written_out_by_hand(shape: dict[str, Any]) -> None:
    model = made(30, shape)
    ids = np.random.default_rng(1).integers(0, 30, 75)
    expected = by_hand(model, ids.tolist())
    stretches = list(traces(model, ids[:, None]))
    assert len(stretches) == 3
    for layer, by_name in enumerate(expected):
        for name, values in by_name.items():
            found = np.concatenate([stretch[layer][name] for stretch in stretches])[:, 0]
            assert found == pytest.approx(values, abs=1e-9)
    with torch.no_grad():
        _, state = model(torch.from_numpy(ids)[:, None], model.initial_state(1))
    for (h, c), by_name in zip(state, expected, strict=True):
        assert h[0, 0].numpy() == pytest.approx(by_name["hidden"][-1], abs=1e-4)
        assert c[0, 0].numpy() == pytest.approx(by_name["cell"][-1], abs=1e-4)


def test_a_trace_is_sent_in_parts_that_make_up_the_whole(run: Any) -> None:
    tokens, *told = parts(p.TraceCell(text=TEXT), run)
    ids = [tokens.ids[0], *run.tokenizer.encode(TEXT).tolist()]
    assert tokens.ids == ids
    assert tokens.raw == [run.tokenizer.vocabulary.tokens[each] for each in ids]
    assert TEXT.startswith("".join(tokens.texts)) and tokens.units == [9, 9, 4]
    expected = by_hand(run.model, ids)
    seen = set()
    for part in told:
        values = np.frombuffer(part.values, "<f4").reshape(part.rows, tokens.units[part.layer])
        whole = expected[part.layer][part.quantity][part.first : part.first + part.rows]
        assert values == pytest.approx(whole, abs=1e-6)
        seen |= {(part.layer, part.quantity, part.first + row) for row in range(part.rows)}
    assert len(seen) == 3 * 6 * len(ids)


def test_a_trace_is_of_the_weights_of_the_step_it_names(run: Any) -> None:
    told = parts(p.TraceCell(text="the", quantities=["cell"]), run)
    tokens = next(told)
    assert tokens.step == run.step
    expected = by_hand(run.model, tokens.ids)
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.zero_()
    for part in told:
        values = np.frombuffer(part.values, "<f4")
        assert values == pytest.approx(expected[part.layer]["cell"].ravel(), abs=1e-6)


def test_only_what_is_asked_for_is_sent(run: Any) -> None:
    query = p.TraceCell(text="the owl", layers=[1], quantities=["cell"])
    _, *told = parts(query, run)
    assert {(part.layer, part.quantity) for part in told} == {(1, "cell")}
    with pytest.raises(UserError, match="There is no layer 3: they go from 0 to 2"):
        ask(p.TraceCell(text="the", layers=[3]), run)
    with pytest.raises(UserError, match="nothing in the text"):
        ask(p.TraceCell(text=""), run)


def test_gradients_are_those_of_small_differences() -> None:
    model = made(12, SHAPES[1]).double()
    ids = [3, 1, 4, 1, 5]
    predicted, score, norms = input_gradients(model, ids, 7)
    assert predicted == 7 and len(norms) == 5

    def log_probability(vectors: torch.Tensor) -> float:
        with torch.no_grad():
            features, _ = model.features_of_vectors(vectors, model.initial_state(1))
            return float(model.output(features[-1, 0]).log_softmax(0)[7])

    vectors = model.embedding.weight.detach()[ids][:, None]
    assert score == pytest.approx(log_probability(vectors))
    for at, norm in enumerate(norms):
        differences = []
        for number in range(vectors.shape[2]):
            step = torch.zeros_like(vectors)
            step[at, 0, number] = 1e-5
            above, below = log_probability(vectors + step), log_probability(vectors - step)
            differences.append((above - below) / 2e-5)
        assert norm == pytest.approx(math.hypot(*differences), rel=1e-4)


def test_how_far_back_tells_of_one_prediction(run: Any) -> None:
    ids = [0, *run.tokenizer.encode(TEXT).tolist()]
    found = ask(p.HowFarBack(text=TEXT, position=4), run)
    assert found.predicted == run.tokenizer.vocabulary.tokens[ids[5]]
    assert len(found.texts) == len(found.norms) == 5
    before = [parameter.grad for parameter in run.model.parameters()]
    assert before == [None] * len(before)
    behind = ask(p.HowFarBack(text=TEXT), run)
    assert len(behind.norms) == len(ids)
    assert behind.probability >= 1 / len(run.tokenizer.vocabulary)
    first = ask(p.HowFarBack(text=TEXT, position=0), run)
    assert len(first.norms) == 1
    for position in (-1, len(ids) - 1):
        with pytest.raises(UserError, match="choose one of them"):
            ask(p.HowFarBack(text=TEXT, position=position), run)


def test_training_goes_on_while_it_is_found_how_far_back_a_prediction_looks(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    query, go_on = p.HowFarBack(text=TEXT), Event()
    expected = ask(query, run)
    monkeypatch.setattr(
        cell, "input_gradients", lambda *given: (go_on.wait(30), input_gradients(*given))[1]
    )
    answers = parts(query, run)
    assert next(answers) is None
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.zero_()
    run.saved_step += 1
    go_on.set()
    *_, found = answers
    assert found == expected


def test_saturation_counts_gates_that_are_shut_or_open_and_units_that_are_still() -> None:
    model = made(10, SHAPES[0])
    tokens = np.random.default_rng(2).integers(0, 10, (20, 3))
    ((shares, still, units),) = saturation(model, tokens)
    columns = [by_hand(model, column.tolist())[0] for column in tokens.T]
    for gate, (near_zero, near_one) in shares.items():
        values = np.stack([column[gate] for column in columns])
        assert near_zero == pytest.approx((values < 0.1).mean())
        assert near_one == pytest.approx((values > 0.9).mean())
    assert (still, units) == (0, 7)
    with torch.no_grad():
        *_, bias, _ = model.lstm[0].parameters()
        bias[:2] = -50.0  # the input gates of two units
        bias[-7:] = 50.0  # all output gates
    ((shares, still, _),) = saturation(model, tokens)
    assert still == 2 and shares["output_gate"] == (0, 1)
    assert shares["input_gate"][0] >= 2 / 7


def test_saturation_is_measured_on_the_training_text_which_goes_on_as_it_would(
    make_trainer: Callable[..., Any],
) -> None:
    trainer, other = make_trainer(), make_trainer()
    found = ask(p.Saturation(), trained(trainer))
    assert len(found.layers) == 2 and found.layers[0].units == 8
    assert found.tokens == 7 * 8
    ours, theirs = trainer.take_step()[0], other.take_step()[0]
    assert ours.loss == theirs.loss


def test_features_of_a_text_by_hand() -> None:
    stretches = ["He", ' said "', "NO", '"', " (a", ")", "\n", "\n", "“x", " y”"]
    found = text_features(stretches)
    assert list(found) == list(FEATURES)
    assert found["quotes"].tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 1, 0]
    assert found["brackets"].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert found["line_position"].tolist() == [2, 9, 11, 12, 15, 16, 0, 0, 2, 5]
    assert found["line_length"].tolist() == [16] * 6 + [0] + [5] * 3
    assert found["capitals"].tolist() == [0.5, 0, 1, 0, 0, 0, 0, 0, 0, 0]


def test_units_are_sorted_by_how_well_they_follow() -> None:
    random = np.random.default_rng(3)
    feature = random.integers(0, 2, 500).astype(float)
    units = random.normal(size=(500, 6))
    units[:, 2] = -3 * feature
    units[:, 4] += feature
    units[:, 5] = 1.0
    found = following(units, feature)
    assert found == pytest.approx(
        [*(np.corrcoef(units[:, at], feature)[0, 1] for at in range(5)), 0]
    )
    assert found[2] == pytest.approx(-1)
    assert not following(units, np.ones(500)).any()


def test_units_of_the_runs_own_text_and_of_another(
    run: Any, make_trainer: Callable[..., Any]
) -> None:
    found = ask(p.FindUnits(text=TEXT * 3, layer=2, top=3), run)
    by_name = {feature.name: feature.units for feature in found.features}
    assert list(by_name) == list(FEATURES)
    assert len(by_name["line_position"]) == 3 and by_name["brackets"] == []
    sizes = [abs(each.correlation) for each in by_name["line_position"]]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] <= 1
    own = ask(p.FindUnits(), trained(make_trainer()))
    assert own.tokens > 100
    with pytest.raises(UserError, match="give a text"):
        ask(p.FindUnits(), run)


# --- where the same units are on -----------------------------------------------------------------


@pytest.mark.parametrize("quantity", ["cell", "hidden", "forget_gate"])
@pytest.mark.parametrize(("stretches", "length"), [(3, 20), (4, 10_000), (1_000, 17)])
def test_the_places_where_the_same_units_are_on_are_those_of_a_search_by_hand(
    monkeypatch: pytest.MonkeyPatch,
    make_trainer: Callable[..., Any],
    quantity: Any,
    stretches: int,
    length: int,
) -> None:
    trainer = make_trainer(model__init_range=1.0)
    training = trainer.corpus.splits["train"][:150]
    trainer.corpus.splits["train"] = training
    monkeypatch.setattr(cell, "STRETCHES", stretches)
    monkeypatch.setattr(cell, "STRETCH_TOKENS", length)
    tokenizer, model, layer = trainer.corpus.tokenizer, trainer.model, 0
    start = start_token(tokenizer)

    def on(ids: list[int]) -> list[set[int]]:
        """By hand, the units that are on at each token of a text."""
        values = by_hand(model, [start, *ids])[layer][quantity][1:]
        if quantity == "cell":
            values = np.tanh(values)
        least = 0.5 if quantity == "forget_gate" else 0.3
        return [{unit for unit, each in enumerate(row) if each > least} for row in values]

    text = "line 3 of the"
    wanted = on(tokenizer.encode(text).tolist())[2]
    length = min(length, len(training))
    count = min(stretches, math.ceil(len(training) / length))
    begins = [int(each) for each in np.linspace(0, len(training) - length, count)]
    best: dict[int, tuple[float, int]] = {}
    for begin in begins:
        for place, units in enumerate(on(training[begin : begin + length].tolist()), start=begin):
            like = len(units & wanted) / len(units | wanted), len(units & wanted)
            best[place] = max(like, best.get(place, (0.0, 0)))
    expected = sorted(
        ((-share, place, common) for place, (share, common) in best.items() if common)
    )[:30]

    question = p.FindPlaces(text=text, position=2, layer=layer, quantity=quantity, top=30)
    *progress, found = [each for each in parts(question, trained(trainer)) if each is not None]
    assert found.on == sorted(wanted) and found.token == "of"
    assert [(-each.likeness, each.place, each.common) for each in found.places] == [
        (pytest.approx(share), place, common) for share, place, common in expected
    ]
    assert found.tokens == len(best) <= stretches * length
    assert (progress[-1].done, progress[-1].total) == (count * length, count * length)
    for each in found.places:
        assert each.share == each.place / len(training)
        words = tokenizer.vocabulary.tokens[int(training[each.place])]
        assert each.token.strip() in ("", words)
        assert tokenizer.decode(training).count(each.before + each.token + each.after) >= 1


def test_a_place_is_looked_for_only_where_it_can_be_found(
    run: Any, make_trainer: Callable[..., Any]
) -> None:
    with pytest.raises(UserError, match="put it back"):
        ask(p.FindPlaces(text=TEXT), run)
    own = trained(make_trainer(model__init_range=0.01))
    for question, reason in (
        (p.FindPlaces(text="the owl"), "no unit is on"),
        (p.FindPlaces(text=TEXT, top=101), "1 to 100 places"),
        (p.FindPlaces(text=TEXT, layer=7), "no layer 7"),
        (p.FindPlaces(text="the owl", position=2), "The text has 2 tokens"),
        (p.FindPlaces(text=" "), "nothing in the text"),
    ):
        with pytest.raises(UserError, match=reason):
            ask(question, own)
