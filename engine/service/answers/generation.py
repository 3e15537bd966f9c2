"""Text of the model's own."""

import copy
import secrets
from collections.abc import Generator, Iterator

import numpy as np

from engine.config import Sampling
from engine.errors import UserError
from engine.events import Progress, RolledBack, Sampled
from engine.generation.sampling import Opened
from engine.generation.text import Written, write, write_many
from engine.messages.generation import (
    Alternative,
    Generate,
    GenerateMany,
    Sample,
    Samples,
    ThroughTime,
    TokenOpened,
    WrittenText,
    WrittenToken,
)
from engine.model.lstm import LSTMLanguageModel
from engine.runs import saved_checkpoints
from engine.runs.record import Lines
from engine.service.answers import answers, check_length
from engine.service.background import in_background
from engine.service.run import Run
from engine.text.lookup import unknown_words
from engine.text.tokenizer import Tokenizer
from engine.training.checkpoint import Checkpoint
from engine.training.seeds import seeds_of

MAX_PROMPT = 100_000
"""Characters, and tokens that are given."""
MAX_ALTERNATIVES = 50
MAX_TEXTS, MAX_TOKENS = 1_000, 1_000_000
"""Of GenerateMany; the tokens of all its texts together."""
MAX_TOLD = 1_000_000
"""Alternatives of all tokens of GenerateMany."""
MAX_SEARCHED = 1_000
"""Tokens of a text that beam search looks for."""
MAX_SAMPLES, MAX_SAMPLE = 1_000, 2_000
"""Of ThroughTime; and characters of each."""
LINES_AT_ONCE = 200
"""Of a record, read between two pauses."""
SEEDS = 1_000_000_000
"""That chance draws from: short enough to be typed."""


@answers(Generate)
def generate(query: Generate, run: Run) -> Iterator[WrittenToken | None]:
    """Pieces of text, each from the weights of its moment, or of the beginning for beam search, or
    of a checkpoint. Raises UserError, on the way, where that can't be read."""
    tokenizer, model = run.require_model()
    check_length(query.prompt, MAX_PROMPT)
    _check_given(query, tokenizer)
    if query.tokens < 1:
        raise UserError("Ask for at least one token.")
    if query.beams > 1 and query.tokens > MAX_SEARCHED:
        raise UserError(f"Beam search looks for at most {MAX_SEARCHED:,} tokens.")
    live, step, seed = query.beams == 1 and not query.checkpoint, run.step, _seed(query)
    if query.checkpoint:
        model, step = yield from _as_saved(run, model, query.checkpoint)
    elif query.beams > 1:
        model = copy.deepcopy(model)
    pieces = write(
        query.prompt,
        tokenizer,
        model,
        query.tokens,
        query,
        overrun=query.overrun,
        seed=seed,
        given=query.given,
        alternatives=query.alternatives,
        readable=query.readable,
    )
    note, begun = unknown_words(query.prompt, tokenizer), False
    for piece in pieces:
        if piece is None:
            yield None
            continue
        yield WrittenToken(
            text=piece.text,
            step=run.step if live else step,
            seed=seed,
            note="" if begun else note,
            opened=_opened(piece.token, piece.opened, tokenizer),
        )
        begun = True
    if not begun:  # a stop text came at once: the seed and the note are told all the same
        yield WrittenToken(text="", step=step, seed=seed, note=note)


