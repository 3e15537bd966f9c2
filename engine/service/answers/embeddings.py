"""What the word vectors hold."""

import math

from engine.embeddings.neighbours import nearest, rank
from engine.errors import UserError
from engine.messages.embeddings import (
    Neighbour,
    NeighbourList,
    NeighbourRank,
    Neighbours,
    Rank,
    Represent,
    Representation,
    TokenView,
)
from engine.model.lstm import LSTMLanguageModel
from engine.service.answers import answers, check_length
from engine.service.run import Run
from engine.text.lookup import find_token, unit
from engine.text.tokenizer import Tokenizer

NUMBERS_SHOWN = 1_024
"""Numbers of a token's vector that a Representation holds at most."""
TOKENS_SHOWN = 64
"""Tokens whose vectors it holds at most: with all of them it takes 600 kB."""
MAX_SENTENCE = 2_000
"""Characters of a sentence or a word."""
MAX_NEIGHBOURS = 1_000


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


def _view(text: str, tokenizer: Tokenizer, model: LSTMLanguageModel | None) -> TokenView:
    found = tokenizer.vocabulary.id(text)
    token = tokenizer.vocabulary.unknown if found is None else found
    vector: list[float] = []
    if model is not None:
        vector = model.embedding.weight[token, :NUMBERS_SHOWN].tolist()
    return TokenView(text=text, id=token, known=found is not None, embedding=vector)


@answers(Neighbours)
def neighbours(query: Neighbours, run: Run) -> NeighbourList:
    """Those of the model as it stands.

    Raises UnknownWord, or UserError where the query is not one token or asks for too many.
    Tokens that never occur in the training split, or are parts of a character, are no answer.
    """
    tokenizer, model = run.require_model()
    check_length(query.word, MAX_SENTENCE)
    if query.top > MAX_NEIGHBOURS:
        raise UserError(f"Ask for at most {MAX_NEIGHBOURS:,} neighbours.")
    vocabulary = tokenizer.vocabulary
    token, note = find_token(query.word, tokenizer)
    found = nearest(model.embedding.weight, token, max(1, query.top), vocabulary.readable)
    _check_finite([cosine for _, cosine in found], tokenizer)
    return NeighbourList(
        word=vocabulary.tokens[token],
        note=note,
        step=run.step,
        count=vocabulary.counts[token],
        neighbours=[Neighbour(vocabulary.tokens[other], cosine) for other, cosine in found],
    )


@answers(Rank)
def rank_of(query: Rank, run: Run) -> NeighbourRank:
    """Among the words that `neighbours` may answer. Raises UnknownWord and UserError as it does."""
    tokenizer, model = run.require_model()
    vocabulary = tokenizer.vocabulary
    for text in (query.word, query.other):
        check_length(text, MAX_SENTENCE)
    (token, note), (other, other_note) = (
        find_token(text, tokenizer) for text in (query.word, query.other)
    )
    if token == other:
        raise UserError(f"A {unit(tokenizer)} is no neighbour of its own: ask for another's rank.")
    place, cosine = rank(model.embedding.weight, token, other, vocabulary.readable)
    _check_finite([cosine], tokenizer)
    return NeighbourRank(
        word=vocabulary.tokens[token],
        other=vocabulary.tokens[other],
        notes=[each for each in (note, other_note) if each],
        step=run.step,
        rank=place,
        among=int(vocabulary.readable.sum()) - bool(vocabulary.readable[token]),
        cosine=cosine,
    )


def _check_finite(cosines: list[float], tokenizer: Tokenizer) -> None:
    if not all(map(math.isfinite, cosines)):
        raise UserError(
            f"The {unit(tokenizer)}s' vectors are no longer finite numbers: none is near another."
        )
