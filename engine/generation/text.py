"""A prompt written on, as text."""

import copy
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine.config import Sampling
from engine.generation.beam import beam_search
from engine.generation.drawing import draw_numbers
from engine.generation.many import generate_many
from engine.generation.sampling import (
    Opened,
    banned_token,
    generate_in_turns,
    lay_open,
    start_token,
)
from engine.model.lstm import LSTMLanguageModel
from engine.text.readable import readable_decoder
from engine.text.tokenizer import Tokenizer

STRETCH = 4096
"""Tokens of a prompt that are passed over at once."""
_CLOSING = "\"'”’»)] "
"""What may stand behind the mark that ends a sentence."""
_ENDS = frozenset(".!?…。！？।")


CLOSED = Opened(0.0, 0, 0.0, [])
"""What is told of a token that isn't laid open."""


class Written(NamedTuple):
    """A token of a text."""

    text: str
    """As it reads behind those before it."""
    token: int
    opened: Opened


def write(
    prompt: str,
    tokenizer: Tokenizer,
    model: LSTMLanguageModel,
    tokens: int,
    sampling: Sampling,
    *,
    seed: int,
    overrun: int = 0,
    given: Sequence[int] = (),
    alternatives: int = 0,
    readable: bool = False,
) -> Iterator[Written | None]:
    """So many tokens, fewer where a stop text comes; None between stretches of a long prompt.
    Where the last one doesn't end a sentence, up to `overrun` more follow until one does, but not
    by beam search.

    They go on from the prompt as it is written: a blank at its end is not written again. Of tokens
    `given` behind it, which somebody chose, the last is told first, and counts. With the same seed
    a text goes on as it did, if those given are its own. By beam search all is found before the
    first is told, and the weights must not change until then. `readable` writes words as people
    do (`engine.text.readable`).
    Raises UserError where the model has exploded.
    """
    ids = tokenizer.encode(prompt).tolist()
    page = _Page(prompt, tokenizer, sampling.stop, readable)
    yield from page.pass_over([*ids, *given[:-1]])
    random = torch.Generator()
    random.manual_seed(seed)
    draw_numbers(random, len(given[:-1]))
    banned = banned_token(tokenizer, sampling)
    read, chosen = [start_token(tokenizer), *ids, *given[:-1]], list(given[-1:])
    if sampling.beams > 1 and tokens > len(chosen):
        best = yield from beam_search(
            model,
            [*read, *chosen],
            tokens - len(chosen),
            sampling,
            banned=banned,
            ends=lambda text: _ends(text, tokenizer, sampling.stop, readable),
        )
        chosen += best.tokens
        tokens, overrun = len(chosen), 0
    found = generate_in_turns(model, read, sampling, random=random, banned=banned, given=chosen)
    while not page.ended and (tokens > 0 or (tokens > -overrun and not ends_sentence(page.last))):
        each = next(found)
        if each is None:
            yield None
            continue
        yield from page.add(each.token, lay_open(each.logits, each.token, alternatives))
        tokens -= 1
    yield from page.rest()


def write_many(
    prompt: str,
    tokenizer: Tokenizer,
    model: LSTMLanguageModel,
    tokens: int,
    sampling: Sampling,
    *,
    seeds: Sequence[int],
    alternatives: int | None = None,
    readable: bool = False,
) -> Generator[int | None, None, list[list[Written]]]:
    """Yield how many tokens are done (None: a stretch of the prompt), and return the tokens of a
    text for each seed, those that it writes alone; they are laid open if so many alternatives are
    asked for. The weights must not change meanwhile.

    Raises UserError where the model has exploded.
    """
    ids = tokenizer.encode(prompt).tolist()
    read, banned = [start_token(tokenizer), *ids], banned_token(tokenizer, sampling)
    prompted = _Page(prompt, tokenizer, sampling.stop, readable)
    yield from prompted.pass_over(ids)
    pages: list[_Page] = []
    texts: list[list[Written]] = []

    def take(number: int, token: int, logits: Tensor) -> bool:
        if number == len(pages):  # they begin in their order
            pages.append(copy.deepcopy(prompted))
            texts.append([])
        opened = CLOSED
        if alternatives is not None:
            opened = lay_open(logits.numpy(), token, alternatives)
        texts[number] += pages[number].add(token, opened)
        return pages[number].ended

    yield from generate_many(model, read, tokens, sampling, seeds, banned=banned, take=take)
    for page, text in zip(pages, texts, strict=True):
        text += page.rest()
    return texts


def ends_sentence(piece: str) -> bool:
    """Whether a piece of text is the end of a sentence: a line end, or a mark that ends one."""
    return piece.endswith("\n") or piece.rstrip(_CLOSING)[-1:] in _ENDS


def _decoder(tokenizer: Tokenizer, readable: bool) -> Callable[[int], str]:
    return readable_decoder(tokenizer) if readable else tokenizer.streaming_decoder()


def _ends(
    tokens: Sequence[int], tokenizer: Tokenizer, stops: Sequence[str], readable: bool
) -> bool:
    """Whether a stop text ends with the last of these tokens."""
    if not stops:
        return False
    most = 2 + 4 * max(map(len, stops))  # a character has at most four tokens
    text = "".join(map(_decoder(tokenizer, readable), tokens[-most:]))
    return any(stop in text for stop in stops)


class _Page:
    """Tokens as they read one behind the other, up to a stop text. A token is held as long as a
    stop text may begin in it."""

    def __init__(
        self, prompt: str, tokenizer: Tokenizer, stops: Sequence[str], readable: bool
    ) -> None:
        self.ended = False
        self.last = ""
        """What the last token that was added reads as."""
        self._decode = _decoder(tokenizer, readable)
        self._stops = stops
        self._held: list[Written] = []
        self._blank = prompt[-1:].isspace() and not tokenizer.spells

    def pass_over(self, tokens: Sequence[int]) -> Iterator[None]:
        """Tokens that are there already, with a pause now and then."""
        for number, token in enumerate(tokens, start=1):
            self._decode(token)
            if number % STRETCH == 0:
                yield None

    def add(self, token: int, opened: Opened) -> Iterator[Written]:
        """Take in a token; those that no stop text can begin in any more."""
        if self.ended:
            return
        self.last = piece = self._decode(token)
        self._held.append(Written(piece.removeprefix(" ") if self._blank else piece, token, opened))
        self._blank = False
        text = "".join(each.text for each in self._held)
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self.ended = True
            self._cut(min(found))
            return
        yield from self._release(len(text) - self._may_begin(text))

    def rest(self) -> Iterator[Written]:
        """What is held at the end."""
        yield from self._held
        self._held = []

    def _may_begin(self, text: str) -> int:
        """Characters at the end of a text that a stop text may begin with."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for size in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self._stops):
                return size
        return 0

    def _release(self, settled: int) -> Iterator[Written]:
        while self._held and len(self._held[0].text) <= settled:
            settled -= len(self._held[0].text)
            yield self._held.pop(0)

    def _cut(self, end: int) -> None:
        kept: list[Written] = []
        for each in self._held:
            if end <= 0:
                break
            kept.append(each._replace(text=each.text[:end]))
            end -= len(each.text)
        self._held = kept
