"""Optimisers against their equations, and nt-asgd against algorithm 1 of Merity et al. 2018."""

import itertools
import math
import random
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engine.config import ModelConfig, OptimiserConfig
from engine.evaluation.held_out import total_loss
from engine.events import Averaging, Evaluated, Stepped
from engine.model.lstm import LSTMLanguageModel
from engine.training.optimisers import Average, build_optimiser, stalled
from engine.training.trainer import Trainer

Make = Callable[..., Trainer]
RATE, DECAY, MOMENTUM = 0.03, 0.01, 0.6


class ByHand:
    """One weight's updates, from the papers' equations."""

    def __init__(self) -> None:
        self.steps = 0
        self.first: Tensor | float = 0.0
        self.second: Tensor | float = 0.0

    def sgd(self, weight: Tensor, gradient: Tensor) -> Tensor:
        self.first = MOMENTUM * self.first + gradient + DECAY * weight
        return weight - RATE * self.first

    def adam(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Kingma & Ba 2015, weight decay as part of the gradient."""
        return self._adam(weight, gradient + DECAY * weight)

    def adamw(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Loshchilov & Hutter 2019: the decay apart from the gradient's moments."""
        return self._adam(weight, gradient) - RATE * DECAY * weight

    def _adam(self, weight: Tensor, gradient: Tensor) -> Tensor:
        self.steps += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        unbiased = self.first / (1 - 0.9**self.steps)
        scale = (self.second / (1 - 0.999**self.steps)) ** 0.5 + 1e-8
        return weight - RATE * unbiased / scale


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("sgd", ByHand.sgd),
        ("nt-asgd", ByHand.sgd),
        ("adam", ByHand.adam),
        ("adamw", ByHand.adamw),
    ],
)
def test_updates_equal_the_equations(
    name: str, rule: Callable[[ByHand, Tensor, Tensor], Tensor]
) -> None:
    torch.manual_seed(0)
    model = LSTMLanguageModel(7, ModelConfig(embedding_size=3, hidden_size=4)).double()
    momentum = MOMENTUM if rule is ByHand.sgd else 0.0
    config = OptimiserConfig(
        name=name,  # type: ignore[arg-type]
        learning_rate=RATE,
        momentum=momentum,
        weight_decay=DECAY,
    )
    optimiser = build_optimiser(config, model)
    wanted = {key: parameter.detach().clone() for key, parameter in model.named_parameters()}
    by_hand = {key: ByHand() for key in wanted}
    draw = torch.Generator().manual_seed(1)
    for _ in range(4):
        for key, parameter in model.named_parameters():
            parameter.grad = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
            wanted[key] = rule(by_hand[key], wanted[key], parameter.grad)
        optimiser.step(RATE)
    for key, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), wanted[key], rtol=0, atol=1e-12, msg=key)


