"""The model against a plain torch reference."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from engine.config import ModelConfig
from engine.model.lstm import LSTMLanguageModel
from engine.training.evaluation import total_loss


def build(**changes: object) -> LSTMLanguageModel:
    torch.manual_seed(0)
    config = ModelConfig(embedding_size=6, hidden_size=6, layers=2, **changes)  # type: ignore[arg-type]
    return LSTMLanguageModel(11, config).double()


@pytest.mark.parametrize("tied", [True, False])
def test_loss_and_gradients_equal_the_equations_written_out(tied: bool) -> None:
    model = build(tied=tied)
    tokens = torch.randint(0, 11, (5, 3))
    targets = torch.randint(0, 11, (5, 3))
    loss, _ = model.loss(tokens, targets, model.initial_state(3))
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    reference = written_out(model, tokens, targets)
    reference.backward()
    assert loss.item() == pytest.approx(reference.item(), abs=1e-10)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=0, atol=1e-10)


def written_out(
    model: LSTMLanguageModel, tokens: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Hochreiter & Schmidhuber's equations with a forget gate, step by step."""
    inputs = list(model.embedding.weight[tokens])
    for layer in range(2):
        w_x, w_h, b_x, b_h = (
            getattr(model.lstm, f"{name}_l{layer}")
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        h = c = torch.zeros(3, 6, dtype=torch.float64)
        outputs = []
        for x in inputs:
            i, f, g, o = (x @ w_x.T + h @ w_h.T + b_x + b_h).chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        inputs = outputs
    logits = torch.stack(inputs) @ model.output.weight.T + model.output.bias
    return functional.nll_loss(logits.log_softmax(-1).flatten(0, 1), targets.flatten())


def test_tied_weights_are_one_tensor_and_counted_once() -> None:
    tied, untied = build(tied=True), build(tied=False)
    assert tied.output.weight is tied.embedding.weight
    assert (
        sum(p.numel() for p in untied.parameters()) - sum(p.numel() for p in tied.parameters())
        == 11 * 6
    )


@pytest.mark.parametrize("tied", [True, False])
def test_every_parameter_is_in_exactly_one_group(tied: bool) -> None:
    model = build(tied=tied)
    grouped = [id(p) for _, parameters in model.parameter_groups() for p in parameters]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    assert [name for name, _ in model.parameter_groups()] == [
        "embedding",
        "lstm.0",
        "lstm.1",
        "output",
    ]


def test_dropout_works_in_training_and_not_in_evaluation() -> None:
    model = build(dropout=0.5)
    tokens, state = torch.randint(0, 11, (4, 2)), model.initial_state(2)
    model.train()
    assert not torch.equal(model(tokens, state)[0], model(tokens, state)[0])
    model.eval()
    torch.testing.assert_close(model(tokens, state)[0], model(tokens, state)[0], rtol=0, atol=0)


def test_evaluation_predicts_every_token_but_the_first_once() -> None:
    model = build()
    tokens = np.random.default_rng(0).integers(0, 11, 2357).astype(np.uint16)
    *_, (total, count) = total_loss(model, tokens)
    assert count == len(tokens) - 1
    column = torch.from_numpy(tokens.astype(np.int64))[:, None]
    exact, _ = model.loss(column[:-1], column[1:], model.initial_state(1))
    # Ten columns begin without the text before them; all else is the same.
    assert total / count == pytest.approx(exact.item(), abs=2e-3)


def test_evaluation_of_a_short_text_is_exact() -> None:
    model = build()
    tokens = np.random.default_rng(0).integers(0, 11, 130).astype(np.uint16)
    *_, (total, count) = total_loss(model, tokens)
    column = torch.from_numpy(tokens.astype(np.int64))[:, None]
    exact, _ = model.loss(column[:-1], column[1:], model.initial_state(1))
    assert (count, total / count) == (129, pytest.approx(exact.item(), abs=1e-9))
