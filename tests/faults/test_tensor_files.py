"""What a checkpoint has to hold is known before it is read."""

from typing import Any

import pytest

from engine.config import ModelConfig
from engine.model.lstm import LSTMLanguageModel
from engine.sizes import weight_shapes

MODELS: list[dict[str, Any]] = [
    {},
    {"layers": 3},
    {"tied": False},
    {"embedding_size": 5},
    {"embedding_size": 5, "tied": False},
    {"embedding_size": 5, "last_size": 5, "layers": 2},
    {"last_size": 9, "layers": 2, "tied": False},
]


@pytest.mark.parametrize("sizes", MODELS)
def test_the_shapes_are_those_of_the_model(sizes: dict[str, Any]) -> None:
    config = ModelConfig(**{"embedding_size": 7, "hidden_size": 7} | sizes)
    parameters = LSTMLanguageModel(11, config).named_parameters()
    assert weight_shapes(config, 11) == {name: tuple(p.shape) for name, p in parameters}
