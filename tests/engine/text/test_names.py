"""Names of files that nobody would choose: text in such files is read, and no message, log or
terminal gets them as they are."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import CorpusConfig, RunConfig
from engine.errors import UserError
from engine.text import scan_cache
from engine.text.corpus import Corpus, encode_source, open_corpus
from engine.text.reading import resolve
from engine.visible import visible

UNICODE = ["two\nlines", "\x1b[31mred", "\x1b]0;x\x07", "a\u202egpj", "a\u2028b", "[b]x", "a\tb"]
NOT_UTF_8 = [os.fsdecode(name) for name in (b"caf\xe9", b"\xff\xfe", b"\x1b[2J\x80\n")]
NAMES = pytest.mark.parametrize("name", UNICODE + NOT_UTF_8, ids=ascii)
TEXT = "one two three\n" * 20


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_TUI_CACHE", str(tmp_path_factory.mktemp("cache")))


def opened(source: Path) -> Corpus:
    return open_corpus(CorpusConfig(source=str(source)))


def in_a_folder(folder: Path, name: str) -> Path:
    (folder / f"{name}.txt").write_text(TEXT)
    return folder


def in_a_folder_of_a_folder(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    in_a_folder(folder / name, name)
    return folder


def as_a_match(folder: Path, name: str) -> Path:
    in_a_folder_of_a_folder(folder, name)
    return folder / "**" / "*.txt"


def as_a_file(folder: Path, name: str) -> Path:
    return in_a_folder(folder, name) / f"{name}.txt"


def as_a_folder(folder: Path, name: str) -> Path:
    in_a_folder_of_a_folder(folder, "plain")
    return (folder / "plain").rename(folder / name)


def as_given_splits(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    (folder / name / "train.txt").write_text(TEXT)
    return folder / name


@NAMES
@pytest.mark.parametrize("place", [in_a_folder, in_a_folder_of_a_folder, as_a_match])
def test_a_file_of_any_name_in_a_corpus(
    place: Callable[..., Path], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_cache, "SETTLED", 0)
    source = place(tmp_path, name)
    first, second = opened(source), opened(source)
    assert first.summary.tokens["train"] > 60
    assert second.summary.cached
    monkeypatch.setattr("engine.text.corpus._read", None)  # what was found out is remembered
    assert opened(source).fingerprint == first.fingerprint
    msgspec.msgpack.encode(first.summary)


@NAMES
@pytest.mark.parametrize("place", [as_a_file, as_a_folder, as_given_splits])
def test_a_source_of_any_name_is_kept_or_refused(
    place: Callable[..., Path], name: str, tmp_path: Path
) -> None:
    source = place(tmp_path, name)
    if name in UNICODE:
        summary = opened(source).summary
        assert summary.source == str(source)
        msgspec.msgpack.encode(summary)
        msgspec.json.encode(RunConfig(corpus=CorpusConfig(source=str(source))))
        return
    for attempt in (
        lambda: opened(source),
        lambda: next(encode_source(resolve(str(source)), None)),
    ):
        with pytest.raises(UserError, match="isn't UTF-8") as caught:
            attempt()
        assert_safe(str(caught.value))
    (tmp_path / "link").symlink_to(source)
    assert opened(tmp_path / "link").summary.tokens["train"] > 60


def assert_safe(message: str) -> None:
    assert message == visible(message)
    assert "\n" not in message
    message.encode()


@NAMES
@pytest.mark.parametrize(
    "damage", ["gone", "empty", "blank", "binary", "no gzip", "cut gzip", "pipe", "no text", "link"]
)
def test_what_is_wrong_with_a_file_of_any_name_is_told_in_visible_characters(
    damage: str, name: str, tmp_path: Path
) -> None:
    path = tmp_path / f"{name}.txt"
    match damage:
        case "gone":
            path = tmp_path / f"{name}*.txt"
        case "empty" | "blank":
            path.write_text("" if damage == "empty" else " \n")
        case "binary":
            path.write_bytes(b"\xff\0")
        case "no gzip" | "cut gzip":
            path = tmp_path / f"{name}.txt.gz"
            path.write_bytes(gzip.compress(b"text")[:-3] if damage == "cut gzip" else b"text")
        case "pipe":
            os.mkfifo(path)
        case "no text":
            path.mkdir()
        case "link":
            path.symlink_to(path)
    sources = [path, path.parent] if damage in ("binary", "no gzip", "cut gzip") else [path]
    for source in sources:
        with pytest.raises(UserError) as caught:
            opened(source)
        assert_safe(str(caught.value))


@given(st.text(st.characters(), max_size=50))
def test_no_message_holds_what_a_terminal_obeys(text: str) -> None:
    message = str(UserError(f"There is no run {text} here."))
    assert_safe(message)
    assert str(UserError(message)) == message


def test_of_a_huge_message_both_ends_are_kept() -> None:
    message = str(UserError(f"The setting {'x' * 100_000} is none of ours."))
    assert len(message) < 11_000
    assert message.startswith("The setting xxx")
    assert message.endswith("xxx is none of ours.")
