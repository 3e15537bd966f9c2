"""The test of learning rates: what it tries, what it suggests, and what it leaves alone."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine import messages as p
from engine import runs
from engine.config import RunConfig, preset, replace
from engine.errors import UserError
from engine.events import Evaluated, Progress, Stepped
from engine.messages import RateFound, RateTried
from engine.text.corpus import open_corpus
from engine.training import rate_finder
from engine.training.rate_finder import choose, find_rate
from engine.training.trainer import Trainer
from tests.conducted import conducted, parts

MakeTrainer = Callable[..., Trainer]


def steps(trainer: Trainer, count: int) -> list[Stepped]:
    return [trainer.take_step()[0] for _ in range(count)]  # type: ignore[misc]


def everything(trainer: Trainer) -> dict[str, object]:
    """All that a step reads or writes, as bytes and plain values."""
    tensors = dict(trainer.model.state_dict())
    tensors |= {f"{n}.grad": weight.grad for n, weight in trainer.model.named_parameters()}
    for index, state in enumerate(trainer.optimiser.state):
        tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
    if trainer.average is not None:
        tensors |= {f"average.{n}": t for n, t in trainer.average.model.state_dict().items()}
    for index, (h, c) in enumerate(trainer.carried):
        tensors |= {f"h.{index}": h, f"c.{index}": c}
    for name in ("data_random", "dropout_random"):
        tensors[name] = getattr(trainer, name).get_state()
    tensors["torch"] = torch.get_rng_state()
    state: dict[str, object] = {
        name: None if tensor is None else tensor.numpy().tobytes()
        for name, tensor in tensors.items()
    }
    state["place"] = (trainer.step, trainer.cursor.row, trainer.cursor.epoch, trainer.seconds)
    state["rate"] = trainer.learning_rate
    state["norms"] = (trainer.norms.counts.tobytes(), trainer.norms.total, trainer.clipped_steps)
    state["config"] = trainer.config
    return state


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "nt-asgd"])
def test_the_trainer_is_left_as_it_was(make_trainer: MakeTrainer, optimiser: str) -> None:
    settings = {"optimiser__name": optimiser, "training__random_bptt": True}
    tested, untouched = make_trainer(**settings), make_trainer(**settings)
    for trainer in (tested, untouched):
        torch.manual_seed(9)
        steps(trainer, 7)
    before = everything(tested)
    assert before == everything(untouched) | {"place": before["place"]}
    for _ in find_rate(tested):
        pass
    next(find_rate(tested))  # and closed at once
    assert everything(tested) == before
    # nor are tensors shared: what both do next is the same
    for one, other in zip(steps(tested, 5), steps(untouched, 5), strict=True):
        assert (one.loss, one.norm_before) == (other.loss, other.norm_before)


def held(trainer: Trainer) -> tuple[dict[float, float | None], RateFound]:
    """The rates tried with their losses, and what was found."""
    *answers, found = find_rate(trainer)
    assert isinstance(found, RateFound)
    return {one.rate: one.loss for one in answers if isinstance(one, RateTried)}, found


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates that are held for 30 steps."""
    monkeypatch.setattr(rate_finder, "HOLD", 30)


@pytest.mark.usefixtures("_short")
def test_each_rate_is_held_from_the_same_start_and_its_loss_is_the_smoothed_loss_in_the_end(
    make_trainer: MakeTrainer,
) -> None:
    """The same by hand: a trainer's own steps, without the schedule."""
    schedule = {"schedule__name": "plateau", "schedule__warmup_steps": 40}
    started = make_trainer(**schedule)
    steps(started, 7)
    tried, _ = held(started)
    assert len(tried) >= 5
    for rate, loss in tried.items():
        trainer = make_trainer(**schedule)
        steps(trainer, 7)
        trainer.config = replace(trainer.config, {"schedule.name": "constant"})
        trainer.config = replace(trainer.config, {"schedule.warmup_steps": 0})
        losses: list[float] = []
        for step in range(1, 31):
            trainer.learning_rate = rate * min(1, step / 3)
            losses.append(steps(trainer, 1)[0].loss)  # type: ignore[arg-type]
        weights = [0.95**age for age in reversed(range(30))]
        mean = sum(map(math.prod, zip(weights, losses, strict=True))) / sum(weights)
        assert loss == pytest.approx(mean, rel=1e-9)


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize(("optimiser", "first"), [("sgd", 5.0), ("nt-asgd", 5.0), ("adam", 2e-3)])
def test_progress_is_told_of_every_step_and_the_range_goes_by_the_optimiser(
    make_trainer: MakeTrainer, optimiser: str, first: float
) -> None:
    answers = list(itertools.islice(find_rate(make_trainer(optimiser__name=optimiser)), 31))
    assert [(one.done, one.total) for one in answers[:30]] == [(n, 30) for n in range(1, 31)]  # type: ignore[union-attr]
    assert {one.task for one in answers[:30]} == {f"holding rate {first:g}"}  # type: ignore[union-attr]
    assert answers[30] == RateTried(rate=first, loss=answers[30].loss)  # type: ignore[union-attr]


