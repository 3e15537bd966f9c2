"""Reading once gives what the tokenizers give by the rules they state, whatever the text."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import CorpusConfig
from engine.text import corpus as corpus_module
from engine.text import interned_text as interned_module
from engine.text import reading, vocabulary
from engine.text.corpus import Corpus, open_corpus
from engine.text.interning import LONGEST, Interner, PreTokens
from engine.text.prefetch import prefetch
from engine.text.reading import read_chunks, resolve
from engine.text.splitting import divide
from engine.text.words import WhitespaceTokenizer, WordTokenizer

WHITE = " \n\t\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u2029\u202f\u3000"
ODD = [
    "<eos>",
    "<unk>",
    "İ",
    "ΣΑΣ",
    "ß",
    "e\u0301",
    "हिन्दी",
    "\u200c",
    "日本",
    "🙂",
    "\x01",
    "\x7f",
]
LONG = [letter * size for letter in "xé" for size in (7, 8, 9, 16, 63, 64, 65, 127, 128, 129, 300)]
texts = st.lists(
    st.one_of(
        st.sampled_from(WHITE),
        st.sampled_from(" \n"),
        st.sampled_from(["a", "b", "B", "'", "-", ".", "don't", "don", *ODD]),
        st.sampled_from(LONG),
        st.characters(exclude_characters="\r\0", exclude_categories=("Cs",)),
    ),
    max_size=120,
).map("".join)


# --- pre-tokens -----------------------------------------------------------------------------------


@given(st.lists(texts, min_size=1, max_size=4))
def test_each_pretoken_has_one_number_and_each_number_one_pretoken(stretches: list[str]) -> None:
    interner = Interner()
    numbers = [interner.intern(PreTokens(text.encode())) for text in stretches]
    known = interner.texts()
    for text, given_numbers in zip(stretches, numbers, strict=True):
        expected = re.findall(r"[^ \t\n]+|\n", text)
        assert [known[number] for number in given_numbers.tolist()] == expected
    by_text: dict[str, set[int]] = {}
    for number in np.concatenate(numbers).tolist():
        by_text.setdefault(known[number], set()).add(number)
    assert all(len(found) == 1 for found in by_text.values())


def test_many_pretokens_keep_their_numbers() -> None:
    interner = Interner()
    words = [
        f"word-{number * 7919 % 100_003:x}" + "-tail" * (number % 5) for number in range(99_999)
    ]
    first = [
        interner.intern(PreTokens(" ".join(words[i : i + 999]).encode()))
        for i in range(0, len(words), 999)
    ]
    again = interner.intern(PreTokens(" ".join(words).encode()))
    assert np.concatenate(first).tolist() == again.tolist()
    assert len(set(again.tolist())) == len(set(words))
    known = interner.texts()
    assert [known[number] for number in again.tolist()] == words


def test_long_pretokens_are_told_apart_by_their_last_byte() -> None:
    interner = Interner()
    words = ["y" * size + end for size in range(LONGEST - 9, LONGEST + 9) for end in "ab"]
    numbers = interner.intern(PreTokens(" ".join(words).encode())).tolist()
    assert len(set(numbers)) == len(words)
    assert [interner.texts()[number] for number in numbers] == words


# --- the whole way ----------------------------------------------------------------------------


def expected(path: Path, config: CorpusConfig) -> dict[str, Any]:
    """What opening should give, in plain Python, chunk after chunk."""
    length = sum(len(chunk.decode()) for chunk in read_chunks(resolve(str(path)).splits["train"]))
    shares = {"valid": config.valid_fraction, "test": config.test_fraction}
    chunks = read_chunks(resolve(str(path)).splits["train"])
    tokens: dict[str, list[str]] = {}
    lengths: dict[str, int] = {}
    for split, chunk in divide("train", chunks, length, shares):
        text = chunk.decode()
        found = (
            WhitespaceTokenizer.split(text)
            if config.tokenizer == "whitespace"
            else WordTokenizer.split(text, config.lowercase, config.punctuation)
        )
        tokens.setdefault(split, []).extend(found)
        lengths[split] = lengths.get(split, 0) + len(text)

    counts = Counter(token for token in tokens["train"] if len(token) <= vocabulary.MAX_TOKEN)
    specials = {"<unk>": counts.pop("<unk>", 0), "<eos>": counts.pop("<eos>", 0)}
    kept = [token for token, count in counts.most_common() if count >= config.min_count]
    kept = kept[: max(0, config.max_vocabulary - 2)]
    specials["<unk>"] = (
        len(tokens["train"]) - sum(map(counts.__getitem__, kept)) - specials["<eos>"]
    )
    appearance = list(dict.fromkeys([*tokens["train"], "<unk>", "<eos>"]))
    entries = [(token, counts[token]) for token in kept] + list(specials.items())
    entries.sort(key=lambda entry: (-entry[1], appearance.index(entry[0])))
    ids = {token: index for index, (token, _) in enumerate(entries)}
    splits = {
        split: [ids.get(token, ids["<unk>"]) for token in found]
        for split, found in tokens.items()
        if len(found) >= 2
    }
    return {
        "tokens": [token for token, _ in entries],
        "counts": [count for _, count in entries],
        "splits": splits,
        "unknown": {split: found.count(ids["<unk>"]) for split, found in splits.items()},
        "characters": {split: lengths[split] for split in splits},
    }


def outcome(corpus: Corpus) -> dict[str, Any]:
    return {
        "tokens": corpus.tokenizer.vocabulary.tokens,
        "counts": corpus.tokenizer.vocabulary.counts,
        "splits": {split: ids.tolist() for split, ids in corpus.splits.items()},
        "unknown": corpus.unknown,
        "characters": corpus.characters,
    }


configurations = st.fixed_dictionaries(
    {
        "tokenizer": st.sampled_from(["word", "whitespace"]),
        "lowercase": st.booleans(),
        "punctuation": st.sampled_from(["separate", "drop"]),
        "min_count": st.sampled_from([1, 1, 2]),
        "max_vocabulary": st.sampled_from([2, 5, 1000]),
        "valid_fraction": st.sampled_from([0, 0.2]),
        "test_fraction": st.sampled_from([0, 0.3]),
    }
)


@settings(max_examples=200, deadline=None)
@given(
    text=st.lists(texts, max_size=3).map("a b\n".join),
    given_settings=configurations,
    block=st.integers(3, 60),
    chunk=st.integers(4, 60),
    together=st.integers(1, 3),
    limit=st.sampled_from([1_000_000, 1_000_000, 20]),
)
def test_a_corpus_is_what_plain_python_makes_of_it(
    tmp_path_factory: pytest.TempPathFactory,
    text: str,
    given_settings: dict[str, Any],
    block: int,
    chunk: int,
    together: int,
    limit: int,
) -> None:
    folder = tmp_path_factory.mktemp("text")
    path = folder / "a.txt"
    path.write_bytes(("two words\n" + text).encode())
    config = msgspec.convert({"source": str(path), **given_settings}, CorpusConfig)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK", block)
        patch.setattr(reading.cut_chunks, "__defaults__", (chunk,))
        patch.setattr(interned_module, "TOGETHER", together)
        patch.setattr(interned_module, "MAX_PRETOKENS", limit)
        assert outcome(open_corpus(config, cache=folder)) == expected(path, config)


@pytest.mark.parametrize("name", ["MAX_PRETOKENS", "MAX_LONG_SIZE", "MAX_DISTINCT"])
def test_a_text_of_too_many_different_words_is_read_in_another_way(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"w{number % 300} {'z' * (number % 90)}\n" for number in range(9000)))
    config = CorpusConfig(source=str(path))
    once = outcome(open_corpus(config, cache=tmp_path / "once"))
    asked: list[str] = []
    learn = corpus_module.learn_tokenizer

    def learning(*arguments: Any) -> Any:
        asked.append(name)
        return learn(*arguments)

    monkeypatch.setattr(corpus_module, "learn_tokenizer", learning)
    assert outcome(open_corpus(config, cache=tmp_path / "the same")) == once
    assert not asked
    monkeypatch.setattr(interned_module, name, 50)
    assert outcome(open_corpus(config, cache=tmp_path / "twice")) == once
    assert asked == [name]


# --- reading ahead ----------------------------------------------------------------------------


def test_what_is_read_ahead_comes_in_order_and_so_does_an_exception() -> None:
    def items() -> Iterator[int]:
        yield from range(20)
        raise ValueError("at the end")

    seen: list[int] = []
    with pytest.raises(ValueError, match="at the end"):
        seen.extend(prefetch(items()))
    iterator = prefetch(items())
    for item in iterator:
        seen.append(item)
        if item == 19:
            break
    assert list(prefetch(iter([]))) == []
    assert list(prefetch(iter(range(50)), 2)) == list(range(50))


def test_no_more_is_read_ahead_than_asked_for() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    iterator = prefetch(items(), 3)
    for expected_item in range(5):
        assert next(iterator) == expected_item
    iterator.close()  # type: ignore[attr-defined]
    assert len(made) <= 5 + 3 + 1
