"""The output layer's two losses, against autograd through the plain formula."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.model import output
from engine.model.output import Candidates, exact_loss, sampled_loss, summed_loss
from engine.training.candidates import POWER, CandidateSampler, inclusion_probabilities

TOKENS, SIZE, VOCABULARY = 50, 12, 300
Layer = tuple[Tensor, Tensor, Tensor]


def layer(dtype: torch.dtype = torch.float64) -> tuple[Layer, Tensor]:
    """(features, weight, bias) and targets."""
    torch.manual_seed(4)
    shapes = [(TOKENS, SIZE), (VOCABULARY, SIZE), (VOCABULARY,)]
    made = [torch.randn(shape, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]
    return (made[0], made[1], made[2]), torch.randint(VOCABULARY, (TOKENS,))


def plain(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(features @ weight.t() + bias, targets)


def everything(dtype: torch.dtype = torch.float64) -> Candidates:
    return Candidates(torch.arange(VOCABULARY), torch.zeros(VOCABULARY, dtype=dtype))


@pytest.mark.parametrize("chunk", [1, 7 * VOCABULARY, 1 << 23])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_the_exact_loss_is_cross_entropy(
    chunk: int, dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "CHUNK", chunk)
    parts, targets = layer(dtype)
    loss, wanted = exact_loss(*parts, targets), plain(*parts, targets)
    assert loss.item() == pytest.approx(wanted.item(), abs=10 * tolerance)
    grads = torch.autograd.grad(3 * loss, parts)
    for found, expected in zip(grads, torch.autograd.grad(3 * wanted, parts), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


def test_no_more_logits_are_held_than_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "CHUNK", 7 * VOCABULARY)
    held = []

    def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if bias is not None:
            held.append(len(inputs) * len(weight))
        return functional.linear(inputs, weight, bias)

    monkeypatch.setattr(output, "linear", linear)
    parts, targets = layer()
    exact_loss(*parts, targets)
    assert sum(held) == TOKENS * VOCABULARY
    assert max(held) <= 7 * VOCABULARY


@pytest.mark.parametrize("chunk", [2, 7 * VOCABULARY, 1 << 23])
def test_the_total_loss_is_the_sum(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "CHUNK", chunk)
    (features, weight, bias), targets = layer(torch.float32)
    with torch.inference_mode():
        found = summed_loss(features, weight, bias, targets)
    wanted = functional.cross_entropy(features @ weight.t() + bias, targets, reduction="sum")
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)


def test_a_hopeless_target_still_has_its_true_loss() -> None:
    features, weight = torch.ones(3, 1), torch.zeros(4, 1)
    bias = torch.tensor([0.0, 500.0, 0.0, 0.0])
    targets = torch.tensor([0, 1, 2])
    assert exact_loss(features, weight, bias, targets).item() == pytest.approx(1000 / 3)


def test_an_explosion_is_seen() -> None:
    parts, targets = layer(torch.float32)
    with torch.no_grad():
        parts[0][0] = torch.inf
    assert not math.isfinite(exact_loss(*parts, targets).item())
    assert not math.isfinite(sampled_loss(*parts, targets, everything(torch.float32)).item())


@pytest.mark.parametrize("sparse", [False, True])
def test_with_every_word_a_candidate_the_sampled_loss_is_exact(sparse: bool) -> None:
    parts, targets = layer()
    loss = sampled_loss(*parts, targets, everything(), sparse=sparse)
    wanted = plain(*parts, targets)
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-12)
    grads = torch.autograd.grad(3 * loss, parts)
    assert [grad.is_sparse for grad in grads] == [False, sparse, False]
    for found, expected in zip(grads, torch.autograd.grad(3 * wanted, parts), strict=True):
        torch.testing.assert_close(found.to_dense(), expected, rtol=0, atol=1e-12)


def test_the_sampled_loss_is_the_weighted_formula() -> None:
    (features, weight, bias), targets = layer()
    sampler = CandidateSampler(counts(), 40, torch.Generator().manual_seed(1))
    words, log_inclusion = candidates = sampler.draw()
    log_inclusion = log_inclusion.double()
    assert set(targets.tolist()) & set(words.tolist())
    assert set(targets.tolist()) - set(words.tolist())

    logits = features @ weight.t() + bias
    own = logits[torch.arange(TOKENS), targets]
    others = logits[:, words] - log_inclusion
    others = others.masked_fill(words == targets[:, None], -torch.inf)
    wanted = (torch.logsumexp(torch.cat([others, own[:, None]], 1), 1) - own).mean()
    loss = sampled_loss(
        features, weight, bias, targets, candidates._replace(log_inclusion=log_inclusion)
    )
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-12)
    parts = features, weight, bias
    grads = torch.autograd.grad(loss, parts)
    for found, expected in zip(grads, torch.autograd.grad(wanted, parts), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


# --- drawing ----------------------------------------------------------------------------------


def counts() -> list[int]:
    return [0, *(5000 // (rank + 1) for rank in range(VOCABULARY - 1))]


def test_a_draw_has_the_number_asked_for_and_no_word_twice() -> None:
    sampler = CandidateSampler(counts(), 64, torch.Generator().manual_seed(1))
    for _ in range(200):
        words = sampler.draw().words.tolist()
        assert len(set(words)) == 64
        assert max(words) < VOCABULARY


def test_words_are_drawn_as_often_as_their_inclusion_probability_says() -> None:
    sampler = CandidateSampler(counts(), 64, torch.Generator().manual_seed(1))
    draws = 4000
    seen, told = np.zeros(VOCABULARY), np.zeros(VOCABULARY)
    for _ in range(draws):
        words, log_inclusion = sampler.draw()
        seen[words.numpy()] += 1
        told[words.numpy()] = log_inclusion.exp().numpy()
    wanted = inclusion_probabilities(np.maximum(counts(), 1) ** POWER, 64)
    assert np.abs(seen / draws - wanted).max() < 0.03
    np.testing.assert_allclose(told[seen > 0], wanted[seen > 0], rtol=1e-5)
    assert (wanted[1:3] == 1).all()


def test_the_sum_that_normalises_is_right_on_average() -> None:
    (features, weight, bias), _ = layer()
    logits = (features @ weight.t() + bias).detach() / 3
    sampler = CandidateSampler(counts(), 100, torch.Generator().manual_seed(1))
    sums = []
    for _ in range(4000):
        words, log_inclusion = sampler.draw()
        sums.append((logits[:, words] - log_inclusion).exp().sum(1))
    ratio = torch.stack(sums).mean(0) / logits.exp().sum(1)
    assert (ratio - 1).abs().max() < 0.05
    assert abs(ratio.mean().item() - 1) < 0.01


def test_inclusion_probabilities_sum_to_the_number_and_stay_below_one() -> None:
    found = inclusion_probabilities(np.array([100.0, 50.0, 1.0, 1.0, 2.0]), 3)
    np.testing.assert_allclose(found, [1, 1, 0.25, 0.25, 0.5])
