"""The learning-rate range test: what it tries, what it suggests, and what it leaves alone."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine import runs
from engine.config import RunConfig, preset, replace
from engine.errors import UserError
from engine.events import Stepped
from engine.service import protocol as p
from engine.service.conductor import Conductor
from engine.service.protocol import RateFound, RateTried
from engine.service.record import Record
from engine.text.corpus import open_corpus
from engine.training.rate_finder import choose, find_rate
from engine.training.trainer import Trainer

MakeTrainer = Callable[..., Trainer]


def steps(trainer: Trainer, count: int) -> list[Stepped]:
    return [next(trainer.take_step()) for _ in range(count)]  # type: ignore[misc]


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
    for name in ("data_random", "dropout_random", "sample_random"):
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


def test_rates_rise_by_equal_ratios_and_the_loss_is_the_smoothed_loss_of_these_steps(
    make_trainer: MakeTrainer,
) -> None:
    schedule = {"schedule__name": "plateau", "schedule__warmup_steps": 40}
    tried = list(itertools.islice(find_rate(make_trainer(**schedule)), 60))
    assert all(isinstance(one, RateTried) for one in tried)
    rates = [one.rate for one in tried]
    assert rates[0] == 1e-6
    assert rates[50] == pytest.approx(1e-4)
    for before, after in itertools.pairwise(rates):
        assert after / before == pytest.approx(rates[1] / rates[0])
    assert [one.share for one in tried][:3] == pytest.approx([0, 1 / 150, 2 / 150])

    # The same by hand: the trainer's own steps, each with its rate.
    trainer = make_trainer()
    losses: list[float] = []
    for one in tried:
        trainer.learning_rate = one.rate
        [stepped] = steps(trainer, 1)
        losses.append(stepped.loss)  # type: ignore[arg-type]
        weights = [0.9**age for age in reversed(range(len(losses)))]
        mean = sum(map(math.prod, zip(weights, losses, strict=True))) / sum(weights)
        assert one.loss == pytest.approx(mean, rel=1e-9)


@pytest.mark.parametrize(
    ("optimiser", "lowest"), [("sgd", 1e-3), ("nt-asgd", 1e-3), ("adam", 1e-6)]
)
def test_the_range_goes_by_the_optimiser(
    make_trainer: MakeTrainer, optimiser: str, lowest: float
) -> None:
    first = next(find_rate(make_trainer(optimiser__name=optimiser)))
    assert first == RateTried(rate=lowest, loss=first.loss, share=0.0)  # type: ignore[union-attr]


def test_it_ends_where_the_loss_explodes(make_trainer: MakeTrainer) -> None:
    *tried, found = find_rate(make_trainer(optimiser__name="sgd", clipping__mode="off"))
    losses = [one.loss for one in tried]  # type: ignore[union-attr]
    assert isinstance(found, RateFound)
    assert len(tried) < 151
    assert losses[-1] is None or losses[-1] > 4 * min(losses)
    assert all(loss is not None and loss <= 4 * min(losses[:-1]) for loss in losses[:-1])


def test_clipping_is_the_runs(make_trainer: MakeTrainer) -> None:
    def losses(mode: str) -> list[float | None]:
        trainer = make_trainer(optimiser__name="sgd", optimiser__weight_decay=0.0)
        trainer.clip_mode, trainer.clip_threshold = mode, 1e-6  # type: ignore[assignment]
        *tried, _ = find_rate(trainer)
        return [one.loss for one in tried]  # type: ignore[union-attr]

    held = losses("norm")
    assert len(held) == 151, "so small a threshold lets nothing explode"
    assert len(losses("off")) < 151


def test_a_loss_that_is_not_finite_ends_it(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    with torch.no_grad():
        trainer.model.embedding.weight.fill_(math.nan)
    tried, found = find_rate(trainer)
    assert tried == RateTried(rate=1e-6, loss=None, share=0.0)
    assert isinstance(found, RateFound) and found.rate is None


def test_the_conductor_tests_rates_only_at_rest_and_the_gradient_always(
    tmp_path: Path, small_config: RunConfig
) -> None:
    folder = runs.create_run(tmp_path, "run", small_config)
    conductor = Conductor(folder, Record(folder, lambda _: None))
    conductor.build(conductor.open_corpus(lambda _: None))
    assert isinstance(next(conductor.answer(p.FindRate())), RateTried)
    conductor.command(p.Start())
    while conductor.step < 3:
        conductor.advance()
    with pytest.raises(UserError, match="pause it first"):
        next(conductor.answer(p.FindRate()))
    assert next(conductor.answer(p.GradientFlow())).step == 3
    conductor.command(p.Pause())
    *_, found = conductor.answer(p.FindRate())
    assert isinstance(found, RateFound)


# --- the rate chosen --------------------------------------------------------------------------


def curve(*losses: float) -> list[tuple[float, float]]:
    """Ten steps at the first loss, then these; rates double."""
    return [(2.0**index, loss) for index, loss in enumerate([losses[0]] * 10 + list(losses))]


@pytest.mark.parametrize(
    ("losses", "place"),
    [
        ((5, 4.5, 4, 3.5, 3, 3.1, 6), 14),  # falls, then rises
        ((5, 4, 3, 2, 1.95, 1, 0.5), 13),  # slows, and falls again
        ((5, 4.9, 4.95, 4, 3, 4), 14),  # a dip of less than a twentieth counts for nothing
        ((5, 4, 3, 2, 1), 14),  # falls as fast as ever to the end
    ],
)
def test_the_rate_is_that_before_the_fall_slows(losses: tuple[float, ...], place: int) -> None:
    assert choose(curve(*losses)).rate == float(f"{2.0**place:.2g}")


@pytest.mark.parametrize("losses", [(5, 5, 5.1, 9), (5, 4.9, 4.8, 4.9, 20), (5,)])
def test_without_a_fall_there_is_no_rate(losses: tuple[float, ...]) -> None:
    found = choose(curve(*losses))
    assert found.rate is None
    assert "twentieth" in found.reason


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("optimiser", "low", "high"), [("adamw", 3e-3, 3e-2), ("sgd", 2, 15)])
def test_the_suggestion_on_the_toy_world_is_a_good_rate(
    optimiser: str, low: float, high: float, seed: int
) -> None:
    """Trained for 600 steps, validation is best for adamw at 0.01 (0.002 and 0.4 are worse by 0.1
    and 0.4 nats), for sgd about as good from 1 to 10; 20 is worse by 0.4 nats."""
    torch.set_num_threads(1)
    config: RunConfig = replace(preset("toy"), {"optimiser.name": optimiser, "training.seed": seed})
    *_, found = find_rate(Trainer(config, open_corpus(config.corpus), torch.device("cpu")))
    assert isinstance(found, RateFound) and found.rate is not None
    assert low <= found.rate <= high
