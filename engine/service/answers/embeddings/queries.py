"""Questions to the word vectors as they are typed."""

from collections.abc import Generator, Iterator

import msgspec

from engine.embeddings.space import Found, Meant
from engine.errors import UserError
from engine.messages.embeddings import (
    AskedWord,
    CompleteWord,
    Completions,
    LookedUp,
    LookUp,
    Neighbour,
    NeighbourRank,
    Overlap,
    Rank,
    WordAnswer,
    WordQuery,
)
from engine.service.answers import answers, check_length
from engine.service.answers.embeddings.references import references
from engine.service.answers.embeddings.view import Seen, check_kept, see, see_past
from engine.service.run import Run
from engine.text.lookup import find_token, find_tokens, is_known, unit
from engine.text.queries import MOST_WORDS, Query, Term, parse_query

MAX_QUERY = 2_000
"""Characters."""
MOST = 1_000
"""Words listed."""
FIRST = 10
"""Neighbours that are compared with those of other models."""


@answers(WordQuery)
def word_query(query: WordQuery, run: Run) -> Generator[None, None, WordAnswer]:
    """Of the vectors as they stand. Raises BadQuery, UnknownWord, and UserError where a vector has
    no direction, or too many words are asked for."""
    check_length(query.query, MAX_QUERY)
    if query.top > MOST:
        raise UserError(f"Ask for at most {MOST:,} neighbours.")
    understood = parse_query(query.query)
    if query.at is not None and query.compare:
        raise UserError("Only neighbours of now are compared with another model's: not the past's.")
    if query.at is not None:
        seen, step = yield from see_past(run, query.view, query.at)
        return _Asked(query, understood, seen).answer(step)
    seen = yield from see(run, query.view)
    answer = _Asked(query, understood, seen).answer(run.step)
    if query.compare and understood.kind in ("neighbours", "analogy", "centroid"):
        return (yield from _compared(answer, query, understood, run))
    return answer


def _compared(
    answer: WordAnswer, query: WordQuery, understood: Query, run: Run
) -> Generator[None, None, WordAnswer]:
    """The answer, with how far other models agree. One that can't be asked this is left out."""
    query = msgspec.structs.replace(query, top=FIRST)
    overlaps: list[Overlap] = []
    own = {near.word for near in answer.neighbours[:FIRST]}
    for each in (yield from references(run)):
        try:
            seen = yield from each.see(query.view)
            other = _Asked(query, understood, seen).answer(each.step)
        except UserError:
            continue
        of = min(len(own), len(other.neighbours))
        shared = len(own & {near.word for near in other.neighbours})
        overlaps.append(Overlap(other=each.name, step=each.step, shared=shared, of=of))
    return msgspec.structs.replace(answer, overlaps=overlaps)


