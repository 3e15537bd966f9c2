"""Gradient norms and clipping: off, by global norm, by value, by layer (Pascanu et al. 2013).

Norms are L2 norms, in the order of the model's parameter groups, the total first. They are
summed in the gradients' own precision (in float32 right to about 0.05%), and again in float64
where that overflows or vanishes, so that finite gradients of 1e20 and of 1e-25 have their true
norm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from engine.training.sparse import numbers

Groups = Sequence[tuple[str, list[Tensor]]]
Rule = Literal["off", "norm", "value", "layer"]
"""What is done to a gradient above the threshold: see `engine.config.ClippingConfig`."""
_SMALL = 1e-15
"""A float32 norm below this may have lost squares to underflow: it is summed again."""


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

    `loss` is a scalar, nats per token; `threshold` an L2 norm, for value clipping a number's size.
    Everything is read from the device at once. A gradient that is not finite is left alone.
    """
    gradients = [[numbers(p.grad) for p in params if p.grad is not None] for _, params in groups]
    values = _clip(loss, gradients, rule, threshold, loss.dtype, smallest=_SMALL)
    norms_before = values[2 : 3 + len(groups)]
    if not _all_finite(norms_before) or min(norms_before) < _SMALL:  # nothing was clipped
        if _all_finite(norms_before) and _zero_or_large(norms_before[1:], gradients):
            values = _clip(loss, gradients, rule, threshold, loss.dtype, smallest=0.0)
        else:  # on the processor, since Apple's GPUs have no float64
            values = _clip(loss.cpu(), gradients, rule, threshold, torch.float64, smallest=0.0)
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


def _zero_or_large(norms: Sequence[float], gradients: list[list[Tensor]]) -> bool:
    """Whether no group's norm lost anything: those that are small are of gradients that are zero,
    as that of an embedding all of whose rows are frozen."""
    return all(
        norm >= _SMALL or not any(bool(gradient.any()) for gradient in group)
        for norm, group in zip(norms, gradients, strict=True)
    )


def _clip(
    loss: Tensor,
    gradients: list[list[Tensor]],
    rule: Rule,
    threshold: float,
    dtype: torch.dtype,
    smallest: float,
) -> list[float]:
    """Clip in place, unless loss or norms are not finite or a group's norm is below `smallest`.

    Norms are summed as `dtype`. One synchronisation with the device, at the end.
    Returns the loss, whether a gradient was changed, the norms before and the norms after.
    """
    flat = [gradient for group in gradients for gradient in group]
    before = _norms(gradients, dtype)
    sure = (before.isfinite() & (before >= smallest)).all() & loss.isfinite()
    changed = torch.zeros_like(sure)
    if rule == "norm":
        changed = sure & (before[0] > threshold)
        coefficient = torch.where(changed, threshold / before[0], 1.0)
        _scale(flat, coefficient.to(flat[0]))
    elif rule == "layer":
        too_large = sure & (before[1:] > threshold)
        changed = too_large.any()
        coefficients = torch.where(too_large, threshold / before[1:], 1.0)
        for group, coefficient in zip(gradients, coefficients.to(flat[0]), strict=True):
            _scale(group, coefficient)
    elif rule == "value":
        # The infinity norm would take thirty times as long on a CPU.
        extremes = torch.stack([part for gradient in flat for part in gradient.aminmax()])
        largest = extremes.abs().max().to(sure.device)
        changed = sure & (largest > threshold)
        limit = torch.where(changed, before.new_tensor(threshold), torch.inf).to(flat[0])
        for gradient in flat:  # clamp_ between two tensors takes ten times as long on a CPU
            torch.minimum(gradient, limit, out=gradient)
            torch.maximum(gradient, -limit, out=gradient)
    after = before if rule == "off" else _norms(gradients, dtype)
    scalars = torch.stack([loss.detach().to(dtype), changed.to(dtype)])
    values: list[float] = torch.cat([scalars, before, after]).tolist()
    return values


def _scale(gradients: list[Tensor], coefficient: Tensor) -> None:
    for gradient in gradients:
        gradient.mul_(coefficient)


def _norms(gradients: list[list[Tensor]], dtype: torch.dtype) -> Tensor:
    """(1 + groups,): the total norm, then each group's. Those in float64 are on the processor."""
    if dtype == torch.float64:
        gradients = [[gradient.cpu() for gradient in group] for group in gradients]
    groups = [
        torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(each, dtype=dtype) for each in group])
        )
        for group in gradients
    ]
    stacked = torch.stack(groups)
    return torch.cat([torch.linalg.vector_norm(stacked).view(1), stacked])


def _all_finite(values: Sequence[float]) -> bool:
    return all(value - value == 0 for value in values)


def first_non_finite(loss: float, model: nn.Module) -> tuple[str, str]:
    """The tensor in which a value that is not finite began, and `nan` or `inf`.

    The loss comes first, since its gradient follows from it; then the parameters' gradients in the
    order back-propagation reaches them, from the output layer to the embedding.
    """
    if loss - loss != 0:
        return "loss", "nan" if loss != loss else "inf"
    for name, parameter in reversed(list(model.named_parameters())):
        if parameter.grad is None:
            continue
        gradient = numbers(parameter.grad)
        if not bool(gradient.isfinite().all()):
            return name, "nan" if bool(gradient.isnan().any()) else "inf"
    return "loss", "nan"
