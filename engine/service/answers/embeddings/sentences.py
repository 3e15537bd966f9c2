"""A sentence as one-hot rows and as embedding rows."""

from typing import TYPE_CHECKING

from engine.messages.embeddings import Represent, Representation, TokenView
from engine.service.answers import answers, check_length
from engine.service.run import Run
from engine.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from engine.model.lstm import LSTMLanguageModel

NUMBERS_SHOWN = 1_024
"""Numbers of a token's vector that a Representation holds at most."""
TOKENS_SHOWN = 64
"""Tokens whose vectors it holds at most: with all of them it takes 600 kB."""
MAX_SENTENCE = 2_000
"""Characters of a sentence."""


@answers(Represent)
def represent(query: Represent, run: Run) -> Representation:
    """One-hot rows and embedding rows of a sentence. Needs no model: its vectors are then empty."""
    tokenizer = run.require_tokenizer()
    check_length(query.text, MAX_SENTENCE)
    texts = tokenizer.tokens(query.text)
    vocabulary, size = len(tokenizer.vocabulary), run.config.model.embedding_size
    return Representation(
        tokens=[
            _view(text, tokenizer, run.model if place < TOKENS_SHOWN else None)
            for place, text in enumerate(texts)
        ],
        vocabulary=vocabulary,
        embedding_size=size,
        one_hot_bytes=len(texts) * vocabulary * 4,
        embedding_bytes=len(texts) * size * 4,
    )


def _view(text: str, tokenizer: Tokenizer, model: "LSTMLanguageModel | None") -> TokenView:
    found = tokenizer.vocabulary.id(text)
    token = tokenizer.vocabulary.unknown if found is None else found
    vector: list[float] = []
    if model is not None:
        vector = model.embedding.weight[token, :NUMBERS_SHOWN].tolist()
    return TokenView(text=text, id=token, known=found is not None, embedding=vector)
