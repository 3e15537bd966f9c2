"""A prompt written on, as text."""

from collections.abc import Iterator

import torch

from engine.generation.sampling import generate_in_turns, start_token
from engine.model.lstm import LSTMLanguageModel
from engine.text.tokenizer import Tokenizer

STRETCH = 4096
"""Tokens of a prompt that are passed over at once."""
_CLOSING = "\"'”’»)] "
"""What may stand behind the mark that ends a sentence."""
_ENDS = frozenset(".!?…。！？।")


def write(
    prompt: str,
    tokenizer: Tokenizer,
    model: LSTMLanguageModel,
    tokens: int,
    *,
    seed: int,
    overrun: int = 0,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Iterator[str | None]:
    """So many tokens, each as it reads behind those before it; None between stretches of a long
    prompt. They go on from the prompt as it is written: a blank at its end is not written again.
    Where the last one doesn't end a sentence, up to `overrun` more follow until one does.

    Raises UserError where the model has exploded.
    """
    ids = tokenizer.encode(prompt).tolist()
    decode = tokenizer.streaming_decoder()
    for number, token in enumerate(ids, start=1):
        decode(token)
        if number % STRETCH == 0:
            yield None
    random = torch.Generator()
    random.manual_seed(seed)
    written = generate_in_turns(
        model,
        [start_token(tokenizer), *ids],
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        random=random,
        banned=tokenizer.vocabulary.unknown,
    )
    blank = prompt[-1:].isspace() and not tokenizer.spells
    piece = ""
    while tokens > 0 or (tokens > -overrun and not ends_sentence(piece)):
        token = next(written)
        if token is None:
            yield None
            continue
        piece = decode(token)
        yield piece.removeprefix(" ") if blank else piece
        blank = False
        tokens -= 1


def ends_sentence(piece: str) -> bool:
    """Whether a piece of text is the end of a sentence: a line end, or a mark that ends one."""
    return piece.endswith("\n") or piece.rstrip(_CLOSING)[-1:] in _ENDS
