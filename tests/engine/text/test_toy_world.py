"""The toy world keeps what it promises."""

from collections import Counter
from pathlib import Path

from engine.config import preset
from engine.text import toy_world
from engine.text.corpus import open_corpus

TEXT = toy_world.text()
LINES = TEXT.splitlines()
WORDS = [word for words in toy_world.CLASSES.values() for word in words]


def test_about_twenty_thousand_sentences_one_a_line() -> None:
    assert len(LINES) == 20_000
    assert all(line.endswith(".") and line.count(".") == 1 for line in LINES)
    assert TEXT.endswith(".\n")


def test_the_sentences_of_the_tutorial_occur_and_one_is_held_out() -> None:
    for sentence in (
        "the mathematician ran to the store.",
        "the physicist ran to the store.",
        "the mathematician solved the open problem.",
        "I am going to office.",
        "we are going to the library.",
    ):
        assert LINES.count(sentence) >= 3, sentence
    assert toy_world.HELD_OUT == "the physicist solved the open problem"
    assert toy_world.HELD_OUT not in TEXT.lower()
    # Each of its parts occurs, so that it is new but not strange.
    for part in ("the physicist solved the", "physicist studied the open problem"):
        assert part in TEXT


def test_a_text_with_another_seed_is_another_text_without_the_held_out() -> None:
    other = toy_world.text(2)
    assert other != TEXT
    assert toy_world.HELD_OUT not in other.lower()


def test_each_word_is_in_one_class_and_occurs_often() -> None:
    assert len(WORDS) == len(set(WORDS))
    counts = Counter(TEXT.lower().replace(".", " ").split())
    assert all(4 <= len(words) <= 10 for words in toy_world.CLASSES.values())
    assert min(counts[word] for word in WORDS) >= 100


def test_only_scholars_work_on_questions() -> None:
    questions = set(toy_world.CLASSES["question"])
    subjects = {
        line.split()[1] for line in LINES if questions & set(line.removesuffix(".").split())
    }
    assert subjects == {"mathematician", "physicist"}


def test_the_toy_preset_knows_every_word_of_the_classes(tmp_path: Path) -> None:
    vocabulary = open_corpus(preset("toy").corpus, cache=tmp_path).tokenizer.vocabulary
    assert all(vocabulary.id(word) is not None for word in WORDS)
    assert len(vocabulary) < 130


def test_the_same_text_on_every_machine() -> None:
    assert LINES[:3] == [
        "she walked to the store.",
        "the sailor ordered some bread for breakfast.",
        "the mathematician simplified the open equation.",
    ]
