"""One step as AWD-LSTM takes it, against the equations of the papers written out in float64.

The trainer's model is put into float64 too, so that nothing but a mistake can tell them apart, and
left in float32, where it takes other kernels. The masks and the windows' lengths are drawn again
here, from generators in the same state.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.config import RunConfig, preset, replace
from engine.events import Stepped
from engine.text.corpus import open_corpus
from engine.training.trainer import Trainer

BATCH, BPTT = 4, 20
EMBEDDING, HIDDEN, LAYERS = 12, 17, 3
# awd-lstm-lm's settings for PTB, as its README and the paper's section 5 give them.
WORDS, INPUT, BETWEEN, OUTPUT, WEIGHTS = 0.1, 0.4, 0.25, 0.4, 0.5
AR, TAR, CLIP, RATE, DECAY = 2.0, 1.0, 0.25, 30.0, 1.2e-6


@pytest.fixture
def config(text_file: Path) -> RunConfig:
    """The preset, made small."""
    sizes = {
        "corpus.source": str(text_file),
        "model.embedding_size": EMBEDDING,
        "model.hidden_size": HIDDEN,
        "model.last_size": EMBEDDING,
        "training.batch_size": BATCH,
        "training.bptt": BPTT,
    }
    return replace(preset("awd-lstm-ptb"), sizes)


class Reference:
    """AWD-LSTM's training in plain operations on float64 tensors, from copies of the weights."""

    def __init__(self, trainer: Trainer) -> None:
        self.weights = {
            name: parameter.detach().double().clone().requires_grad_()
            for name, parameter in trainer.model.named_parameters()
        }
        self.masks = torch.Generator().set_state(trainer.dropout_random.get_state())
        self.lengths = torch.Generator().set_state(trainer.data_random.get_state())
        tokens = torch.from_numpy(trainer.corpus.splits["train"].astype(np.int64))
        rows = (len(tokens) - 1) // BATCH
        self.inputs = torch.stack(
            [tokens[column * rows : (column + 1) * rows] for column in range(BATCH)], dim=1
        )
        self.targets = torch.stack(
            [tokens[column * rows + 1 : (column + 1) * rows + 1] for column in range(BATCH)], dim=1
        )
        self.row = 0
        units = [HIDDEN] * (LAYERS - 1) + [EMBEDDING]
        self.h = [torch.zeros(BATCH, size, dtype=torch.float64) for size in units]
        self.c = [torch.zeros(BATCH, size, dtype=torch.float64) for size in units]

    def mask(self, share: float, *shape: int) -> Tensor:
        """Bernoulli(1 - share) / (1 - share)."""
        drawn = torch.empty(shape, dtype=torch.float64)
        return drawn.bernoulli_(1 - share, generator=self.masks) / (1 - share)

    def length(self) -> int:
        """Merity et al. 2018, section 5.1: bptt with probability 0.95, else half of it; then a
        normal draw around that with a deviation of 5; at least 5."""
        half = torch.rand((), generator=self.lengths).item() < 0.05
        noise = torch.randn((), generator=self.lengths).item()
        return max(5, int((BPTT / 2 if half else BPTT) + 5 * noise))

    def step(self) -> tuple[float, float, float, bool]:
        """Take one. Returns the cross-entropy, the gradient's norm, the rate, whether clipped."""
        end = min(self.row + self.length(), len(self.inputs))
        inputs, targets = self.inputs[self.row : end], self.targets[self.row : end]
        self.row = end
        rate = RATE * len(inputs) / BPTT
        cross_entropy, objective = self.losses(inputs, targets)
        names = list(self.weights)
        gradients = torch.autograd.grad(objective, [self.weights[name] for name in names])
        norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
        scale = CLIP / norm if norm > CLIP else 1.0
        self.weights = {
            name: (self.weights[name] - rate * (scale * gradient + DECAY * self.weights[name]))
            .detach()
            .requires_grad_()
            for name, gradient in zip(names, gradients, strict=True)
        }
        return cross_entropy.item(), norm, rate, norm > CLIP

    def losses(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The cross-entropy, and what is minimised: with AR and TAR."""
        embedding, bias = self.weights["embedding.weight"], self.weights["output.bias"]
        kept_words = self.mask(WORDS, len(embedding), 1)
        locked = self.mask(INPUT, 1, BATCH, EMBEDDING)[0]
        layer_inputs = [(kept_words * embedding)[words] * locked for words in inputs]
        for layer in range(LAYERS):
            if layer:
                locked = self.mask(BETWEEN, 1, BATCH, HIDDEN)[0]
                layer_inputs = [locked * h for h in layer_inputs]
            layer_inputs = list(self.layer(layer, layer_inputs))
        raw = torch.stack(layer_inputs)
        dropped = raw * self.mask(OUTPUT, 1, BATCH, EMBEDDING)
        scores = dropped @ embedding.T + bias  # tied
        log_likelihood = scores - scores.exp().sum(-1, keepdim=True).log()
        cross_entropy = -log_likelihood.gather(-1, targets[..., None]).mean()
        activation = AR * (dropped**2).mean()
        temporal = TAR * ((raw[1:] - raw[:-1]) ** 2).mean()
        return cross_entropy, cross_entropy + activation + temporal

    def layer(self, layer: int, inputs: list[Tensor]) -> Iterator[Tensor]:
        """Equations (1) of Merity et al. 2018, U dropped out once for the window."""
        w, u, b_w, b_u = (
            self.weights[f"lstm.{layer}.{kind}_l0"]
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        units = len(u) // 4
        u = u * self.mask(WEIGHTS, *u.shape)
        gates = [slice(gate * units, (gate + 1) * units) for gate in range(4)]
        h, c = self.h[layer], self.c[layer]
        for x in inputs:
            in_i, in_f, in_c, in_o = (
                x @ w[gate].T + h @ u[gate].T + b_w[gate] + b_u[gate] for gate in gates
            )
            i, f, o = 1 / (1 + (-in_i).exp()), 1 / (1 + (-in_f).exp()), 1 / (1 + (-in_o).exp())
            c = i * torch.tanh(in_c) + f * c
            h = o * torch.tanh(c)
            yield h
        self.h[layer], self.c[layer] = h.detach(), c.detach()


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-5)], ids=["64", "32"]
)
def test_steps_equal_the_equations_of_the_papers(
    config: RunConfig, dtype: torch.dtype, tolerance: float
) -> None:
    torch.set_num_threads(1)
    trainer = Trainer(config, open_corpus(config.corpus), torch.device("cpu"))
    trainer.model.to(dtype)
    reference = Reference(trainer)
    lengths, clippings = set(), set()
    for _ in range(6):
        row = trainer.cursor.row
        (event,) = (event for event in trainer.take_step() if isinstance(event, Stepped))
        loss, norm, rate, clipped = reference.step()
        assert trainer.cursor.row == reference.row
        assert event.clipped == clipped
        assert event.loss == pytest.approx(loss, rel=tolerance)
        assert event.norm_before == pytest.approx(norm, rel=tolerance)
        assert event.norm_after == pytest.approx(min(norm, CLIP), rel=tolerance)
        assert event.learning_rate == pytest.approx(rate, rel=1e-12)
        for name, parameter in trainer.model.named_parameters():
            assert_near(parameter, reference.weights[name], tolerance, name)
        for layer, (h, c) in enumerate(trainer.carried):
            assert_near(h[0], reference.h[layer], tolerance, f"h of layer {layer}")
            assert_near(c[0], reference.c[layer], tolerance, f"c of layer {layer}")
        lengths.add(reference.row - row)
        clippings.add(clipped)
    assert len(lengths) > 1
    assert True in clippings


def assert_near(found: Tensor, wanted: Tensor, tolerance: float, name: str) -> None:
    difference = (found.detach().double() - wanted.detach()).abs().max().item()
    assert difference <= tolerance, name
