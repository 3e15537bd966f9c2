"""Answers to questions about a model, from its weights as they stand between two steps.

What takes long is a generator that does a little each time it is advanced, so that training goes on
in between. Each item is an answer, or None where there is none yet; the weights may change between
two.
"""

import copy
import math
import secrets
from collections.abc import Callable, Container, Generator, Iterator
from concurrent.futures import Future, wait
from threading import BoundedSemaphore, Event, Thread
from typing import TypeVar

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from engine import messages as p
from engine.config import CorpusConfig, RunConfig
from engine.embeddings.neighbours import nearest
from engine.errors import UserError
from engine.evaluation.dynamic_evaluation import (
    DECAY,
    LEARNING_RATE,
    SEGMENT,
    FollowingWeights,
    gradient_scale,
)
from engine.evaluation.fitting import TOKENS as FIT_TOKENS
from engine.evaluation.fitting import fit
from engine.evaluation.held_out import streams, total_loss, window_loss
from engine.evaluation.neural_cache import SHARE, THETA, WINDOW, NeuralCache
from engine.evaluation.online_loss import online_loss
from engine.events import Progress
from engine.generation.decoder import stretches
from engine.generation.sampling import generate_in_turns, start_token
from engine.measures import bits_per_character, perplexity
from engine.model.lstm import LSTMLanguageModel
from engine.text.corpus import Corpus, EncodedText, encode_source, open_corpus
from engine.text.lookup import find_token, unit
from engine.text.reading import resolve, same_source
from engine.text.tokenizer import Tokenizer
from engine.text.vocabulary import END_OF_SENTENCE
from engine.visible import shortened
from engine.visible import token as shown

EMBEDDING_SHOWN = 8
"""Numbers of a word's vector that a Representation holds."""
MAX_TEXT = 100_000
"""Characters of a prompt, or of a text to score."""
MAX_SENTENCE = 2_000
"""Characters of a sentence or a word."""
MAX_NEIGHBOURS = 1_000
UNKNOWN_NAMED = 8
"""Unknown words of a prompt, at most."""
PIECES = 4096
"""Of a prompt, that are passed over at once."""
MOST_OPENING = 4
"""Texts that are looked for or opened at once."""
_background = BoundedSemaphore(MOST_OPENING)

T = TypeVar("T")


def represent(
    query: p.Represent, config: RunConfig, tokenizer: Tokenizer, model: LSTMLanguageModel | None
) -> p.Representation:
    """One-hot rows and embedding rows of a sentence. Needs no model: its vectors are then empty."""
    _check_length(query.text, MAX_SENTENCE)
    texts = tokenizer.tokens(query.text)
    vocabulary, size = len(tokenizer.vocabulary), config.model.embedding_size
    return p.Representation(
        tokens=[_view(text, tokenizer, model) for text in texts],
        vocabulary=vocabulary,
        embedding_size=size,
        one_hot_bytes=len(texts) * vocabulary * 4,
        embedding_bytes=len(texts) * size * 4,
    )


def _view(text: str, tokenizer: Tokenizer, model: LSTMLanguageModel | None) -> p.TokenView:
    found = tokenizer.vocabulary.id(text)
    token = tokenizer.vocabulary.unknown if found is None else found
    vector: list[float] = []
    if model is not None:
        vector = model.embedding.weight[token, :EMBEDDING_SHOWN].tolist()
    return p.TokenView(text=text, id=token, known=found is not None, embedding=vector)


def neighbours(
    query: p.Neighbours, tokenizer: Tokenizer, model: LSTMLanguageModel, step: int
) -> p.NeighbourList:
    """From the model as it stands after `step` steps.

    Raises UnknownWord, or UserError where the query is not one token or asks for too many.
    Tokens that never occur in the training split, or are parts of a character, are no answer.
    """
    _check_length(query.word, MAX_SENTENCE)
    if query.top > MAX_NEIGHBOURS:
        raise UserError(f"Ask for at most {MAX_NEIGHBOURS:,} neighbours.")
    vocabulary = tokenizer.vocabulary
    token, note = find_token(query.word, tokenizer)
    found = nearest(model.embedding.weight, token, max(1, query.top), vocabulary.readable)
    if not all(math.isfinite(cosine) for _, cosine in found):
        raise UserError(
            f"The {unit(tokenizer)}s' vectors are no longer finite numbers: none is near another."
        )
    return p.NeighbourList(
        word=vocabulary.tokens[token],
        note=note,
        step=step,
        count=vocabulary.counts[token],
        neighbours=[p.Neighbour(vocabulary.tokens[other], cosine) for other, cosine in found],
    )


