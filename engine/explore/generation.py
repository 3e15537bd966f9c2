"""Text from a language model, one token at a time, from the weights as they are at each token."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from engine.errors import UserError
from engine.model.lstm import CarriedState, LSTMLanguageModel
from engine.text.tokenizer import Tokenizer


def start_token(tokenizer: Tokenizer) -> int:
    """The token a text begins after: <eos>, else a line end, else the most frequent token."""
    end_of_sentence = tokenizer.vocabulary.end_of_sentence
    if end_of_sentence is not None:
        return end_of_sentence
    line_end = tokenizer.encode("\n")
    return int(line_end[0]) if len(line_end) == 1 else 0


def generate(
    model: LSTMLanguageModel,
    prompt: Sequence[int],
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    random: torch.Generator | None = None,
    banned: int | None = None,
) -> Iterator[int]:
    """Token ids after a prompt of at least one token, without end.

    Temperature 0 takes the most probable token. `top_k` keeps that many (0: all), `top_p` the
    fewest whose probabilities reach it (nucleus; Holtzman et al. 2020). `banned` is never chosen.
    Raises UserError where the model has exploded.
    """
    state = model.initial_state(1)
    tokens: Sequence[int] = prompt
    while True:
        logits, state = _advance(model, tokens, state)
        chosen = _choose(logits, banned, temperature, top_k, top_p, random)
        yield chosen
        tokens = [chosen]


@torch.inference_mode()
def _advance(
    model: LSTMLanguageModel, tokens: Sequence[int], state: CarriedState
) -> tuple[Tensor, CarriedState]:
    """Logits (vocabulary,) after the last of the tokens, and the state there."""
    model.eval()
    column = torch.tensor(tokens, device=model.embedding.weight.device)[:, None]
    hidden, state = model.features(column, state)
    logits: Tensor = model.output(hidden[-1, 0])
    return logits, state


@torch.inference_mode()
def _choose(
    logits: Tensor,
    banned: int | None,
    temperature: float,
    top_k: int,
    top_p: float,
    random: torch.Generator | None,
) -> int:
    logits = logits.float().cpu()
    if banned is not None:
        logits[banned] = -torch.inf
    largest = logits.max()
    if not largest.isfinite():
        raise UserError("The model's weights are no longer finite numbers: it can't write.")
    if temperature == 0:
        return int(logits.argmax())
    logits = (logits - largest) / temperature  # at most 0, so a low temperature can't overflow
    if 0 < top_k < len(logits):
        smallest_kept = logits.topk(top_k).values[-1]
        logits = logits.masked_fill(logits < smallest_kept, -torch.inf)
    probabilities = logits.softmax(0)
    if top_p < 1:
        ordered, order = probabilities.sort(descending=True)
        beyond = ordered.cumsum(0) - ordered >= top_p
        probabilities[order[beyond]] = 0
    return int(torch.multinomial(probabilities, 1, generator=random))
