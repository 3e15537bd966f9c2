"""The neighbours of one word, and a sentence as one-hot rows and as embedding rows."""

from typing import TYPE_CHECKING

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
    View,
)
from engine.service.answers import answers, check_length
from engine.service.answers.embeddings.view import see
from engine.service.run import Run
from engine.text.lookup import find_token, unit
from engine.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from engine.model.lstm import LSTMLanguageModel

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


def _view(text: str, tokenizer: Tokenizer, model: "LSTMLanguageModel | None") -> TokenView:
    found = tokenizer.vocabulary.id(text)
    token = tokenizer.vocabulary.unknown if found is None else found
    vector: list[float] = []
    if model is not None:
        vector = model.embedding.weight[token, :NUMBERS_SHOWN].tolist()
    return TokenView(text=text, id=token, known=found is not None, embedding=vector)


@answers(Neighbours)
def neighbours(query: Neighbours, run: Run) -> NeighbourList:
    """Those of the input embedding as it stands.

    Raises UnknownWord, or UserError where the query is not one token, its vector has no direction,
    or too many are asked for. Tokens that never occur in the training split, or are parts of a
    character, are no answer.
    """
    check_length(query.word, MAX_SENTENCE)
    if query.top > MAX_NEIGHBOURS:
        raise UserError(f"Ask for at most {MAX_NEIGHBOURS:,} neighbours.")
    space, tokenizer, *_ = see(run, View())
    vocabulary = tokenizer.vocabulary
    token, note = find_token(query.word, tokenizer)
    found = space.most_similar([space.meant(token)], top=max(1, query.top))
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
    for text in (query.word, query.other):
        check_length(text, MAX_SENTENCE)
    space, tokenizer, *_ = see(run, query.view)
    vocabulary = tokenizer.vocabulary
    (token, note), (other, other_note) = (
        find_token(text, tokenizer) for text in (query.word, query.other)
    )
    if token == other:
        raise UserError(f"A {unit(tokenizer)} is no neighbour of its own: ask for another's rank.")
    one, two = space.meant(token), space.meant(other)
    return NeighbourRank(
        word=vocabulary.tokens[token],
        other=vocabulary.tokens[other],
        notes=[each for each in (note, other_note) if each],
        step=run.step,
        rank=space.ranks(one, two)[0],
        among=int(space.answerable.sum()) - bool(space.answerable[token]),
        cosine=space.cosine(one, two),
    )
