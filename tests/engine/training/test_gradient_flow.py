"""The gradient on its way back through a window, against references and a case done by hand."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from engine.training.gradient_flow import gradient_by_time, untrained_model
from engine.training.trainer import Trainer
from tests.engine.training.test_rate_finder import everything

MakeTrainer = Callable[..., Trainer]


def steps(trainer: Trainer, count: int) -> None:
    for _ in range(count):
        for _event in trainer.take_step():
            pass


def reference(trainer: Trainer) -> list[float]:
    """The norms by plain torch in float64: one nn.LSTM of two layers, dropouts nowhere."""
    model = trainer.model
    first, second = model.lstm
    lstm = nn.LSTM(first.input_size, first.hidden_size, num_layers=2).double()
    with torch.no_grad():
        for index, layer in enumerate((first, second)):
            for name, weight in layer.named_parameters():
                getattr(lstm, name.replace("l0", f"l{index}")).copy_(weight)
    tokens, targets = trainer.cursor.peek()
    vectors = model.embedding.weight.detach().double()[tokens].requires_grad_()
    state = tuple(torch.cat(part).double() for part in zip(*trainer.carried, strict=True))
    hidden, _ = lstm(vectors, state)
    weight, bias = model.output.weight.detach().double(), model.output.bias.detach().double()
    functional.cross_entropy(hidden[-1] @ weight.T + bias, targets[-1]).backward()
    assert vectors.grad is not None
    return [float(moment.norm()) for moment in vectors.grad]


@pytest.mark.parametrize("taken", [0, 12])
def test_the_norms_are_those_of_a_float64_reference(make_trainer: MakeTrainer, taken: int) -> None:
    trainer = make_trainer(training__bptt=20)
    steps(trainer, taken)
    trainer.model.train()
    flow = gradient_by_time(trainer)
    assert flow.step == taken
    assert len(flow.norms) == 20
    assert flow.norms == pytest.approx(reference(trainer), rel=1e-3)
    first, last = sum(flow.norms[:2]) / 2, sum(flow.norms[-2:]) / 2
    assert flow.ratio == pytest.approx(first / last)


def test_at_an_epochs_start_the_state_is_empty(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    steps(trainer, trainer.cursor.windows)
    assert trainer.cursor.at_start
    flow = gradient_by_time(trainer)
    trainer.carried = trainer.model.initial_state(8)
    assert flow.norms == pytest.approx(reference(trainer), rel=1e-3)


def test_nothing_of_the_trainer_changes(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(training__random_bptt=True)
    for taken in (3, 0):
        steps(trainer, taken)
        before = everything(trainer)
        gradient_by_time(trainer)
        assert everything(trainer) == before
    trainer.optimiser.zero_grad()
    gradient_by_time(trainer)
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


@pytest.mark.parametrize("bias", [-5.0, -1.0, 0.0, 5.0])
def test_what_a_forget_gate_lets_through_is_its_activation_at_each_step(
    make_trainer: MakeTrainer, bias: float
) -> None:
    """One layer without recurrent weights, its forget and output gates deaf to the
    input, every word the same:
    the cell is a leaky sum, so each step back multiplies the gradient by sigmoid(bias)."""
    trainer = make_trainer(model__layers=1, model__forget_bias=bias, training__bptt=10)
    [layer], units = trainer.model.lstm, 8
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
        layer.weight_ih_l0[units : 2 * units] = layer.weight_ih_l0[3 * units :] = 0.0
        trainer.model.embedding.weight[:] = trainer.model.embedding.weight[0].clone() + 1
    flow = gradient_by_time(trainer)
    kept = 1 / (1 + math.exp(-bias))
    for earlier, later in zip(flow.norms, flow.norms[1:], strict=False):
        assert earlier / later == pytest.approx(kept, rel=1e-3)
    assert flow.ratio == pytest.approx(kept**9, rel=1e-2)


def test_a_gradient_that_is_far_below_one_still_has_its_norm(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(model__layers=1, model__forget_bias=-10.0, training__bptt=8)
    with torch.no_grad():
        trainer.model.lstm[0].weight_hh_l0.zero_()
    flow = gradient_by_time(trainer)
    assert 0 < flow.norms[0] < 1e-24, "its square is nothing in float32"
    assert flow.norms == sorted(flow.norms)


def test_a_model_whose_gradient_is_zero_has_no_ratio(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.zero_()
    flow = gradient_by_time(trainer)
    assert set(flow.norms) == {0.0}
    assert math.isnan(flow.ratio)


def test_the_untrained_model_is_the_one_that_the_run_began_with(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    first = {name: weight.clone() for name, weight in trainer.model.state_dict().items()}
    begun = gradient_by_time(trainer)
    assert begun.untrained == begun.norms and begun.untrained_ratio == begun.ratio
    steps(trainer, 5)
    random = torch.get_rng_state()
    untrained = untrained_model(trainer)
    assert torch.equal(torch.get_rng_state(), random)
    for name, weight in untrained.state_dict().items():
        assert torch.equal(weight, first[name])
    flow = gradient_by_time(trainer)
    assert len(flow.untrained) == len(flow.norms) and flow.untrained != flow.norms


def test_the_tokens_of_the_first_text_have_its_own_norms(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(training__batch_size=1, training__bptt=12)
    steps(trainer, 2)
    flow = gradient_by_time(trainer)
    assert flow.token_norms == pytest.approx(flow.norms)
    tokens, _ = trainer.cursor.peek()
    vocabulary = trainer.corpus.tokenizer.vocabulary.tokens
    assert flow.tokens == [vocabulary[token] for token in tokens[:, 0].tolist()]


def test_a_model_too_large_to_be_built_beside_has_no_untrained_one(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.training.gradient_flow.MOST_BUILT", 10)
    flow = gradient_by_time(make_trainer())
    assert flow.norms and not flow.untrained and math.isnan(flow.untrained_ratio)
