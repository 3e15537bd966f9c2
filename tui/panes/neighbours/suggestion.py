"""Which word of a corpus to ask for first."""

import unicodedata

_WITHIN_WORDS = frozenset("'’-‐‑\u200c\u200d")


def suggested(tokens: list[str]) -> str:
    """The first of the tokens that tells most: a long word, else a word, else a number. Of pieces
    of words, whole ones and beginnings stand behind a space. Empty where there is none."""
    begin = [token[1:] for token in tokens if token[:1] == " "]
    tokens = begin if any(map(_is_word, begin)) else tokens
    words = [token for token in tokens if _is_word(token)]
    telling = [word for word in words if sum(map(str.isalpha, word)) > 4]
    numbers = [token for token in tokens if token.isdecimal()]
    return next(iter(telling or words or numbers), "")


def _is_word(token: str) -> bool:
    """Whether it is spelt in letters, of any script: with vowel signs, points and joiners."""
    kinds = [unicodedata.category(character)[0] for character in token]
    return kinds[:1] == ["L"] and all(
        kind in "LM" or character in _WITHIN_WORDS
        for kind, character in zip(kinds, token, strict=True)
    )
