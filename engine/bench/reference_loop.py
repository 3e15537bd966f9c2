"""The yardstick: how PyTorch's tutorials and its word-language-model example train an LSTM, and
write text with it.

nn.Embedding, nn.LSTM, nn.Linear with tied weights, log-softmax over the whole vocabulary,
`loss.backward()`, `clip_grad_norm_`, SGD. It shares nothing with the engine but the token ids.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

CPU = torch.device("cpu")


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
        """Logits (time, batch, vocabulary) of what follows `tokens` (time, batch); the state."""
        output, state = self.rnn(self.drop(self.encoder(tokens)), state)
        return self.decoder(self.drop(output)), state


class ReferenceLoop:
    """Endless training of a ReferenceModel, epoch after epoch."""

    def __init__(
        self,
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
        device: torch.device = CPU,
    ) -> None:
        torch.manual_seed(seed)
        self.model = ReferenceModel(vocabulary, size, layers, dropout).to(device)
        self.optimiser = torch.optim.SGD(self.model.parameters(), lr=rate)
        self.bptt, self.clip = bptt, clip
        # The targets of a column's last row are the first of the next column.
        rows = (len(tokens) - 1) // batch_size
        ids = torch.from_numpy(np.asarray(tokens[: rows * batch_size + 1]).astype(np.int64))
        self.inputs = ids[:-1].view(batch_size, rows).t().contiguous().to(device)
        self.targets = ids[1:].view(batch_size, rows).t().contiguous().to(device)

    def steps(self) -> Iterator[float]:
        """The loss of each step, nats per token."""
        self.model.train()
        while True:
            state: tuple[Tensor, Tensor] | None = None
            for begin in range(0, len(self.inputs), self.bptt):
                inputs = self.inputs[begin : begin + self.bptt]
                targets = self.targets[begin : begin + self.bptt]
                if state is not None:
                    state = (state[0].detach(), state[1].detach())
                self.optimiser.zero_grad()
                logits, state = self.model(inputs, state)
                log_probabilities = functional.log_softmax(logits.flatten(0, 1), dim=1)
                loss = functional.nll_loss(log_probabilities, targets.flatten())
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
                self.optimiser.step()
                yield loss.item()


@torch.no_grad()
def reference_text(model: ReferenceModel, temperature: float = 1.0) -> Iterator[int]:
    """Tokens after token 0, without end."""
    model.eval()
    token = torch.zeros(1, 1, dtype=torch.long, device=model.encoder.weight.device)
    state: tuple[Tensor, Tensor] | None = None
    while True:
        logits, state = model(token, state)
        probabilities = torch.softmax(logits[0, 0] / temperature, dim=0)
        token = torch.multinomial(probabilities, 1).view(1, 1)
        yield int(token)
