"""How well the model predicts a text."""

import copy
import math
from collections.abc import Container, Generator, Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.config import CorpusConfig
from engine.errors import UserError
from engine.evaluation.dynamic_evaluation import (
    DECAY,
    LEARNING_RATE,
    SEGMENT,
    DynamicEvaluator,
    gradient_scale,
)
from engine.evaluation.fitting import TOKENS as FIT_TOKENS
from engine.evaluation.fitting import fit
from engine.evaluation.held_out import reading_streams, streams, total_loss
from engine.evaluation.neural_cache import SHARE, THETA, WINDOW, NeuralCache
from engine.evaluation.online_loss import online_loss
from engine.events import Progress
from engine.measures import bits_per_character, perplexity
from engine.messages.evaluation import (
    CorpusScore,
    EvaluateCorpus,
    OnlineSettings,
    SettingsTried,
)
from engine.service.answers import answers, check_finite
from engine.service.background import in_background
from engine.service.run import Run
from engine.text.corpus import Corpus, EncodedText, encode_source, open_corpus
from engine.text.reading import resolve, same_source
from engine.text.tokenizer import Tokenizer

STRETCH = 4096
"""Tokens that are decoded at once."""


@answers(EvaluateCorpus)
def evaluate_corpus(query: EvaluateCorpus, run: Run) -> Iterator[Progress | CorpusScore | None]:
    """Progress, then the score of a whole text under the weights as they are when it begins.

    Raises UserError, on the way, where the text can't be read or the training text is missed.
    """
    _check_settings(query)
    tokenizer, model = run.require_model()
    step, config = run.step, run.config.corpus
    model = copy.deepcopy(model)  # which dynamic evaluation changes
    corpus = run.trainer.corpus if run.trainer else None
    if corpus is None and same_source(query.source, config.source):
        corpus = yield from _opened(config, tokenizer)
    split, text = yield from _split_and_text(query, tokenizer, corpus)
    own_split = split if corpus and same_source(query.source, corpus.summary.source) else ""
    settings, scale, fitted_on = query.settings, None, 0
    tried: list[SettingsTried] = []
    if query.dynamic:
        training = _needed(corpus, "Dynamic evaluation scales its steps by the gradients on").splits
        scale = yield from gradient_scale(model, training["train"])
    if query.fit:
        held_out = _to_fit_on(corpus, own_split)
        settings, tried = yield from fit(model, held_out, settings, scale=scale, cache=query.cache)
        fitted_on = min(len(held_out), FIT_TOKENS)
    evaluator, cache = None, None
    if scale is not None:
        rate, decay = _or(settings.rate, LEARNING_RATE), _or(settings.decay, DECAY)
        settings = msgspec.structs.replace(settings, rate=rate, decay=decay)
        evaluator = DynamicEvaluator(model, scale, rate, decay)
    if query.cache:
        theta, share = _or(settings.theta, THETA), _or(settings.share, SHARE)
        window = settings.window or WINDOW
        settings = msgspec.structs.replace(settings, theta=theta, share=share, window=window)
        cache = NeuralCache(window, theta, share)
    side_by_side = streams(len(text.ids)) if own_split else reading_streams(len(text.ids))
    side_by_side = 1 if evaluator or cache else side_by_side
    if evaluator or cache:
        losses = online_loss(model, text.ids, evaluator=evaluator, cache=cache)
    else:
        losses = total_loss(model, text.ids, side_by_side)
    total, count = 0.0, 0
    for total, count in losses:
        if evaluator is not None and not math.isfinite(total):
            raise UserError(
                "The weights that learn from the text are no longer finite numbers: choose a lower "
                "rate."
            )
        check_finite(total)
        yield Progress(task="evaluating", done=count, total=len(text.ids) - 1, unit="tokens")
    words = None
    if tokenizer.name == "subword":
        words = yield from _words(tokenizer, text.ids[1:])
    characters = text.characters - len(tokenizer.decode(text.ids[:1].tolist()))
    convention = [*_convention(query, tokenizer, side_by_side, settings)]
    if tried:
        convention.append(
            f"the best of {len(tried)} settings on the first {fitted_on:,} tokens of the "
            "validation split"
        )
    yield CorpusScore(
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


def _check_settings(query: EvaluateCorpus) -> None:
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
    for begin in range(0, len(ids), STRETCH):
        text = "".join(map(decode, ids[begin : begin + STRETCH].tolist()))
        if text:
            words += len(text.split()) - (inside and not text[0].isspace())
            inside = not text[-1].isspace()
        done = min(begin + STRETCH, len(ids))
        yield Progress(task="counting", done=done, total=len(ids), unit="tokens")
    return words


def _opened(config: CorpusConfig, tokenizer: Tokenizer) -> Generator[Progress | None, None, Corpus]:
    """The text the model was trained on, told of while it is opened. Raises UserError, also where
    it is no longer what it was."""
    corpus = yield from in_background(lambda job: open_corpus(config, progress=job.tell))
    if corpus.tokenizer.vocabulary.tokens != tokenizer.vocabulary.tokens:
        raise UserError(f"The vocabulary of {config.source} has changed since the model was saved.")
    return corpus


def _split_and_text(
    query: EvaluateCorpus, tokenizer: Tokenizer, corpus: Corpus | None
) -> Generator[Progress | None, None, tuple[str, EncodedText]]:
    """Tell of progress, then return what is asked for, with the name of its split, empty where it
    has none."""
    if corpus is not None and same_source(query.source, corpus.summary.source):
        split = query.split or _held_out(corpus.splits)
        return split, corpus.text(split)
    source = yield from in_background(lambda job: resolve(query.source, job.go_on))
    split = query.split or (_held_out(source.splits) if source.given_splits else "")
    return split, (yield from encode_source(source, tokenizer, split=split))


def _held_out(splits: Container[str]) -> str:
    return next(split for split in ("test", "valid", "train") if split in splits)


def _convention(
    query: EvaluateCorpus,
    tokenizer: Tokenizer,
    side_by_side: int,
    settings: OnlineSettings,
) -> Iterator[str]:
    """What a token is, and how they were read."""
    yield from reading_convention(tokenizer, side_by_side)
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


def reading_convention(tokenizer: Tokenizer, side_by_side: int) -> Iterator[str]:
    """What a token is, and in how many streams they were read."""
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
    read = "one stream" if side_by_side == 1 else f"{side_by_side} streams side by side"
    yield f"per {tokenizer.name} token: {counted}"
    yield f"read as {read}, state carried"