def test_rates_that_explode_are_told_and_lower_ones_tried(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(optimiser__name="sgd", clipping__mode="off", optimiser__momentum=0.99)
    tried, found = held(trainer)
    assert tried[5.0] is None
    assert found.rate is not None and found.rate < 5


@pytest.mark.usefixtures("_short")
def test_clipping_is_the_runs(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(optimiser__name="sgd", optimiser__weight_decay=0.0)
    trainer.clip_mode, trainer.clip_threshold = "norm", 1e-9
    tried, found = held(trainer)
    assert None not in tried.values(), "so small a threshold lets nothing explode"
    assert found.rate is None and "twentieth" in found.reason


def test_a_model_that_is_not_finite_has_no_rate(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    with torch.no_grad():
        trainer.model.embedding.weight.fill_(math.nan)
    tried, found = held(trainer)
    assert set(tried.values()) == {None}
    assert found.rate is None


@pytest.mark.usefixtures("_short")
def test_the_conductor_tests_rates_only_at_rest_and_the_gradient_always(
    tmp_path: Path, small_config: RunConfig
) -> None:
    folder = runs.create_run(tmp_path, "run", small_config)
    conductor = conducted(folder)
    assert isinstance(next(parts(p.FindRate(), conductor.run)), Progress)
    conductor.command(p.Start())
    while conductor.run.step < 3:
        conductor.advance()
    with pytest.raises(UserError, match="pause it first"):
        next(parts(p.FindRate(), conductor.run))
    *_, flow = parts(p.GradientFlow(), conductor.run)
    assert flow.step == 3
    conductor.command(p.Pause())
    *_, found = parts(p.FindRate(), conductor.run)
    assert isinstance(found, RateFound)


# --- the rate chosen --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("losses", "chosen", "said"),
    [
        ({1: 9, 2: 4, 4: 3, 8: 6}, 4, "from 10.00 to 3.00."),
        ({1: 9, 2: 3.1, 4: 3, 8: 3.1, 16: 5}, 2, "as good are those up to 8, 4 came to 3.00."),
        ({1: 3, 2: 3.1, 4: 4}, 1, "as good are those up to 2."),
        ({1: 9, 2: 4, 4: math.inf}, 2, "from 10.00 to 4.00."),
    ],
)
def test_it_is_the_lowest_with_a_perplexity_near_the_best(
    losses: dict[float, float], chosen: float, said: str
) -> None:
    found = choose(10.0, losses)
    assert found.rate == chosen
    assert found.reason.endswith(said)


@pytest.mark.parametrize(
    "losses", [{1: 9.9, 2: 9.6}, {1: 20.0}, {1: math.inf, 2: math.inf}, {1: 10.0}]
)
def test_without_a_fall_there_is_no_rate(losses: dict[float, float]) -> None:
    found = choose(10.0, losses)
    assert found.rate is None
    assert "twentieth" in found.reason


@pytest.mark.parametrize(
    ("optimiser", "grid"),
    [("adamw", (0.001, 0.002, 0.004, 0.008, 0.016, 0.032)), ("sgd", (0.15, 0.3, 0.6, 1.2, 2.4, 5))],
)
def test_the_suggestion_on_the_toy_world_is_within_a_factor_of_two_of_the_best(
    optimiser: str, grid: tuple[float, ...]
) -> None:
    """Of rates that were each trained for 600 steps, by validation."""
    torch.set_num_threads(1)
    config: RunConfig = replace(preset("toy"), {"optimiser.name": optimiser, "training.steps": 600})
    corpus = open_corpus(config.corpus)
    losses = {}
    for rate in grid:
        one = replace(config, {"optimiser.learning_rate": rate})
        trainer = Trainer(one, corpus, torch.device("cpu"))
        *_, last = (event for event in trainer.train() if isinstance(event, Evaluated))
        losses[rate] = last.loss
    best = min(grid, key=losses.__getitem__)
    assert best not in (grid[0], grid[-1])
    found = held(Trainer(config, corpus, torch.device("cpu")))[1].rate
    assert found is not None
    assert best / 2.05 <= found <= best * 2.05
