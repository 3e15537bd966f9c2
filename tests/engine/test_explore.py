"""Generation and neighbours."""

from collections import Counter
from itertools import islice

import pytest
import torch

from engine.config import ModelConfig
from engine.explore.generation import generate
from engine.explore.neighbours import NeighbourIndex
from engine.model.lstm import LSTMLanguageModel


@pytest.fixture
def model() -> LSTMLanguageModel:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    return LSTMLanguageModel(9, ModelConfig(embedding_size=4, hidden_size=4, init_range=1.0))


def first_probabilities(model: LSTMLanguageModel) -> torch.Tensor:
    model.eval()
    logits, _ = model(torch.tensor([[0]]), model.initial_state(1))
    return logits[0, 0].softmax(0)


def draw(model: LSTMLanguageModel, count: int = 4000, **settings: float) -> Counter[int]:
    """The first token after token 0, many times."""
    random = torch.Generator().manual_seed(5)
    return Counter(
        next(generate(model, [0], random=random, **settings))
        for _ in range(count)  # type: ignore[arg-type]
    )


def test_tokens_come_as_often_as_the_model_says(model: LSTMLanguageModel) -> None:
    drawn = draw(model)
    for token, probability in enumerate(first_probabilities(model).tolist()):
        assert drawn[token] / 4000 == pytest.approx(probability, abs=0.03)


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
    text = list(islice(generate(model, prompt, temperature=0), 20))
    model.eval()
    column = torch.tensor(prompt + text)[:, None]
    logits, _ = model(column, model.initial_state(1))
    assert logits[1:-1, 0].argmax(-1).tolist() == text


def test_neighbours_are_by_cosine_without_the_word_itself() -> None:
    weight = torch.tensor([[1.0, 0], [10, 1], [0, 1], [-1, 0], [-1, 1]])
    index = NeighbourIndex()
    found = index.nearest(weight, step=1, token=0, top=10)
    assert [token for token, _ in found] == [1, 2, 4, 3]
    assert [cosine for _, cosine in found] == pytest.approx([10 / 101**0.5, 0, -(0.5**0.5), -1])


def test_neighbours_follow_the_training() -> None:
    weight = torch.tensor([[1.0, 0], [1, 0.1], [0, 1]])
    index = NeighbourIndex()
    assert index.nearest(weight, step=1, token=0, top=1)[0][0] == 1
    moved = torch.tensor([[1.0, 0], [0, 1], [1, 0.1]])
    assert index.nearest(moved, step=2, token=0, top=1)[0][0] == 2