def drawn_seed() -> int:
    """A seed by chance, short enough to be typed."""
    return secrets.randbelow(1_000_000_000)


def unknown_words(prompt: str, tokenizer: Tokenizer) -> str:
    """A sentence that names the tokens of a prompt the vocabulary doesn't hold; empty where it
    holds all."""
    tokens = [token for token in tokenizer.tokens(prompt) if token != END_OF_SENTENCE]
    unknown = [token for token in tokens if tokenizer.vocabulary.id(token) is None]
    if not unknown:
        return ""
    named = list(dict.fromkeys(shortened(shown(each)) for each in unknown))
    names = ", ".join(named[:UNKNOWN_NAMED]) + (", …" if len(named) > UNKNOWN_NAMED else "")
    marks = not all(any(map(str.isalnum, token)) for token in tokens)
    units = "tokens" if marks and unit(tokenizer) == "word" else f"{unit(tokenizer)}s"
    return f"{len(unknown):,} of {len(tokens):,} {units} unknown: {names}"


def text_stream(
    query: p.Generate, tokenizer: Tokenizer, model: LSTMLanguageModel
) -> Iterator[str | None]:
    """Pieces of generated text, which go on from the prompt as it is written: a blank at its end is
    not written again. Raises UserError for settings out of range."""
    _check_length(query.prompt, MAX_TEXT)
    if not (0 <= query.temperature <= 100 and 0 < query.top_p <= 1 and query.top_k >= 0):
        raise UserError("Temperature goes from 0 to 100, top-p from above 0 to 1, top-k from 0.")
    if query.tokens < 1:
        raise UserError("Ask for at least one token.")
    prompt = tokenizer.encode(query.prompt).tolist()
    decode = tokenizer.streaming_decoder()
    for number, token in enumerate(prompt, start=1):
        decode(token)
        if number % PIECES == 0:
            yield None
    random = torch.Generator()
    random.manual_seed(drawn_seed() if query.seed is None else query.seed)
    ids = generate_in_turns(
        model,
        [start_token(tokenizer), *prompt],
        temperature=query.temperature,
        top_k=query.top_k,
        top_p=query.top_p,
        random=random,
        banned=tokenizer.vocabulary.unknown,
    )
    blank = query.prompt[-1:].isspace() and not tokenizer.spells
    left = query.tokens
    while left:
        token = next(ids)
        if token is None:
            yield None
            continue
        piece = decode(token)
        yield piece.removeprefix(" ") if blank else piece
        blank = False
        left -= 1


def score(
    query: p.Score, tokenizer: Tokenizer, model: LSTMLanguageModel
) -> Iterator[p.TextScore | None]:
    """The score comes last; each line is read from an empty state. Raises UserError where there is
    nothing to score."""
    _check_length(query.text, MAX_TEXT)
    total, count, unknown = 0.0, 0, 0
    for line in query.text.split("\n"):
        if not line.strip():
            continue
        ids = [start_token(tokenizer), *tokenizer.encode(line + "\n").tolist()]
        column, state = torch.tensor(ids)[:, None], model.initial_state(1)
        for begin, end in stretches(len(ids) - 1, model):
            targets = column[begin + 1 : end + 1]
            loss, state = window_loss(model, column[begin:end], targets, state)
            total, count = total + loss, count + len(targets)
            yield None
        unknown += ids.count(tokenizer.vocabulary.unknown)
    if count == 0:
        raise UserError("There is no text to score.")
    loss = total / count
    yield p.TextScore(loss=loss, perplexity=perplexity(loss), tokens=count, unknown=unknown)


