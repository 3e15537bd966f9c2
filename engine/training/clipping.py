"""Gradient norms and clipping: off, by global norm, by value, by layer (Pascanu et al. 2013).

Norms are L2 norms, in the order of the model's parameter groups, the total first. They are
summed in float32, and again in float64 where that overflows or vanishes, so that finite gradients
of 1e20 and of 1e-25 have their true norm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Groups = Sequence[tuple[str, list[Tensor]]]
Rule = Literal["off", "norm", "value", "layer"]
"""What is done to a gradient above the threshold: see `engine.config.ClippingConfig`."""
_EPSILON = 1e-6
"""As in torch.nn.utils.clip_grad_norm_."""
_SMALL = 1e-15
"""A float32 norm below this may have lost squares to underflow."""


@dataclass(frozen=True)
class Clipped:
    """What a gradient was and what clipping made of it."""

    loss: float
    norm_before: float
    norm_after: float
    groups_before: dict[str, float]
    groups_after: dict[str, float]
    changed: bool
    """Whether any gradient was changed."""
    finite: bool
    """False: loss or gradient is not finite, and the gradient was left as it is."""


def clip(loss: Tensor, groups: Groups, rule: Rule, threshold: float) -> Clipped:
    """Clip the gradients of the groups in place and measure them before and after.

    Everything is read from the device at once. A gradient that is not finite is left alone.
    """
    gradients = [[p.grad for p in params if p.grad is not None] for _, params in groups]
    flat = [gradient for group in gradients for gradient in group]
    values = _clip(loss, gradients, rule, threshold, torch.float32)
    overflowed = not _all_finite(values) and _tensors_finite([loss, *flat])
    vanished = values[2] < _SMALL and any(bool(gradient.any()) for gradient in flat)
    if overflowed or vanished:
        values = _clip(loss, gradients, rule, threshold, torch.float64)
    names = [name for name, _ in groups]
    before, after = values[2 : 3 + len(names)], values[3 + len(names) :]
    return Clipped(
        loss=values[0],
        norm_before=before[0],
        norm_after=after[0],
        groups_before=dict(zip(names, before[1:], strict=True)),
        groups_after=dict(zip(names, after[1:], strict=True)),
        changed=bool(values[1]),
        finite=_all_finite(values),
    )


def _clip(
    loss: Tensor,
    gradients: list[list[Tensor]],
    rule: Rule,
    threshold: float,
    dtype: torch.dtype,
) -> list[float]:
    """Clip in place unless a norm is not finite. One synchronisation with the device, at the end.

    Returns the loss, whether a gradient was changed, the norms before and the norms after.
    """
    flat = [gradient for group in gradients for gradient in group]
    before = _norms(gradients, dtype)
    finite = before[0].isfinite() & loss.isfinite()
    changed = torch.zeros_like(finite)
    if rule == "norm":
        coefficient = _coefficient(before[0], threshold, finite)
        changed = coefficient < 1
        torch._foreach_mul_(flat, coefficient.to(flat[0].dtype))
    elif rule == "layer":
        coefficients = _coefficient(before[1:], threshold, finite)
        changed = (coefficients < 1).any()
        for group, coefficient in zip(gradients, coefficients.to(flat[0].dtype), strict=True):
            torch._foreach_mul_(group, coefficient)
    elif rule == "value":
        largest = torch.stack(torch._foreach_norm(flat, ord=torch.inf)).max()
        changed = finite & (largest > threshold)
        limit = torch.where(finite, threshold, torch.inf).to(flat[0].dtype)
        for gradient in flat:
            gradient.clamp_(-limit, limit)
    after = before if rule == "off" else _norms(gradients, dtype)
    scalars = torch.stack([loss.detach().to(before.dtype), changed.to(before.dtype)])
    values: list[float] = torch.cat([scalars, before, after]).tolist()
    return values


def _coefficient(norm: Tensor, threshold: float, finite: Tensor) -> Tensor:
    """What a gradient of this norm is multiplied with; 1 where nothing may be changed."""
    return torch.where(finite, (threshold / (norm + _EPSILON)).clamp(max=1.0), 1.0)


def _norms(gradients: list[list[Tensor]], dtype: torch.dtype) -> Tensor:
    """(1 + groups,): the total norm, then each group's."""
    groups = [
        torch.linalg.vector_norm(torch.stack(torch._foreach_norm(group, dtype=dtype)))
        for group in gradients
    ]
    stacked = torch.stack(groups)
    return torch.cat([torch.linalg.vector_norm(stacked).view(1), stacked])


def _all_finite(values: Sequence[float]) -> bool:
    return all(value - value == 0 for value in values)


def _tensors_finite(tensors: Sequence[Tensor]) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def first_non_finite(loss: float, model: nn.Module) -> tuple[str, str]:
    """The tensor in which a value that is not finite began, and `nan` or `inf`.

    The loss comes first, since its gradient follows from it; then the parameters' gradients in the
    order back-propagation reaches them, from the output layer to the embedding.
    """
    if loss - loss != 0:
        return "loss", "nan" if loss != loss else "inf"
    for name, parameter in reversed(list(model.named_parameters())):
        gradient = parameter.grad
        if gradient is not None and not bool(gradient.isfinite().all()):
            return name, "nan" if bool(gradient.isnan().any()) else "inf"
    return "loss", "nan"
