"""A run that was stopped and resumed ends with the bytes of one that never stopped.

Its story is every event but the wall-clock times in it; its state every tensor and number that is
saved. What is saved is needed: leaving out any one item changes the story or the state.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from engine.events import Evaluated, Progress, Sampled, Stepped
from engine.generation.sampling import generate
from engine.training import checkpoint
from engine.training.checkpoint import Checkpoint, load_latest, save
from engine.training.trainer import PLAIN, CheckpointDue, Trainer
from engine.training.validations import Validations

Make = Callable[..., Trainer]
Story = list[Any]

RECIPES: dict[str, dict[str, Any]] = {
    "adamw": {"optimiser__name": "adamw", "clipping__mode": "value", "clipping__threshold": 0.01},
    "adam": {
        "optimiser__name": "adam",
        "schedule__name": "one-cycle",
        "training__epochs": 3,
        "clipping__mode": "adaptive",
    },
    "sgd": {
        "optimiser__name": "sgd",
        "optimiser__learning_rate": 5.0,
        "optimiser__momentum": 0.5,
        "schedule__name": "plateau",
        "clipping__mode": "layer",
        "training__candidates": 16,
    },
    "nt-asgd": {
        "optimiser__name": "nt-asgd",
        "optimiser__learning_rate": 30.0,
        "optimiser__trigger": 1,
        "training__random_bptt": True,
        "regularisation__activation": 2.0,
        "regularisation__temporal_activation": 1.0,
    },
}
COMMON = {"training__evaluate_every": 4, "training__save_every": 1_000_000}
STEPS = 110
"""Past the end of an epoch, and with nt-asgd past the beginning of the average."""


def by_hand(trainer: Trainer, event: Any) -> None:
    """What a user does: knobs at one step, and a loss that is not a number at others."""
    if not isinstance(event, Stepped):
        return
    if event.step == 3:
        trainer.learning_rate *= 0.5
        trainer.clip_threshold *= 0.5
        if trainer.config.optimiser.name == "nt-asgd":
            trainer.clip_mode = "layer"
    if event.step in (6, 7, 8, 9):
        first, *others = trainer.carried
        trainer.carried = ((first[0] * math.nan, first[1]), *others)
        trainer.cursor.row = max(1, trainer.cursor.row)  # else a fresh state would hide it


def moments(trainer: Trainer, look: bool = False) -> Iterator[list[Any]]:
    """The trainer's story to step STEPS, told again after each thing done by hand."""
    for moment in trainer.moments():
        if isinstance(moment[0], Progress | CheckpointDue):
            continue
        if trainer.step > STEPS:
            return
        for event in moment:
            by_hand(trainer, event)
        if look:
            disturb(trainer)
        yield [timeless(event) for event in moment]


def play(trainer: Trainer, look: bool = False) -> Iterator[Any]:
    """The same, one event after the other."""
    for moment in moments(trainer, look):
        yield from moment


def timeless(event: Any) -> Any:
    """The event without what the wall clock says."""
    if isinstance(event, Stepped):
        return msgspec.structs.replace(event, seconds=0.0, tokens_per_second=0.0)
    if isinstance(event, Evaluated):
        return msgspec.structs.replace(event, seconds=0.0)
    return event


def disturb(trainer: Trainer) -> None:
    """Everything a curious user does between two steps."""
    list(islice(generate(trainer.eval_model, [1]), 3))
    list(trainer.evaluate("test"))
    trainer.cursor.peek()
    torch.rand(3)


