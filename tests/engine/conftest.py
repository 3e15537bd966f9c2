"""What the engine's tests share: a small text, a run of it, a trainer on it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config import RunConfig, preset, replace
from engine.text.corpus import Corpus, open_corpus
from engine.training.trainer import Trainer

SMALL: dict[str, Any] = {
    "corpus.source": "toy-world",
    "model.embedding_size": 8,
    "model.hidden_size": 8,
    "model.layers": 2,
    "regularisation.embedding_dropout": 0.1,
    "regularisation.input_dropout": 0.2,
    "regularisation.layer_dropout": 0.2,
    "regularisation.output_dropout": 0.2,
    "regularisation.weight_drop": 0.2,
    "training.batch_size": 8,
    "training.bptt": 7,
    "training.evaluate_every": 10,
    "training.seed": 1,
    "training.threads": 1,
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoded corpora of all tests in one folder that is not the developer's own."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("LSTM_TUI_CACHE", str(cache))


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 4,000 tokens in short lines."""
    path = tmp_path_factory.mktemp("text") / "small.txt"
    lines = [
        f"line {n} of the {('cat', 'dog', 'owl')[n % 3]} sat {n % 7} times" for n in range(400)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def small_config(text_file: Path) -> RunConfig:
    return replace(preset("toy"), SMALL | {"corpus.source": str(text_file)})


@pytest.fixture
def small_corpus(small_config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return open_corpus(small_config.corpus, cache=tmp_path_factory.getbasetemp() / "cache")


@pytest.fixture
def make_trainer(small_config: RunConfig, small_corpus: Corpus) -> Callable[..., Trainer]:
    """A trainer on the small text; keyword arguments are changes to its configuration with
    double underscores for dots."""

    def make(**changes: Any) -> Trainer:
        torch.set_num_threads(1)
        paths = {name.replace("__", "."): value for name, value in changes.items()}
        return Trainer(replace(small_config, paths), small_corpus, torch.device("cpu"))

    return make
