"""The output layer's loss, its backward pass written out: exact, or against sampled words.

Gradients are computed together with the loss, some rows of logits at a time, so that those of a
whole window are never held, and are passed over while they lie in the processor's cache.
"""

import math
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from engine.sizes import CHUNK

_UNDERFLOW = 1e-30
"""Of a probability below this the logarithm is taken from the logits."""


class Candidates(NamedTuple):
    """Words that stand for the whole vocabulary in `sampled_loss`."""

    words: Tensor
    """(candidates,) int64, all different."""
    log_inclusion: Tensor
    """(candidates,): the logarithm of the probability with which each is among them."""


def exact_loss(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of targets (tokens,) over the whole vocabulary, nats per token.

    From features (tokens, size), weight (vocabulary, size) and bias (vocabulary,).
    """
    if features.device.type != "cpu":
        return functional.cross_entropy(functional.linear(features, weight, bias), targets)
    return _apply(_ExactLoss, features, weight, bias, targets)


def summed_loss(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """As `exact_loss` of features (tokens, size), but the sum, nats, and without a gradient."""
    total = features.new_zeros(())
    # With fewer than in training they stay in the cache, and there is no gradient to add up.
    rows = _rows(len(features), len(weight), CHUNK // 2)
    for some, aims in zip(torch.split(features, rows), torch.split(targets, rows), strict=True):
        total += functional.cross_entropy(linear(some, weight, bias), aims, reduction="sum")
    return total


def sampled_loss(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    candidates: Candidates,
    *,
    sparse: bool = False,
) -> Tensor:
    """As `exact_loss`, but each target is compared with itself and the candidates alone.

    Importance sampling with candidates shared by all targets (Jean et al. 2015). A candidate's
    share is divided by its inclusion probability (Horvitz & Thompson 1952), so that the sum over
    the vocabulary is right on average, and the loss, its logarithm, a little low.

    Where `sparse`, the weight's gradient is a sparse tensor: the rows of candidates and targets.
    """
    words, log_inclusion = (part.to(features.device) for part in candidates)
    return _apply(_SampledLoss, features, weight, bias, targets, words, log_inclusion, sparse)


def _rows(tokens: int, vocabulary: int, most: int) -> int:
    """Of logits to be held at a time, at `most` so many logits, in parts of about the same size."""
    return -(-tokens // -(-tokens * vocabulary // most))


def _apply(function: type[torch.autograd.Function], *inputs: Tensor | bool) -> Tensor:
    return cast(Tensor, function.apply(*inputs))  # type: ignore[no-untyped-call]


class _ExactLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
    ) -> Tensor:
        tokens, vocabulary = len(features), len(weight)
        loss = features.new_zeros(())
        features_grad = torch.empty_like(features)
        transposed_grad: Tensor | None = None  # of the weight: faster to compute this way round
        bias_grad = torch.zeros_like(bias)
        rows = _rows(tokens, vocabulary, CHUNK)
        for begin in range(0, tokens, rows):
            some, aims = features[begin : begin + rows], targets[begin : begin + rows]
            logits = linear(some, weight, bias)
            probabilities = torch.softmax(logits, 1, out=logits)
            at_targets = torch.arange(len(aims)), aims
            found = probabilities[at_targets]
            loss += _surprisal(found, some, weight, bias, aims).sum()
            probabilities[at_targets] = found - 1
            features_grad[begin : begin + rows] = linear(probabilities, weight.t())
            product = linear(some.t(), probabilities.t())
            transposed_grad = product if transposed_grad is None else transposed_grad.add_(product)
            bias_grad += probabilities.sum(0)
            del logits, probabilities, product  # before the next are made
        assert transposed_grad is not None
        scale = 1 / tokens
        weight_grad = torch.mul(transposed_grad.t(), scale, out=torch.empty_like(weight))
        ctx.save_for_backward(features_grad.mul_(scale), weight_grad, bias_grad.mul_(scale))
        return loss * scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *_scaled(ctx.saved_tensors, grad), None


def _surprisal(
    probabilities: Tensor, features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
) -> Tensor:
    """Minus the logarithms of the targets' probabilities, also of those that have vanished."""
    surprisal = -probabilities.log()
    vanished = probabilities < _UNDERFLOW
    if bool(vanished.any()):
        logits = linear(features[vanished], weight, bias)
        surprisal[vanished] = functional.cross_entropy(logits, targets[vanished], reduction="none")
    return surprisal


class _SampledLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        words: Tensor,
        log_inclusion: Tensor,
        sparse: bool,
    ) -> Tensor:
        tokens = len(features)
        word_weight, target_weight = weight[words], weight[targets]
        target_logits = (features * target_weight).sum(1) + bias[targets]
        logits = linear(features, word_weight, bias[words] - log_inclusion)
        # A candidate that is the target itself counts as the target, exactly.
        place = torch.full((len(weight),), -1, device=words.device)
        place[words] = torch.arange(len(words), device=words.device)
        column = place[targets]
        at_targets = torch.arange(tokens, device=words.device), column.clamp_min(0)
        logits[at_targets] = logits[at_targets].masked_fill_(column >= 0, -torch.inf)
        total = torch.logaddexp(torch.logsumexp(logits, 1), target_logits)
        # From here on all is divided by the number of tokens.
        probabilities = logits.sub_((total + math.log(tokens))[:, None]).exp_()
        error = (target_logits - total).expm1().div_(tokens)  # the target's probability less 1
        features_grad = linear(probabilities, word_weight.t())
        features_grad += error[:, None] * target_weight
        word_grad = linear(features.t(), probabilities.t()).t()
        target_grad = error[:, None] * features
        if sparse:
            rows = torch.cat([words, targets])[None]
            weight_grad = torch.sparse_coo_tensor(
                rows, torch.cat([word_grad, target_grad]), weight.shape, check_invariants=False
            )
        else:
            weight_grad = torch.zeros_like(weight)
            weight_grad[words] = word_grad
            weight_grad.index_add_(0, targets, target_grad)
        bias_grad = torch.zeros_like(bias)
        bias_grad[words] = probabilities.sum(0)
        bias_grad.index_add_(0, targets, error)
        ctx.save_for_backward(features_grad, weight_grad, bias_grad)
        return (total - target_logits).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *_scaled(ctx.saved_tensors, grad), None, None, None, None


def _scaled(grads: tuple[Tensor, ...], factor: Tensor) -> tuple[Tensor, ...]:
    # To look at the factor on a GPU would be to wait for it.
    if factor.device.type == "cpu" and factor.item() == 1:
        return grads
    return tuple(grad * factor for grad in grads)


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Products (..., out) of inputs (..., in) and weight (out, in), plus bias (out,) if any, as
    `functional.linear` gives them, without a gradient; by oneDNN where it can.

    torch itself takes MKL, which on processors that are not Intel's needs up to twice the time.
    """
    if inputs.dtype == torch.float32 and inputs.device.type == "cpu" and _HAS_ONEDNN:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
        return product
    return functional.linear(inputs, weight, bias)


_HAS_ONEDNN = torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise")


class Product:
    """As `linear`, with a weight that stays as it is."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self._weight, self._bias = weight.detach(), None if bias is None else bias.detach()
        if weight.dtype == torch.float32 and weight.device.type == "cpu" and _HAS_ONEDNN:
            # In the order in which oneDNN reads it for about so many rows.
            self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight, 32)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Products (rows, out) of inputs (rows, in)."""
        return linear(inputs, self._weight, self._bias)
