"""The stretches of a text that its tokens were read from, white space and capitals and all."""

import re

from engine.text.tokenizer import Tokenizer
from engine.text.vocabulary import END_OF_SENTENCE
from engine.text.words import WordTokenizer

_SENTENCE_END = re.compile(f"\n|{END_OF_SENTENCE}")


def stretches(text: str, tokenizer: Tokenizer) -> list[str]:
    """For each token of `text`, in order, what it was read from, behind what no token was read from
    (white space, dropped marks). Joined they are the text, up to its last token. A piece that is
    part of a character has none of it, until the last of that character's."""
    if tokenizer.name == "character":
        return list(text)
    if tokenizer.spells:
        return list(map(tokenizer.streaming_decoder(), tokenizer.encode(text).tolist()))
    lower = isinstance(tokenizer, WordTokenizer) and tokenizer.lowercase
    searched = text.lower() if lower else text
    origins: list[int] | None = None  # of each character of a lower case that is longer
    if len(searched) != len(text):
        origins = [index for index, each in enumerate(text) for _ in each.lower()]
    found: list[str] = []
    begin = position = 0
    for token in tokenizer.tokens(text):
        position = _end(searched, token, position)
        end = position if origins is None else origins[position - 1] + 1
        found.append(text[begin:end])
        begin = end
    return found


def _end(text: str, token: str, begin: int) -> int:
    """Where a token ends that is the next one of a text from `begin` on."""
    if token == END_OF_SENTENCE:
        found = _SENTENCE_END.search(text, begin)
        return found.end() if found else begin
    place = text.find(token, begin)
    return place + len(token) if place >= 0 else begin
