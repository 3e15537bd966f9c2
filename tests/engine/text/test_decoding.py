"""Bytes to text: marks, strictness with the right offset, and what ends a line."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.text.decoding import characters, decode

TEXT = "Grüße,\n日本語 and 🙂\u2028one line\u0085still\x0bthe same\n"


def decoded(data: bytes, size: int = 7) -> str:
    blocks = [data[i : i + size] for i in range(0, len(data), size)]
    return "".join(piece.decode() for piece in decode(blocks, "book.txt"))


def problem(data: bytes, size: int = 7) -> str:
    with pytest.raises(UserError) as caught:
        decoded(data, size)
    return str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    ],
    ids=["utf-8", "utf-8 with mark", "utf-16-le", "utf-16-be"],
)
@pytest.mark.parametrize("size", [3, 4, 5, 1000])
def test_each_encoding_wherever_the_blocks_are_cut(data: bytes, size: int) -> None:
    assert decoded(data, size) == TEXT


@given(st.text(st.characters(exclude_characters="\0\r", codec="utf-8")), st.integers(3, 9))
def test_any_text_comes_back(text: str, size: int) -> None:
    # A U+FEFF in the first place is the mark.
    assert decoded(text.encode(), size) == text.removeprefix("\ufeff")


@given(st.text(st.characters(codec="utf-8")))
def test_characters_are_counted(text: str) -> None:
    assert characters(text.encode()) == len(text)


@pytest.mark.parametrize("size", [3, 4, 5, 6])
def test_only_three_sequences_end_a_line(size: int) -> None:
    assert decoded(b"one\r\ntwo\rthree\n\r\nfour\r", size) == "one\ntwo\nthree\n\nfour\n"
    assert (
        decoded("a\u2028b\u2029c\x85d\x1ce\x0cf".encode(), size) == "a\u2028b\u2029c\x85d\x1ce\x0cf"
    )


@given(st.text(st.sampled_from("aé日🙂\r\n"), max_size=40), st.integers(3, 9))
def test_line_ends_between_characters_of_any_length(text: str, size: int) -> None:
    assert decoded(text.encode(), size) == text.replace("\r\n", "\n").replace("\r", "\n")


def test_a_mark_inside_the_text_is_a_character() -> None:
    assert decoded("a\ufeffb".encode()) == "a\ufeffb"


@pytest.mark.parametrize("place", [0, 1, 6, 7, 8, 100, 1023])
def test_the_first_bad_byte_is_named(place: int) -> None:
    data = b"a" * place + b"\xe9t\xe9" + b"b" * 20
    assert problem(data).startswith(f"book.txt isn't UTF-8 text: byte {place} is 0xE9")


def test_the_mark_counts_in_the_offset() -> None:
    assert "byte 8 is 0xFF" in problem(codecs.BOM_UTF8 + b"hello\xff")


def test_a_character_cut_by_a_block_and_broken_in_the_next() -> None:
    # Bytes 6 and 7 begin a three-byte character that byte 8 doesn't end.
    assert "byte 6 is 0xE6" in problem(b"abcdef\xe6\x97xyz")


def test_a_file_that_ends_inside_a_character() -> None:
    message = problem("tschüß".encode()[:-1])
    assert "ends in the middle of a character" in message
    assert "byte 6" in message


def test_utf_16_that_breaks_off_or_pairs_wrongly() -> None:
    assert "byte 6" in problem(codecs.BOM_UTF16_LE + "ab".encode("utf-16-le") + b"c")
    alone = codecs.BOM_UTF16_LE + "ab".encode("utf-16-le") + b"\x00\xdc" + "c".encode("utf-16-le")
    assert "isn't UTF-16-LE text: byte 6 is 0x00" in problem(alone)


@pytest.mark.parametrize("place", [0, 3, 1000])
def test_a_nul_byte_is_refused_by_its_offset(place: int) -> None:
    assert f"byte {place} is NUL" in problem(
        "é".encode() * (place // 2) + b"a" * (place % 2) + b"\0z"
    )


def test_utf_16_without_a_mark_is_refused_as_binary() -> None:
    message = problem("plain".encode("utf-16-le"))
    assert "byte 1 is NUL" in message
    assert "UTF-16" in message


def test_a_nul_character_in_utf_16() -> None:
    assert "byte 6 is NUL" in problem(codecs.BOM_UTF16_BE + "ab\0c".encode("utf-16-be"))


def test_of_two_bad_bytes_the_first_is_named() -> None:
    assert "byte 2 is 0xFF" in problem(b"ab\xff\0")
    assert "binary" in problem(b"\x89PNG\0\0")
    assert "byte 2 is NUL" in problem(b"ab\0\xff")
