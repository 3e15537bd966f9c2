"""However a run is stopped, once it goes on it is the run that never stopped: every step the same
to the last bit, whatever steers its rate and whichever optimiser takes it; and so its replay finds.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from engine import messages as p
from engine.config import OptimiserName, RunConfig, ScheduleName, replace
from engine.events import Averaging, Evaluated, Intervened, Sampled, Stepped
from engine.runs import create_run, load_config, read_metrics, save_config
from engine.training.trainer import PLAIN
from tests.conducted import conducted, parts

LAST = 44
RATES: dict[OptimiserName, float] = {"sgd": 10.0, "adam": 0.02, "adamw": 0.02, "nt-asgd": 30.0}
LIMITLESS = ("constant", "plateau")
"""Schedules that don't look at the limit."""
VARIANTS: list[dict[str, Any]] = [
    {"training.random_bptt": True, "clipping.mode": "adaptive"},
    {"training.candidates": 16, "optimiser.momentum": 0.5},
]
COMMON: dict[str, Any] = {
    "training.steps": LAST,
    "training.evaluate_every": 4,
    "training.save_every": 9,
    "optimiser.trigger": 1,
    "schedule.divide_by": 1.5,
    "schedule.warmup_steps": 5,
}


class Run:
    """A run in a folder, and the engine it has now."""

    def __init__(self, folder: Path, config: RunConfig) -> None:
        self.folder = create_run(folder, "run", config)
        self.open()

    def open(self) -> None:
        """In another engine, which knows what is on the disk."""
        self.conductor = conducted(self.folder)

    def train(self, until: int) -> None:
        """To the end of a step, or to a limit."""
        self.conductor.command(p.Start())
        while self.conductor.run.state == "running" and self.conductor.run.step < until:
            self.conductor.advance()

    def end(self) -> None:
        """To the limit."""
        self.train(10**9)
        assert self.conductor.run.state == "finished", self.conductor.run.reason

    def limit(self, **limits: float | None) -> None:
        """Raise or lower the limits, as `--resume` does, and open the run again."""
        self.conductor.run.record.close()
        changes = {f"training.{name}": value for name, value in limits.items()}
        save_config(self.folder, replace(load_config(self.folder), changes))
        self.open()

    @property
    def trainer(self) -> Any:
        return self.conductor.run.trainer

    def told(self, kind: type[Any]) -> list[Any]:
        """Events of a kind in the record."""
        self.conductor.run.record.flush()
        return [e for e in read_metrics(self.folder) if isinstance(e, kind)]

    def steps(self) -> list[Stepped]:
        """All but what the clock says of them."""
        clock: dict[str, Any] = {"seconds": 0.0, "tokens_per_second": 0.0}
        return [replaced(step, **clock) for step in self.told(Stepped)]

    def state(self) -> dict[str, Any]:
        """All that is saved, but for the clock and what was measured beside the steering."""
        from engine.training import checkpoint

        trainer = self.trainer
        tensors = checkpoint._weights(trainer.eval_model) | checkpoint._state_tensors(trainer)
        plain = {name: getattr(trainer, name) for name in PLAIN} | trainer.validations.state_dict()
        del plain["seconds"], plain["best_valid_loss"]
        return plain | {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def replaced(event: Any, **changes: Any) -> Any:
    return type(event)(**{name: getattr(event, name) for name in event.__struct_fields__} | changes)


def by_command(run: Run) -> None:
    run.conductor.command(p.Stop())
    assert run.conductor.run.state == "stopped"


def by_pause_and_shutdown(run: Run) -> None:
    run.conductor.command(p.Pause())
    if run.conductor.saver.unsaved:
        assert run.conductor.saver.save()
    run.conductor.run.record.close()
    run.open()


def by_a_signal_in_a_validation(run: Run) -> None:
    """The engine saves and ends between two windows of the held-out text."""
    for _ in range(50):
        if not run.conductor.run.between_steps:
            break
        run.conductor.advance()
    assert not run.conductor.run.between_steps
    by_pause_and_shutdown(run)


def by_a_kill(run: Run) -> None:
    """What is not on the disk is lost: the run goes on from its last checkpoint."""
    before = run.conductor.run.step
    assert run.conductor.saver.kept_step
    run.conductor.run.record.close()
    run.open()
    assert run.conductor.run.step <= before


def by_single_steps(run: Run) -> None:
    for _ in range(3):
        run.conductor.command(p.Step())
    before = run.conductor.run.step
    while run.conductor.run.busy:
        run.conductor.advance()
    assert run.conductor.run.step == before + 3


WAYS: dict[int, Callable[[Run], None]] = {
    6: by_command,
    11: by_pause_and_shutdown,
    12: by_a_signal_in_a_validation,
    21: by_a_kill,
    25: by_single_steps,
    32: by_command,  # where a validation is due
    36: by_a_kill,  # at a checkpoint
}
SCHEDULES: tuple[ScheduleName, ...] = get_args(ScheduleName)
OPTIMISERS: tuple[OptimiserName, ...] = get_args(OptimiserName)


def config(
    small: RunConfig, schedule: ScheduleName, optimiser: OptimiserName, variant: dict[str, Any]
) -> RunConfig:
    names = {"schedule.name": schedule, "optimiser.name": optimiser}
    return replace(small, COMMON | names | variant | {"optimiser.learning_rate": RATES[optimiser]})


@pytest.fixture
def begin(tmp_path: Path, small_config: RunConfig) -> Callable[..., Run]:
    """A run of this name, schedule, optimiser and variant."""

    def begin_(name: str, *recipe: Any, **limits: float | None) -> Run:
        folder = tmp_path / name
        folder.mkdir()
        changes = {f"training.{limit}": value for limit, value in limits.items()}
        return Run(folder, replace(config(small_config, *recipe), changes))

    return begin_


RECIPES = [
    (schedule, optimiser, VARIANTS[(number // 2 + place) % 2])
    for number, schedule in enumerate(SCHEDULES)
    for place, optimiser in enumerate(OPTIMISERS)
    if (number + place) % 2 == 0
]
"""Each schedule with two of the optimisers and each optimiser with half of the schedules, in both
variants: a schedule gives a rate, whichever optimiser takes it."""
IDS = [f"{schedule} {optimiser} {next(iter(variant))}" for schedule, optimiser, variant in RECIPES]


@pytest.mark.parametrize("recipe", RECIPES, ids=IDS)
def test_a_run_stopped_in_every_way_is_the_run_that_never_stopped(
    begin: Callable[..., Run], recipe: tuple[Any, ...]
) -> None:
    straight, stopped = begin("straight", *recipe), begin("stopped", *recipe)
    straight.end()
    for step, stop in WAYS.items():
        stopped.train(step)
        stop(stopped)
    stopped.end()
    assert stopped.steps() == straight.steps()
    assert len(straight.steps()) == LAST
    assert stopped.state() == straight.state()
    assert bool(straight.told(Averaging)) == (recipe[1] == "nt-asgd")


@pytest.mark.parametrize(
    "recipe",
    [recipe for recipe in RECIPES if recipe[0] in LIMITLESS],
    ids=lambda recipe: recipe[:2],
)
def test_a_limit_changes_nothing(begin: Callable[..., Run], recipe: tuple[Any, ...]) -> None:
    """Reached between two validations, where one is due, by steps and by epochs; nor does what was
    measured and written there. The replay of such a run is exact."""
    straight, limited = begin("straight", *recipe), begin("limited", *recipe, steps=13)
    straight.end()
    limited.end()
    epochs = straight.steps()[LAST - 7].epoch  # windows may be of any length
    limits_in_turn = ({"steps": 24}, {"steps": 33}, {"steps": LAST, "epochs": epochs})
    for limits in (*limits_in_turn, {"epochs": None}):
        limited.limit(**limits)
        limited.end()
    ends = [event.step for event in limited.told(Evaluated) if not event.steers]
    assert ends[:2] == [13, 33]
    assert 33 < ends[2] < LAST
    assert limited.steps() == straight.steps()
    assert limited.state() == straight.state()

    def steering(run: Run) -> list[Any]:
        measured = run.told(Evaluated)
        return [(e.step, e.loss, e.stale) for e in measured if e.steers]

    assert steering(limited) == steering(straight)
    at_ends = set(ends)
    samples = [
        [e for e in run.told(Sampled) if e.step not in at_ends] for run in (limited, straight)
    ]
    assert samples[0] == samples[1]
    *_, result = parts(p.Replay(), limited.conductor.run)
    assert isinstance(result, p.Replayed)
    assert (result.steps, result.first_difference, result.weights_equal) == (LAST, None, True)


@pytest.mark.parametrize("limit", ["steps", "epochs"])
def test_a_run_that_cools_down_can_be_extended_until_it_begins_to(
    begin: Callable[..., Run], limit: str
) -> None:
    """Two limits give the same steps until the earlier cooldown begins, and a run that is stopped
    before it and goes on to a later limit is the run that had that limit all along."""
    recipe = ("cooldown", "sgd", VARIANTS[1])
    lengths = {"steps": (20, 32), "epochs": (0.32, 0.5)}[limit]
    short, long, extended = (
        begin(name, *recipe, **({"steps": None} | {limit: length}))
        for name, length in zip(("short", "long", "extended"), (*lengths, lengths[0]), strict=True)
    )
    short.end()
    long.end()
    extended.train(14)
    by_pause_and_shutdown(extended)
    extended.limit(**{limit: lengths[1]})
    extended.end()
    rates = [step.learning_rate for step in short.steps()]
    flat = rates.index(10.0), len(rates) - 1 - rates[::-1].index(10.0)
    assert 0.65 * len(rates) < flat[1] < 0.8 * len(rates)
    assert short.steps()[: flat[1] + 1] == long.steps()[: flat[1] + 1]
    assert short.steps()[flat[1] + 1] != long.steps()[flat[1] + 1]
    assert extended.steps() == long.steps()
    assert extended.state() == long.state()


def test_the_best_checkpoint_is_the_best_that_was_measured(begin: Callable[..., Run]) -> None:
    """Also where the run ended between two validations; a worse one doesn't take its place."""
    run = begin("run", "constant", "adam", VARIANTS[0], steps=13)
    run.end()
    measured = run.told(Evaluated)[-1]
    assert measured.step == 13
    assert (measured.best, measured.steers, measured.stale) == (True, False, None)
    assert (run.folder / "best").read_text().startswith("step-00000013")
    run.trainer.validations.best_loss = 0.0
    assert run.conductor.saver.save()
    run.limit(steps=17)
    run.end()
    assert (run.folder / "best").read_text().startswith("step-00000013")


def test_single_steps_count_until_something_else_is_asked(begin: Callable[..., Run]) -> None:
    run = begin("run", "constant", "sgd", VARIANTS[0])
    conductor = run.conductor
    by_single_steps(run)
    for command in (p.Pause(), p.Stop(), p.Start()):
        before = conductor.run.step
        for _ in range(3):
            conductor.command(p.Step())
        while conductor.run.step == before:
            conductor.advance()
        conductor.command(command)
        if isinstance(command, p.Start):
            while conductor.run.step < before + 8:
                conductor.advance()
            assert conductor.run.state == "running"
        else:
            assert not conductor.run.busy
    asked = [event.action for event in run.told(Intervened)]
    assert asked.count("step") == 12
