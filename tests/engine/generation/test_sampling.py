"""Generation: one token at a time, drawn by the model's own distribution."""

import copy
from collections import Counter
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from engine.config import ModelConfig, RegularisationConfig, Sampling
from engine.errors import UserError
from engine.generation.decoder import _Called, stepper
from engine.generation.sampling import generate, sample_token
from engine.model.lstm import LSTMLanguageModel

SHAPES: list[dict[str, Any]] = [
    {"embedding_size": 4, "hidden_size": 4, "layers": 1},
    {"embedding_size": 4, "hidden_size": 4, "layers": 3},
    {"embedding_size": 5, "hidden_size": 7, "layers": 2},  # tied, with a projection
    {"embedding_size": 5, "hidden_size": 7, "layers": 2, "last_size": 5},
    {"embedding_size": 5, "hidden_size": 7, "layers": 2, "tied": False},
    {"embedding_size": 5, "hidden_size": 7, "layers": 1, "last_size": 3, "tied": False},
]


@pytest.fixture
def model() -> LSTMLanguageModel:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    return LSTMLanguageModel(9, ModelConfig(embedding_size=4, hidden_size=4, init_range=1.0))


def logits_after(model: LSTMLanguageModel, tokens: list[int]) -> torch.Tensor:
    """(vocabulary,), by running the model over the whole text."""
    model.eval()
    with torch.no_grad():
        logits, _ = model(torch.tensor(tokens)[:, None], model.initial_state(1))
    return logits[-1, 0]


def first_probabilities(model: LSTMLanguageModel) -> torch.Tensor:
    return logits_after(model, [0]).softmax(0)


def draw(model: LSTMLanguageModel, count: int = 1000, **settings: Any) -> Counter[int]:
    """The first token after token 0, many times."""
    random, banned = torch.Generator().manual_seed(5), settings.pop("banned", None)
    logits, sampling = stepper(model, [])(0), Sampling(**settings)
    return Counter(
        sample_token(logits.copy(), sampling, random=random, banned=banned) for _ in range(count)
    )


def assert_as_likely(drawn: Counter[int], probabilities: torch.Tensor) -> None:
    """Pearson's chi-square, below what one sample in a thousand exceeds; no impossible token."""
    count = drawn.total()
    possible = probabilities > 0
    assert set(drawn) <= set(possible.nonzero().flatten().tolist())
    seen = torch.tensor([drawn[token] for token in range(len(probabilities))])[possible]
    expected = count * probabilities[possible]
    assert expected.min() > 5
    freedom = len(expected) - 1
    # Wilson and Hilferty 1931; 3.09 is the normal distribution's quantile.
    limit = freedom * (1 - 2 / (9 * freedom) + 3.09 * (2 / (9 * freedom)) ** 0.5) ** 3
    assert ((seen - expected) ** 2 / expected).sum() < limit


@pytest.mark.parametrize("shape", SHAPES)
def test_steps_give_the_logits_of_running_the_model_over_the_text(shape: dict[str, Any]) -> None:
    torch.manual_seed(2)
    dropouts = RegularisationConfig(input_dropout=0.5, output_dropout=0.5, weight_drop=0.5)
    model = LSTMLanguageModel(30, ModelConfig(**shape, init_range=1.0), dropouts)
    model.train()  # as between two steps of training
    text = [3, 0, 29, 7, 7, 1]
    for read in (0, 3):
        model.train()
        step = stepper(model, text[:read])
        for end in range(read, len(text)):
            expected = logits_after(model, text[: end + 1])
            model.train()
            assert step(text[end]) == pytest.approx(expected.numpy(), abs=1e-5)


def test_a_model_that_is_called_gives_the_same_logits(model: LSTMLanguageModel) -> None:
    """As on a GPU."""
    model.regularisation = RegularisationConfig(output_dropout=0.5)
    model.train()
    called, written_out = _Called(model, model.initial_state(1)).step, stepper(model, [])
    for token in (3, 0, 8):
        assert called(token) == pytest.approx(written_out(token), abs=1e-5)


def test_steps_leave_the_logits_to_the_caller_and_the_model_as_it_was(
    model: LSTMLanguageModel,
) -> None:
    before = copy.deepcopy(model.state_dict())
    first, second = stepper(model, []), stepper(model, [])
    first(3)[:] = 0
    second(3)
    assert first(4) == pytest.approx(second(4), abs=0)
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())


