"""The model against a plain torch reference, in float64 with all dropouts off."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.config import PRESETS, ModelConfig, RegularisationConfig
from engine.evaluation.held_out import total_loss
from engine.model.lstm import CarriedState, LSTMLanguageModel
from engine.training.optimisers import build_optimiser

VOCABULARY, TIME, BATCH = 11, 9, 3
SHAPES = {
    "tied": ModelConfig(embedding_size=6, hidden_size=6, layers=3),
    "untied": ModelConfig(embedding_size=6, hidden_size=6, layers=3, tied=False),
    "untied, larger layers": ModelConfig(embedding_size=5, hidden_size=8, layers=2, tied=False),
    "tied with a projection": ModelConfig(embedding_size=5, hidden_size=8, layers=2),
    "tied, last layer as the embedding": ModelConfig(
        embedding_size=5, hidden_size=8, last_size=5, layers=3
    ),
    "tied, all sizes different": ModelConfig(
        embedding_size=5, hidden_size=8, last_size=7, layers=3
    ),
    "untied, last layer smaller": ModelConfig(
        embedding_size=5, hidden_size=8, last_size=4, layers=2, tied=False
    ),
    "one layer with a size of its own": ModelConfig(
        embedding_size=5, hidden_size=8, last_size=4, layers=1
    ),
}


def build(
    config: ModelConfig, regularisation: RegularisationConfig | None = None
) -> LSTMLanguageModel:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return LSTMLanguageModel(VOCABULARY, config, regularisation or RegularisationConfig()).double()


def window() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, VOCABULARY, (TIME + 1, BATCH), generator=random)
    return tokens[:-1], tokens[1:]


def state_of(model: LSTMLanguageModel) -> CarriedState:
    """Not zero, so that it is seen to be taken in."""
    random = torch.Generator().manual_seed(2)
    return tuple(
        (
            torch.randn(h.shape, generator=random, dtype=h.dtype),
            torch.randn(c.shape, generator=random, dtype=c.dtype),
        )
        for h, c in model.initial_state(BATCH)
    )


class Reference(nn.Module):
    """torch's own modules, as one writes a language model with them: the layers of one size in a
    single call, and one call more where the last layer has another size."""

    def __init__(self, config: ModelConfig, weights: dict[str, Tensor]) -> None:
        super().__init__()
        last = config.last_size or config.hidden_size
        alike = config.layers if last == config.hidden_size else config.layers - 1
        self.embedding = nn.Embedding(VOCABULARY, config.embedding_size)
        below = config.embedding_size
        self.stacks = nn.ModuleList()
        if alike:
            self.stacks.append(nn.LSTM(below, config.hidden_size, alike))
            below = config.hidden_size
        if alike < config.layers:
            self.stacks.append(nn.LSTM(below, last))
        projected = config.tied and last != config.embedding_size
        self.projection = nn.Linear(last, config.embedding_size, bias=False) if projected else None
        self.output = nn.Linear(config.embedding_size if config.tied else last, VOCABULARY)
        self.double()
        if config.tied:
            self.output.weight = self.embedding.weight
        self.names = dict(self._paired(config.layers, alike))
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(weights[self.names.get(name, name)])

    def _paired(self, layers: int, alike: int) -> list[tuple[str, str]]:
        """Where a parameter here and the same one of the engine's model have different names."""
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        places = [(0, layer) for layer in range(alike)]
        places += [(len(self.stacks) - 1, 0)] * (layers - alike)
        return [
            (f"stacks.{stack}.{kind}_l{within}", f"lstm.{layer}.{kind}_l0")
            for layer, (stack, within) in enumerate(places)
            for kind in kinds
        ]

    def loss(self, tokens: Tensor, targets: Tensor, state: CarriedState) -> tuple[Tensor, Tensor]:
        """The mean cross-entropy, and every layer's last h and c, one after the other."""
        hidden, first, ends = self.embedding(tokens), 0, []
        for stack in self.stacks:
            layers = state[first : first + stack.num_layers]
            first += stack.num_layers
            begin = (torch.cat([h for h, _ in layers]), torch.cat([c for _, c in layers]))
            hidden, (h, c) = stack(hidden, begin)
            ends += [part for pair in zip(h, c, strict=True) for part in pair]
        if self.projection is not None:
            hidden = self.projection(hidden)
        logits = self.output(hidden)
        loss = functional.cross_entropy(logits.reshape(-1, VOCABULARY), targets.reshape(-1))
        return loss, torch.cat([end.flatten() for end in ends])


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)
def test_loss_gradients_and_state_equal_torch_s_own_modules(config: ModelConfig) -> None:
    model = build(config).train()
    weights = {name: p.detach() for name, p in model.named_parameters()}
    reference = Reference(config, weights)
    tokens, targets = window()
    state = state_of(model)
    loss, penalty, after, _ = model.loss(tokens, targets, state)
    loss.backward()
    wanted, wanted_after = reference.loss(tokens, targets, state)
    wanted.backward()
    assert penalty is None
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-12)
    ends = torch.cat([part.flatten() for layer in after for part in layer])
    torch.testing.assert_close(ends, wanted_after, rtol=0, atol=1e-12)
    parameters = dict(model.named_parameters())
    found = {reference.names.get(name, name): p for name, p in reference.named_parameters()}
    assert parameters.keys() == found.keys()
    for name, parameter in parameters.items():
        torch.testing.assert_close(parameter.grad, found[name].grad, rtol=0, atol=1e-12)
        assert found[name].grad.abs().max() > 1e-6, name


