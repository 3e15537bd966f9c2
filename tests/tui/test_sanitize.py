import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.content import Content

from tui.sanitize import content, drawn, token, visible

BIDI_AND_INVISIBLE = [
    0x00AD,
    0x061C,
    0x180E,
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
    0xE0001,
    0xE0041,
]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain text, as it is", "plain text, as it is"),
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x00", "␀"),
        ("\x7f", "␡"),
        ("\x9b31m", "‹U+009B›31m"),
        ("\x85", "‹U+0085›"),
        ("a\rb\r\nc", "a␍b␍⏎c"),
        ("a\tb", "a    b"),
        ("a\nb", "a⏎b"),
        ("\ud800", "‹U+D800›"),
        ("x\udfffy", "x‹U+DFFF›y"),
        ("admin\u202eexe.txt", "admin‹U+202E›exe.txt"),
        ("\u2066x\u2069", "‹U+2066›x‹U+2069›"),
        ("zero\u200bwidth", "zero‹U+200B›width"),
        ("\ufeffmark", "‹U+FEFF›mark"),
        ("[/oops] [bold]not bold[/bold] \\[", "[/oops] [bold]not bold[/bold] \\["),
        ("cafe\u0301 e\u0302\u0323", "cafe\u0301 e\u0302\u0323"),
        ("\u0301x", "◌\u0301x"),
        ("naïve 日本語 emoji 🙂", "naïve 日本語 emoji 🙂"),
    ],
)
def test_visible(text, shown):
    assert visible(text) == shown


@pytest.mark.parametrize("code", BIDI_AND_INVISIBLE)
def test_bidi_and_invisible_characters_show_their_code(code):
    assert visible(f"a{chr(code)}b") == f"a‹U+{code:04X}›b"


def test_no_format_character_passes_but_signs_of_a_script():
    """Of all of Unicode. These signs are drawn around the digits after them."""
    signs = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    formats = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"]
    assert {ord(each) for each in formats if visible(each) == each} == signs


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, *range(0x80, 0xA0)])
def test_no_control_character_passes(code):
    shown = visible(f"a{chr(code)}b")
    assert chr(code) not in shown
    assert shown.isprintable()
    assert len(shown) > 2


def test_newlines_are_kept_on_request_but_nothing_else():
    assert visible("a\nb\x1b\r\n", keep_newlines=True) == "a\nb␛␍\n"


@settings(deadline=None)
@given(st.text(st.characters(), max_size=200), st.booleans())
def test_nothing_a_terminal_obeys_is_left(text, keep_newlines):
    shown = visible(text, keep_newlines=keep_newlines)
    left = shown.replace("\n", "") if keep_newlines else shown
    assert not {unicodedata.category(character) for character in left} & {"Cc", "Cs", "Zl", "Zp"}
    bidirectional = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    assert not {unicodedata.bidirectional(character) for character in left} & bidirectional
    shown.encode("utf-8")


def test_content_is_never_markup():
    for text in ("[/oops]", "[bold]x[/bold]", "[@click=app.quit]x[/]", "\\[x]", "$primary"):
        assert content(text).plain == text
        assert content(text).spans == []
    assert content("[b]x", "bold").is_same(Content.styled("[b]x", "bold"))
    assert content("\x1b[2J\nx", keep_newlines=True).plain == "␛[2J\nx"


@settings(deadline=None)
@given(st.text(st.characters(), max_size=200))
def test_what_is_drawn_has_a_character_for_each_and_none_is_obeyed(text):
    shown = drawn(text)
    assert len(shown) == len(text)
    assert visible(shown) == shown
    kept = [place for place, each in enumerate(text) if visible(f"a{each}") == f"a{each}"]
    assert all(shown[place] == text[place] for place in kept if place)


def test_of_every_token_something_is_seen():
    for code in range(0x110000):
        if chr(code).isspace():
            assert token(chr(code)).strip(), hex(code)
    assert (token(" "), token(" \t\n"), token(" the")) == ("␣", "␣␉⏎", " the")


def test_a_mark_that_goes_on_from_a_text_sits_on_its_letter():
    assert visible("\u093f\x1b") == "◌\u093f␛"
    assert visible("\u093f\x1b", begins=False) == "\u093f␛"
