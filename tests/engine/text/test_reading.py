"""Sources: what a source string stands for, and its text as a stream of chunks."""

import gzip
import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.text import reading
from engine.text.reading import (
    BEGINNING,
    check_beginning,
    cut_chunks,
    read_chunks,
    resolve,
    same_source,
)


def text_of(source: str, split: str = "train") -> str:
    return b"".join(read_chunks(resolve(source).splits[split])).decode()


def problem(source: str) -> str:
    with pytest.raises(UserError) as caught:
        for parts in resolve(source).splits.values():
            list(read_chunks(parts))
    return str(caught.value)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_a_file_plain_or_gzip(tmp_path: Path) -> None:
    assert text_of(str(write(tmp_path / "a.txt", "one\r\ntwo"))) == "one\ntwo"
    assert text_of(str(write(tmp_path / "b.log.gz", "one\r\ntwo"))) == "one\ntwo"


def test_a_folder_joins_its_text_files_in_order(tmp_path: Path) -> None:
    write(tmp_path / "b.TXT", "second")
    write(tmp_path / "a.md.gz", "first")
    write(tmp_path / "deep" / "c.tokens", "third\n")
    write(tmp_path / "deep" / "d.text", "fourth")
    write(tmp_path / "picture.png", "no")
    write(tmp_path / ".hidden" / "e.txt", "no")
    write(tmp_path / ".hidden.txt", "no")
    assert text_of(str(tmp_path)) == "first\nsecond\nthird\nfourth"
    assert resolve(str(tmp_path)).files == 4


@pytest.mark.parametrize(
    "ending", [".py", ".csv", ".log", ".abc", ".lua", ".json", ".tex", "", ".X"]
)
def test_a_folder_without_the_usual_names_joins_what_begins_as_text(
    tmp_path: Path, ending: str
) -> None:
    write(tmp_path / f"b{ending}", "second\x1b[0m")
    write(tmp_path / f"a{ending}.gz", "first")
    write(tmp_path / "deep" / f"c{ending}", "third\n")
    write(tmp_path / f".h{ending}", "no")
    write(tmp_path / ".hidden" / f"d{ending}", "no")
    (tmp_path / f"empty{ending}").touch()
    (tmp_path / f"binary{ending}").write_bytes(b"begins as text\0")
    (tmp_path / f"picture{ending}").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / f"packed{ending}.gz").write_bytes(gzip.compress(bytes(range(256))))
    (tmp_path / f"wide{ending}").write_bytes("fourth".encode("utf-16"))
    source = resolve(str(tmp_path))
    assert text_of(str(tmp_path)) == "first\nsecond\x1b[0m\nthird\nfourth"
    assert (source.files, source.given_splits, source.passed_over) == (4, False, "")


def test_a_text_that_is_not_utf_8_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes("Grüße".encode("latin-1"))
    assert "isn't UTF-8 text" in problem(str(tmp_path))


def test_a_folder_of_binaries_holds_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(range(256)))
    (tmp_path / "b.py").touch()
    assert "holds no text files" in problem(str(tmp_path))


def test_a_huge_folder_is_told_a_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_FILES", 5)
    for number in range(4):
        write(tmp_path / "deep" / f"{number}.py", "x = 1\n")
    write(tmp_path / "a.csv", "1,2\n")
    assert resolve(str(tmp_path)).files == 5
    write(tmp_path / "b.csv", "3,4\n")
    assert "more than 5 files" in (message := problem(str(tmp_path)))
    assert message.endswith(f" {tmp_path}/**/*.py.")
    assert resolve(f"{tmp_path}/**/*.py").files == 4
    write(tmp_path / "a.txt", "the usual\n")
    assert text_of(str(tmp_path)) == "the usual\n"


@pytest.mark.parametrize("place", ["code", "deep/code", "odd [1]*"])
def test_texts_that_are_passed_over_are_told_by_a_pattern_that_gives_them(
    tmp_path: Path, place: str
) -> None:
    folder = tmp_path / place
    write(folder / "README.md", "read me\n")
    for number in range(3):
        write(folder / f"{number}.py", f"x = {number}\n")
        write(folder / f"{number}.png", "\0")
    (folder / "-.py").touch()
    source = resolve(str(folder))
    assert text_of(str(folder)) == "read me\n"
    assert text_of(source.passed_over) == "x = 0\nx = 1\nx = 2\n"
    write(folder / "deep" / "3.py", "x = 3\n")
    assert resolve(resolve(str(folder)).passed_over).files == 5
    for number in range(5):
        write(folder / f"{number}.md", "more\n")
    assert resolve(str(folder)).passed_over == "", "most of it is read"


