"""Text of a word model as people would write it: what tokenising took away is put back by rules.

For tokenizers whose tokens are words; others spell their text out already. The rules, in order:

1. `@-@`, `@,@`, `@.@` (WikiText) are the mark itself, close to both its neighbours; `` and '' (PTB)
   are quotation marks, -LRB- and its kin brackets.
2. n't, 's, 're, 've, 'll, 'd, 'm stand close to the word before them.
3. Punctuation marks stand as `engine.text.spacing` says; quotation marks close where one is open.
4. Where no token has a capital, a line begins with one, and a sentence behind . ! ? does, through
   quotation marks and brackets; and so do i and i'm and its kin.
"""

from collections.abc import Callable

from engine.text.spacing import NO_JOINS, Spacing
from engine.text.tokenizer import Tokenizer
from engine.text.vocabulary import END_OF_SENTENCE, UNKNOWN
from engine.text.words import WordTokenizer

_MEANT = {
    "``": "“",
    "''": "”",
    "-LRB-": "(",
    "-RRB-": ")",
    "-LSB-": "[",
    "-RSB-": "]",
    "-LCB-": "{",
    "-RCB-": "}",
}
_MEANT |= {token.lower(): mark for token, mark in _MEANT.items()}
_CLITICS = frozenset({"n't", "'s", "'re", "'ve", "'ll", "'d", "'m"})
_CLITICS |= frozenset(each.replace("'", "’") for each in _CLITICS)
_PASSED_OVER = frozenset("\"'“”‘’«»()[]{}")
"""What the beginning of a sentence may stand behind."""
_CASE_AMONG = 1_000
"""Tokens, the most frequent, by which it is told whether a vocabulary has capitals."""


def readable_decoder(tokenizer: Tokenizer) -> Callable[[int], str]:
    """As `tokenizer.streaming_decoder`, by the rules above."""
    if tokenizer.spells:
        return tokenizer.streaming_decoder()
    return _Decoder(tokenizer).append


class _Decoder:
    def __init__(self, tokenizer: Tokenizer) -> None:
        self._vocabulary = tokenizer.vocabulary
        self._capitals = not any(
            token != token.lower() and token not in (UNKNOWN, END_OF_SENTENCE, "N")
            for token in self._vocabulary.tokens[:_CASE_AMONG]
            if token.lower() not in _MEANT
        )
        joins = tokenizer.joins if isinstance(tokenizer, WordTokenizer) else NO_JOINS
        self._spacing = Spacing(joins)
        self._begins = True
        """Whether the next word begins a sentence."""
        self._touches = False
        """Whether the next token is close to the one before it, whatever it is."""

    def append(self, index: int) -> str:
        """The text that a token adds."""
        if index == self._vocabulary.end_of_sentence:
            self._spacing.begin_line()
            self._begins, self._touches = True, False
            return "\n"
        token = self._vocabulary.tokens[index]
        inside = len(token) == 3 and token[0] == token[2] == "@"
        shown = token[1] if inside else _MEANT.get(token, token)
        space = self._spacing.before(shown)
        if inside or self._touches or shown.lower() in _CLITICS:
            space = ""
        self._touches = inside
        return space + self._cased(shown)

    def _cased(self, token: str) -> str:
        if token in _PASSED_OVER:
            return token
        if not self._capitals:
            return token
        begins, self._begins = self._begins, token in (".", "!", "?")
        if token == UNKNOWN:
            return token
        if begins or token == "i" or token.startswith(("i'", "i’")):
            return token[:1].upper() + token[1:]
        return token
