"""Tokenizers: their rules, round trips, streaming, saving, and files that aren't to be trusted."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import CorpusConfig
from engine.errors import UserError
from engine.text import tokenizer as tokenizer_module
from engine.text.subwords import MAX_PIECE, SubwordTokenizer
from engine.text.tokenizer import Tokenizer, learn_tokenizer, load_tokenizer

PROSE = (
    'The mathematician didn\'t run to the store; she walked. "I am going," he said (twice).\n'
    "The physicist's state-of-the-art clock – naïve, überlang – cost $5.50!\n\n\n\n"
    "हिन्दी में लिखो। 日本語。🙂 e\u0301tude\n"
)


def learn(text: str = PROSE, **settings: object) -> Tokenizer:
    config = msgspec.convert({"source": "-", **settings}, CorpusConfig)

    def texts() -> Iterator[str]:
        yield text

    return learn_tokenizer(config, texts)


ALL = {
    "word": learn(),
    "word, dropping": learn(punctuation="drop"),
    "word, case kept": learn(lowercase=False),
    "whitespace": learn(tokenizer="whitespace"),
    "character": learn(tokenizer="character"),
    "subword": learn(PROSE * 5, tokenizer="subword", max_vocabulary=400),
}
each = pytest.mark.parametrize("tokenizer", ALL.values(), ids=ALL.keys())

texts = st.text(
    st.one_of(
        st.sampled_from("ab'’-. \n\"(),$_é"),
        st.characters(exclude_characters="\r\0", exclude_categories=("Cs",)),
    ),
    max_size=60,
)


# --- words ------------------------------------------------------------------------------------


def test_the_tutorials_sentence_is_five_tokens() -> None:
    toy = learn(punctuation="drop")
    assert toy.tokens("I am going to office.") == ["i", "am", "going", "to", "office"]


def test_what_is_a_word() -> None:
    tokens = ALL["word, case kept"].tokens
    assert tokens("don't it’s state-of-the-art x_1 1990s") == [
        "don't",
        "it’s",
        "state-of-the-art",
        "x_1",
        "1990s",
    ]
    assert tokens("'tis the dogs' -- 3.14") == [
        *("'", "tis", "the", "dogs", "'"),
        *("-", "-", "3", ".", "14"),
    ]
    assert tokens("e\u0301tude हिन्दी می\u200cخواهم") == ["e\u0301tude", "हिन्दी", "می\u200cخواهم"]
    assert tokens("a\u2028b\xa0c") == ["a", "b", "c"]


def test_case_folding_keeps_the_spelling() -> None:
    assert ALL["word"].tokens("Straße ΣΑΣ") == ["straße", "σας"]
    assert ALL["word, case kept"].tokens("Office") == ["Office"]


def test_line_ends_and_blank_lines() -> None:
    word, whitespace = ALL["word"].tokens, ALL["whitespace"].tokens
    assert word("a\nb\n") == ["a", "<eos>", "b", "<eos>"]
    assert word("a\n\n \n\t\nb") == ["a", "<eos>", "<eos>", "b"]
    assert whitespace("a\n\n \nb") == ["a", *["<eos>"] * 3, "b"]
    assert word("a") == whitespace("a") == ["a"]


def test_special_tokens_in_the_text_stand_for_themselves() -> None:
    for name in ("word", "word, dropping", "whitespace"):
        tokenizer = ALL[name]
        ids = tokenizer.encode("<unk> <eos> nobody-has-seen-this").tolist()
        vocabulary = tokenizer.vocabulary
        assert ids == [vocabulary.unknown, vocabulary.end_of_sentence, vocabulary.unknown]


def test_words_are_written_as_english_is() -> None:
    tokenizer = ALL["word, case kept"]
    first, second, *_ = PROSE.splitlines()
    assert tokenizer.decode(tokenizer.encode(first + "\n")) == first + "\n"
    assert "cost $5." in tokenizer.decode(tokenizer.encode(second))


def test_white_space_text_comes_back_as_it_was() -> None:
    line = "the <unk> 's N @-@ year , old\n"
    tokenizer = learn(line, tokenizer="whitespace")
    assert tokenizer.decode(tokenizer.encode(line)) == line


@given(texts, st.sampled_from(["separate", "drop"]), st.booleans())
def test_decoded_words_are_read_as_the_same_words(
    text: str, punctuation: str, lowercase: bool
) -> None:
    tokenizer = learn(text, punctuation=punctuation, lowercase=lowercase)
    ids = tokenizer.encode(text)
    assert tokenizer.tokens(tokenizer.decode(ids)) == tokenizer.tokens(text)


# --- characters and sub-words -----------------------------------------------------------------


@given(texts)
def test_characters_come_back(text: str) -> None:
    tokenizer = learn(text, tokenizer="character")
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(text)) == len(text)
    first = {character: text.index(character) for character in text}
    expected = sorted(first, key=lambda c: (-text.count(c), first[c]))
    assert [t for t in tokenizer.vocabulary.tokens if t != "<unk>"] == expected


@given(texts)
def test_sub_words_write_any_text(text: str) -> None:
    tokenizer = ALL["subword"]
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.vocabulary.unknown not in ids
    assert len(tokenizer.tokens(text)) == len(ids)


def test_sub_words_are_learnt_the_same_each_time_and_counted() -> None:
    again = learn(PROSE * 5, tokenizer="subword", max_vocabulary=400)
    vocabulary = again.vocabulary
    assert vocabulary.tokens == ALL["subword"].vocabulary.tokens
    assert len(vocabulary) <= 400
    assert " mathematician" in vocabulary.tokens
    assert vocabulary.counts == sorted(vocabulary.counts, reverse=True)
    expected = np.bincount(again.encode(PROSE * 5), minlength=len(vocabulary))
    assert vocabulary.counts == expected.tolist()


def test_sub_words_do_not_split_a_text_that_says_how() -> None:
    # The words of the corpus come before the pieces: no piece crosses a space.
    pieces = ALL["subword"].vocabulary.tokens
    assert not [piece for piece in pieces if " " in piece.strip()]


def test_too_small_a_vocabulary_for_sub_words() -> None:
    with pytest.raises(UserError, match="max_vocabulary is 200, but sub-words need at least 257"):
        learn(tokenizer="subword", max_vocabulary=200)
    assert len(learn(tokenizer="subword", max_vocabulary=257).vocabulary) == 257


def test_one_huge_word_is_no_trouble_to_sub_words() -> None:
    tokenizer = learn("x" * 500_000 + " and more and more", tokenizer="subword")
    assert max(map(len, tokenizer.vocabulary.tokens)) < 20
    assert tokenizer.decode(tokenizer.encode("y" * 100_000)) == "y" * 100_000


@pytest.mark.parametrize("text", ["\n" * 20_000, "a" + "\u3000" * 20_000 + "b", "日" * 20_000])
def test_a_monotonous_text_gives_no_overlong_piece(text: str) -> None:
    tokenizer = learn(text * 3, tokenizer="subword", max_vocabulary=5000)
    assert max(len(piece.encode()) for piece in tokenizer.vocabulary.tokens) <= MAX_PIECE
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_lone_surrogate_typed_by_someone_does_no_harm() -> None:
    for tokenizer in ALL.values():
        assert tokenizer.encode("a \ud800 b").dtype == np.int64


# --- all of them ------------------------------------------------------------------------------


@each
def test_the_streaming_decoder_says_what_decode_says(tokenizer: Tokenizer) -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        ids = generator.integers(0, len(tokenizer.vocabulary), 50)
        append = tokenizer.streaming_decoder()
        assert "".join(append(index) for index in ids.tolist()) == tokenizer.decode(ids)


@each
def test_a_copy_of_a_streaming_decoder_goes_on_by_itself(tokenizer: Tokenizer) -> None:
    ids = np.random.default_rng(2).integers(0, len(tokenizer.vocabulary), 200).tolist()
    append = tokenizer.streaming_decoder()
    whole = [append(index) for index in ids]
    for at in range(0, 200, 7):
        append = tokenizer.streaming_decoder()
        for index in ids[:at]:
            append(index)
        other = copy.deepcopy(append)
        assert [append(index) for index in ids[at:]] == whole[at:]
        assert [other(index) for index in ids[at:]] == whole[at:]


def test_a_character_of_several_pieces_appears_when_it_is_whole() -> None:
    tokenizer = SubwordTokenizer([])  # bytes only
    append = tokenizer.streaming_decoder()
    assert [append(index) for index in tokenizer.encode("é🙂").tolist()] == [
        *("", "é"),
        *("", "", "", "🙂"),
    ]


@each
def test_a_saved_tokenizer_is_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    loaded = load_tokenizer(path)
    assert (loaded.name, loaded.rules) == (tokenizer.name, tokenizer.rules)
    assert loaded.vocabulary.tokens == tokenizer.vocabulary.tokens
    assert loaded.vocabulary.counts == tokenizer.vocabulary.counts
    text = PROSE + "something New, never seen?\n"
    assert loaded.tokens(text) == tokenizer.tokens(text)
    ids = tokenizer.encode(text)
    assert loaded.encode(text).tolist() == ids.tolist()
    assert loaded.decode(ids) == tokenizer.decode(ids)


@each
def test_encode_is_a_flat_array_of_known_ids(tokenizer: Tokenizer) -> None:
    for text in ("", "\n", PROSE, "unseen ☃"):
        ids = tokenizer.encode(text)
        assert ids.dtype == np.int64
        assert ids.ndim == 1
        assert len(ids) == len(tokenizer.tokens(text))
        assert all(0 <= index < len(tokenizer.vocabulary) for index in ids.tolist())


# --- files that aren't to be trusted ----------------------------------------------------------

GOOD_WORD = {
    "type": "word",
    "tokens": ["<unk>", "<eos>", "a"],
    "counts": [1, 1, 1],
    "lowercase": True,
    "punctuation": "drop",
}
DOUBLING = [["a" * 2**n, "a" * 2**n] for n in range(40) if 2 ** (n + 1) <= 4 * MAX_PIECE]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b'{"type": "word"}',
        b'{"type": "pickle", "tokens": []}',
        json.dumps(GOOD_WORD | {"counts": [1]}).encode(),
        json.dumps(GOOD_WORD | {"counts": [1, 1, -1]}).encode(),
        json.dumps(GOOD_WORD | {"counts": [1, 1, 10**30]}).encode(),
        json.dumps(GOOD_WORD | {"tokens": ["<unk>", "<eos>", "<eos>"]}).encode(),
        json.dumps(GOOD_WORD | {"tokens": ["<unk>", "b", "a"]}).encode(),
        json.dumps(GOOD_WORD | {"tokens": ["<unk>", "<eos>", "a" * 1000]}).encode(),
        json.dumps(GOOD_WORD | {"tokens": ["<unk>", "<eos>", "\ud800"]}).encode(),
        json.dumps(GOOD_WORD | {"tokens": ["<unk>", "<eos>", 3]}).encode(),
        json.dumps(GOOD_WORD | {"punctuation": "eval"}).encode(),
        json.dumps(GOOD_WORD | {"surprise": 1}).encode(),
        b'{"type": "character", "tokens": ["<unk>", "ab"], "counts": [1, 1]}',
        b'{"type": "character", "tokens": ["<unk>", ""], "counts": [1, 1]}',
        b'{"type": "subword", "merges": [["a", "zz"]], "counts": []}',
        b'{"type": "subword", "merges": [["a", "b"], ["a", "b"]], "counts": []}',
        b'{"type": "subword", "merges": [], "counts": [1]}',
        b'{"type": "subword", "merges": [["a", ""]], "counts": []}',
        json.dumps({"type": "subword", "merges": DOUBLING, "counts": []}).encode(),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is no usable tokenizer") as caught:
        load_tokenizer(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_good_file_is_good(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(GOOD_WORD))
    assert load_tokenizer(path).tokens("A.") == ["a"]


def test_a_file_that_is_too_large_or_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(GOOD_WORD))
    monkeypatch.setattr(tokenizer_module, "MAX_FILE", 20)
    with pytest.raises(UserError, match="larger than 20 bytes"):
        load_tokenizer(path)
    with pytest.raises(UserError, match="Can't read the tokenizer"):
        load_tokenizer(tmp_path / "none.json")
    with pytest.raises(UserError, match="Is a directory"):
        load_tokenizer(tmp_path)
