"""The stretches of a text that its tokens were read from."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import CorpusConfig
from engine.text.stretches import stretches
from engine.text.tokenizer import Tokenizer, learn_tokenizer

TEXT = "The owl sat, twice; the OWL's nest -- \"don't\", it said.\n\n\nA line İstanbul €5\n" * 20
KINDS: list[dict[str, Any]] = [
    {},
    {"lowercase": False},
    {"punctuation": "drop"},
    {"tokenizer": "whitespace"},
    {"tokenizer": "character"},
    {"tokenizer": "subword", "max_vocabulary": 300},
]
TOKENIZERS: list[Tokenizer] = [
    learn_tokenizer(CorpusConfig(source="x", **kind), lambda: iter([TEXT])) for kind in KINDS
]


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=[str(kind) for kind in KINDS])
@given(
    text=st.text(st.sampled_from("the OWL İßé€🦉'\"-.,\n\t<unkeos>"), max_size=60)
    | st.text(max_size=30)
)
def test_they_are_the_text_and_as_many_as_its_tokens(tokenizer: Tokenizer, text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    found = stretches(text, tokenizer)
    tokens = tokenizer.tokens(text)
    assert len(found) == len(tokens)
    whole = "".join(found)
    assert text.startswith(whole)
    if tokenizer.spells:
        assert whole == text
        return
    for stretch, token in zip(found, tokens, strict=True):
        read = stretch.lower() if getattr(tokenizer, "lowercase", False) else stretch
        assert read.endswith("\n" if token == "<eos>" and read.endswith("\n") else token)


def test_white_space_and_capitals_stay() -> None:
    assert stretches('The  owl,\n "Don\'t"', TOKENIZERS[0]) == [
        "The",
        "  owl",
        ",",
        "\n",
        ' "',
        "Don't",
        '"',
    ]


@pytest.mark.parametrize(("line", "tokens"), [("\n", 1), ("a\n", 2), ("<eos> ", 1)])
def test_a_text_of_very_many_lines_is_read_in_one_pass(line: str, tokens: int) -> None:
    """If each line looked at all the rest this would take longer than a test may."""
    assert len(stretches(line * 1_000_000, TOKENIZERS[3])) == 1_000_000 * tokens
