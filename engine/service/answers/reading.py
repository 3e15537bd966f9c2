"""A text read with the model: how surprising it is, and how much of it was copied."""

import copy
from collections.abc import Generator, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from engine.evaluation.held_out import reading_streams
from engine.evaluation.surprisal import (
    LOG_2,
    compressor_baselines,
    surprisals,
    token_baselines,
)
from engine.evaluation.surprisal import Baseline as Measured
from engine.events import Progress
from engine.generation.copies import copied_share, distinct, maximal, repetition
from engine.measures import perplexity
from engine.messages.reading import (
    Baseline,
    BaselineList,
    Copies,
    Copy,
    FindCopies,
    HeldOutBaselines,
    Surprise,
    SurprisePart,
    SurpriseTotals,
)
from engine.service.answers import answers, check_finite, check_length
from engine.service.answers.evaluation import reading_convention
from engine.service.background import Job, in_background
from engine.service.run import Run
from engine.text.corpus import Corpus
from engine.text.reading import read_chunks, resolve
from engine.text.stretches import stretches
from engine.text.suffixes import AT_ONCE, SEARCH, SuffixArray, open_suffixes
from engine.text.tokenizer import Tokenizer

MAX_TEXT, MAX_SOURCE = 100_000, 2_000_000
"""Characters."""
PART = 5_000
"""Tokens that are told of at once."""
MOST_COPIES = 1_000


# --- surprise -----------------------------------------------------------------------------------


class _Text(NamedTuple):
    """A text under a tokenizer."""

    text: str
    stretches: list[str]
    ids: NDArray[np.int64]


@answers(Surprise)
def surprise(
    query: Surprise, run: Run
) -> Iterator[Progress | SurprisePart | SurpriseTotals | None]:
    """Read as `EvaluateCorpus` reads a text that is not the run's own."""
    tokenizer, model = run.require_model()
    check_length(query.text, MAX_TEXT)
    if bool(query.text) == bool(query.source):
        raise UserError("Give a text to read, or say where it is.")
    step, model = run.step, copy.deepcopy(model)
    chunks = [query.text] if query.text else (yield from _chunks(query.source))
    text = yield from _encoded(chunks, tokenizer)
    total = len(text.ids) - 1
    if total < 1:
        raise UserError("There must be at least two tokens: the first is not predicted.")
    columns, bits = reading_streams(len(text.ids)), np.empty(len(text.ids))
    for done in surprisals(model, text.ids, columns, bits):
        yield Progress(task="reading", done=done, total=total, unit="tokens")
    check_finite(bits[1:].sum())
    unknown = text.ids == tokenizer.vocabulary.unknown
    for begin in range(0, len(bits), PART):
        part = slice(begin, begin + PART)
        yield SurprisePart(
            texts=text.stretches[part],
            bits=[each if np.isfinite(each) else None for each in bits[part].tolist()],
            unknown=np.flatnonzero(unknown[part]).tolist(),
        )
    characters = len(text.text) - len(tokenizer.decode(text.ids[:1].tolist()))
    measured = token_baselines(text.ids, tokenizer.vocabulary, characters)
    measured += yield from in_background(lambda job: compressor_baselines(text.text, job.go_on))
    whole = Measured("", float(bits[1:].sum()), characters)
    loss = whole.bits * LOG_2 / total
    yield SurpriseTotals(
        step=step,
        tokens=total,
        unknown=int(unknown.sum()),
        characters=max(0, characters),
        bits=whole.bits,
        loss=loss,
        perplexity=perplexity(loss),
        bits_per_character=_per_character(whole),
        baselines=[_baseline(each, total) for each in measured],
        convention="; ".join(reading_convention(tokenizer, columns)),
    )