def test_loss_and_logits_equal_the_equations_written_out() -> None:
    model = build(SHAPES["tied with a projection"])
    tokens, targets = window()
    state = state_of(model)
    inputs = list(model.embedding.weight[tokens])
    for layer, (h, c) in zip(model.lstm, state, strict=True):
        h, c = h[0], c[0]
        for time, x in enumerate(inputs):
            gates = x @ layer.weight_ih_l0.T + h @ layer.weight_hh_l0.T
            i, f, g, o = (gates + layer.bias_ih_l0 + layer.bias_hh_l0).chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            inputs[time] = h
    assert model.projection is not None
    features = torch.stack(inputs) @ model.projection.weight.T
    logits = features @ model.embedding.weight.T + model.output.bias
    probabilities = logits.exp() / logits.exp().sum(-1, keepdim=True)
    loss = -probabilities.gather(-1, targets[..., None]).log().mean()
    torch.testing.assert_close(model(tokens, state)[0], logits, rtol=0, atol=1e-12)
    torch.testing.assert_close(model.features(tokens, state)[0], features, rtol=0, atol=1e-12)
    assert model.loss(tokens, targets, state).cross_entropy.item() == pytest.approx(
        loss.item(), abs=1e-12
    )


def test_two_windows_are_one_long_window() -> None:
    model = build(SHAPES["tied, last layer as the embedding"])
    tokens, _ = window()
    whole, end = model(tokens, model.initial_state(BATCH))
    first, between = model(tokens[:4], model.initial_state(BATCH))
    second, after = model(tokens[4:], between)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=1e-12)
    for layer, layer_after in zip(end, after, strict=True):
        torch.testing.assert_close(layer, layer_after, rtol=0, atol=1e-12)


def test_tied_weights_are_one_tensor_and_counted_once() -> None:
    tied, untied = build(SHAPES["tied"]), build(SHAPES["untied"])
    assert tied.output.weight is tied.embedding.weight
    assert parameters_of(untied) - parameters_of(tied) == VOCABULARY * 6


def parameters_of(model: LSTMLanguageModel) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)
def test_every_parameter_is_in_exactly_one_group(config: ModelConfig) -> None:
    model = build(config)
    groups = list(model.parameter_groups())
    grouped = [id(p) for _, parameters in groups for p in parameters]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    layers = [f"lstm.{layer}" for layer in range(config.layers)]
    assert [name for name, _ in groups] == ["embedding", *layers, "output"]


def test_weights_begin_in_their_ranges() -> None:
    config = ModelConfig(embedding_size=30, hidden_size=40, tied=False, init_range=0.03)
    model = LSTMLanguageModel(500, config)
    for weight in (model.embedding.weight, model.output.weight):
        assert 0.029 < weight.max() <= 0.03
        assert -0.03 <= weight.min() < -0.029
    assert not model.output.bias.any()


