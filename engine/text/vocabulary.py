"""The tokens a model knows, most frequent first, and counting them in bounded memory."""

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice

import numpy as np

UNKNOWN = "<unk>"
END_OF_SENTENCE = "<eos>"
MAX_TOKEN = 128
"""Characters; a longer token is unknown to every vocabulary."""
_NUMBER = re.compile(r"[\W_]*\d[\d\W_]*|N")
"""Figures with what stands among them; Penn Treebank has N for any."""
MAX_TOKENS = 1_000_000
"""In a vocabulary; the limit of `corpus.max_vocabulary`."""
MAX_DISTINCT = 2_000_000
"""Different tokens counted before the rarest are forgotten."""
SUGGEST_AMONG = 20_000
"""Close spellings are looked for among the most frequent tokens: difflib is slow."""
FORMS_AMONG = 50_000
"""Other forms of a word that take a look at each token, likewise."""


class _Ids(dict[str, int]):
    """Ids by token; any other string has the id of `<unk>`."""

    def __missing__(self, token: str) -> int:
        return self[UNKNOWN]


class Vocabulary:
    """Tokens and how often each occurs in the training split; a token's index is its id.

    Raises ValueError where the two lists don't make a vocabulary.
    """

    def __init__(self, tokens: Sequence[str], counts: Sequence[int]) -> None:
        self.tokens = list(tokens)
        self.counts = list(counts)
        if len(self.tokens) != len(self.counts):
            raise ValueError(f"{len(self.tokens)} tokens have {len(self.counts)} counts")
        if len(self.tokens) > MAX_TOKENS:
            raise ValueError(f"it has {len(self.tokens)} tokens, more than {MAX_TOKENS}")
        if self.counts and not 0 <= min(self.counts) <= max(self.counts) < 1 << 63:
            raise ValueError("it has a count that is negative or beyond 64 bits")
        self._ids = _Ids(zip(self.tokens, range(len(self.tokens)), strict=True))
        if len(self._ids) != len(self.tokens):
            raise ValueError("it has a token twice")
        if UNKNOWN not in self._ids:
            raise ValueError(f"it has no {UNKNOWN}")
        self.unknown = self._ids[UNKNOWN]
        """The id of `<unk>`."""
        self.end_of_sentence = self._ids.get(END_OF_SENTENCE)
        """The id of `<eos>`; None where the tokenizer has none."""
        self.readable = np.array(self.counts, np.int64) > 0
        """Which tokens occur in the training split and mean something by themselves: (len,)."""

    def __len__(self) -> int:
        return len(self.tokens)

    def __deepcopy__(self, memo: object) -> "Vocabulary":
        """Itself: it never changes."""
        return self

    def id(self, token: str) -> int | None:
        """The id of `token`, or None where it isn't known."""
        return self._ids.get(token)

    def encode(self, tokens: Collection[str]) -> np.ndarray:
        """The ids of `tokens`, int64, 1-D; unknown ones have that of `<unk>`."""
        return np.fromiter(map(self._ids.__getitem__, tokens), np.int64, len(tokens))

    @cached_property
    def _caseless(self) -> dict[str, int]:
        """The ids of the most frequent tokens by their caseless form, that of the first of each."""
        ids: dict[str, int] = {}
        for index, token in enumerate(self.tokens[:FORMS_AMONG]):
            ids.setdefault(_caseless(token), index)
        return ids

    @cached_property
    def marks(self) -> np.ndarray:
        """Which tokens are `<unk>`, `<eos>` or a number: (len,)."""
        return np.array(
            [
                token in (UNKNOWN, END_OF_SENTENCE) or _NUMBER.fullmatch(token.strip()) is not None
                for token in self.tokens
            ],
            np.bool_,
        )

    def id_of_form(self, word: str) -> int | None:
        """The id of the token that is `word` in another Unicode normalisation, else of the most
        frequent one that is it in another case or, where it is among the first FORMS_AMONG, with
        other invisible characters in it; None where there is none."""
        canonical = unicodedata.normalize("NFC", word)
        for form in (canonical, unicodedata.normalize("NFD", word)):
            if form in self._ids:
                return self._ids[form]
        cases = (canonical.lower(), canonical.upper(), canonical.title())
        found = [self._ids[form] for form in cases if form in self._ids]
        caseless = _caseless(word)
        if caseless in self._caseless and caseless:
            found.append(self._caseless[caseless])
        return min(found, default=None)

    def suggest(self, token: str, n: int = 3) -> list[str]:
        """Up to `n` known tokens spelt nearly as `token`, the closest first."""
        token = token[:MAX_TOKEN]
        near = [
            known
            for known in self.tokens[:SUGGEST_AMONG]
            if abs(len(known) - len(token)) <= 3 and known not in (UNKNOWN, END_OF_SENTENCE)
        ]
        return difflib.get_close_matches(token, near, n)


