"""What a model whose weights are no longer numbers answers: sentences, and no made-up words."""

import math
from collections.abc import Callable

import pytest
import torch
from msgspec import structs

from engine import messages as p
from engine.config import Sampling
from engine.errors import UserError
from engine.evaluation.dynamic_evaluation import DynamicEvaluator
from engine.events import Evaluated, NonFinite, Sampled
from engine.generation.sampling import generate
from engine.measures import perplexity
from engine.training.trainer import Trainer
from tests.conducted import ask, trained

Make = Callable[..., Trainer]


@pytest.fixture
def exploded(make_trainer: Make) -> Trainer:
    trainer = make_trainer(training__non_finite="let-it-happen", training__steps=20)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.fill_(torch.nan)
    return trainer


def test_training_goes_on_through_validations_and_samples(exploded: Trainer) -> None:
    events = list(exploded.train())
    assert exploded.step == 20
    assert len([event for event in events if isinstance(event, NonFinite)]) == 20
    measured = [event for event in events if isinstance(event, Evaluated)]
    assert [event.step for event in measured] == [10, 20]
    assert all(event.loss is None and not event.best for event in measured)
    assert [event.text for event in events if isinstance(event, Sampled)] == ["", ""]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_it_can_not_write(exploded: Trainer, temperature: float, value: float) -> None:
    with torch.no_grad():
        exploded.model.embedding.weight.fill_(value)
    with pytest.raises(UserError, match="no longer finite"):
        next(generate(exploded.model, [0], Sampling(temperature=temperature)))


def test_no_word_is_near_another(exploded: Trainer) -> None:
    with pytest.raises(UserError, match="no longer finite"):
        ask(p.WordQuery(query="cat"), trained(exploded))


@pytest.mark.parametrize(
    "query",
    [
        p.Surprise(text="the cat sat"),
        p.EvaluateCorpus(source="SOURCE", split="valid"),
        p.EvaluateCorpus(source="SOURCE", split="valid", cache=True),
        p.HowFarBack(text="the cat sat"),
    ],
)
def test_it_predicts_nothing(exploded: Trainer, query: p.AnyQuestion) -> None:
    if isinstance(query, p.EvaluateCorpus):
        query = structs.replace(query, source=exploded.config.corpus.source)
    with pytest.raises(UserError, match="no longer finite"):
        ask(query, trained(exploded))


def test_a_dynamic_evaluation_that_diverges_is_no_measure(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer()

    def diverge(self: DynamicEvaluator, loss: torch.Tensor) -> None:
        learn(self, loss * 1e30)

    learn = DynamicEvaluator.learn
    monkeypatch.setattr(DynamicEvaluator, "learn", diverge)
    query = p.EvaluateCorpus(source=trainer.config.corpus.source, split="valid", dynamic=True)
    with pytest.raises(UserError, match="choose a lower rate"):
        ask(query, trained(trainer))


def test_the_perplexity_of_no_number_is_none() -> None:
    assert perplexity(math.inf) == math.inf
    assert math.isnan(perplexity(math.nan))
