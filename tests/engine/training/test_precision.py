"""The LSTM layers in bfloat16 while training: near enough to float32, and nothing else in it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.config import PRESETS, ModelConfig
from engine.events import Stepped
from engine.model.lstm import LSTMLanguageModel
from engine.training import precision
from engine.training.checkpoint import load_latest, save
from engine.training.precision import pick_dtype
from engine.training.trainer import Trainer

Make = Callable[..., Trainer]
CPU = torch.device("cpu")
VOCABULARY = 50


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_multiplies_bfloat16", lambda: True)


def trained_once(dtype: torch.dtype | None) -> tuple[LSTMLanguageModel, Tensor]:
    """A model with the gradients of a window, and its loss."""
    torch.manual_seed(0)
    model = LSTMLanguageModel(VOCABULARY, ModelConfig(embedding_size=32, hidden_size=48, layers=2))
    model.training_dtype = dtype
    tokens = torch.randint(0, VOCABULARY, (21, 8), generator=torch.Generator().manual_seed(1))
    loss, _, state, _ = model.loss(tokens[:-1], tokens[1:], model.initial_state(8))
    torch.autograd.backward(loss)
    assert all(part.dtype == torch.float32 for layer in state for part in layer)
    return model, loss.detach()


def test_loss_and_gradients_are_those_of_float32_but_for_rounding() -> None:
    (exact, loss), (rounded, rounded_loss) = trained_once(None), trained_once(torch.bfloat16)
    assert rounded_loss != loss
    assert rounded_loss.item() == pytest.approx(loss.item(), rel=1e-3)
    for wanted, found in zip(exact.parameters(), rounded.parameters(), strict=True):
        assert wanted.grad is not None
        assert found.grad is not None
        assert found.dtype == found.grad.dtype == torch.float32
        assert (found.grad - wanted.grad).norm() < 0.03 * wanted.grad.norm()


def test_evaluation_stays_in_float32() -> None:
    (exact, _), (rounded, _) = trained_once(None), trained_once(torch.bfloat16)
    tokens = torch.randint(0, VOCABULARY, (20, 8))
    logits = [
        model.eval()(tokens, model.initial_state(8))[0].detach() for model in (exact, rounded)
    ]
    assert torch.equal(*logits)


def test_it_is_taken_only_where_asked_for_and_native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_multiplies_bfloat16", lambda: True)
    assert pick_dtype("bfloat16", CPU) == torch.bfloat16
    assert pick_dtype("float32", CPU) is None
    assert pick_dtype("bfloat16", torch.device("cuda")) is None
    monkeypatch.setattr(precision, "_multiplies_bfloat16", lambda: False)
    assert pick_dtype("bfloat16", CPU) is None


def test_the_processor_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for able in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda able=able: able)
        assert (pick_dtype("bfloat16", CPU) == torch.bfloat16) is able


def test_only_the_presets_that_are_for_speed_ask_for_it() -> None:
    asking = {
        name for name, found in PRESETS.items() if found.config.training.precision == "bfloat16"
    }
    assert asking == {"shakespeare-char", "large-vocabulary"}


@pytest.mark.usefixtures("able")
def test_a_run_in_bfloat16_learns_what_one_in_float32_does(make_trainer: Make) -> None:
    losses = {}
    for name in ("float32", "bfloat16"):
        trainer = make_trainer(training__precision=name)
        steps = [event for _ in range(150) for event in trainer.take_step()]
        losses[name] = [event.loss for event in steps if isinstance(event, Stepped) and event.loss]
    assert losses["bfloat16"] != losses["float32"]
    last, exact_last = (sum(losses[name][-20:]) / 20 for name in ("bfloat16", "float32"))
    assert exact_last < 0.7 * losses["float32"][0]
    assert last == pytest.approx(exact_last, rel=0.02)


@pytest.mark.usefixtures("able")
def test_going_on_without_bfloat16_is_not_called_exact(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trainer = make_trainer(training__precision="bfloat16")
    list(trainer.take_step())
    save(tmp_path, trainer)
    restored, _ = load_latest(tmp_path)
    assert restored is not None
    assert restored.restore(make_trainer(training__precision="bfloat16")) == ""
    monkeypatch.setattr(precision, "_multiplies_bfloat16", lambda: False)
    told = restored.restore(make_trainer(training__precision="bfloat16"))
    assert "not bit-exact: the processor was" in told
    assert "bfloat16, is" in told