def test_pictures_beside_a_text_are_not_told(tmp_path: Path) -> None:
    write(tmp_path / "book.txt", "text\n")
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert resolve(str(tmp_path)).passed_over == ""


def test_a_search_can_be_ended(tmp_path: Path) -> None:
    write(tmp_path / "a.py", "text\n")

    def enough() -> None:
        raise UserError("enough")

    with pytest.raises(UserError, match="enough"):
        resolve(str(tmp_path), enough)


def test_a_folder_with_train_txt_brings_its_splits(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        write(tmp_path / f"{split}.txt", f"the {split} text\n")
    write(tmp_path / "notes.txt", "no part of the corpus")
    source = resolve(str(tmp_path))
    assert source.given_splits
    assert list(source.splits) == ["train", "valid", "test"]
    assert text_of(str(tmp_path), "test") == "the test text\n"


def test_a_folder_without_train_txt_has_none(tmp_path: Path) -> None:
    write(tmp_path / "valid.txt", "just a name\n")
    source = resolve(str(tmp_path))
    assert not source.given_splits
    assert list(source.splits) == ["train"]


def test_a_glob(tmp_path: Path) -> None:
    for name in ("2.log", "1.log", "sub/3.log", "4.txt"):
        write(tmp_path / name, name)
    assert text_of(str(tmp_path / "*.log")) == "1.log\n2.log"
    assert text_of(str(tmp_path / "**" / "*.log")) == "1.log\n2.log\nsub/3.log"
    assert problem(str(tmp_path / "*.csv")) == f"No file matches {tmp_path}/*.csv."


def test_a_file_whose_name_looks_like_a_glob(tmp_path: Path) -> None:
    assert text_of(str(write(tmp_path / "song [live].txt", "la\n"))) == "la\n"


def test_a_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "a.txt", "at home\n")
    assert text_of("~/a.txt") == "at home\n"


@pytest.mark.parametrize("name", ["toy-world", "python-docs"])
def test_the_built_in_corpora(name: str) -> None:
    assert len(text_of(name)) > 100_000
    assert resolve(name).files == 0