def test_the_forget_gate_s_bias_is_set_and_the_other_gates_are_as_without() -> None:
    shape = {"embedding_size": 5, "hidden_size": 6, "last_size": 4, "layers": 2}
    plain, forgetful = build(ModelConfig(**shape)), build(ModelConfig(**shape, forget_bias=1.5))
    for units, before, after in zip((6, 4), plain.lstm, forgetful.lstm, strict=True):
        gates = torch.arange(4 * units) // units
        biases = after.bias_ih_l0 + after.bias_hh_l0
        assert (biases[gates == 1] == 1.5).all()
        others = (before.bias_ih_l0 + before.bias_hh_l0)[gates != 1]
        assert torch.equal(biases[gates != 1], others)
        assert torch.equal(before.weight_hh_l0, after.weight_hh_l0)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_and_takes_a_step(name: str) -> None:
    torch.set_num_threads(1)
    config = PRESETS[name].config
    random = torch.Generator().manual_seed(0)
    model = LSTMLanguageModel(VOCABULARY, config.model, config.regularisation, random).train()
    optimiser = build_optimiser(config.optimiser, model)
    tokens, targets = window()
    found = model.loss(tokens, targets, model.initial_state(BATCH))
    assert found.cross_entropy.item() == pytest.approx(np.log(VOCABULARY), rel=0.2)
    assert (found.penalty is not None) == name.startswith("awd-lstm")
    before = model.embedding.weight.detach().clone()
    (
        found.cross_entropy if found.penalty is None else found.cross_entropy + found.penalty
    ).backward()
    optimiser.step(config.optimiser.learning_rate)
    assert not torch.equal(model.embedding.weight, before)


@pytest.mark.parametrize(
    ("name", "vocabulary", "millions"),
    [
        ("ptb-small", 10_000, 2.65),
        ("ptb-medium", 10_000, 13.3),
        ("awd-lstm-ptb", 10_000, 24.2),
        ("awd-lstm-wikitext-2", 33_278, 33.6),
    ],
)
def test_presets_have_the_published_sizes(name: str, vocabulary: int, millions: float) -> None:
    """Merity et al. 2018, tables 1 and 2: 24 and 33 million."""
    with torch.device("meta"):
        model = LSTMLanguageModel(vocabulary, PRESETS[name].config.model)
    assert parameters_of(model) / 1e6 == pytest.approx(millions, rel=0.005)


def test_evaluation_predicts_every_token_but_the_first_once() -> None:
    model = build(SHAPES["tied"])
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, 2357).astype(np.uint16)
    *_, (total, count) = total_loss(model, tokens)
    assert count == len(tokens) - 1
    # Ten columns begin without the text before them; all else is the same.
    rows = (len(tokens) - 1) // 10
    parts = [tokens[column * rows : (column + 1) * rows + 1] for column in range(9)]
    parts.append(tokens[9 * rows :])
    assert total == pytest.approx(sum(alone(model, part) for part in parts), abs=1e-8)


def test_evaluation_of_a_short_text_is_exact() -> None:
    model = build(SHAPES["tied"])
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, 130).astype(np.uint16)
    *_, (total, count) = total_loss(model, tokens)
    assert (count, total) == (129, pytest.approx(alone(model, tokens), abs=1e-9))


def test_evaluation_turns_every_dropout_off_and_draws_nothing() -> None:
    shares = ("embedding_dropout", "input_dropout", "layer_dropout", "output_dropout")
    off = RegularisationConfig(**dict.fromkeys((*shares, "weight_drop"), 0.5), activation=2.0)
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, 300).astype(np.uint16)
    plain, model = build(SHAPES["tied"]), build(SHAPES["tied"], off).train()
    before = torch.get_rng_state()
    assert list(total_loss(model, tokens)) == list(total_loss(plain, tokens))
    assert torch.equal(torch.get_rng_state(), before)


def alone(model: LSTMLanguageModel, tokens: np.ndarray) -> float:
    """The sum of cross-entropies of a text read in one window from an empty state."""
    column = torch.from_numpy(tokens.astype(np.int64))[:, None]
    logits, _ = model(column[:-1], model.initial_state(1))
    return functional.cross_entropy(logits[:, 0], column[1:, 0], reduction="sum").item()
