"""Sparse gradients, beside dense ones."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from engine.config import RunConfig, replace
from engine.events import NonFinite
from engine.sizes import sparse_gradients
from engine.training.optimisers import Average
from engine.training.trainer import Trainer

Make = Callable[..., Trainer]
SPARSE: dict[str, Any] = {
    "training__candidates": 16,
    "optimiser__name": "sgd",
    "optimiser__learning_rate": 3.0,
    "optimiser__weight_decay": 0.0,
}
STEPS = 12
FROZEN = [1, 4, 7]


def both(make: Make, **changes: Any) -> Iterator[Trainer]:
    """The same trainer by sparse and by dense gradients."""
    for sparse in (True, False):
        trainer = make(**SPARSE | changes)
        assert trainer.model.sparse_gradients
        trainer.model.sparse_gradients = sparse
        yield trainer


def vocabulary_of(trainer: Trainer) -> int:
    return trainer.model.embedding.num_embeddings


def freeze(trainer: Trainer) -> None:
    trainer.frozen = torch.zeros(vocabulary_of(trainer), dtype=torch.uint8)
    trainer.frozen[FROZEN] = 1


@pytest.mark.parametrize(
    ("mode", "threshold", "tied", "name"),
    [
        *itertools.product(["off"], [1.0], [True, False], ["sgd", "nt-asgd"]),
        *itertools.product(["norm"], [1e-3, 0.3], [True, False], ["sgd", "nt-asgd"]),
        *itertools.product(["value", "layer"], [1e-3, 0.05], [True, False], ["sgd"]),
        ("adaptive", 1.0, True, "sgd"),
    ],
)
def test_a_run_is_the_same_as_by_dense_gradients(
    make_trainer: Make, mode: str, threshold: float, tied: bool, name: str
) -> None:
    changes = {"clipping__mode": mode, "clipping__threshold": threshold, "model__tied": tied}
    sparse, dense = both(make_trainer, **changes, optimiser__name=name)
    for trainer in (sparse, dense):
        freeze(trainer)
        if name == "nt-asgd":
            trainer.average = Average(trainer.model)
    for _ in range(STEPS):
        (found, *_), (wanted, *_) = sparse.take_step(), dense.take_step()
        assert found.loss == pytest.approx(wanted.loss, rel=1e-4)
        assert found.groups_before == pytest.approx(wanted.groups_before, rel=1e-3)
        assert found.groups_after == pytest.approx(wanted.groups_after, rel=1e-3)
        assert found.clipped == wanted.clipped
    for model, like in ((sparse.model, dense.model), (sparse.eval_model, dense.eval_model)):
        for ours, theirs in zip(model.parameters(), like.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_frozen_rows_stay_and_rows_of_no_token_have_no_gradient(make_trainer: Make) -> None:
    sparse, _ = both(make_trainer, regularisation__embedding_dropout=0.0)
    freeze(sparse)
    before = sparse.model.embedding.weight.detach().clone()
    sparse.take_step()
    gradient = sparse.model.embedding.weight.grad
    assert gradient is not None
    assert gradient.is_sparse
    touched = gradient.indices()[0].tolist()
    assert sorted(set(touched)) == touched
    assert len(touched) < vocabulary_of(sparse)
    changed = (sparse.model.embedding.weight != before).any(1).nonzero()[:, 0].tolist()
    assert changed == [row for row in touched if row not in FROZEN]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_found_in_it(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    sparse, dense = both(make_trainer, regularisation__embedding_dropout=0.0)
    told: list[NonFinite] = []
    for trainer in (sparse, dense):
        embedding = trainer.model.embedding.weight

        def spoil(gradient: torch.Tensor) -> torch.Tensor:
            return gradient * torch.full((), value)

        handle = embedding.register_hook(spoil)  # type: ignore[no-untyped-call]
        told += [event for event in trainer.take_step() if isinstance(event, NonFinite)]
        handle.remove()
    assert told[0] == told[1]
    assert (told[0].tensor, told[0].in_a_row) == ("embedding.weight", 1)


@pytest.mark.parametrize(
    ("changes", "device", "sparse"),
    [
        ({}, "cpu", True),
        ({"optimiser.name": "nt-asgd"}, "cpu", True),
        ({}, "cuda", False),
        ({"training.candidates": None}, "cpu", False),
        ({"training.candidates": 100}, "cpu", False),
        ({"optimiser.weight_decay": 1e-6}, "cpu", False),
        ({"optimiser.momentum": 0.5}, "cpu", False),
        ({"optimiser.name": "adam"}, "cpu", False),
        ({"optimiser.name": "adamw"}, "cpu", False),
    ],
)
def test_gradients_are_sparse_where_a_row_without_one_stays_as_it_is(
    small_config: RunConfig, changes: dict[str, Any], device: str, sparse: bool
) -> None:
    plain = {name.replace("__", "."): value for name, value in SPARSE.items()}
    assert sparse_gradients(replace(small_config, plain | changes), 100, device) == sparse
