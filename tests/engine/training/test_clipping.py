"""Clipping against an independent recomputation in float64."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.training import clipping
from engine.training.clipping import Rule, clip, first_non_finite

RULES: tuple[Rule, ...] = get_args(Rule)
Groups = list[tuple[str, list[Tensor]]]


def parameters(scale: float = 1.0) -> Groups:
    """Two groups of parameters with gradients drawn from a fixed seed."""
    random = torch.Generator().manual_seed(3)
    groups = []
    for name, shapes in (("embedding", [(50, 8)]), ("output", [(8, 5), (5,)])):
        tensors = [torch.zeros(shape, requires_grad=True) for shape in shapes]
        for tensor in tensors:
            tensor.grad = torch.randn(tensor.shape, generator=random) * scale
        groups.append((name, tensors))
    return groups


def gradients(groups: Groups) -> list[np.ndarray]:
    """All gradients as float64 copies, one array a group."""
    return [
        np.concatenate([t.grad.numpy().astype(np.float64).ravel() for t in tensors])  # type: ignore[union-attr]
        for _, tensors in groups
    ]


def expected(arrays: list[np.ndarray], rule: Rule, threshold: float) -> list[np.ndarray]:
    norms = [math.sqrt(float((a**2).sum())) for a in arrays]
    if rule == "norm":
        return [a * kept(math.hypot(*norms), threshold) for a in arrays]
    if rule == "layer":
        return [a * kept(norm, threshold) for a, norm in zip(arrays, norms, strict=True)]
    if rule == "value":
        return [np.clip(a, -threshold, threshold) for a in arrays]
    return arrays


def kept(norm: float, threshold: float) -> float:
    return threshold / norm if norm > threshold else 1.0


def check(groups: Groups, rule: Rule, threshold: float, rtol: float) -> None:
    """Clip, and compare with all of it done again in float64."""
    before = gradients(groups)
    wanted = expected(before, rule, threshold)
    found = clip(torch.tensor(2.0, dtype=groups[0][1][0].dtype), groups, rule, threshold)
    for got, want in zip(gradients(groups), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=rtol, atol=0)
    for arrays, total, by_group in (
        (before, found.norm_before, found.groups_before),
        (wanted, found.norm_after, found.groups_after),
    ):
        norms = [math.sqrt(float((a**2).sum())) for a in arrays]
        assert total == pytest.approx(math.hypot(*norms), rel=rtol)
        assert list(by_group.values()) == pytest.approx(norms, rel=rtol, abs=0)
    assert found.finite
    assert found.loss == 2.0
    assert found.changed == any((b != w).any() for b, w in zip(before, wanted, strict=True))
    assert list(found.groups_before) == list(found.groups_after) == ["embedding", "output"]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("threshold", [0.01, 100.0])
def test_a_gradient_of_zeros_is_summed_in_its_own_precision(
    rule: Rule, threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of an embedding all of whose rows are frozen; what only seems to be zero is not."""
    summed, norms = [], clipping._norms

    def counted(gradients: list[list[Tensor]], dtype: torch.dtype) -> Tensor:
        summed.append(dtype)
        return norms(gradients, dtype)

    monkeypatch.setattr(clipping, "_norms", counted)
    groups = parameters()
    embedding = groups[0][1][0].grad
    assert embedding is not None
    embedding.zero_()
    check(groups, rule, threshold, 1e-5)
    assert set(summed) == {torch.float32}
    groups = parameters()
    groups[0][1][0].grad = torch.full_like(embedding, 1e-30)
    check(groups, rule, threshold, 1e-5)
    assert torch.float64 in summed


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("threshold", [1e-9, 0.01, 1.0, 8.0, 100.0, 1e6])
@pytest.mark.parametrize("scale", [1e-25, 1e-20, 1e-10, 1.0, 1e10, 1e20, 1e25])
def test_gradients_and_norms_equal_a_float64_recomputation(
    rule: Rule, threshold: float, scale: float
) -> None:
    check(parameters(scale), rule, threshold, 1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_a_model_in_float64_is_clipped_in_float64(rule: Rule) -> None:
    groups = parameters()
    for _, tensors in groups:
        for tensor in tensors:
            gradient = tensor.grad.double() / 3  # type: ignore[union-attr]
            tensor.data = tensor.data.double()
            tensor.grad = gradient
    check(groups, rule, 0.1, 1e-14)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("small", "large"), [(1e-25, 1.0), (1e-10, 1e20), (0.0, 1.0), (0.0, 0.0)])
def test_a_group_that_vanishes_beside_another_has_its_own_norm(
    rule: Rule, small: float, large: float
) -> None:
    groups = parameters()
    for (_, tensors), scale in zip(groups, (small, large), strict=True):
        for tensor in tensors:
            tensor.grad *= scale  # type: ignore[operator]
    check(groups, rule, 0.5, 1e-5)


@pytest.mark.parametrize("rule", ["norm", "layer"])
def test_a_norm_at_the_threshold_is_let_through_and_one_just_above_is_clipped(rule: Rule) -> None:
    tensor = torch.zeros(4, requires_grad=True)
    tensor.grad = torch.full((4,), 0.125)
    found = clip(torch.tensor(1.0), [("embedding", [tensor])], rule, 0.25)
    assert not found.changed
    assert found.norm_before == found.norm_after == 0.25
    assert (tensor.grad == 0.125).all()
    found = clip(torch.tensor(1.0), [("embedding", [tensor])], rule, 0.2499)
    assert found.changed
    assert found.norm_after == pytest.approx(0.2499, rel=1e-6)


def test_one_large_number_counts_as_clipped_by_value_though_no_norm_shows_it() -> None:
    tensor = torch.zeros(1_000_000, requires_grad=True)
    tensor.grad = torch.full((1_000_000,), 1.0)
    tensor.grad[0] = 1.000001
    found = clip(torch.tensor(1.0), [("embedding", [tensor])], "value", 1.0)
    assert found.norm_before == found.norm_after
    assert found.changed


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("large", [1.0, 1e20])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_is_told_and_left_alone(
    rule: Rule, large: float, bad: float
) -> None:
    groups = parameters(large)
    groups[1][1][1].grad[2] = bad  # type: ignore[index]
    before = gradients(groups)
    found = clip(torch.tensor(1.0), groups, rule, 0.01)
    assert not found.finite
    assert not found.changed
    for got, want in zip(gradients(groups), before, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e20])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_told_and_nothing_is_clipped(
    rule: Rule, scale: float, bad: float
) -> None:
    groups = parameters(scale)
    before = gradients(groups)
    found = clip(torch.tensor(bad), groups, rule, 0.01)
    assert (found.finite, found.changed) == (False, False)
    for got, want in zip(gradients(groups), before, strict=True):
        np.testing.assert_array_equal(got, want)


def test_the_tensor_where_it_began_is_named() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    assert first_non_finite(math.inf, model) == ("loss", "inf")
    model[0].weight.grad[0, 0] = math.inf
    assert first_non_finite(1.0, model) == ("0.weight", "inf")
    model[1].weight.grad[0, 0] = math.nan
    assert first_non_finite(1.0, model) == ("1.weight", "nan")
