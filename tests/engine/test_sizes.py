"""What is told of a model before it is built is what is built."""

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import ModelConfig
from engine.model.lstm import LSTMLanguageModel
from engine.sizes import parameter_count, weight_shapes

configs = st.builds(
    ModelConfig,
    embedding_size=st.integers(1, 24),
    hidden_size=st.integers(1, 24),
    last_size=st.none() | st.integers(1, 24),
    layers=st.integers(1, 4),
    tied=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(configs, st.integers(1, 50))
def test_sizes_are_those_of_the_model(config: ModelConfig, vocabulary: int) -> None:
    model = LSTMLanguageModel(vocabulary, config)
    assert parameter_count(config, vocabulary) == sum(each.numel() for each in model.parameters())
    shapes = {name: tuple(each.shape) for name, each in model.named_parameters()}
    assert weight_shapes(config, vocabulary) == shapes