def test_what_is_not_there(tmp_path: Path) -> None:
    message = problem(str(tmp_path / "no.txt"))
    assert message.startswith(f"There is no file or folder {tmp_path}/no.txt")
    assert "toy-world" in message
    assert "holds no text files" in problem(str(tmp_path))
    assert "can't be the name of a file" in problem("a\0b")
    assert "no file or folder" in problem("~nobody-of-that-name/x")
    assert "Can't read" in problem("x" * 5000)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "neither a file nor a folder" in problem(str(tmp_path / "pipe"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "secret").chmod(0)
    assert problem(str(tmp_path / "a.txt")) == f"Can't read {tmp_path}/a.txt: Permission denied."


def test_a_folder_that_can_not_be_opened_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.txt", "text\n")
    scandir = os.scandir
    (tmp_path / "locked").mkdir()

    def refuse(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert problem(str(tmp_path)) == f"Can't read the folder {tmp_path}/locked: Permission denied."


def test_a_damaged_gzip_is_one_clear_sentence(tmp_path: Path) -> None:
    packed = gzip.compress(os.urandom(50_000).hex().encode())
    cut = tmp_path / "cut.txt.gz"
    cut.write_bytes(packed[:-1000])
    assert problem(str(cut)) == f"{cut} can't be unpacked: it is cut short."
    flipped = tmp_path / "flipped.txt.gz"
    flipped.write_bytes(packed[:20_000] + bytes([packed[20_000] ^ 255]) + packed[20_001:])
    assert "can't be unpacked: it is damaged" in problem(str(flipped))
    plain = tmp_path / "plain.txt.gz"
    plain.write_text("no gzip at all")
    assert "isn't gzip" in problem(str(plain))


def test_a_bad_byte_beyond_the_first_block_is_found_at_its_offset(tmp_path: Path) -> None:
    place = reading.BLOCK + 12_345
    path = tmp_path / "a.txt"
    path.write_bytes(b"line\n" * (place // 5) + b"x" * (place % 5) + b"\xff" + b"more\n")
    assert f"byte {place} is 0xFF" in problem(str(path))
    packed = tmp_path / "a.txt.gz"
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    assert f"byte {place} is 0xFF" in problem(str(packed))


def test_characters_and_line_ends_that_straddle_a_block(tmp_path: Path) -> None:
    for odd in (b"\r\n", "日".encode(), "🙂".encode()):
        path = tmp_path / "a.txt"
        data = b"x" * (reading.BLOCK - 1) + odd + b"end\n"
        path.write_bytes(data)
        assert text_of(str(path)) == data.decode().replace("\r\n", "\n")


def test_progress_is_told_in_bytes_of_the_disk(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "x" * 1000)
    write(tmp_path / "b.txt.gz", "y" * 100_000)
    source = resolve(str(tmp_path))
    told: list[int] = []
    list(read_chunks(source.splits["train"], told.append))
    total = sum(part.size for part in source.splits["train"])
    assert told == sorted(told)
    assert told[0] == 1000
    assert told[-1] == total < 2000


# --- chunks -----------------------------------------------------------------------------------

texts = st.text(st.sampled_from("ab \né日🙂\u2003"), max_size=200)


@given(texts, st.integers(4, 40), st.lists(st.integers(0, 200), max_size=5))
def test_chunks_are_the_text_cut_by_the_text_alone(text: str, size: int, cuts: list[int]) -> None:
    chunks = list(cut_chunks([text.encode()], size))
    assert "".join(chunk.decode() for chunk in chunks) == text
    assert all(0 < len(chunk) <= size for chunk in chunks)
    ends = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b].encode() for a, b in pairwise(ends)]
    assert list(cut_chunks(pieces, size)) == chunks


@pytest.mark.parametrize(
    ("text", "chunks"),
    [
        ("one two\nthree\nfour five\n", ["one two\n", "three\n", "four five\n"]),
        ("one two three four", ["one two", " three", " four"]),
        ("abcdefghijklmnopqrst", ["abcdefghij", "klmnopqrst"]),
        ("abcdefghi日klm", ["abcdefghi", "日klm"]),
        ("one\u2003tw\u2003three", ["one", "\u2003tw", "\u2003three"]),
        ("one\n\n\ntwo\n\n\nthree", ["one\n\n\n", "two\n\n\n", "three"]),
    ],
)
def test_where_chunks_end(text: str, chunks: list[str]) -> None:
    assert [chunk.decode() for chunk in cut_chunks([text.encode()], 10)] == chunks


HOPELESS = {
    "empty": b"",
    "white space": b" \n\t\r\n" * 300,
    "one character": b"a",
    "binary": b"\x7fELF\x02\x01\x01" + bytes(300),
    "NUL late": b"text " * 20_000 + b"\0",
    "Latin-1": "Gr\u00fc\u00dfe".encode("latin-1"),
    "cut gzip": gzip.compress(b"text " * 1000)[:20],
    "no gzip": b"text",
}


@pytest.mark.parametrize("kind", HOPELESS)
@pytest.mark.parametrize("place", ["file", "folder", "split", "glob"])
def test_a_hopeless_text_is_known_by_its_beginning(tmp_path: Path, kind: str, place: str) -> None:
    ending = ".txt.gz" if "gzip" in kind else ".txt"
    path = tmp_path / f"{'train' if place == 'split' else 'a'}{ending}"
    path.write_bytes(HOPELESS[kind])
    source = {"file": path, "glob": tmp_path / f"*{ending}"}.get(place, tmp_path)
    with pytest.raises(UserError) as caught:
        check_beginning(resolve(str(source)))
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_only_the_beginning_of_a_text_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_bytes(b"word " * BEGINNING + b"\xff")
    with path.open("ab") as file:
        file.truncate(1 << 40)
    check_beginning(resolve(str(path)))
    path.write_bytes(b" " * 2 * BEGINNING + b"at last")
    check_beginning(resolve(str(path)))
    path.write_bytes(b"\xff" + b"word " * BEGINNING)
    with pytest.raises(UserError, match="byte 0 is 0xFF"):
        check_beginning(resolve(str(path)))


def test_a_split_that_isn_t_text_is_known_and_an_empty_one_may_be(tmp_path: Path) -> None:
    write(tmp_path / "train.txt", "some words")
    write(tmp_path / "valid.txt", "")
    check_beginning(resolve(str(tmp_path)))
    (tmp_path / "test.txt").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"test\.txt isn't UTF-8"):
        check_beginning(resolve(str(tmp_path)))


@pytest.mark.parametrize("name", reading.BUILT_IN)
def test_the_built_in_texts_can_be_learnt_from(name: str) -> None:
    check_beginning(resolve(name))


def test_no_name_with_a_nul_is_that_of_a_text(tmp_path: Path) -> None:
    assert not same_source("a\0b", str(tmp_path))
    assert same_source(str(tmp_path), f"{tmp_path}/../{tmp_path.name}")
