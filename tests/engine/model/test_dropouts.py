"""Each dropout: its distribution, what it leaves alone, and that it is off in evaluation."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.config import ModelConfig, RegularisationConfig
from engine.model import lstm
from engine.model.dropouts import drop_weights, drop_words, elementwise, locked
from engine.model.lstm import LSTMLanguageModel
from engine.model.output import exact_loss

VOCABULARY, TIME, BATCH = 50, 12, 30
SHARES = [0.1, 0.5, 0.65]
DROPOUTS = (
    "embedding_dropout",
    "input_dropout",
    "layer_dropout",
    "output_dropout",
    "weight_drop",
)


def generator(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(**regularisation: float) -> LSTMLanguageModel:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = ModelConfig(embedding_size=20, hidden_size=24, last_size=20, layers=3, init_range=1.0)
    model = LSTMLanguageModel(
        VOCABULARY, config, RegularisationConfig(**regularisation), generator()
    )
    return model.double().train()


def window() -> tuple[Tensor, Tensor]:
    tokens = torch.randint(0, VOCABULARY, (TIME + 1, BATCH), generator=generator(1))
    return tokens[:-1], tokens[1:]


def assert_a_mask(mask: Tensor, share: float) -> None:
    """Zeros as often as a fair draw of this many would have them (5 standard deviations), the rest
    scaled so that the expectation stays."""
    zeros = mask == 0
    deviation = (share * (1 - share) / mask.numel()) ** 0.5
    assert zeros.double().mean().item() == pytest.approx(share, abs=5 * deviation)
    scale = torch.full_like(mask[~zeros], 1 / (1 - share))
    torch.testing.assert_close(mask[~zeros], scale, rtol=1e-5, atol=0)
    assert mask.mean().item() == pytest.approx(1, abs=5 * deviation / (1 - share))


@pytest.mark.parametrize("share", SHARES)
def test_locked_dropout_is_the_same_at_every_time_and_another_for_each_sequence_and_unit(
    share: float,
) -> None:
    mask = locked(torch.ones(TIME, 200, 300), share, generator())
    assert (mask == mask[0]).all()
    assert_a_mask(mask[0], share)
    assert len(mask[0].unique(dim=0)) == 200
    assert len(mask[0].unique(dim=1).T) == 300


@pytest.mark.parametrize("share", SHARES)
def test_embedding_dropout_drops_whole_words_wherever_they_stand_in_the_window(
    share: float,
) -> None:
    vocabulary = 4000
    tokens = torch.randint(0, vocabulary, (300, 40), generator=generator(1))
    mask = drop_words(torch.ones(300, 40, 8), tokens, vocabulary, share, generator())
    assert (mask == mask[..., :1]).all()
    of_word = torch.full((vocabulary,), -1.0)
    of_word[tokens.flatten()] = mask[..., 0].flatten()
    assert torch.equal(of_word[tokens], mask[..., 0])
    assert_a_mask(of_word[of_word >= 0], share)


@pytest.mark.parametrize("share", SHARES)
def test_weight_drop_drops_single_weights(share: float) -> None:
    mask = drop_weights(torch.ones(200, 300), share, generator())
    assert_a_mask(mask, share)
    assert len(mask.unique(dim=0)) == 200
    assert len(mask.unique(dim=1).T) == 300


def test_a_share_of_zero_draws_nothing_and_changes_nothing() -> None:
    random, values = generator(), torch.randn(TIME, BATCH, 5, generator=generator(2))
    tokens = torch.zeros(TIME, BATCH, dtype=torch.int64)
    assert locked(values, 0.0, random) is values
    assert drop_words(values, tokens, VOCABULARY, 0.0, random) is values
    assert drop_weights(values, 0.0, random) is values
    assert torch.equal(random.get_state(), generator().get_state())


class Calls:
    """What goes into and comes out of each LSTM layer and into the output layer of a model."""

    def __init__(self, model: LSTMLanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.recurrent: list[Tensor] = []
        self.last: list[Tensor] = []
        real = torch.lstm

        def listening(inputs: Tensor, state: Any, weights: list[Tensor], *rest: Any) -> Any:
            results = real(inputs, state, weights, *rest)
            self.inputs.append(inputs.detach())
            self.outputs.append(results[0].detach())
            self.recurrent.append(weights[1].detach())
            return results

        def hearing(features: Tensor, *rest: Tensor) -> Tensor:
            self.last.append(features.detach().unflatten(0, (-1, BATCH)))
            return exact_loss(features, *rest)

        monkeypatch.setattr(torch, "lstm", listening)
        monkeypatch.setattr(lstm, "exact_loss", hearing)
        model.loss(*window(), model.initial_state(BATCH))


def test_the_model_drops_words_then_the_numbers_of_their_vectors() -> None:
    tokens, _ = window()
    plain = build().embed(tokens).detach()
    words = build(embedding_dropout=0.4).embed(tokens).detach() / plain
    torch.testing.assert_close(words, words[..., :1].expand_as(words), rtol=1e-9, atol=0)
    assert 0 < (words == 0).double().mean() < 1
    numbers = build(input_dropout=0.4).embed(tokens).detach() / plain
    torch.testing.assert_close(numbers, numbers[:1].expand_as(numbers), rtol=1e-9, atol=0)
    assert_a_mask(numbers[0], 0.4)
    both = build(embedding_dropout=0.4, input_dropout=0.4).embed(tokens).detach() / plain
    assert (both == 0).double().mean().item() == pytest.approx(1 - 0.6 * 0.6, abs=0.1)
    assert both.max().item() == pytest.approx(1 / 0.36, rel=1e-4)


def test_the_model_drops_units_between_its_layers_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build(layer_dropout=0.4)
    calls = Calls(model, monkeypatch)
    torch.testing.assert_close(calls.inputs[0], model.embedding(window()[0]).detach())
    masks = [calls.inputs[layer] / calls.outputs[layer - 1] for layer in (1, 2)]
    for mask in masks:
        torch.testing.assert_close(mask, mask[:1].expand_as(mask), rtol=1e-5, atol=0)
        assert_a_mask(mask[0], 0.4)
    assert not torch.equal(masks[0][0] == 0, masks[1][0] == 0)
    assert torch.equal(calls.last[0], calls.outputs[2])


def test_the_model_drops_units_after_its_last_layer_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = Calls(build(output_dropout=0.4), monkeypatch)
    for layer in (1, 2):
        assert torch.equal(calls.inputs[layer], calls.outputs[layer - 1])
    mask = calls.last[0] / calls.outputs[2]
    torch.testing.assert_close(mask, mask[:1].expand_as(mask), rtol=1e-5, atol=0)
    assert_a_mask(mask[0], 0.4)


def test_weight_drop_takes_a_fresh_mask_for_each_layer_and_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build(weight_drop=0.4)
    calls = Calls(model, monkeypatch)
    model.loss(*window(), model.initial_state(BATCH))
    layers = [model.lstm[layer].weight_hh_l0.detach() for layer in (0, 1, 2)] * 2
    masks = [used / weight for used, weight in zip(calls.recurrent, layers, strict=True)]
    for mask in masks:
        assert_a_mask(mask, 0.4)
    zeros = [mask[:80, :20] == 0 for mask in masks]
    for first in range(6):
        for second in range(first):
            assert (zeros[first] != zeros[second]).double().mean() > 0.3
    assert torch.equal(calls.inputs[1], calls.outputs[0])


def test_gradients_reach_only_the_recurrent_weights_that_were_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build(weight_drop=0.5)
    calls = Calls(model, monkeypatch)
    model.zero_grad()
    model.random.set_state(generator().get_state())
    model.loss(*window(), model.initial_state(BATCH)).cross_entropy.backward()
    for layer, used in zip(model.lstm, calls.recurrent[:3], strict=True):
        assert torch.equal(layer.weight_hh_l0.grad == 0, used == 0)


def losses(model: LSTMLanguageModel, count: int = 4) -> list[float]:
    return [
        model.loss(*window(), model.initial_state(BATCH)).cross_entropy.item() for _ in range(count)
    ]


@pytest.mark.parametrize("name", DROPOUTS)
def test_each_dropout_works_in_training_and_is_off_in_evaluation(name: str) -> None:
    (plain,) = losses(build(), 1)
    model = build(**{name: 0.3})
    assert len({plain, *losses(model)}) == 5
    model.eval()
    state = model.random.get_state()
    assert losses(model) == [plain] * 4
    assert torch.equal(model.random.get_state(), state)


@pytest.mark.parametrize("name", ["activation", "temporal_activation"])
def test_activation_penalties_are_off_in_evaluation(name: str) -> None:
    model = build(**{name: 1.0})
    assert model.loss(*window(), model.initial_state(BATCH)).penalty is not None
    model.eval()
    assert model.loss(*window(), model.initial_state(BATCH)).penalty is None


def test_activation_penalties_are_means_over_the_last_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build(activation=2.0, temporal_activation=1.5, output_dropout=0.5)
    calls = Calls(model, monkeypatch)
    model.random.set_state(generator().get_state())
    penalty = model.loss(*window(), model.initial_state(BATCH)).penalty
    raw, dropped = calls.outputs[2].double(), calls.last[0].double()
    change = raw[1:] - raw[:-1]
    wanted = 2.0 * (dropped**2).mean() + 1.5 * (change**2).mean()
    assert penalty is not None
    assert penalty.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_a_window_of_one_token_has_no_temporal_penalty() -> None:
    model = build(temporal_activation=1.0)
    tokens, targets = window()
    found = model.loss(tokens[:1], targets[:1], model.initial_state(BATCH))
    assert found.penalty is None


@pytest.mark.parametrize("act", [losses, lambda model: losses(model.eval())])
def test_masks_come_from_the_model_s_own_generator_and_none_from_torch_s(
    act: Callable[[LSTMLanguageModel], list[float]],
) -> None:
    settings = dict.fromkeys(DROPOUTS, 0.3)
    model = build(**settings)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    found = act(model)
    assert torch.equal(torch.get_rng_state(), before)
    again = build(**settings)
    torch.manual_seed(4)
    assert act(again) == found


def test_another_seed_of_the_generator_gives_other_masks() -> None:
    settings = dict.fromkeys(DROPOUTS, 0.3)
    first, second = build(**settings), build(**settings)
    second.random.manual_seed(8)
    assert losses(first)[0] != losses(second)[0]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.65])
def test_elementwise_dropout_takes_another_mask_at_every_time(share: float) -> None:
    mask = elementwise(torch.ones(TIME, 201, 301), share, generator())
    assert_a_mask(mask, share)
    for one, next_one in pairwise(mask):
        both = ((one == 0) & (next_one == 0)).double().mean().item()
        assert both == pytest.approx(share**2, abs=0.01)


def test_neighbouring_masks_of_elementwise_dropout_are_independent() -> None:
    """Four of them are parts of one drawn number."""
    zeros = elementwise(torch.ones(1, 1, 400_000), 0.3, generator())[0, 0] == 0
    for part in range(4):
        assert zeros[part::4].double().mean().item() == pytest.approx(0.3, abs=0.01)
    for distance in (1, 2, 3, 4):
        both = (zeros[distance:] & zeros[:-distance]).double().mean().item()
        assert both == pytest.approx(0.09, abs=0.005)


def test_elementwise_dropout_draws_from_the_generator_it_is_given() -> None:
    values = torch.ones(3, 5, 7)
    one, other = elementwise(values, 0.5, generator()), elementwise(values, 0.5, generator())
    assert torch.equal(one, other)
    assert elementwise(values, 0.0, generator()) is values


def test_the_model_drops_the_same_units_throughout_a_window_only_where_it_is_locked() -> None:
    tokens, config = torch.zeros(TIME, 4, dtype=torch.int64), ModelConfig(embedding_size=64)
    for is_locked in (True, False):
        off = RegularisationConfig(input_dropout=0.5, locked=is_locked)
        model = LSTMLanguageModel(10, config, off, generator()).train()
        dropped = model.embed(tokens) == 0
        assert bool((dropped == dropped[0]).all()) is is_locked
        assert not (model.eval().embed(tokens) == 0).any()
