"""The LSTM language model: embedding, LSTM layers, dropout, output layer.

Zaremba et al. 2014 ("Recurrent Neural Network Regularization") with the tied weights of
Press & Wolf 2017. torch's own nn.LSTM is used for all layers at once: on a CPU that is oneDNN's
kernel, on a GPU cuDNN's.
"""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional

from engine.config import ModelConfig

CarriedState = tuple[Tensor, Tensor]
"""(h, c), each (layers, batch, hidden_size)."""


class LSTMLanguageModel(nn.Module):
    """Predicts each next token from those before it."""

    def __init__(self, vocabulary: int, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocabulary, config.embedding_size)
        self.lstm = nn.LSTM(
            config.embedding_size,
            config.hidden_size,
            config.layers,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.output = nn.Linear(config.hidden_size, vocabulary)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.uniform_(self.embedding.weight, -config.init_range, config.init_range)
        nn.init.uniform_(self.output.weight, -config.init_range, config.init_range)
        nn.init.zeros_(self.output.bias)
        if config.tied:
            self.output.weight = self.embedding.weight

    def initial_state(self, batch_size: int) -> CarriedState:
        """Zeros: (layers, batch_size, hidden_size) twice."""
        shape = (self.config.layers, batch_size, self.config.hidden_size)
        weight = self.embedding.weight
        return weight.new_zeros(shape), weight.new_zeros(shape)

    def features(self, tokens: Tensor, state: CarriedState) -> tuple[Tensor, CarriedState]:
        """Features (time, batch, hidden_size) of tokens (time, batch), and the new state."""
        hidden, state = self.lstm(self.dropout(self.embedding(tokens)), state)
        return self.dropout(hidden), state

    def forward(self, tokens: Tensor, state: CarriedState) -> tuple[Tensor, CarriedState]:
        """Logits of the token after each of tokens (time, batch): (time, batch, vocabulary)."""
        hidden, state = self.features(tokens, state)
        return self.output(hidden), state

    def loss(
        self, tokens: Tensor, targets: Tensor, state: CarriedState
    ) -> tuple[Tensor, CarriedState]:
        """Mean cross-entropy in nats per token of targets (time, batch), and the new state."""
        logits, state = self(tokens, state)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten()), state

    def parameter_groups(self) -> Iterator[tuple[str, list[Tensor]]]:
        """The groups whose gradient norms are shown: embedding, lstm.0, ..., output.

        Every parameter is in exactly one; a tied weight counts as embedding.
        """
        yield "embedding", [self.embedding.weight]
        for layer in range(self.config.layers):
            suffix = f"_l{layer}"
            yield (
                f"lstm.{layer}",
                [weight for name, weight in self.lstm.named_parameters() if name.endswith(suffix)],
            )
        output: list[Tensor] = [self.output.bias]
        if not self.config.tied:
            output.insert(0, self.output.weight)
        yield "output", output
