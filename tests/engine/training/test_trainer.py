"""The trainer: what it yields, what it leaves alone, and that it learns."""

import copy
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.config import RunConfig, replace
from engine.errors import UserError
from engine.events import Evaluated, ExactLoss, NonFinite, Sampled, Stepped
from engine.text.corpus import open_corpus
from engine.training.rehearsal import fault, rehearse
from engine.training.trainer import EXACT_EVERY, Trainer

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


def stepping(trainer: Trainer) -> Iterator[Stepped]:
    """The steps of a run, each as it is taken."""
    return (event for event in trainer.train() if isinstance(event, Stepped))


def steps(trainer: Trainer, count: int) -> list[Stepped]:
    return list(itertools.islice(stepping(trainer), count))


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


RATE = 0.005
"""The toy preset's."""
LIMITS = {
    "steps": {"training__steps": 20},
    "epochs": {"training__epochs": 0.25},
    "minutes": {"training__minutes": 1.0},
}


def rate_at(trainer: Trainer, progress: float) -> tuple[float, float]:
    """Take a step when about this much of the run is done, by the limit the run has.

    Returns how much that is, and the rate of the step.
    """
    training = trainer.config.training
    if training.steps is not None:
        trainer.step = round(progress * training.steps)
    if training.epochs is not None:
        trainer.cursor.row = round(progress * training.epochs * trainer.cursor.rows)
    if training.minutes is not None:
        trainer.seconds = progress * training.minutes * 60
    done = trainer.progress
    assert done == pytest.approx(progress, abs=0.01)
    (event,) = (event for event in trainer.take_step() if isinstance(event, Stepped))
    return done, event.learning_rate


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize(
    ("name", "curve"),
    [
        ("linear", lambda done: 1 - done),
        ("cosine", lambda done: 0.5 * (1 + math.cos(math.pi * done))),
    ],
)
def test_linear_and_cosine_fall_to_zero_at_the_limit(
    make_trainer: Make,
    name: str,
    curve: Callable[[float], float],
    limits: dict[str, float],
) -> None:
    trainer = make_trainer(schedule__name=name, **limits)
    for progress in (0.0, 0.5, 0.9):
        done, rate = rate_at(trainer, progress)
        assert rate == pytest.approx(RATE * curve(done), rel=1e-9)
    assert rate_at(trainer, 1.0) == (1.0, 0.0)


def test_the_limit_that_comes_first_is_the_end(make_trainer: Make) -> None:
    trainer = make_trainer(
        schedule__name="linear", training__steps=40, training__minutes=10.0, training__epochs=50.0
    )
    trainer.step, trainer.seconds = 10, 450.0
    assert trainer.progress == 0.75
    trainer.step = 36
    assert trainer.progress == 0.9
    trainer.seconds = 6000.0
    assert trainer.progress == 1.0


def test_warm_up_comes_before_the_fall(make_trainer: Make) -> None:
    trainer = make_trainer(training__steps=20, schedule__name="cosine", schedule__warmup_steps=5)
    rates = [event.learning_rate for event in steps(trainer, 20)]
    assert rates == pytest.approx(
        [
            RATE * min(1, (step + 1) / 5) * 0.5 * (1 + math.cos(math.pi * step / 20))
            for step in range(20)
        ]
    )


@pytest.mark.parametrize(("candidates", "sampled"), [(None, False), (16, True), (10_000, False)])
def test_a_loss_against_some_words_is_told_to_be_sampled(
    make_trainer: Make, candidates: int | None, sampled: bool
) -> None:
    """Not one against as many words as there are."""
    trainer = make_trainer(training__steps=2, training__candidates=candidates)
    assert [event.sampled for event in stepping(trainer)] == [sampled] * 2


