"""The vocabulary: its order, its limits, and counting in bounded memory."""

from collections import Counter

import pytest

from engine.text.vocabulary import MAX_TOKEN, TokenCounter, Vocabulary

SPECIALS = ("<unk>", "<eos>")


def learn(text: str, min_count: int = 1, max_tokens: int = 100) -> dict[str, int]:
    counter = TokenCounter()
    for line in text.split("|"):
        counter.add(Counter(line.split()))
    vocabulary = counter.vocabulary(SPECIALS, min_count, max_tokens)
    return dict(zip(vocabulary.tokens, vocabulary.counts, strict=True))


def test_most_frequent_first_then_by_first_appearance() -> None:
    found = learn("c b <eos> | b a <eos> | a d <eos>")
    assert list(found.items()) == [
        ("<eos>", 3),
        ("b", 2),
        ("a", 2),
        ("c", 1),
        ("d", 1),
        ("<unk>", 0),
    ]


def test_unknown_has_its_place_by_count() -> None:
    assert list(learn("x <unk> <unk> y y y")) == ["y", "<unk>", "x", "<eos>"]


def test_rare_tokens_become_unknown() -> None:
    assert learn("a a a b b c d <eos>", min_count=2) == {"a": 3, "b": 2, "<unk>": 2, "<eos>": 1}


def test_the_limit_counts_the_specials() -> None:
    found = learn("a a a b b c d <eos>", max_tokens=4)
    assert found == {"a": 3, "b": 2, "<unk>": 2, "<eos>": 1}
    assert learn("a a a b", max_tokens=2) == {"<unk>": 4, "<eos>": 0}


def test_overlong_tokens_are_unknown() -> None:
    found = learn(f"{'x' * MAX_TOKEN} {'y' * (MAX_TOKEN + 1)}")
    assert found == {"x" * MAX_TOKEN: 1, "<unk>": 1, "<eos>": 0}


def test_past_the_limit_the_rarest_are_forgotten_and_no_token_is_lost() -> None:
    counter = TokenCounter(limit=100)
    for number in range(1000):
        counter.add(Counter({"often": 2, f"once-{number}": 1, "<eos>": 1}))
    vocabulary = counter.vocabulary(SPECIALS, 1, 1000)
    assert len(vocabulary) <= 103
    assert vocabulary.counts[vocabulary.tokens.index("often")] == 2000
    assert vocabulary.counts[vocabulary.tokens.index("<eos>")] == 1000
    assert sum(vocabulary.counts) == 4000


def test_ids_and_suggestions() -> None:
    vocabulary = Vocabulary(["the", "physicist", "<unk>", "<eos>", "physician"], [5, 4, 3, 2, 1])
    assert vocabulary.id("physicist") == 1
    assert vocabulary.id("chemist") is None
    assert (vocabulary.unknown, vocabulary.end_of_sentence, len(vocabulary)) == (2, 3, 5)
    assert vocabulary.suggest("phisicist") == ["physicist", "physician"]
    assert vocabulary.suggest("unk") == []
    assert vocabulary.suggest("q" * 10_000_000) == []


@pytest.mark.parametrize(
    ("tokens", "counts", "problem"),
    [
        (["<unk>"], [1, 2], "1 tokens have 2 counts"),
        (["<unk>", "a", "a"], [1, 1, 1], "a token twice"),
        (["a"], [1], "no <unk>"),
        (["<unk>"], [-1], "negative"),
    ],
)
def test_what_is_no_vocabulary(tokens: list[str], counts: list[int], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Vocabulary(tokens, counts)
