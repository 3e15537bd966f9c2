"""The one token that somebody means who types a word, a character or a piece of a word."""

import unicodedata
from collections.abc import Iterator

from engine.errors import UserError
from engine.text.tokenizer import Tokenizer
from engine.text.vocabulary import END_OF_SENTENCE
from engine.visible import shortened, token

_NAMED = 8
"""Tokens that a sentence names, at most."""


class UnknownWord(UserError):
    """A word the vocabulary doesn't hold, with close ones."""

    def __init__(self, word: str, suggestions: list[str]) -> None:
        near = f": did you mean {', '.join(suggestions)}?" if suggestions else "."
        super().__init__(f"{_quoted(word)} isn't in the vocabulary{near}")
        self.suggestions = suggestions


def unit(tokenizer: Tokenizer) -> str:
    """What one of its tokens is called."""
    return {"character": "character", "subword": "piece"}.get(tokenizer.name, "word")


def find_token(typed: str, tokenizer: Tokenizer) -> tuple[int, str]:
    """The id of the token that `typed` is, and a word on how it was read where it is not that, but
    that in another form: case, Unicode normalisation. Blanks around it count only where they are
    what is asked for.

    Raises UnknownWord, or UserError where it is no token, or several.
    """
    found = known_token(typed, tokenizer)
    if found is None:
        raise _refusal(typed, tokenizer)
    return found


def known_token(typed: str, tokenizer: Tokenizer) -> tuple[int, str] | None:
    """The same, without the reason where there is none: that takes a while to find."""
    vocabulary = tokenizer.vocabulary
    readings = dict.fromkeys(_readings(typed, tokenizer))
    for text in readings:
        tokens = tokenizer.tokens(text)
        found = vocabulary.id(tokens[0]) if len(tokens) == 1 else None
        if found is not None:
            return found, ""
    for text in readings:
        found = vocabulary.id_of_form(text)
        if found is not None:
            return found, f"read as {_quoted(vocabulary.tokens[found])}"
    return None


def find_tokens(typed: str, tokenizer: Tokenizer) -> tuple[list[int], str]:
    """The ids of the token that `typed` is, as `find_token`, or of characters and pieces those of
    the several that spell it, and a word on how it was read.

    Raises UnknownWord, or UserError where it is no token, or of words several.
    """
    try:
        found, note = find_token(typed, tokenizer)
    except UserError:
        if not tokenizer.spells or not (word := typed.strip()):
            raise
        tokens = _pieces(typed, tokenizer)
        ids = [tokenizer.vocabulary.id(each) for each in tokens]
        unknown = [each for each, found_id in zip(tokens, ids, strict=True) if found_id is None]
        if unknown:
            raise UnknownWord(unknown[0], tokenizer.vocabulary.suggest(unknown[0])) from None
        if len(ids) == 1:
            raise
        named = " · ".join(token(each) for each in tokens)
        return [each for each in ids if each is not None], (
            f"{_quoted(word)} is composed of its {len(tokens):,} {unit(tokenizer)}s: {named}"
        )
    return [found], note


def is_known(typed: str, tokenizer: Tokenizer) -> bool:
    """Whether `find_tokens` finds it."""
    if known_token(typed, tokenizer) is not None:
        return True
    pieces = _pieces(typed, tokenizer) if tokenizer.spells and typed.strip() else []
    return bool(pieces) and all(tokenizer.vocabulary.id(each) is not None for each in pieces)


def _pieces(typed: str, tokenizer: Tokenizer) -> list[str]:
    """What a word, which is no blank, is composed of."""
    word = typed.strip()
    begins = " " if tokenizer.name == "subword" and typed[0] == word[0] else ""
    return tokenizer.tokens(begins + word)


def _readings(typed: str, tokenizer: Tokenizer) -> Iterator[str]:
    """What may be meant, the likeliest first: of pieces the word as it stands in a text, behind a
    space, though nothing but a space was typed where that is meant."""
    word = typed.strip()
    if tokenizer.name == "subword" and word and typed[0] == word[0]:
        yield f" {word}"
    yield typed
    if word:
        yield word
    elif typed:
        yield typed[0]


def _refusal(typed: str, tokenizer: Tokenizer) -> UserError:
    """Why there is no such token."""
    name, word = unit(tokenizer), unicodedata.normalize("NFC", typed.strip())
    tokens = tokenizer.tokens(f" {word}" if word and name == "piece" else word or typed)
    if not tokens:
        return UserError(f"There is no {name} in {_quoted(typed)}: type one.")
    if len(tokens) == 1:
        return UnknownWord(tokens[0], tokenizer.vocabulary.suggest(tokens[0]))
    named = ", ".join(map(_quoted, tokens[:_NAMED])) + (", …" if len(tokens) > _NAMED else "")
    return UserError(
        f"Neighbours are of one {name}, and {_quoted(word or typed)} is {len(tokens):,} here: "
        f"{named}. Ask for one of them."
    )


def unknown_words(prompt: str, tokenizer: Tokenizer) -> str:
    """A sentence that names the tokens of a prompt the vocabulary doesn't hold; empty where it
    holds all."""
    tokens = [each for each in tokenizer.tokens(prompt) if each != END_OF_SENTENCE]
    unknown = [each for each in tokens if tokenizer.vocabulary.id(each) is None]
    if not unknown:
        return ""
    named = list(dict.fromkeys(shortened(token(each)) for each in unknown))
    names = ", ".join(named[:_NAMED]) + (", …" if len(named) > _NAMED else "")
    marks = not all(any(map(str.isalnum, each)) for each in tokens)
    units = "tokens" if marks and unit(tokenizer) == "word" else f"{unit(tokenizer)}s"
    return f"{len(unknown):,} of {len(tokens):,} {units} unknown: {names}"


def _quoted(text: str) -> str:
    """For a sentence: letters that are joined stay so, and of a blank something is to be seen."""
    return f"'{shortened(token(text))}'"