def test_training_does_not_load_torch_s_compiler() -> None:
    """Which takes half a second."""
    script = (
        "import sys, torch; from engine.config import preset;"
        "from engine.text.corpus import open_corpus; from engine.training.trainer import Trainer;"
        "config = preset('toy');"
        "trainer = Trainer(config, open_corpus(config.corpus), torch.device('cpu'));"
        "list(trainer.take_step()); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def algorithm_1(perplexities: list[float], n: int) -> int | None:
    """The validation, counted from 0, at which averaging begins: the paper's lines 4 to 12."""
    logs: list[float] = []
    for t, v in enumerate(perplexities):
        if t > n and v > min(logs[index] for index in range(t - n)):
            return t
        logs.append(v)
    return None


def test_the_trigger_is_the_paper_s() -> None:
    draw = random.Random(2)
    found: list[int | None] = []
    for _ in range(2_000):
        n = draw.randint(1, 6)
        fall = draw.uniform(-0.1, 0.4)
        losses = [5 - fall * count + draw.gauss(0, 0.3) for count in range(20)]
        first = next((k for k in range(20) if stalled(losses[: k + 1], n)), None)
        assert first == algorithm_1([math.exp(loss) for loss in losses], n)
        found.append(first)
    assert len(set(found)) > 15


def test_an_equal_loss_does_not_trigger() -> None:
    assert not stalled([4.0, 4.0, 4.0, 4.0], 1)
    assert stalled([4.0, 4.0, 4.1], 1)
    assert not stalled([4.0, 4.1], 1)


def test_the_average_is_the_mean_of_the_weights_since_it_began() -> None:
    torch.manual_seed(0)
    model = LSTMLanguageModel(7, ModelConfig(embedding_size=3, hidden_size=4)).double()
    average = Average(model)
    iterates = [flat(model)]
    draw = torch.Generator().manual_seed(1)
    for _ in range(30):
        assert_near(flat(average.model), torch.stack(iterates).mean(0))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
        iterates.append(flat(model))
        average.update(model)
        assert average.steps == len(iterates)
    assert torch.equal(flat(model), iterates[-1])
    assert average.model.output.weight is average.model.embedding.weight


def flat(model: LSTMLanguageModel) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def assert_near(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def stalling(make_trainer: Make, name: str) -> Trainer:
    """At a rate far too high, so that validation soon stalls."""
    return make_trainer(
        optimiser__name=name,
        optimiser__learning_rate=4.0,
        optimiser__trigger=2,
        optimiser__weight_decay=1e-4,
        training__evaluate_every=3,
        training__steps=90,
    )


def test_nt_asgd_judges_the_average_and_trains_the_live_weights(make_trainer: Make) -> None:
    trainer, plain = stalling(make_trainer, "nt-asgd"), stalling(make_trainer, "sgd")
    trainer.model.double()
    plain.model.double()
    losses: list[float] = []
    iterates: list[Tensor] = []
    averaged = 0
    steps = (event for event in plain.train() if isinstance(event, Stepped))
    for event in trainer.train():
        if isinstance(event, Stepped):
            other = next(steps)
            assert (event.loss, event.norm_before) == (other.loss, other.norm_before)
            assert torch.equal(flat(trainer.model), flat(plain.model))
            if iterates:
                iterates.append(flat(trainer.model))
                assert_near(flat(trainer.eval_model), torch.stack(iterates).mean(0))
        elif isinstance(event, Averaging):
            assert not iterates
            assert algorithm_1(losses, 2) == len(losses) - 1
            iterates.append(flat(trainer.model))
        elif isinstance(event, Evaluated):
            assert event.loss is not None
            losses.append(event.loss)
            if iterates:
                averaged += 1
                *_, (total, count) = total_loss(trainer.eval_model, trainer.corpus.splits["valid"])
                assert event.loss == total / count
                *_, (total, _) = total_loss(trainer.model, trainer.corpus.splits["valid"])
                assert event.loss != pytest.approx(total / count, rel=1e-3)
    assert averaged > 5
    assert trainer.eval_model is not trainer.model
    assert algorithm_1(losses, 2) is not None


def test_sgd_never_averages(make_trainer: Make) -> None:
    trainer = stalling(make_trainer, "sgd")
    assert not [event for event in trainer.train() if isinstance(event, Averaging)]
    assert trainer.eval_model is trainer.model


def test_a_step_that_is_skipped_is_not_averaged(make_trainer: Make) -> None:
    trainer = make_trainer(optimiser__name="nt-asgd")
    list(itertools.islice(trainer.take_step(), 1))
    trainer.average = Average(trainer.model)
    before = flat(trainer.eval_model)
    handle = trainer.model.output.bias.register_hook(lambda gradient: gradient * math.nan)
    list(trainer.take_step())
    assert trainer.average.steps == 1
    assert torch.equal(flat(trainer.eval_model), before)
    handle.remove()
    list(trainer.take_step())
    assert trainer.average.steps == 2