@pytest.mark.parametrize(
    "optimiser",
    [
        {"optimiser__name": "sgd", "optimiser__momentum": 0.7},
        {"optimiser__name": "nt-asgd", "optimiser__momentum": 0.7},
        {"optimiser__name": "adam"},
        {"optimiser__name": "adamw"},
    ],
)
def test_one_cycle_moves_the_rate_of_the_optimiser(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch, optimiser: dict[str, object]
) -> None:
    trainer = make_trainer(training__steps=20, schedule__name="one-cycle", **optimiser)
    taken: list[float] = []
    step = trainer.optimiser.step

    def noted(rate: float) -> None:
        taken.append(rate)
        step(rate)

    monkeypatch.setattr(trainer.optimiser, "step", noted)
    rates = [event.learning_rate for event in stepping(trainer)]
    assert rates == taken
    assert rates[0] == pytest.approx(RATE / 25)
    assert max(rates) == rates[5] == pytest.approx(RATE)
    assert rates[-1] == pytest.approx(RATE / 250_000)


def test_plateau_divides_only_after_a_validation_that_is_no_better(make_trainer: Make) -> None:
    trainer = make_trainer(
        optimiser__name="sgd",
        optimiser__learning_rate=6.0,
        schedule__name="plateau",
        schedule__divide_by=1.25,
        training__evaluate_every=3,
        training__steps=120,
    )
    best, divisions, better = math.inf, 0, 0
    for event in trainer.train():
        if isinstance(event, Evaluated):
            assert event.loss is not None
            assert event.best == (event.loss < best)
            if event.loss < best:
                best, better = event.loss, better + 1
            else:
                divisions += 1
        elif isinstance(event, Stepped):
            assert event.learning_rate == pytest.approx(6.0 / 1.25**divisions)
    assert better > 5
    assert divisions > 5


def test_an_equal_validation_is_no_better(make_trainer: Make) -> None:
    """At a rate of almost nothing every validation is the same."""
    trainer = make_trainer(
        optimiser__name="sgd",
        optimiser__learning_rate=1e-9,
        schedule__name="plateau",
        training__patience=4,
        training__evaluate_every=1,
    )
    rates = [event.learning_rate for event in steps(trainer, 100)]
    assert rates == pytest.approx([1e-9, 1e-9, 2.5e-10, 6.25e-11, 1.5625e-11], abs=1e-20)
    assert trainer.limit_reached == "training.patience"


@pytest.mark.parametrize("patience", [1, 3])
def test_early_stopping_after_validations_without_a_better_one(
    make_trainer: Make, patience: int
) -> None:
    trainer = make_trainer(
        optimiser__name="sgd",
        optimiser__learning_rate=6.0,
        training__evaluate_every=3,
        training__patience=patience,
        training__steps=3000,
    )
    losses = [event.loss for event in trainer.train() if isinstance(event, Evaluated)]
    assert trainer.limit_reached == "training.patience"
    best = losses.index(min(losses))
    assert best > 1
    assert len(losses) == best + 1 + patience
    assert trainer.step == 3 * len(losses)
    for length in range(1, len(losses)):
        so_far = losses[:length]
        assert length - 1 - so_far.index(min(so_far)) < patience
    assert steps(trainer, 10) == []


def test_random_windows_scale_the_rate_and_make_whole_epochs(make_trainer: Make) -> None:
    trainer = make_trainer(training__random_bptt=True, training__epochs=2.0, training__bptt=20)
    row, lengths = 0, []
    for event in stepping(trainer):
        length = (trainer.cursor.row - row) % trainer.cursor.rows
        row = trainer.cursor.row
        lengths.append(length)
        assert event.learning_rate == pytest.approx(RATE * length / 20)
    assert len(set(lengths)) > 5
    assert sum(lengths) == 2 * trainer.cursor.rows
    assert (trainer.cursor.epoch, trainer.cursor.row) == (2, 0)
    assert trainer.limit_reached == "training.epochs"


MODES = ["off", "norm", "value", "layer", "adaptive"]


