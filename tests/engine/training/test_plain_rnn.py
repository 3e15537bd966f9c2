"""The plain RNN beside a run: its sums, its training, and what it is asked."""

from collections.abc import Callable

import pytest
import torch

from engine import messages as p
from engine.config import ModelConfig
from engine.errors import UserError
from engine.events import Progress
from engine.service import background
from engine.training import plain_rnn
from engine.training.plain_rnn import Beside, PlainRNN
from engine.training.trainer import Trainer
from tests.conducted import ask, parts, trained
from tests.engine.training.test_rate_finder import everything

MakeTrainer = Callable[..., Trainer]
TEXT = "the cat sat 3 times"


def test_its_layers_are_tanh_of_input_and_state() -> None:
    torch.manual_seed(1)
    model = PlainRNN(9, ModelConfig(embedding_size=3, hidden_size=5, layers=2, init_range=1.0))
    text, state = [4, 8, 0, 4], model.initial_state(1)
    found = []
    for part in (text[:3], text[3:]):  # the state is carried on
        logits, state = model(torch.tensor(part)[:, None], state)
        found += logits[:, 0].tolist()
    hidden = [torch.zeros(5, dtype=torch.float64)] * 2
    for token, logits in zip(text, found, strict=True):
        below = model.embedding.weight[token].double()
        for number, layer in enumerate(model.lstm):
            into, recurrent, *biases = (each.double() for each in layer.parameters())
            hidden[number] = torch.tanh(into @ below + recurrent @ hidden[number] + sum(biases))
            below = hidden[number]
        assert model.projection is not None
        expected = model.output.weight.double() @ (model.projection.weight.double() @ below)
        assert logits == pytest.approx((expected + model.output.bias.double()).tolist(), abs=1e-5)


def test_it_is_trained_from_the_runs_beginning_and_leaves_the_run_alone(
    make_trainer: MakeTrainer,
) -> None:
    trainer = make_trainer(model__forget_bias=1.0)
    first = [trainer.take_step()[0] for _ in range(3)]
    before, random = everything(trainer), torch.get_rng_state()
    beside, told = Beside(trainer), list[int]()
    assert (beside.steps, beside.loss) == (0, None)
    beside.look([0, 1, 2], 3, 3, told.append)
    assert told == [0, 1, 2]
    assert beside.steps == 3 and beside.loss is not None
    assert beside._trainer.cursor.state_dict() == trainer.cursor.state_dict()
    assert beside.loss == pytest.approx(sum(step.loss or 0 for step in first) / 3, rel=0.1)
    assert everything(trainer) == before and torch.equal(torch.get_rng_state(), random)


def test_it_stops_when_nobody_waits_and_goes_on_from_there(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer()
    for _ in range(6):
        trainer.take_step()
    run, query = trained(trainer), p.PlainFarBack(text=TEXT, position=2)
    monkeypatch.setattr(
        background.Job, "tell", lambda _, progress: (_ for _ in ()).throw(UserError("enough"))
    )
    with pytest.raises(UserError, match="enough"):
        ask(query, run)
    monkeypatch.undo()
    assert run.plain is not None and run.plain.steps == 0
    *told, found = parts(query, run)
    progress = [each for each in told if isinstance(each, Progress)]
    assert all(each.total == 6 for each in progress)
    assert found.steps == run.plain.steps == 6
    again = ask(query, run)
    assert again == found
    assert len(found.norms) == len(ask(p.HowFarBack(text=TEXT, position=2), run).norms)
    behind = ask(p.PlainFarBack(text=TEXT), run)
    assert len(behind.norms) == len(found.norms) + 3


def test_its_steps_and_its_size_are_bounded(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer()
    monkeypatch.setattr(plain_rnn, "MOST_STEPS", 2)
    beside = Beside(trainer)
    beside.look([0, 1], 3, 5, lambda _: None)
    assert beside.steps == 2
    monkeypatch.setattr(plain_rnn, "MOST_BUILT", 10)
    with pytest.raises(UserError, match="at most 10 parameters"):
        Beside(trainer)
