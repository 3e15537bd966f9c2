"""The token that somebody means."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.text.lookup import UnknownWord, find_token
from tests.engine.text.test_tokenizers import learn

TEXT = "The River sings by the café — naïve\tCafé ÉCOLE\n" * 5 + "می\u200cخواهم strasse İzmir\n"
WORDS = learn(TEXT, lowercase=False)
FOLDED = learn(TEXT)
CHARACTERS = learn(TEXT, tokenizer="character")
PIECES = learn(TEXT * 9, tokenizer="subword", max_vocabulary=400)


def found(typed: str, tokenizer: object = WORDS) -> tuple[str, str]:
    token, note = find_token(typed, tokenizer)
    return tokenizer.vocabulary.tokens[token], note


@pytest.mark.parametrize("tokenizer", [WORDS, FOLDED], ids=["case kept", "folded"])
@given(data=st.data())
def test_a_word_in_another_form_is_found(tokenizer: object, data: st.DataObject) -> None:
    words = [token for token in tokenizer.vocabulary.tokens if token.isalpha()]
    word = data.draw(st.sampled_from([*words, "می\u200cخواهم"]))
    typed = unicodedata.normalize(data.draw(st.sampled_from(["NFC", "NFD"])), word)
    blanks = st.text(st.sampled_from(" \t\n\u3000\xa0"), max_size=3)
    typed = data.draw(blanks) + typed + data.draw(blanks)
    assert found(typed, tokenizer)[0] == word


def test_a_note_says_where_another_form_was_meant() -> None:
    assert found("River") == ("River", "")
    assert found(" River\n") == ("River", "")
    assert found("river") == ("River", "read as 'River'")
    assert found("the") == ("the", ""), "the form that is typed comes before others"
    assert found("école") == ("ÉCOLE", "read as 'ÉCOLE'")
    assert found("cafe\u0301") == ("café", "read as 'café'")
    assert found("STRASSE") == found("straße") == ("strasse", "read as 'strasse'")
    assert found("ri\u00adver") == ("River", "read as 'River'")
    assert found("River", FOLDED) == ("river", ""), "so this tokenizer reads it"
    assert found("\n") == ("<eos>", "")


@pytest.mark.parametrize("token", CHARACTERS.vocabulary.tokens)
def test_every_character_can_be_asked_for(token: str) -> None:
    if token != "<unk>":
        assert found(token, CHARACTERS) == (token, "")
        assert found(f" {token} ", CHARACTERS)[0] == (token if token.strip() else " ")


def test_characters_in_other_forms() -> None:
    assert found("e\u0301", CHARACTERS) == ("é", "read as 'é'")
    assert found("É", CHARACTERS) == ("É", "")
    assert found("Y", CHARACTERS) == ("y", "read as 'y'")
    assert found("  ", CHARACTERS) == (" ", "")


def test_a_piece_is_the_word_as_it_stands_in_the_text() -> None:
    assert found("sings", PIECES) == (" sings", "")
    assert found(" sings", PIECES) == (" sings", "")
    assert found("The", PIECES) == ("The", ""), "which no space stands before"
    assert found(" ", PIECES)[0] == " "
    assert found("\n", PIECES) == ("\n", "")
    assert found("SINGS", PIECES) == (" sings", "read as ' sings'")


@pytest.mark.parametrize(
    ("tokenizer", "typed", "told"),
    [
        (WORDS, "the café", "of one word, and 'the café' is 2 here: 'the', 'café'."),
        (WORDS, "", "There is no word in ''"),
        (WORDS, " ", "There is no word in '␣'"),
        (WORDS, "rivver", "'rivver' isn't in the vocabulary: did you mean River"),
        (CHARACTERS, "ab", "of one character, and 'ab' is 2 here: 'a', 'b'."),
        (CHARACTERS, "§", "'§' isn't in the vocabulary."),
        (CHARACTERS, "\v", "'␋' isn't in the vocabulary."),
        (PIECES, "", "There is no piece in ''"),
        (PIECES, "qz", "of one piece, and 'qz' is 3 here: '␣', 'q', 'z'. Ask for one of them."),
        (WORDS, "a b " * 99, "'a', 'b', 'a', 'b', 'a', 'b', 'a', 'b', …"),
    ],
)
def test_what_is_no_token_is_told(tokenizer: object, typed: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        find_token(typed, tokenizer)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 400


def test_an_unknown_word_has_suggestions() -> None:
    with pytest.raises(UnknownWord) as caught:
        find_token("rivver", WORDS)
    assert caught.value.suggestions[0] == "River"