@pytest.mark.parametrize("mode", MODES)
def test_what_clipping_makes_of_a_step_s_gradient_equals_a_float64_recomputation(
    make_trainer: Make, mode: str
) -> None:
    trainer = make_trainer(
        clipping__mode=mode, clipping__threshold=0.02 if mode == "value" else 0.1
    )
    clipped = 0
    for _ in range(30):
        before = unclipped(trainer)
        (event,) = (event for event in trainer.take_step() if isinstance(event, Stepped))
        after = {name: p.grad.double() for name, p in trainer.model.named_parameters()}
        wanted, changed = clipped_by_hand(before, mode, event.clip_threshold, trainer)
        for name, gradient in after.items():
            torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-8)
        assert event.norm_before == pytest.approx(norm(before), rel=1e-5)
        assert event.norm_after == pytest.approx(norm(wanted), rel=1e-5)
        for found, gradients in ((event.groups_before, before), (event.groups_after, wanted)):
            for group, names in groups(trainer).items():
                part = norm({name: gradients[name] for name in names})
                assert found[group] == pytest.approx(part, rel=1e-5)
        assert event.clipped == changed
        clipped += changed
        assert event.clip_fraction == pytest.approx(clipped / event.step)
    assert (clipped > 5) == (mode != "off")


def unclipped(trainer: Trainer) -> dict[str, torch.Tensor]:
    """The next step's gradients, from a copy of the model that draws the same masks."""
    model = copy.deepcopy(trainer.model).train()
    carried = trainer.carried
    if trainer.cursor.at_start:
        carried = model.initial_state(trainer.cursor.batch_size)
    model.loss(*trainer.cursor.peek(), carried).cross_entropy.backward()
    return {name: p.grad.double() for name, p in model.named_parameters()}


def groups(trainer: Trainer) -> dict[str, list[str]]:
    """The names of the parameters of each group, by the prefix of their names."""
    names = [name for name, _ in trainer.model.named_parameters()]
    found = {name: [n for n in names if n.startswith(f"{name}.")] for name, _ in trainer.groups}
    assert sum(len(part) for part in found.values()) == len(names)
    return found


def norm(gradients: dict[str, torch.Tensor]) -> float:
    return math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients.values()))


def clipped_by_hand(
    gradients: dict[str, torch.Tensor], mode: str, threshold: float, trainer: Trainer
) -> tuple[dict[str, torch.Tensor], bool]:
    if mode == "off":
        return gradients, False
    if mode == "value":
        cut = {name: g.clamp(-threshold, threshold) for name, g in gradients.items()}
        return cut, any(bool((cut[name] != g).any()) for name, g in gradients.items())
    parts = groups(trainer).values() if mode == "layer" else [list(gradients)]
    found, changed = {}, False
    for names in parts:
        size = norm({name: gradients[name] for name in names})
        changed = changed or size > threshold
        scale = threshold / size if size > threshold else 1.0
        found |= {name: scale * gradients[name] for name in names}
    return found, changed


@pytest.mark.parametrize("percentile", [10, 50, 90, 100])
def test_adaptive_clipping_takes_a_percentile_of_the_norms_before(
    make_trainer: Make, percentile: int
) -> None:
    trainer = make_trainer(
        clipping__mode="adaptive", clipping__percentile=percentile, clipping__threshold=0.123
    )
    norms: list[float] = []
    for event in steps(trainer, 120):
        if len(norms) < 10:
            assert event.clip_threshold == 0.123
        else:
            wanted = np.percentile(norms, percentile, method="inverted_cdf")
            assert event.clip_threshold == pytest.approx(wanted, rel=0.0055)
        assert event.norm_before is not None
        assert event.norm_after == pytest.approx(
            min(event.norm_before, event.clip_threshold), rel=1e-5
        )
        norms.append(event.norm_before)


def test_the_percentiles_told_are_those_of_the_norms_so_far(make_trainer: Make) -> None:
    trainer = make_trainer()
    norms: list[float] = []
    for event in steps(trainer, 60):
        assert event.norm_before is not None
        norms.append(event.norm_before)
        wanted = np.percentile(norms, (50, 90, 99), method="inverted_cdf").tolist()
        assert [event.norm_median, event.norm_p90, event.norm_p99] == pytest.approx(
            wanted, rel=0.0055
        )