def test_a_step_reads_the_weights_as_they_then_are(model: LSTMLanguageModel) -> None:
    step = stepper(model, [])
    step(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.output.bias.copy_(torch.arange(9))
    assert step(0).tolist() == list(range(9))


def test_tokens_come_as_often_as_the_model_says(model: LSTMLanguageModel) -> None:
    random = torch.Generator().manual_seed(5)
    drawn = Counter(next(generate(model, [0], random=random)) for _ in range(1000))
    assert_as_likely(drawn, first_probabilities(model))


@pytest.mark.parametrize("temperature", [0.6, 2.0])
def test_temperature_sharpens_and_flattens(model: LSTMLanguageModel, temperature: float) -> None:
    probabilities = (logits_after(model, [0]) / temperature).softmax(0)
    assert_as_likely(draw(model, temperature=temperature), probabilities)


def test_what_is_left_after_top_k_top_p_and_banned_keeps_its_proportions(
    model: LSTMLanguageModel,
) -> None:
    probabilities = first_probabilities(model)
    order = probabilities.argsort(descending=True)
    banned = probabilities.clone()
    banned[order[1]] = 0
    four = probabilities.clone()
    four[order[4:]] = 0
    three = four.clone()
    three[order[3]] = 0
    share = float(three.sum() / four.sum())
    assert_as_likely(draw(model, banned=int(order[1])), banned / banned.sum())
    assert_as_likely(draw(model, top_k=4), four / four.sum())
    assert_as_likely(draw(model, top_p=float(four.sum()) - 1e-3), four / four.sum())
    assert_as_likely(draw(model, top_k=4, top_p=share - 1e-3), three / three.sum())


def test_a_large_vocabulary_is_drawn_by_its_exact_distribution() -> None:
    """The mass of 400 words of 20,000, and of the nucleus."""
    random = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(20_000, generator=random)
    probabilities = logits.double().softmax(0)
    ordered, order = probabilities.sort(descending=True)
    nucleus = set(order[: int((ordered.cumsum(0) < 0.7).sum()) + 1].tolist())
    groups = torch.zeros(50, dtype=torch.double).scatter_add_(
        0, torch.arange(20_000) % 50, probabilities
    )

    def drawn(**settings: Any) -> list[int]:
        return [
            sample_token(logits.numpy(), Sampling(**settings), random=random) for _ in range(2000)
        ]

    assert_as_likely(Counter(token % 50 for token in drawn()), groups)
    within = drawn(top_p=0.7)
    assert set(within) <= nucleus
    halves = torch.tensor(
        [ordered[: len(nucleus)][::2].sum(), ordered[1 : len(nucleus)][::2].sum()]
    )
    ranks = {token: rank for rank, token in enumerate(order.tolist())}
    assert_as_likely(Counter(ranks[token] % 2 for token in within), halves / halves.sum())


def test_the_nucleus_is_the_fewest_tokens_even_where_all_are_alike() -> None:
    random = torch.Generator().manual_seed(1)
    alike = np.zeros(100, np.float32)
    assert (
        len({sample_token(alike, Sampling(top_p=0.095), random=random) for _ in range(500)}) == 10
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(UserError, match="no longer finite"):
        sample_token(np.full(5, value, np.float32))


def test_temperature_zero_and_nearly_zero_take_the_most_probable(model: LSTMLanguageModel) -> None:
    best = int(first_probabilities(model).argmax())
    assert set(draw(model, 5, temperature=0)) == set(draw(model, 5, temperature=1e-30)) == {best}


def test_top_k_top_p_and_banned_limit_the_choice(model: LSTMLanguageModel) -> None:
    order = first_probabilities(model).argsort(descending=True).tolist()
    assert set(draw(model, top_k=3)) == set(order[:3])
    probabilities = first_probabilities(model)[order].cumsum(0).tolist()
    assert set(draw(model, top_p=probabilities[1] + 1e-4)) == set(order[:3])
    assert set(draw(model, top_p=1e-9)) == {order[0]}
    assert order[0] not in draw(model, banned=order[0])


@pytest.mark.parametrize("count", range(1, 9))
def test_of_tokens_alike_top_k_keeps_as_many_as_it_says(count: int) -> None:
    """The first of them, as the nucleus does."""
    logits = np.array([1, 3, 2, 3, 2, -np.inf, 2, 2, 1], np.float32)
    order = sorted(range(9), key=lambda token: (-logits[token], token))
    random = torch.Generator().manual_seed(1)
    drawn = {
        sample_token(logits, Sampling(top_k=count, temperature=9), random=random)
        for _ in range(600)
    }
    assert drawn == set(order[:count])


def test_the_same_seed_gives_the_same_text_and_the_global_generator_is_left_alone(
    model: LSTMLanguageModel,
) -> None:
    before = torch.get_rng_state()
    texts = [
        list(islice(generate(model, [0, 3], random=torch.Generator().manual_seed(seed)), 50))
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]
    assert torch.equal(before, torch.get_rng_state())


def test_generation_equals_running_the_model_over_the_whole_text(model: LSTMLanguageModel) -> None:
    prompt = [0, 5]
    text = list(islice(generate(model, prompt, Sampling(temperature=0)), 20))
    model.eval()
    column = torch.tensor(prompt + text)[:, None]
    logits, _ = model(column, model.initial_state(1))
    assert logits[1:-1, 0].argmax(-1).tolist() == text
