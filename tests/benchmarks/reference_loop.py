"""The yardstick: how PyTorch's tutorials and its word-language-model example train an LSTM.

nn.Embedding, nn.LSTM, nn.Linear with tied weights, log-softmax over the whole vocabulary,
`loss.backward()`, `clip_grad_norm_`, SGD. It shares nothing with the engine but the token ids.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


class ReferenceModel(nn.Module):
    """Embedding, LSTM, output layer; dropout where the example has it."""

    def __init__(self, vocabulary: int, size: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(vocabulary, size)
        self.rnn = nn.LSTM(size, size, layers, dropout=dropout)
        self.decoder = nn.Linear(size, vocabulary)
        self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def forward(
        self, tokens: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output, state = self.rnn(self.drop(self.encoder(tokens)), state)
        logits = self.decoder(self.drop(output))
        return functional.log_softmax(logits.flatten(0, 1), dim=1), state


def reference_steps(
    tokens: NDArray[np.integer],
    vocabulary: int,
    *,
    size: int = 200,
    layers: int = 2,
    dropout: float = 0.2,
    batch_size: int = 20,
    bptt: int = 35,
    rate: float = 20.0,
    clip: float = 0.25,
    seed: int = 1,
) -> Iterator[float]:
    """Losses of its steps, epoch after epoch, nats per token."""
    torch.manual_seed(seed)
    model = ReferenceModel(vocabulary, size, layers, dropout)
    optimiser = torch.optim.SGD(model.parameters(), lr=rate)
    rows = len(tokens) // batch_size
    ids = torch.from_numpy(np.asarray(tokens[: rows * batch_size]).astype(np.int64))
    columns = ids.view(batch_size, rows).t().contiguous()
    model.train()
    while True:
        state: tuple[Tensor, Tensor] | None = None
        for begin in range(0, rows - 1, bptt):
            end = min(begin + bptt, rows - 1)
            inputs, targets = columns[begin:end], columns[begin + 1 : end + 1]
            if state is not None:
                state = (state[0].detach(), state[1].detach())
            optimiser.zero_grad()
            log_probabilities, state = model(inputs, state)
            loss = functional.nll_loss(log_probabilities, targets.flatten())
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimiser.step()
            yield loss.item()