def test_non_finite_steps_are_counted_apart(make_trainer: Make) -> None:
    trainer = make_trainer(clipping__threshold=0.05)
    norms: list[float] = []
    clipped = bad = 0
    for step in range(40):
        handle = None
        if step % 4 == 1:
            handle = trainer.model.output.bias.register_hook(lambda grad: grad * math.nan)
        (event,) = (event for event in trainer.take_step() if isinstance(event, Stepped))
        if handle is None:
            assert event.norm_before is not None
            norms.append(event.norm_before)
            clipped += event.norm_before > 0.05
        else:
            handle.remove()
            bad += 1
            assert (event.skipped, event.clipped, event.norm_before) == (True, False, None)
        assert event.non_finite_steps == bad
        assert event.clip_fraction == pytest.approx(clipped / len(norms))
        wanted = np.percentile(norms, 90, method="inverted_cdf")
        assert event.norm_p90 == pytest.approx(wanted, rel=0.0055)
    assert (bad, trainer.step, trainer.norms.total) == (10, 40, 30)
    assert clipped > 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("policy", ["skip", "stop", "roll-back"])
def test_a_gradient_that_is_not_finite_never_reaches_the_weights(
    make_trainer: Make, mode: str, policy: str
) -> None:
    trainer = make_trainer(clipping__mode=mode, training__non_finite=policy)
    steps(trainer, 3)
    handle = trainer.model.lstm[1].weight_hh_l0.register_hook(lambda grad: grad * math.inf)
    before = weights(trainer)
    optimiser = {k: v.clone() for k, v in _moments(trainer).items()}
    events = list(itertools.islice(trainer.train(), 6))
    after = weights(trainer)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(torch.equal(v, optimiser[k]) for k, v in _moments(trainer).items())
    skipped = [event for event in events if isinstance(event, Stepped)]
    told = [event for event in events if isinstance(event, NonFinite)]
    assert all(event.skipped and event.norm_before is None for event in skipped)
    assert [(e.tensor, e.in_a_row) for e in told] == [("lstm.1.weight_hh_l0", n) for n in (1, 2, 3)]
    handle.remove()
    (event,) = steps(trainer, 1)
    assert not event.skipped
    assert trainer.non_finite_in_a_row == 0
    assert not torch.equal(before["embedding.weight"], weights(trainer)["embedding.weight"])


@pytest.mark.parametrize("mode", MODES)
def test_let_it_happen_lets_a_run_explode_in_sight(make_trainer: Make, mode: str) -> None:
    trainer = make_trainer(clipping__mode=mode, training__non_finite="let-it-happen")
    steps(trainer, 3)
    handle = trainer.model.lstm[1].weight_hh_l0.register_hook(lambda grad: grad * math.inf)
    stepped, told = itertools.islice(trainer.train(), 2)
    handle.remove()
    assert isinstance(stepped, Stepped)
    assert isinstance(told, NonFinite)
    assert (stepped.skipped, stepped.clipped, stepped.norm_before) == (False, False, None)
    assert told.tensor == "lstm.1.weight_hh_l0"
    assert not weights(trainer)["lstm.1.weight_hh_l0"].isfinite().all()
    stepped, told = itertools.islice(trainer.train(), 2)
    assert isinstance(stepped, Stepped)
    assert isinstance(told, NonFinite)
    assert stepped.loss is None
    assert (told.tensor, told.in_a_row, stepped.non_finite_steps) == ("loss", 2, 2)


def test_a_reckless_rate_without_clipping_explodes_and_is_told(make_trainer: Make) -> None:
    trainer = make_trainer(
        clipping__mode="off",
        training__non_finite="let-it-happen",
        optimiser__name="sgd",
        optimiser__learning_rate=1000.0,
        model__init_range=1.0,
    )
    events = steps(trainer, 200)
    assert max(event.norm_before or 0.0 for event in events) > 10 * (events[0].norm_before or 1.0)
    assert not any(event.skipped for event in events)