def state(trainer: Trainer) -> dict[str, Any]:
    """Everything that is saved, the clock left out."""
    tensors = checkpoint._weights(trainer.eval_model) | checkpoint._state_tensors(trainer)
    plain = msgspec.to_builtins(checkpoint._training_state(trainer))
    del plain["seconds"]
    return plain | {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


@pytest.fixture
def make(make_trainer: Make) -> Make:
    return lambda recipe: make_trainer(**COMMON, **RECIPES[recipe])


@dataclass(frozen=True)
class Whole:
    """A run that never stopped."""

    story: Story
    state: dict[str, Any]
    epoch: float
    averages: bool


Wholes = Callable[[str], Whole]
_whole: dict[str, Whole] = {}


@pytest.fixture
def whole(make: Make) -> Wholes:
    """By the recipe, each played once: what the others are held against is always the same."""

    def played(recipe: str) -> Whole:
        if recipe not in _whole:
            trainer = make(recipe)
            story = list(play(trainer))
            averages = trainer.average is not None
            _whole[recipe] = Whole(story, state(trainer), trainer.epoch, averages)
        return _whole[recipe]

    return played


def stop_and_resume(
    make: Make, recipe: str, folder: Path, stops: list[int]
) -> tuple[Trainer, Story]:
    """Play a run that is stopped after so many events, saved, and resumed in another trainer."""
    trainer, story = make(recipe), []
    for stop in stops:
        told = moments(trainer)
        while len(story) < stop:
            story.extend(next(told))
        save(folder, trainer)
        trainer = make(recipe)
        list(islice(play(trainer), 5))  # what it was before doesn't matter
        found, _ = load_latest(folder)
        assert found is not None
        assert found.restore(trainer) == ""
    return trainer, story + list(play(trainer))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("stops", [[1], [4], [5], [6], [30], [107], [6, 64], [29, 30, 31]])
def test_a_resumed_run_equals_one_that_never_stopped(
    make: Make, whole: Wholes, tmp_path: Path, recipe: str, stops: list[int]
) -> None:
    """Stopped after a step, an evaluation, a sample; twice and more; past an epoch's end."""
    expected = whole(recipe)
    assert expected.epoch > 1
    assert expected.averages == (recipe == "nt-asgd")
    resumed, again = stop_and_resume(make, recipe, tmp_path, stops)
    assert again == expected.story
    assert state(resumed) == expected.state


@pytest.mark.parametrize("recipe", RECIPES)
def test_whoever_looks_changes_nothing(make: Make, whole: Wholes, recipe: str) -> None:
    watched = make(recipe)
    assert list(play(watched, look=True)) == whole(recipe).story
    assert state(watched) == whole(recipe).state


LATE = 130
"""Events after which the controls stop at the next sample: past an epoch's end."""
AMID = 10
"""In the middle of the steps that are not finite."""


def left_out(
    make: Make,
    whole: Whole,
    recipe: str,
    folder: Path,
    leave: Callable[[Checkpoint], None],
    stop: int = LATE,
) -> bool:
    """Whether a run resumed from what was saved, one item changed, tells another story."""
    story = whole.story
    if stop == LATE:  # the best moment to forget what was just evaluated and sampled
        stop += next(i for i, event in enumerate(story[LATE:], 1) if isinstance(event, Sampled))
    first = make(recipe)
    list(islice(play(first), stop))
    save(folder, first, best=True)
    found, _ = load_latest(folder)
    assert found is not None
    leave(found)
    second = make(recipe)
    found.restore(second)
    told = zip_longest(play(second), story[stop:])
    return any(event != expected for event, expected in told) or state(second) != whole.state


# The time, whether the end was measured, and what vectors were begun from change nothing later.
KEPT = {*PLAIN, *Validations().state_dict(), "row", "epoch", "largest_norm"}
NEEDED = sorted(KEPT - {"seconds", "ended_at", "vectors"})


@pytest.mark.parametrize("name", NEEDED)
def test_leaving_out_a_saved_number_would_show(
    make: Make, whole: Wholes, tmp_path: Path, name: str
) -> None:
    recipe = "nt-asgd" if name != "plateau_decays" else "sgd"
    fresh = getattr(checkpoint._training_state(make(recipe)), name)

    def leave(found: Checkpoint) -> None:
        assert getattr(found.training, name) != fresh, "the test has nothing to leave out"
        found.training = msgspec.structs.replace(found.training, **{name: fresh})

    stop = AMID if name == "non_finite_in_a_row" else LATE
    if name == "best_valid_loss":  # the best moment to forget it is before one that is worse
        story = whole(recipe).story
        stop = next(i for i, e in enumerate(story) if isinstance(e, Evaluated) and not e.best)
    assert left_out(make, whole(recipe), recipe, tmp_path, leave, stop)


def saved_tensors() -> list[tuple[str, str]]:
    """(recipe, tensor): every kind of tensor that a recipe saves."""
    layers = [f"carried.{layer}.{part}" for layer in (0, 1) for part in "hc"]
    randoms = ["random.data", "random.dropout"]
    sgd = ["optimiser.embedding.weight.momentum_buffer"]
    adam = [f"optimiser.lstm.0.weight_hh_l0.{part}" for part in ("exp_avg", "exp_avg_sq", "step")]
    return [
        *(("nt-asgd", name) for name in [*randoms, "norms"]),
        *(("sgd", name) for name in sgd),
        *(("adamw", name) for name in [*layers, *adam]),
    ]


@pytest.mark.parametrize(("recipe", "name"), saved_tensors())
def test_leaving_out_a_saved_tensor_would_show(
    make: Make, whole: Wholes, tmp_path: Path, recipe: str, name: str
) -> None:
    def leave(found: Checkpoint) -> None:
        fresh = checkpoint._state_tensors(make(recipe))
        old = found._state[name]
        found._state[name] = fresh.get(name, torch.zeros_like(old))
        assert not torch.equal(found._state[name], old)

    assert left_out(make, whole(recipe), recipe, tmp_path, leave)


def test_nothing_is_saved_that_no_control_leaves_out(make: Make) -> None:
    checked = {name for _, name in saved_tensors()}
    kinds = {name.split(".")[-1] for name in checked if name.startswith("optimiser.")}
    for recipe in RECIPES:
        trainer = make(recipe)
        list(islice(play(trainer), 5))
        for name in checkpoint._state_tensors(trainer):
            covered = name in checked or name.split(".")[-1] in kinds
            assert covered, f"{name} is saved, and no test leaves it out"


def test_training_time_goes_on_where_it_was(make: Make, tmp_path: Path) -> None:
    first = make("adamw")
    list(islice(play(first), 9))
    save(tmp_path, first)
    second = make("adamw")
    found, _ = load_latest(tmp_path)
    assert found is not None
    found.restore(second)
    assert second.seconds == first.seconds > 0
