"""Clipping against an independent recomputation in float64."""

import math
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.training.clipping import clip, first_non_finite

Mode = Literal["off", "norm", "value"]


def parameters(scale: float = 1.0) -> list[tuple[str, list[Tensor]]]:
    """Two groups of parameters with gradients drawn from a fixed seed."""
    random = torch.Generator().manual_seed(3)
    groups = []
    for name, shapes in (("embedding", [(50, 8)]), ("output", [(8, 5), (5,)])):
        tensors = [torch.zeros(shape, requires_grad=True) for shape in shapes]
        for tensor in tensors:
            tensor.grad = torch.randn(tensor.shape, generator=random) * scale
        groups.append((name, tensors))
    return groups


def gradients(groups: list[tuple[str, list[Tensor]]]) -> list[np.ndarray]:
    """All gradients as float64 copies, one array a group."""
    return [
        np.concatenate([t.grad.numpy().astype(np.float64).ravel() for t in tensors])  # type: ignore[union-attr]
        for _, tensors in groups
    ]


def expected(arrays: list[np.ndarray], mode: Mode, threshold: float) -> list[np.ndarray]:
    total = math.sqrt(sum(float((a**2).sum()) for a in arrays))
    if mode == "norm":
        return [a * min(1.0, threshold / (total + 1e-6)) for a in arrays]
    if mode == "value":
        return [np.clip(a, -threshold, threshold) for a in arrays]
    return arrays


@pytest.mark.parametrize("mode", ["off", "norm", "value"])
@pytest.mark.parametrize("threshold", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_gradients_and_norms_equal_a_float64_recomputation(
    mode: Mode, threshold: float, scale: float
) -> None:
    groups = parameters(scale)
    before = gradients(groups)
    wanted = expected(before, mode, threshold)
    found = clip(torch.tensor(2.0), groups, mode, threshold)
    for got, want in zip(gradients(groups), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=0)
    for arrays, total, by_group in (
        (before, found.norm_before, found.groups_before),
        (wanted, found.norm_after, found.groups_after),
    ):
        norms = [float(np.linalg.norm(a)) for a in arrays]
        assert total == pytest.approx(math.hypot(*norms), rel=1e-4)
        assert list(by_group.values()) == pytest.approx(norms, rel=1e-4)
    assert found.finite
    changed = any((b != w).any() for b, w in zip(before, wanted, strict=True))
    assert found.changed == changed
    assert list(found.groups_before) == ["embedding", "output"]


def test_one_large_number_counts_as_clipped_by_value_though_no_norm_shows_it() -> None:
    tensor = torch.zeros(1_000_000, requires_grad=True)
    tensor.grad = torch.full((1_000_000,), 1.0)
    tensor.grad[0] = 1.000001
    found = clip(torch.tensor(1.0), [("embedding", [tensor])], "value", 1.0)
    assert found.norm_before == found.norm_after
    assert found.changed


@pytest.mark.parametrize("mode", ["off", "norm", "value"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_is_told_and_left_alone(mode: Mode, bad: float) -> None:
    groups = parameters()
    groups[1][1][1].grad[2] = bad  # type: ignore[index]
    before = gradients(groups)
    found = clip(torch.tensor(1.0), groups, mode, 0.01)
    assert not found.finite
    assert not found.changed
    for got, want in zip(gradients(groups), before, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_loss_that_is_not_finite_is_told_and_nothing_is_clipped() -> None:
    groups = parameters()
    before = gradients(groups)
    assert not clip(torch.tensor(math.nan), groups, "norm", 0.01).finite
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