def _moments(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {
        f"{index}.{key}": value
        for index, values in enumerate(trainer.optimiser.state)
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
    expected = trainer.model.loss(*trainer.cursor.peek(), carried).cross_entropy
    (event,) = steps(trainer, 1)
    assert event.loss == pytest.approx(expected.item(), rel=1e-5)


def test_beside_sampled_losses_an_exact_one_is_told_now_and_then(make_trainer: Make) -> None:
    """It is that of the very step: its weights, window, carried state and dropouts."""
    setting = {"training__candidates": 16, "regularisation__output_dropout": 0.5}
    trainer, plain = make_trainer(**setting), make_trainer(**setting)
    plain._exact_every = 10**9  # step 1 only
    told = [event for _ in range(EXACT_EVERY) for event in trainer.take_step()]
    assert [event.step for event in told if isinstance(event, ExactLoss)] == [1]
    steps(plain, EXACT_EVERY)
    dropout, carried = plain.dropout_random.get_state(), plain.carried
    window = plain.cursor.peek()
    plain.model.train()
    expected = plain.model.loss(*window, carried).cross_entropy.item()
    plain.dropout_random.set_state(dropout)
    stepped, exact = trainer.take_step()
    assert isinstance(exact, ExactLoss)
    assert (exact.step, exact.sampled_loss) == (EXACT_EVERY + 1, stepped.loss)
    assert exact.loss == pytest.approx(expected, rel=1e-5)
    assert exact.loss != pytest.approx(stepped.loss, rel=1e-5)
    (unmeasured,) = plain.take_step()
    assert unmeasured.loss == stepped.loss
    assert unmeasured.norm_after == stepped.norm_after


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


def test_training_draws_nothing_from_torch_s_own_generator(make_trainer: Make) -> None:
    trainer = make_trainer(training__random_bptt=True)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    list(itertools.takewhile(lambda _: trainer.step < 21, trainer.train()))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_seed_is_the_same_run_and_another_is_another(make_trainer: Make) -> None:
    def run(seed: int) -> list[float | None]:
        trainer = make_trainer(training__seed=seed, training__random_bptt=True)
        return [event.loss for event in steps(trainer, 12)]

    assert run(1) == run(1) != run(2)


def test_a_split_that_is_not_there_is_one_sentence(make_trainer: Make) -> None:
    with pytest.raises(UserError, match="The corpus has no nonsense split"):
        list(make_trainer().evaluate("nonsense"))


def test_a_step_that_runs_out_of_memory_leaves_everything_as_it_was(make_trainer: Make) -> None:
    trainer = make_trainer(training__random_bptt=True, training__candidates=16)
    straight = make_trainer(training__random_bptt=True, training__candidates=16)
    steps(trainer, 7)
    backward = trainer.model.embedding.weight.register_hook(out_of_memory)
    with pytest.raises(RuntimeError, match="out of memory"):
        trainer.take_step()
    with pytest.raises(RuntimeError, match="out of memory"):
        rehearse(trainer)
    assert fault(trainer) == "", "the weights are finite: they are worth keeping"
    backward.remove()
    steps(trainer, 5)
    steps(straight, 12)
    assert all(
        torch.equal(weights(straight)[name], each) for name, each in weights(trainer).items()
    )


def out_of_memory(_: object) -> None:
    raise RuntimeError("CUDA out of memory.")


def test_early_stopping_needs_validations(small_config: RunConfig, tmp_path: Path) -> None:
    config = replace(
        small_config, {"corpus.valid_fraction": 0, "training.patience": 3, "training.steps": 9}
    )
    corpus = open_corpus(config.corpus, cache=tmp_path)
    with pytest.raises(UserError, match="has no validation split"):
        Trainer(config, corpus, torch.device("cpu"))


def test_a_validation_by_hand_is_no_best_one_for_nothing_keeps_it(make_trainer: Make) -> None:
    trainer = make_trainer(training__steps=15)
    for _ in range(5):
        trainer.take_step()
    *_, by_hand = trainer.evaluate("valid")
    assert isinstance(by_hand, Evaluated) and by_hand.loss is not None and not by_hand.best
    told = [event for event in trainer.train() if isinstance(event, Evaluated)]
    assert told[0].best
