"""Words come back with their punctuation where their script has it."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import CorpusConfig
from engine.errors import UserError
from engine.text.corpus import open_corpus
from engine.text.readable import readable_decoder
from engine.text.spacing import FREE_MARKS, NO_JOINS, Joins, Spacing, learn_joins
from engine.text.tokenizer import load_tokenizer
from engine.text.vocabulary import UNKNOWN, Vocabulary
from engine.text.words import WordTokenizer

LINES = [
    "خانه دوست؟",
    "قلم، قلم؛ «نقل قول» ۳٫۱۴ ۱٬۰۰۰ ۵٪.",
    "کتاب می\u200cخواهم۔",
    "天地，玄黄。他说：“你好！”他走了——真的……",
    "「こんにちは」と言った。東京・大阪、〜です！",
    '그는 『책』을 읽었다. "안녕"',
    "पुस्तक नमस्ते। ठीक है॥ १,०००",
    "שלום, עולם! צה״ל בית־ספר",
    "Բարև, աշխարհ։ Ինչպե՞ս ես",
    "สวัสดี ครับ",
    "ሰላም፣ ዓለም። ሰላም፡ዓለም",
    "សួស្តី។ អ្នក៖",
    "བཀྲ་ཤིས་བདེ།",
    "မင်္ဂလာပါ။ နေ၊",
    "ᠮᠣᠩᠭᠣᠯ᠂ ᠪᠢᠴᠢᠭ᠃",
    "¿Qué tal? ¡Hola! col·lecció",
    "„Hallo“ sagte „er“, “quoted” here",
    "Τι; Ναι.",
    "a -- b 3.14 1,000 12:30 $5.50! wait... what?!",
    "see [a] {b} (c) 100% £3 €4 5° 1, 2, 3",
    '"one" and "two", said the dog’s owner.',
    "ok \U0001f468\u200d\U0001f467 ❤\ufe0f \U0001f1eb\U0001f1f7 \U0001f1e9\U0001f1ea x",
    "ok \U0001f44d\U0001f3fd x",
    "soft\u00adhyphen zero\u200bwidth",
]


def retold(text: str, joins: Joins = NO_JOINS) -> str:
    tokens = list(dict.fromkeys([*WordTokenizer.split(text, False, "separate"), UNKNOWN, "<eos>"]))
    vocabulary = Vocabulary(tokens, [1] * len(tokens))
    tokenizer = WordTokenizer(vocabulary, False, "separate", joins)
    return tokenizer.decode(tokenizer.encode(text))


@pytest.mark.parametrize("line", LINES)
def test_a_line_comes_back_as_it_was(line: str) -> None:
    assert retold(line) == line
    assert retold(f"\n\n{line}\n{line}\n") == f"\n\n{line}\n{line}\n"


SPACED = [
    ("Latin", ["dog", "naïve", "x1"], ".,;:!?…", "“”"),
    ("Cyrillic", ["дом", "ёж"], ".,;:!?…", "«»"),
    ("Arabic", ["خانه", "می\u200cخواهم", "قَلَم"], "؟،؛.!", "«»"),
    ("Hebrew", ["שלום", "בְּרֵאשִׁית"], ".,!?׃", "()"),
    ("Hindi", ["हिन्दी", "पुस्तक"], "।॥,!?", "()"),
    ("Armenian", ["աշխարհ", "տուն"], "։,՝.", "«»"),
    ("Ethiopic", ["ሰላም", "ዓለም"], "።፣፤፥፧", "«»"),
    ("Khmer", ["សួស្តី", "អ្នក"], "។៕៖", "«»"),
    ("Burmese", ["နေ", "မြန်မာ"], "။၊", "()"),
    ("Tibetan", ["བདེ", "ཤིས"], "།༎", "༼༽"),
    ("Georgian", ["სახლი", "ძაღლი"], ".,!?;", "„“"),
    ("Mongolian", ["ᠪᠢᠴᠢᠭ"], "᠂᠃᠄", "()"),
]
UNSPACED = [
    ("Chinese", ["天地", "玄黄"], "，。！？；：、", "「」"),
    ("Japanese", ["こんにちは", "東京", "カタカナ"], "、。！？", "『』"),
]


@given(st.data(), st.sampled_from(SPACED + UNSPACED))
def test_a_sentence_of_any_script_comes_back(
    data: st.DataObject, script: tuple[str, list[str], str, str]
) -> None:
    """Words, some in brackets or quotation marks, some with a mark behind them. Where marks are as
    wide as letters there is a blank only between two words."""
    _, words, marks, (opening, closing) = script
    text = ""
    for word in data.draw(st.lists(st.sampled_from(words), min_size=1, max_size=8)):
        quoted = f"{opening}{word}{closing}" if data.draw(st.booleans()) else word
        between_words = text[-1:].isalnum() and quoted == word
        blank = " " if text and (script in SPACED or between_words) else ""
        text += blank + quoted + data.draw(st.sampled_from(["", *marks]))
    assert retold(text) == text


SCRIPTS = "".join(LINES) + "ab1 \n\"'’-‐‑<>_\u0301\ufe0f\u200c\U00011102" + FREE_MARKS
joined = st.dictionaries(st.sampled_from(FREE_MARKS), st.tuples(st.booleans(), st.booleans()))


@given(
    st.text(st.one_of(st.sampled_from(SCRIPTS), st.characters(exclude_categories=("Cs",)))), joined
)
def test_what_is_written_is_read_as_the_same_tokens(text: str, joins: Joins) -> None:
    """Nothing that is written together becomes one word, or another mark."""
    text = text.replace("\0", "").replace("\r", "")
    assert WordTokenizer.split(retold(text, joins), False, "separate") == WordTokenizer.split(
        text, False, "separate"
    )


@pytest.mark.parametrize(
    "line",
    [
        "speak--speak, 'tis a dog",
        "the dog's o'er-ripe, 'tis two's",
        "word—word, and/or a+b",
        "speak -- speak, as dogs ' do",
        "word — word, and / or a + b",
    ],
)
def test_marks_for_which_there_is_no_rule_stand_as_the_text_has_them(line: str) -> None:
    text = f"{line}\n" * 12
    assert retold(text, learn_joins(text)) == text
    begun = f"-- x\n- y\n{line}\n" * 12
    assert learn_joins(begun) == learn_joins(text), "what begins a line tells nothing"
    assert learn_joins(line) == {}, "too seldom to be known"


def test_how_marks_stand_is_learnt_with_a_corpus_and_kept_with_its_tokenizer(
    tmp_path: Path,
) -> None:
    source = tmp_path / "plays.txt"
    source.write_text("hear me speak--'tis late\n" * 60)
    tokenizer = open_corpus(CorpusConfig(source=str(source)), cache=tmp_path / "cache").tokenizer
    ids = tokenizer.encode("speak--'tis")
    assert tokenizer.decode(ids) == "speak--'tis"
    assert "".join(map(readable_decoder(tokenizer), ids)) == "Speak--'tis"
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    assert load_tokenizer(path).decode(ids) == "speak--'tis"
    path.write_text(path.read_text().replace('"joins":{"-"', '"joins":{"x"'))
    with pytest.raises(UserError, match="no usable tokenizer"):
        load_tokenizer(path)


@given(st.lists(st.text(st.characters(), max_size=3), max_size=20))
def test_any_tokens_have_a_space_or_nothing_between_them(tokens: list[str]) -> None:
    """Also those of a vocabulary from elsewhere."""
    spacing = Spacing()
    assert {spacing.before(token) for token in tokens} <= {"", " "}


def test_words_never_touch() -> None:
    letters = [chr(code) for code in range(0x3000) if unicodedata.category(chr(code))[0] == "L"]
    for letter in letters:
        spacing = Spacing()
        assert (spacing.before(letter), spacing.before("a"), spacing.before(letter)) == (
            *("", " "),
            " ",
        )
