"""Text of a word model as people would write it."""

import pytest

from engine.config import CorpusConfig
from engine.text.readable import readable_decoder
from engine.text.tokenizer import learn_tokenizer


def shown(tokens: str, **kind: str | bool) -> str:
    """How these tokens read, of a tokenizer that knows them."""
    config = CorpusConfig(source="x", **kind)  # type: ignore[arg-type]
    tokenizer = learn_tokenizer(config, lambda: iter([tokens]))
    return "".join(map(readable_decoder(tokenizer), tokenizer.encode(tokens).tolist()))


@pytest.mark.parametrize(
    ("tokens", "read"),
    [
        ("the company did n't say\n", "The company didn't say\n"),
        ("it 's over . we 'll see !\n", "It's over. We'll see!\n"),
        ("he said `` i am here . '' then left\n", "He said “I am here.” Then left\n"),
        ("well @-@ known , 3 @.@ 5 and 10 @,@ 000\n", "Well-known, 3.5 and 10,000\n"),
        ("a -lrb- b -rrb- c\n", "A (b) c\n"),
        ("<unk> and N more\n", "<unk> and N more\n"),
        ('she said , " stop " ; i \'ve left\n', 'She said, "stop"; I\'ve left\n'),
        ("one .\ntwo\n", "One.\nTwo\n"),
    ],
)
def test_what_tokenising_took_away_is_put_back(tokens: str, read: str) -> None:
    assert shown(tokens, tokenizer="whitespace") == read


def test_capitals_are_left_to_a_model_that_has_them() -> None:
    assert shown("the U.S. won . it did", tokenizer="whitespace") == "the U.S. won. it did"


def test_words_of_raw_text_read_as_they_did_with_capitals() -> None:
    text = "the owl's nest (a \"big\" one): don't! i'm sure.\nyes, 3.5 of them"
    expected = "The owl's nest (a \"big\" one): don't! I'm sure.\nYes, 3.5 of them"
    assert shown(text) == expected


def test_what_is_spelt_out_stays() -> None:
    assert shown("the i . a", tokenizer="character") == "the i . a"