def evaluate_corpus(
    query: p.EvaluateCorpus,
    tokenizer: Tokenizer,
    model: LSTMLanguageModel,
    corpus: Corpus | None,
    config: CorpusConfig,
    step: int,
) -> Iterator[Progress | p.CorpusScore | None]:
    """Progress, then the score of a whole text under the weights as they are when it begins, after
    `step` steps. `corpus` is the one the model trains on, None where it isn't open; `config` says
    which that is.

    Raises UserError, on the way, where the text can't be read or the training text is missed.
    """
    _check_settings(query)
    model = copy.deepcopy(model)  # which dynamic evaluation changes
    if corpus is None and same_source(query.source, config.source):
        corpus = yield from _opened(config, tokenizer)
    split, text = yield from _split_and_text(query, tokenizer, corpus)
    own_split = split if corpus and same_source(query.source, corpus.summary.source) else ""
    settings, scale, fitted_on = query.settings, None, 0
    tried: list[p.SettingsTried] = []
    if query.dynamic:
        training = _needed(corpus, "Dynamic evaluation scales its steps by the gradients on").splits
        scale = yield from gradient_scale(model, training["train"])
    if query.fit:
        held_out = _to_fit_on(corpus, own_split)
        settings, tried = yield from fit(model, held_out, settings, scale=scale, cache=query.cache)
        fitted_on = min(len(held_out), FIT_TOKENS)
    following, cache = None, None
    if scale is not None:
        rate, decay = _or(settings.rate, LEARNING_RATE), _or(settings.decay, DECAY)
        settings = msgspec.structs.replace(settings, rate=rate, decay=decay)
        following = FollowingWeights(model, scale, rate, decay)
    if query.cache:
        theta, share = _or(settings.theta, THETA), _or(settings.share, SHARE)
        window = settings.window or WINDOW
        settings = msgspec.structs.replace(settings, theta=theta, share=share, window=window)
        cache = NeuralCache(window, theta, share)
    if following or cache:
        losses = online_loss(model, text.ids, following=following, cache=cache)
    else:
        losses = total_loss(model, text.ids)
    total, count = 0.0, 0
    for total, count in losses:  # noqa: B007
        yield Progress(task="evaluating", done=count, total=len(text.ids) - 1, unit="tokens")
    words = None
    if tokenizer.name == "subword":
        words = yield from _words(tokenizer, text.ids[1:])
    characters = text.characters - len(tokenizer.decode(text.ids[:1].tolist()))
    convention = [*_convention(query, tokenizer, len(text.ids), settings)]
    if tried:
        convention.append(
            f"the best of {len(tried)} settings on the first {fitted_on:,} tokens of the "
            "validation split"
        )
    yield p.CorpusScore(
        source=query.source,
        split=split or "all",
        tokenizer=tokenizer.name,
        step=step,
        dynamic=query.dynamic,
        cache=query.cache,
        loss=total / count,
        perplexity=perplexity(total / count),
        perplexity_per_word=perplexity(total / words) if words else None,
        words=words,
        bits_per_character=bits_per_character(total, characters) if characters > 0 else None,
        characters=max(0, characters),
        tokens=count,
        unknown=text.unknown,
        convention="; ".join(convention),
        settings=settings,
        tried=tried,
    )


def _check_settings(query: p.EvaluateCorpus) -> None:
    """Raises UserError for those out of range, and those of what isn't asked for."""
    settings = query.settings
    for name, value, asked, least, most in (
        ("theta", settings.theta, query.cache, 0, 1000),
        ("lambda", settings.share, query.cache, 1e-6, 0.999999),
        ("window", settings.window, query.cache, 1, 100_000),
        ("rate", settings.rate, query.dynamic, 0, 1),
        ("decay", settings.decay, query.dynamic, 0, 1),
    ):
        if value is None:
            continue
        if not asked:
            kind = "dynamic evaluation" if name in ("rate", "decay") else "a neural cache"
            raise UserError(f"{name} is a setting of {kind}, which isn't asked for.")
        if not least <= value <= most:
            raise UserError(f"{name} can't be {value:g}: it goes from {least:g} to {most:,g}.")
    if query.fit and not (query.dynamic or query.cache):
        raise UserError("Only a neural cache and dynamic evaluation have settings that can fit.")


def _needed(corpus: Corpus | None, what: str) -> Corpus:
    if corpus is None:
        raise UserError(
            f"{what} the run's training text, which can't be used now: put the text back, or "
            "measure without it."
        )
    return corpus


def _to_fit_on(corpus: Corpus | None, measured: str) -> NDArray[np.integer]:
    """The validation text. Raises UserError where there is none, or it is what is measured."""
    splits = _needed(corpus, "Settings are chosen on text split off").splits
    if "valid" not in splits:
        raise UserError("Settings are chosen on the validation split, and the run has none.")
    if measured == "valid":
        raise UserError(
            "Settings are chosen on the validation split, so it can't be measured with them: "
            "choose another split."
        )
    return splits["valid"]


