"""The trainer: what it yields, what it leaves alone, and that it learns."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch

from engine.errors import UserError
from engine.events import Evaluated, NonFinite, Sampled, Stepped
from engine.training.trainer import Trainer

Make = Callable[..., Trainer]

NO_DROPOUT = {
    f"regularisation__{name}": 0.0
    for name in (
        "embedding_dropout",
        "input_dropout",
        "layer_dropout",
        "output_dropout",
        "weight_drop",
    )
}


def steps(trainer: Trainer, count: int) -> list[Stepped]:
    found = (event for event in trainer.train() if isinstance(event, Stepped))
    return list(itertools.islice(found, count))


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


def test_it_learns(make_trainer: Make) -> None:
    trainer = make_trainer(optimiser__learning_rate=0.02)
    losses = [event.loss for event in steps(trainer, 150)]
    assert losses[0] == pytest.approx(math.log(len(trainer.corpus.tokenizer.vocabulary)), rel=0.1)
    assert losses[-1] is not None
    assert losses[-1] < 0.6 * losses[0]


def test_every_step_tells_what_was_done(make_trainer: Make) -> None:
    trainer = make_trainer(clipping__threshold=0.01)
    events = steps(trainer, 12)
    assert [event.step for event in events] == list(range(1, 13))
    for event in events:
        assert event.clipped
        assert event.norm_before is not None
        assert event.norm_before > 0.01
        assert event.norm_after == pytest.approx(0.01, rel=1e-3)
        assert list(event.groups_before) == ["embedding", "lstm.0", "lstm.1", "output"]
        before = math.hypot(*(norm or 0.0 for norm in event.groups_before.values()))
        assert before == pytest.approx(event.norm_before, rel=1e-5)
        assert event.epoch == pytest.approx(event.step / trainer.cursor.windows)
        assert event.tokens_per_second > 0


def test_the_events_come_in_order_and_a_limit_ends_with_an_evaluation(make_trainer: Make) -> None:
    trainer = make_trainer(training__steps=13)
    events = [e for e in trainer.train() if isinstance(e, Stepped | Evaluated | Sampled)]
    kinds = [(type(e).__name__, e.step) for e in events if not isinstance(e, Stepped)]
    assert kinds == [("Evaluated", 10), ("Sampled", 10), ("Evaluated", 13), ("Sampled", 13)]
    assert trainer.limit_reached == "training.steps"
    assert [e for e in trainer.train() if isinstance(e, Stepped)] == []


def test_epochs_and_minutes_end_a_run_too(make_trainer: Make) -> None:
    trainer = make_trainer(training__epochs=0.5)
    assert len(steps(trainer, 10**6)) == math.ceil(0.5 * trainer.cursor.windows)
    trainer = make_trainer(training__minutes=0.001)
    assert 0 < len(steps(trainer, 10**6)) < 10**5
    assert trainer.limit_reached == "training.minutes"


def test_a_cosine_schedule_ends_at_zero(make_trainer: Make) -> None:
    trainer = make_trainer(training__steps=20, schedule__name="cosine", schedule__warmup_steps=5)
    rates = [event.learning_rate for event in steps(trainer, 20)]
    assert rates[:5] == pytest.approx([0.001, 0.002, 0.003, 0.004, 0.005])
    assert rates == sorted(rates[:5]) + sorted(rates[5:], reverse=True)
    assert rates[-1] < 1e-4


@pytest.mark.parametrize("mode", ["off", "norm", "value"])
def test_a_gradient_that_is_not_finite_never_reaches_the_weights(
    make_trainer: Make, mode: str
) -> None:
    trainer = make_trainer(clipping__mode=mode)
    steps(trainer, 3)
    handle = trainer.model.lstm.weight_hh_l1.register_hook(lambda grad: grad * math.inf)
    before = weights(trainer)
    optimiser = {k: v.clone() for k, v in _moments(trainer).items()}
    events = list(itertools.islice(trainer.train(), 6))
    after = weights(trainer)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(torch.equal(v, optimiser[k]) for k, v in _moments(trainer).items())
    skipped = [event for event in events if isinstance(event, Stepped)]
    told = [event for event in events if isinstance(event, NonFinite)]
    assert all(event.skipped and event.norm_before is None for event in skipped)
    assert [(e.tensor, e.in_a_row) for e in told] == [("lstm.weight_hh_l1", n) for n in (1, 2, 3)]
    handle.remove()
    (event,) = steps(trainer, 1)
    assert not event.skipped
    assert trainer.non_finite_in_a_row == 0
    assert not torch.equal(before["embedding.weight"], weights(trainer)["embedding.weight"])


def _moments(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {
        f"{index}.{key}": value
        for index, values in trainer.optimiser.state_dict()["state"].items()
        for key, value in values.items()
    }


def test_a_loss_that_is_not_finite_is_named_and_the_carried_state_begins_anew(
    make_trainer: Make,
) -> None:
    trainer = make_trainer()
    steps(trainer, 3)
    first, *others = trainer.carried
    trainer.carried = ((first[0] * math.nan, first[1]), *others)
    events = list(itertools.islice(trainer.train(), 2))
    assert isinstance(events[1], NonFinite)
    assert (events[1].tensor, events[1].value) == ("loss", "nan")
    assert not steps(trainer, 1)[0].skipped


def test_the_state_is_carried_from_window_to_window_and_detached(make_trainer: Make) -> None:
    trainer = make_trainer(**NO_DROPOUT)
    assert not any(part.any() for layer in trainer.carried for part in layer)
    steps(trainer, 1)
    carried = trainer.carried
    assert all(part.any() and not part.requires_grad for layer in carried for part in layer)
    expected = trainer.model.loss(*trainer.next_window(), carried).cross_entropy
    (event,) = steps(trainer, 1)
    assert event.loss == pytest.approx(expected.item(), rel=1e-5)


def test_looking_never_changes_the_training(make_trainer: Make) -> None:
    undisturbed = make_trainer()
    steps(undisturbed, 25)
    trainer = make_trainer()
    for _ in range(25):
        steps(trainer, 1)
        list(trainer.evaluate("valid"))
        trainer.sample()
    for name, weight in weights(undisturbed).items():
        assert torch.equal(weight, weights(trainer)[name]), name


def test_a_split_that_is_not_there_is_one_sentence(make_trainer: Make) -> None:
    with pytest.raises(UserError, match="The corpus has no nonsense split"):
        list(make_trainer().evaluate("nonsense"))