def _caseless(word: str) -> str:
    """As Unicode compares without case, invisible characters left out."""
    if not word.isascii():
        word = unicodedata.normalize("NFD", word)
        word = "".join(each for each in word if unicodedata.category(each) != "Cf")
    return unicodedata.normalize("NFC", word.casefold())


class TokenCounter:
    """Counts tokens, at most about `limit` different ones: past it, the rarer half is forgotten
    and counts as unknown."""

    def __init__(self, limit: int = MAX_DISTINCT) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()  # in the order of first appearance
        self._unknown = 0

    def add(self, tokens: Iterable[str] | Mapping[str, int]) -> None:
        """Count the tokens of a stretch of text, or add their counts in the order of first
        appearance."""
        known = len(self._counts)
        self._counts.update(tokens)
        new = islice(self._counts, known, None)
        for token in [token for token in new if len(token) > MAX_TOKEN]:
            self._unknown += self._counts.pop(token)
        if len(self._counts) > self._limit:
            self._forget_rarest()

    def _forget_rarest(self) -> None:
        counts = self._counts
        kept = set(sorted(counts, key=counts.__getitem__, reverse=True)[: self._limit // 2])
        kept |= {END_OF_SENTENCE, UNKNOWN}
        self._unknown += sum(count for token, count in counts.items() if token not in kept)
        self._counts = Counter({token: count for token, count in counts.items() if token in kept})

    def vocabulary(self, specials: Sequence[str], min_count: int, max_tokens: int) -> Vocabulary:
        """The tokens that occur at least `min_count` times, the most frequent `max_tokens` of
        them with the `specials`, which are always in and have their places by count. Equally
        frequent ones stand in the order of first appearance. What is left out counts as `<unk>`.
        """
        tokens, counts = list(self._counts), np.array(list(self._counts.values()), np.int64)
        return rank(tokens, counts, specials, min_count, max_tokens, self._unknown)


def rank(
    tokens: list[str],
    counts: np.ndarray,
    specials: Sequence[str],
    min_count: int,
    max_tokens: int,
    unknown: int = 0,
) -> Vocabulary:
    """The vocabulary of `tokens`, all different and in the order of first appearance, of which
    each occurs `counts` times: see `TokenCounter.vocabulary`. `unknown` more count as `<unk>`."""
    tokens = [*tokens, *(token for token in specials if token not in tokens)]
    counts = np.append(counts, np.zeros(len(tokens) - len(counts), np.int64))
    special = np.zeros(len(tokens), bool)
    special[[tokens.index(token) for token in specials]] = True

    ranked = np.argsort(-counts, kind="stable")
    ranked = ranked[~special[ranked]]
    kept = ranked[: max(0, max_tokens - len(specials))]
    kept = kept[counts[kept] >= min_count]
    left_out = counts[ranked].sum() - counts[kept].sum()
    counts[tokens.index(UNKNOWN)] += unknown + left_out

    entries = np.sort(np.append(kept, np.flatnonzero(special)))
    entries = entries[np.argsort(-counts[entries], kind="stable")]
    return Vocabulary([tokens[index] for index in entries.tolist()], counts[entries].tolist())