class _Asked:
    """A query, its words found in the vectors that are asked."""

    def __init__(self, query: WordQuery, understood: Query, seen: Seen) -> None:
        self._query, self._understood, self._seen = query, understood, seen
        self._notes: list[str] = []
        self._words: dict[Term, AskedWord] = {}
        self._positive = [self._find(term) for term in understood.positive]
        self._negative = [self._find(term) for term in understood.negative]

    def _find(self, term: Term) -> Meant:
        tokenizer = self._seen.tokenizer
        vocabulary = tokenizer.vocabulary
        ids, note = find_tokens(term.text, tokenizer)
        if note and note not in self._notes:
            self._notes.append(note)
        pieces = [vocabulary.tokens[index] for index in ids]
        self._words[term] = AskedWord(
            word=pieces[0] if len(ids) == 1 else term.text,
            pieces=pieces if len(ids) > 1 else [],
            count=min(vocabulary.counts[index] for index in ids),
        )
        check_kept(self._seen, ids)
        return self._seen.space.meant(*ids)

    def answer(self, step: int) -> WordAnswer:
        space, kind = self._seen.space, self._understood.kind
        multiply = self._query.multiply and kind == "analogy"
        found: list[Neighbour] = []
        cosine, ranks = None, None
        asked = [index for each in (*self._positive, *self._negative) for index in each.ids]
        among = int(space.answerable.sum()) - int(space.answerable[list(set(asked))].sum())
        match kind:
            case "odd":
                found = self._by_centrality()
            case "pair":
                one, other = self._two()
                cosine, ranks = space.cosine(one, other), space.ranks(one, other)
                among += 1  # the other word, which has a place
            case "closer":
                one, other = self._two()
                cosine = space.cosine(one, other)
                nearer, among = space.closer_than(one, other, max(1, self._query.top))
                found = self._named(nearer)
            case _:
                find = space.most_similar_cosmul if multiply else space.most_similar
                best = find(self._positive, self._negative, max(1, self._query.top))
                found = self._named(best)
        words = [self._words[term] for term in self._understood.terms]
        return WordAnswer(
            kind=kind,
            word=self._spelled(),
            words=words,
            notes=self._notes,
            table=self._seen.table,
            transformation=self._query.view.transformation,
            components=self._seen.components,
            step=step,
            score="3CosMul" if multiply else "cosine",
            count=words[0].count if kind == "neighbours" else 0,
            neighbours=found,
            among=among,
            cosine=cosine,
            ranks=ranks,
        )

    def _two(self) -> tuple[Meant, Meant]:
        one, other = self._positive
        if one.ids == other.ids:
            raise UserError("The two are the same to the model: name another one.")
        return one, other

    def _by_centrality(self) -> list[Neighbour]:
        words = [self._words[term].word for term in self._understood.positive]
        ranked = self._seen.space.by_centrality(self._positive)
        return [Neighbour(words[place], cosine) for place, cosine in ranked]

    def _named(self, found: Found) -> list[Neighbour]:
        tokens = self._seen.space.tokens
        return [Neighbour(tokens[index], score) for index, score in found]

    def _spelled(self) -> str:
        """The query with its words as the vocabulary has them."""
        positive = [self._words[term].word for term in self._understood.positive]
        negative = [self._words[term].word for term in self._understood.negative]
        match self._understood.kind:
            case "odd" | "closer" as prefix:
                return f"{prefix}: {' '.join(positive)}"
            case "pair":
                return " ~ ".join(positive)
            case "analogy":
                return f"{' + '.join(positive)} - {' - '.join(negative)}"
            case _:
                return " ".join(positive)


@answers(Rank)
def rank_of(query: Rank, run: Run) -> Generator[None, None, NeighbourRank]:
    """Among the words that may be answered. Raises UnknownWord, and UserError where a word is not
    one token, its vector has no direction, or both are one."""
    for text in (query.word, query.other):
        check_length(text, MAX_QUERY)
    space, tokenizer, *_ = yield from see(run, query.view)
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


@answers(CompleteWord)
def complete_word(query: CompleteWord, run: Run) -> Completions:
    """From the vocabulary. Needs no model."""
    check_length(query.beginning, MAX_QUERY)
    vocabulary = run.require_tokenizer().vocabulary
    most = max(1, min(query.top, MOST))
    return Completions(words=list(_beginning(vocabulary.tokens, query.beginning, most)))


@answers(LookUp)
def look_up(query: LookUp, run: Run) -> LookedUp:
    """In the vocabulary. Needs no model. Raises UserError where there are too many words."""
    if len(query.words) > MOST_WORDS:
        raise UserError(f"Ask about at most {MOST_WORDS} words.")
    check_length("".join(query.words), MAX_QUERY)
    tokenizer = run.require_tokenizer()
    return LookedUp(unknown=[word for word in query.words if not is_known(word, tokenizer)])


def _beginning(tokens: list[str], text: str, most: int) -> Iterator[str]:
    for token in tokens:
        if token.startswith(text) and token != text:
            yield token
            if not (most := most - 1):
                return