@answers(GenerateMany)
def generate_many(
    query: GenerateMany, run: Run
) -> Iterator[Progress | WrittenToken | WrittenText | None]:
    """Progress, then each of the texts."""
    tokenizer, model = run.require_model()
    check_length(query.prompt, MAX_PROMPT)
    total = query.count * query.tokens
    if not (1 <= query.count <= MAX_TEXTS and query.tokens >= 1 and total <= MAX_TOKENS):
        raise UserError(
            f"Ask for 1 to {MAX_TEXTS:,} texts of together at most {MAX_TOKENS:,} tokens."
        )
    if query.beams > 1:
        raise UserError("Beam search finds one text: ask for one, or for a single beam.")
    _check_alternatives(query.alternatives or 0)
    if total * (query.alternatives or 0) > MAX_TOLD:
        raise UserError(f"Ask for at most {MAX_TOLD:,} alternatives in all.")
    model, step, seed = copy.deepcopy(model), run.step, _seed(query)
    seeds = [(seed + number) % (1 << 63) for number in range(query.count)]
    work = write_many(
        query.prompt,
        tokenizer,
        model,
        query.tokens,
        query,
        seeds=seeds,
        alternatives=query.alternatives,
        readable=query.readable,
    )
    while True:
        try:
            done = next(work)
        except StopIteration as end:
            texts: list[list[Written]] = end.value
            break
        yield Progress(task="writing", done=done, total=total, unit="tokens") if done else None
    note = unknown_words(query.prompt, tokenizer)
    for tokens, each in zip(texts, seeds, strict=True):
        for token in tokens if query.alternatives is not None else ():
            opened = _opened(token.token, token.opened, tokenizer)
            yield WrittenToken(text=token.text, step=step, seed=each, opened=opened)
        text = "".join(token.text for token in tokens)
        yield WrittenText(text=text, step=step, seed=each, note=note)
        note = ""


@answers(ThroughTime)
def through_time(query: ThroughTime, run: Run) -> Generator[None, None, Samples]:
    """As the run's record has them, of those that it did not go back from."""
    if not 1 <= query.most <= MAX_SAMPLES:
        raise UserError(f"Ask for 1 to {MAX_SAMPLES:,} samples.")
    extent = run.record.extent
    found: list[Sampled] = []
    for number, line in enumerate(Lines(run.folder, extent.size if extent else None)):
        if isinstance(line.event, Sampled):
            found.append(line.event)
        elif isinstance(line.event, RolledBack):
            back = line.event.step
            found = [each for each in found if each.step <= back]
        if number % LINES_AT_ONCE == 0:
            yield
    kept = np.unique(np.linspace(0, len(found) - 1, query.most).round().astype(int))
    chosen = [found[index] for index in kept.tolist()] if found else []
    return Samples(
        prompt=run.config.training.sample_prompt,
        seed=seeds_of(run.config.training.seed).samples,
        total=len(found),
        samples=[Sample(each.step, each.text[:MAX_SAMPLE]) for each in chosen],
    )


def _as_saved(
    run: Run, model: LSTMLanguageModel, name: str
) -> Generator[None, None, tuple[LSTMLanguageModel, int]]:
    """A copy of the model with the weights of a checkpoint, and the step it is from."""
    try:
        paths = {path.name: path for path in saved_checkpoints(run.folder)}
    except OSError as error:
        raise UserError(f"Can't list the checkpoints: {error.strerror}.") from None
    if name not in paths:
        raise UserError(f"The run has no checkpoint {name!r} any more.")
    checkpoint = yield from in_background(lambda _: Checkpoint(paths[name]))  # type: ignore[misc]
    model = copy.deepcopy(model)
    checkpoint.load_weights(model)
    return model, checkpoint.training.step


def _check_given(query: Generate, tokenizer: Tokenizer) -> None:
    vocabulary = len(tokenizer.vocabulary)
    if len(query.given) > MAX_PROMPT:
        raise UserError(f"At most {MAX_PROMPT:,} tokens can be given.")
    if not all(0 <= token < vocabulary for token in query.given):
        raise UserError(f"Tokens that are given go from 0 to {vocabulary - 1:,}.")
    _check_alternatives(query.alternatives)


def _check_alternatives(count: int) -> None:
    if not 0 <= count <= MAX_ALTERNATIVES:
        raise UserError(f"Each token has at most {MAX_ALTERNATIVES} alternatives.")


def _seed(query: Sampling) -> int:
    return secrets.randbelow(SEEDS) if query.seed is None else query.seed


def _opened(token: int, opened: Opened, tokenizer: Tokenizer) -> TokenOpened:
    tokens = tokenizer.vocabulary.tokens
    return TokenOpened(
        token=token,
        raw=tokens[token],
        probability=opened.probability,
        rank=opened.rank,
        entropy=opened.entropy,
        alternatives=[
            Alternative(other, tokens[other], probability)
            for other, probability in opened.alternatives
        ],
    )
