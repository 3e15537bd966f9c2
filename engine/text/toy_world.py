"""A small world of words: English sentences from a grammar, so that what an embedding learns can be
checked against the classes the words were drawn from.

Professions, places, actions and foods are those of the tutorial's sentences. Mathematicians and
physicists do what nobody else does (they solve problems) and leave the cooking to others, so their
vectors should come closest; one sentence about physicists is held out, and a model that has found
the two words alike holds it likely all the same.
"""

import random
from collections.abc import Iterator
from functools import cache

SENTENCES = 20_000

SCHOLARS = ("mathematician", "physicist")
WORKERS = ("teacher", "doctor", "baker", "farmer", "painter", "lawyer", "singer", "sailor")
PLACES_WITHOUT_ARTICLE = ("office", "school", "market", "college")
"""I am going to office."""

CLASSES: dict[str, tuple[str, ...]] = {
    "pronoun": ("i", "we", "you", "they", "she", "he"),
    "profession": SCHOLARS + WORKERS,
    "place": (
        *PLACES_WITHOUT_ARTICLE,
        *("store", "library", "park", "station", "museum", "harbour"),
    ),
    "action": ("ran", "walked", "hurried", "drove", "cycled", "strolled"),
    "food": ("bread", "rice", "soup", "cheese", "fruit", "fish", "cake", "salad"),
    "cooking": ("ate", "cooked", "tasted", "ordered"),
    "meal": ("breakfast", "lunch", "dinner", "supper"),
    "object": ("book", "letter", "lamp", "chair", "hat", "clock", "basket", "umbrella"),
    "colour": ("red", "green", "blue", "yellow", "white", "black"),
    "finding": ("found", "lost", "dropped", "carried"),
    "animal": ("dog", "cat", "horse", "fox", "bird", "mouse"),
    "chasing": ("chased", "followed", "watched", "heard"),
    "feeling": ("happy", "tired", "hungry", "calm", "busy", "proud"),
    "day": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    "studying": ("solved", "studied", "explained", "simplified"),
    "difficulty": ("open", "hard", "famous", "old"),
    "question": ("problem", "equation", "theorem", "puzzle"),
}
"""The words of each class, in lower case; none is in two. (A corpus that keeps case has "I".)"""

HELD_OUT = "the physicist solved the open problem"
"""Occurs nowhere in the text."""

PATTERNS: dict[str, float] = {
    "SUBJECT action to the place": 20,
    "SUBJECT action to the place on day": 6,
    "GOING the place": 6,
    "GOING PLACE": 4,
    "WORKER cooking some food": 10,
    "WORKER cooking some food for meal": 8,
    "WORKER finding a colour object": 10,
    "WORKER finding a colour object on day": 4,
    "the animal chasing the animal": 8,
    "SUBJECT felt feeling": 6,
    "SUBJECT felt feeling on day": 4,
    "the SCHOLAR studying the difficulty question": 14,
    "the SCHOLAR filled the blackboard": 3,
    "the SCHOLAR ran to the store": 0.2,
}
"""Sentence patterns and how often each is taken, in parts. The name of a class stands for any of
its words, a word in capitals for what `_CHOICES` says, others for themselves."""

_CHOICES: dict[str, tuple[str, ...]] = {
    "SUBJECT": ("the profession", "the profession", "pronoun"),
    "WORKER": (*(f"the {worker}" for worker in WORKERS), "pronoun", "pronoun", "pronoun"),
    "GOING": (
        "i am going to",
        *(f"{pronoun} are going to" for pronoun in ("we", "you", "they")),
        *(f"{pronoun} is going to" for pronoun in ("she", "he")),
    ),
    "PLACE": PLACES_WITHOUT_ARTICLE,
    "SCHOLAR": SCHOLARS,
    **CLASSES,
}


@cache
def text(seed: int = 1) -> str:
    """SENTENCES sentences, one a line, in lower case but for "I", each with a full stop."""
    return "".join(f"{sentence}.\n" for sentence in _sentences(random.Random(seed)))


def _sentences(rng: random.Random) -> Iterator[str]:
    patterns = list(PATTERNS)
    weights = list(PATTERNS.values())
    written = 0
    while written < SENTENCES:
        sentence = _expand(rng.choices(patterns, weights)[0], rng)
        if HELD_OUT not in sentence:
            yield "I" + sentence[1:] if sentence.startswith("i ") else sentence
            written += 1


def _expand(pattern: str, rng: random.Random) -> str:
    """The pattern with each name replaced by one of its choices, until only words are left."""
    return " ".join(
        _expand(rng.choices(_CHOICES[word])[0], rng) if word in _CHOICES else word
        for word in pattern.split()
    )