@answers(HeldOutBaselines)
def held_out_baselines(
    query: HeldOutBaselines, run: Run
) -> Generator[Progress | None, None, BaselineList]:
    """Raises UserError where the run has no such split, or its text is missed."""
    corpus = _own(run, "The baselines are of")
    split, tokenizer = corpus.text(query.split), corpus.tokenizer
    total = len(split.ids) - 1
    measured = token_baselines(split.ids, tokenizer.vocabulary, split.characters)
    yield None
    if tokenizer.spells and split.characters <= MAX_SOURCE:
        measured += yield from in_background(
            lambda job: compressor_baselines(tokenizer.decode(split.ids.tolist()), job.go_on)
        )
    return BaselineList(
        split=query.split,
        tokens=total,
        baselines=[_baseline(each, total) for each in measured],
    )


def _baseline(measured: Measured, tokens: int) -> Baseline:
    return Baseline(
        name=measured.name,
        bits=measured.bits,
        perplexity=perplexity(measured.bits * LOG_2 / tokens),
        bits_per_character=_per_character(measured),
    )


def _per_character(measured: Measured) -> float | None:
    return measured.bits / measured.characters if measured.characters > 0 else None


def _chunks(source: str) -> Generator[Progress | None, None, list[str]]:
    """The text of a source. Raises UserError where it can't be read, or is too long."""

    def read(job: Job) -> list[str]:
        chunks: list[str] = []
        splits = resolve(source, job.go_on).splits.values()
        for chunk in read_chunks([part for parts in splits for part in parts]):
            job.go_on()
            chunks.append(chunk.decode())
            if sum(map(len, chunks)) > MAX_SOURCE:
                raise UserError(
                    f"The text is longer than {MAX_SOURCE:,} characters: give less of it."
                )
        return chunks

    return (yield from in_background(read))


def _encoded(chunks: list[str], tokenizer: Tokenizer) -> Generator[None, None, _Text]:
    """The text as `tokenizer` reads it, chunk by chunk."""
    pieces: list[str] = []
    ids: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    for chunk in chunks:
        ids.append(tokenizer.encode(chunk))
        pieces += stretches(chunk, tokenizer)
        yield
    return _Text("".join(chunks), pieces, np.concatenate(ids))


# --- copies -------------------------------------------------------------------------------------


@answers(FindCopies)
def find_copies(query: FindCopies, run: Run) -> Iterator[Progress | Copies | None]:
    """Raises UserError, on the way, where the training text is missed."""
    tokenizer = run.require_tokenizer()
    check_length(query.text, MAX_TEXT)
    if query.least < 2:
        raise UserError("A stretch has at least two tokens.")
    corpus = _own(run, "Copies are looked for in")
    training = corpus.splits["train"]
    index: SuffixArray = yield from in_background(lambda job: open_suffixes(corpus, job.tell))
    ids, texts = tokenizer.encode(query.text), stretches(query.text, tokenizer)
    wanted = np.where(ids == tokenizer.vocabulary.unknown, -1, ids)
    yield None
    longest = yield from index.longest_of_all(wanted)
    found = sorted(maximal(longest, query.least), key=lambda each: -each[1])
    copies: list[Copy] = []
    looked_at = 0
    for begin, length in found[:MOST_COPIES]:
        first, last = index.span(wanted[begin : begin + length])
        place = int(index.order[first])
        copies.append(
            Copy(
                begin=begin,
                length=length,
                text="".join(texts[begin : begin + length]).strip(),
                places=last - first,
                place=place,
                share=place / len(training),
            )
        )
        looked_at += SEARCH + length
        if looked_at >= AT_ONCE:
            looked_at = 0
            yield None
    yield Copies(
        tokens=len(wanted),
        texts=texts,
        longest=longest,
        copies=copies,
        copied=copied_share(found, len(wanted)),
        least=query.least,
        training_tokens=len(training),
        distinct=[distinct(ids.tolist(), size) for size in (1, 2, 3)],
        repetition=repetition(ids.tolist(), 4),
    )


def _own(run: Run, what: str) -> Corpus:
    """The run's own text. Raises UserError where it is missed, for `what` is wanted of it."""
    if run.corpus is None:
        raise UserError(f"{what} the run's own text, which can't be used now: put the text back.")
    return run.corpus
