"""What a trainer shows of its model on the way: the loss on a held-out split, and a short text."""

import itertools
import math
import time
from collections.abc import Iterator

import torch

from engine.errors import UserError
from engine.evaluation.held_out import total_loss
from engine.events import Evaluated, Progress
from engine.generation.sampling import generate, start_token
from engine.generation.text import ends_sentence
from engine.measures import finite, perplexity
from engine.model.lstm import LSTMLanguageModel
from engine.text.corpus import Corpus
from engine.text.tokenizer import Tokenizer

SAMPLE_TOKENS = {"character": 200, "subword": 60}
"""Of a sample, by the tokenizer's name."""
SAMPLE_WORDS = 40


def measurable(corpus: Corpus, split: str) -> bool:
    """Whether the corpus has such a split, with a token to predict in it."""
    tokens = corpus.splits.get(split)
    return tokens is not None and len(tokens) > 1


def measure(
    model: LSTMLanguageModel, corpus: Corpus, split: str, *, step: int, to_beat: float
) -> Iterator[Progress | Evaluated]:
    """Measure a split's loss at a step, telling of progress; it draws no random numbers.

    A validation below `to_beat`, in nats per token, is the best. Raises UserError where the corpus
    has no such split.
    """
    if not measurable(corpus, split):
        raise UserError(f"The corpus has no {split} split to evaluate on.")
    tokens = corpus.splits[split]
    began = time.perf_counter()
    loss = total = math.nan
    for total, count in total_loss(model, tokens):
        loss = total / count
        yield Progress(task="evaluating", done=count, total=len(tokens) - 1, unit="tokens")
    bits = corpus.text(split).bits_per_character(total, corpus.tokenizer)
    yield Evaluated(
        step=step,
        split=split,
        loss=finite(loss),
        perplexity=finite(perplexity(loss)),
        bits_per_character=None if bits is None else finite(bits),
        tokens=len(tokens) - 1,
        seconds=time.perf_counter() - began,
        best=split == "valid" and loss < to_beat,
        steers=False,
    )


def write(
    model: LSTMLanguageModel, tokenizer: Tokenizer, random: torch.Generator, prompt: str = ""
) -> str:
    """A prompt and what the model writes after it, so many tokens as its tokenizer's kind has, and
    up to as many again for the end of the sentence; no text where it has exploded."""
    given = tokenizer.encode(prompt).tolist()
    read, banned = [start_token(tokenizer), *given], tokenizer.vocabulary.unknown
    ids = generate(model, read, random=random, banned=banned)
    count = SAMPLE_TOKENS.get(tokenizer.name, SAMPLE_WORDS)
    decode = tokenizer.streaming_decoder()
    written: list[int] = []
    try:
        for token in itertools.islice(ids, 2 * count):
            written.append(token)
            if ends_sentence(decode(token)) and len(written) >= count:
                break
    except UserError:
        return ""
    text = tokenizer.decode([*given, *written])
    return text if tokenizer.spells else text.strip()