def _or(value: float | None, usual: float) -> float:
    return usual if value is None else value


def _words(tokenizer: Tokenizer, ids: NDArray[np.integer]) -> Generator[Progress, None, int]:
    """Count words between white space, and tell of progress."""
    decode, words, inside = tokenizer.streaming_decoder(), 0, False
    for begin in range(0, len(ids), PIECES):
        text = "".join(map(decode, ids[begin : begin + PIECES].tolist()))
        if text:
            words += len(text.split()) - (inside and not text[0].isspace())
            inside = not text[-1].isspace()
        done = min(begin + PIECES, len(ids))
        yield Progress(task="counting", done=done, total=len(ids), unit="tokens")
    return words


def _opened(config: CorpusConfig, tokenizer: Tokenizer) -> Generator[Progress | None, None, Corpus]:
    """The text the model was trained on, told of while it is opened. Raises UserError, also where
    it is no longer what it was."""
    told: list[Progress] = []
    corpus = yield from _in_background(lambda: open_corpus(config, progress=told.append), told)
    if corpus.tokenizer.vocabulary.tokens != tokenizer.vocabulary.tokens:
        raise UserError(f"The vocabulary of {config.source} has changed since the model was saved.")
    return corpus


def _in_background(
    work: Callable[[], T], told: list[Progress]
) -> Generator[Progress | None, None, T]:
    """What `work` returns or raises, done in a thread of its own, for it may take as long as a disk
    does. What it has `told` is told on. Where the answer isn't wanted any more nobody waits for it.

    Raises UserError where too much is done so already.
    """
    if not _background.acquire(blocking=False):
        raise UserError(f"{MOST_OPENING} texts are being opened already: ask later.")
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)
        finally:
            _background.release()

    Thread(target=run, name="opening", daemon=True).start()
    while not outcome.done():
        wait([outcome], 0.02)
        yield told.pop() if told else None
        told.clear()
    return outcome.result()


def _split_and_text(
    query: p.EvaluateCorpus, tokenizer: Tokenizer, corpus: Corpus | None
) -> Generator[Progress | None, None, tuple[str, EncodedText]]:
    """Tell of progress, then return what is asked for, with the name of its split, empty where it
    has none."""
    if corpus is not None and same_source(query.source, corpus.summary.source):
        split = query.split or _held_out(corpus.splits)
        return split, corpus.text(split)
    unwanted = Event()

    def go_on() -> None:
        if unwanted.is_set():
            raise UserError("Nobody waits for this text any more.")

    try:
        source = yield from _in_background(lambda: resolve(query.source, go_on), [])
    finally:
        unwanted.set()
    split = query.split or (_held_out(source.splits) if source.given_splits else "")
    return split, (yield from encode_source(source, tokenizer, split=split))


def _held_out(splits: Container[str]) -> str:
    return next(split for split in ("test", "valid", "train") if split in splits)


def _convention(
    query: p.EvaluateCorpus,
    tokenizer: Tokenizer,
    tokens: int,
    settings: p.OnlineSettings,
) -> Iterator[str]:
    """What a token is, and how so many of them were read."""
    match tokenizer.name:
        case "character":
            counted = "line ends and <unk> count as characters"
        case "subword":
            counted = (
                "pieces of words and line ends; per word: all of that probability, line ends too, "
                "by words between white space"
            )
        case _:
            counted = (
                "<unk> and <eos> count as tokens, <eos> at each line end; per character: of the "
                "text as it was read, though case, white space and what is <unk> cost nothing"
            )
    side_by_side = 1 if query.dynamic or query.cache else streams(tokens)
    read = "one stream" if side_by_side == 1 else f"{side_by_side} streams side by side"
    yield f"per {tokenizer.name} token: {counted}"
    yield f"read as {read}, state carried"
    if query.dynamic:
        yield (
            f"dynamic evaluation (Krause et al. 2018): a copy learns after every {SEGMENT} tokens, "
            f"rate {settings.rate:.3g}, decay {settings.decay:.3g}"
        )
    if query.cache:
        yield (
            f"neural cache (Grave et al. 2017): the last {settings.window:,} tokens, "
            f"theta {settings.theta:g}, lambda {settings.share:g}"
        )


def _check_length(text: str, most: int) -> None:
    if len(text) > most:
        raise UserError(f"The text is longer than {most:,} characters: give less.")
