"""A corpus from end to end: splits, published counts, fingerprint, cache, progress, memory."""

import gzip
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.config import CorpusConfig, preset
from engine.errors import UserError
from engine.events import Progress
from engine.text import corpus as corpus_module
from engine.text import corpus_cache, scan_cache
from engine.text.corpus import Corpus, EncodedText, encode_source, open_corpus
from engine.text.reading import CHUNK, TextFile, resolve
from engine.text.splitting import divide
from engine.text.tokenizer import Tokenizer

DATA = Path(__file__).parents[3].parent / "shared" / "data"
LINES = "".join(f"line {number} says w{number % 7} and w{number % 11}\n" for number in range(400))


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_TUI_CACHE", str(tmp_path_factory.mktemp("cache")))


def opened(source: Path | str, **settings: object) -> Corpus:
    return open_corpus(msgspec.convert({"source": str(source), **settings}, CorpusConfig))


def problem(source: Path | str, **settings: object) -> str:
    with pytest.raises(UserError) as caught:
        opened(source, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def encoded(source: Path, tokenizer: Tokenizer, **which: str) -> EncodedText:
    work = encode_source(resolve(str(source)), tokenizer, **which)
    while True:
        try:
            next(work)
        except StopIteration as end:
            text: EncodedText = end.value
            return text


def text_of(corpus: Corpus, split: str) -> str:
    return corpus.tokenizer.decode(corpus.splits[split].tolist())


# --- splits -----------------------------------------------------------------------------------


def test_a_text_is_split_by_position_at_line_ends(tmp_path: Path) -> None:
    corpus = opened(
        write(tmp_path / "a.txt", LINES),
        tokenizer="character",
        valid_fraction=0.2,
        test_fraction=0.1,
    )
    train, valid, test = (text_of(corpus, split) for split in ("train", "valid", "test"))
    assert train + valid + test == LINES
    assert train.endswith("\n")
    assert valid.endswith("\n")
    for part, share in ((train, 0.7), (valid, 0.2), (test, 0.1)):
        assert len(part) / len(LINES) == pytest.approx(share, abs=0.01)


def test_without_a_line_end_near_the_split_is_exact(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "abcdefghij" * 1000)
    corpus = opened(path, tokenizer="character", valid_fraction=0.05, test_fraction=0.05)
    assert corpus.summary.tokens == {"train": 9000, "valid": 500, "test": 500}
    assert "\n" not in corpus.tokenizer.vocabulary.tokens


@pytest.mark.parametrize("size", [1, 3, 10, 64, 5000])
def test_where_the_chunks_end_does_not_move_a_split(size: int) -> None:
    text = "".join(f"{'é' * (number % 37)}\n" for number in range(100))
    shares = {"valid": 0.2, "test": 0.1}

    def splits(size: int) -> dict[str, str]:
        chunks = [text[i : i + size].encode() for i in range(0, len(text), size)]
        parts: dict[str, str] = {}
        for split, chunk in divide("train", chunks, len(text), shares):
            assert chunk
            parts[split] = parts.get(split, "") + chunk.decode()
        return parts

    whole = splits(len(text))
    assert "".join(whole.values()) == text
    assert list(whole) == ["train", "valid", "test"]
    if size >= 64:  # a chunk this long has a line end near any cut, as real chunks do
        assert splits(size) == whole


def test_given_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        write(tmp_path / f"{split}.txt", f"this is {split} text\n" * 5)
    corpus = opened(tmp_path, tokenizer="character")
    for split in ("train", "valid", "test"):
        expected = f"this is {split} text\n" * 5
        assert len(corpus.splits[split]) == len(expected)
    assert text_of(corpus, "train") == "this is train text\n" * 5
    assert corpus.summary.files == 3
    assert corpus.summary.lines == 15


def test_a_missing_valid_is_cut_from_train_and_a_missing_test_is_none(tmp_path: Path) -> None:
    write(tmp_path / "train.txt", LINES)
    assert list(opened(tmp_path).splits) == ["train", "valid"]
    write(tmp_path / "test.txt", "line 1 says w1 and w1\n")
    corpus = opened(tmp_path, tokenizer="character")
    assert list(corpus.splits) == ["train", "valid", "test"]
    assert text_of(corpus, "train") + text_of(corpus, "valid") == LINES
    assert text_of(corpus, "test") == "line 1 says w1 and w1\n"


def test_too_little_text_for_a_split_or_at_all(tmp_path: Path) -> None:
    assert list(opened(write(tmp_path / "a.txt", "one two three")).splits) == ["train"]
    assert "too little text" in problem(write(tmp_path / "b.txt", "one"))
    assert "is empty" in problem(write(tmp_path / "c.txt", ""))
    assert "is empty" in problem(write(tmp_path / "d.txt", " \n\n  \n"))
    assert "too little text" in problem(write(tmp_path / "e.txt", "... !"), punctuation="drop")


# --- what comes out ---------------------------------------------------------------------------


def test_the_summary_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "Grüße an Ä.\r\ngrüße an B.\nno end")
    summary = opened(path, valid_fraction=0, test_fraction=0).summary
    text = "Grüße an Ä.\ngrüße an B.\nno end"
    assert summary.source == str(path)
    assert (summary.bytes, summary.characters) == (len(text.encode()), len(text))
    assert (summary.lines, summary.files) == (3, 1)
    assert summary.tokens == {"train": 12}
    assert summary.frequent[:4] == [("grüße", 2), ("an", 2), (".", 2), ("<eos>", 2)]
    assert ("<unk>", 0) not in summary.frequent
    assert summary.vocabulary == len(summary.frequent) + 1
    assert summary.unknown_rate == {"train": 0.0}
    assert "lower case" in summary.tokenizer


@pytest.mark.parametrize("tokenizer", ["word", "whitespace", "character", "subword"])
def test_counts_and_unknown_rate_are_those_of_the_ids(tokenizer: str) -> None:
    corpus = opened("python-docs", tokenizer=tokenizer, max_vocabulary=300)
    vocabulary = corpus.tokenizer.vocabulary
    train = np.bincount(corpus.splits["train"], minlength=len(vocabulary))
    assert train.tolist() == vocabulary.counts
    assert vocabulary.counts == sorted(vocabulary.counts, reverse=True)
    assert len(vocabulary) <= 300
    for split, ids in corpus.splits.items():
        assert ids.dtype == np.uint16
        assert isinstance(ids, np.memmap)
        assert not ids.flags.writeable
        assert corpus.summary.unknown_rate[split] == (ids == vocabulary.unknown).mean()
    assert corpus.summary.unknown_rate["train"] > 0.1 or tokenizer in ("character", "subword")


def test_a_large_vocabulary_takes_wider_ids(tmp_path: Path) -> None:
    words = " ".join(f"w{number}" for number in range(70_000))
    corpus = opened(write(tmp_path / "a.txt", words), valid_fraction=0, max_vocabulary=100_000)
    assert corpus.splits["train"].dtype == np.uint32
    assert int(corpus.splits["train"].max()) >= 65_536


def test_the_first_presets_corpora_open() -> None:
    for name in ("toy", "laptop"):
        corpus = open_corpus(preset(name).corpus)
        assert list(corpus.splits) == ["train", "valid", "test"]


@pytest.mark.skipif(not (DATA / "ptb").exists(), reason="Penn Treebank isn't here")
def test_penn_treebank_as_published() -> None:
    summary = opened(DATA / "ptb", tokenizer="whitespace", max_vocabulary=50_000).summary
    assert summary.tokens == {"train": 929_589, "valid": 73_760}
    assert summary.vocabulary == 10_000


@pytest.mark.skipif(not (DATA / "wikitext-2").exists(), reason="WikiText-2 isn't here")
def test_wikitext_2_as_published() -> None:
    summary = opened(DATA / "wikitext-2", tokenizer="whitespace", max_vocabulary=50_000).summary
    assert summary.tokens == {"train": 2_088_628, "valid": 217_646}
    assert summary.vocabulary == 33_278


@pytest.mark.skipif(not (DATA / "tinyshakespeare").exists(), reason="Shakespeare isn't here")
def test_tiny_shakespeare_by_characters() -> None:
    corpus = opened(DATA / "tinyshakespeare" / "input.txt", tokenizer="character")
    assert sum(corpus.summary.tokens.values()) == corpus.summary.characters == 1_115_394
    assert corpus.summary.vocabulary == 65 + 1


def test_another_text_under_the_same_tokenizer(tmp_path: Path) -> None:
    corpus = opened(write(tmp_path / "a.txt", "the cat sat\nthe dog sat\n"), valid_fraction=0)
    other = encoded(write(tmp_path / "b.txt", "the bird sat\n"), corpus.tokenizer)
    assert corpus.tokenizer.decode(other.ids.tolist()) == "the <unk> sat\n"
    assert (other.characters, other.unknown, other.ids.dtype) == (13, 1, np.uint16)


def test_one_split_of_another_corpus(tmp_path: Path) -> None:
    tokenizer = opened(write(tmp_path / "a.txt", LINES), tokenizer="character").tokenizer
    folder = tmp_path / "given"
    folder.mkdir()
    write(folder / "train.txt", "line 1 says\n")
    write(folder / "valid.txt", "w1\n")
    assert tokenizer.decode(encoded(folder, tokenizer, split="valid").ids) == "w1\n"
    assert tokenizer.decode(encoded(folder, tokenizer).ids) == "line 1 says\nw1\n"
    for source, split in ((folder, "test"), (tmp_path / "a.txt", "valid")):
        with pytest.raises(UserError, match=r"has no (test\.txt|splits of its own)"):
            encoded(source, tokenizer, split=split)
    write(folder / "valid.txt", "w")
    with pytest.raises(UserError, match="too little text"):
        encoded(folder, tokenizer, split="valid")


def test_another_text_is_encoded_a_chunk_at_a_time(tmp_path: Path) -> None:
    tokenizer = opened(write(tmp_path / "a.txt", LINES), tokenizer="character").tokenizer
    path = write(tmp_path / "b.txt", LINES * 100)
    encode, lengths = tokenizer.encode, []

    class Counting:
        vocabulary = tokenizer.vocabulary

        def encode(self, text: str) -> np.ndarray:
            lengths.append(len(text))
            return encode(text)

    told = []
    for progress in encode_source(resolve(str(path)), Counting()):  # type: ignore[arg-type]
        told.append(progress.done)
        assert len(lengths) == len(told)
        assert progress.total == path.stat().st_size
    assert max(lengths) <= CHUNK
    assert len(told) > path.stat().st_size // CHUNK
    assert told == sorted(told)
    assert told[-1] == path.stat().st_size


# --- fingerprint and cache --------------------------------------------------------------------


def test_the_fingerprint_is_that_of_the_text_and_how_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", LINES)
    first = opened(path).fingerprint
    assert opened(path).fingerprint == first
    packed = tmp_path / "b.txt.gz"
    packed.write_bytes(gzip.compress(LINES.encode("utf-16")))
    assert opened(packed).fingerprint == first
    others = [
        opened(path, min_count=2),
        opened(path, valid_fraction=0.1),
        opened(path, lowercase=False),
        opened(write(tmp_path / "c.txt", LINES + "more\n")),
    ]
    assert len({first, *(corpus.fingerprint for corpus in others)}) == 5


def test_the_second_opening_finds_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.txt", LINES)
    first = opened(path)
    monkeypatch.setattr(corpus_module, "_encode", None)  # not needed again
    second = opened(path)
    assert (first.summary.cached, second.summary.cached) == (False, True)
    assert msgspec.structs.replace(second.summary, cached=False) == first.summary
    assert {split: ids.tolist() for split, ids in second.splits.items()} == {
        split: ids.tolist() for split, ids in first.splits.items()
    }


def reading_counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows with each text read for its fingerprint."""
    read, names = corpus_module._read, []

    def counted(source: Any, progress: Any) -> Any:
        names.append(source.name)
        return read(source, progress)

    monkeypatch.setattr(corpus_module, "_read", counted)
    return names


def test_untouched_files_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_cache, "SETTLED", 0)
    for split in ("train", "valid"):
        write(tmp_path / f"{split}.txt", LINES)
    read = reading_counted(monkeypatch)
    first, second = opened(tmp_path), opened(tmp_path)
    assert len(read) == 1
    assert second.summary == msgspec.structs.replace(first.summary, cached=True)
    assert second.fingerprint == first.fingerprint
    other = opened(tmp_path, tokenizer="character")  # what is known is known of the text
    assert len(read) == 1
    assert text_of(other, "train") == LINES


@pytest.mark.parametrize("change", ["same length", "same times", "replaced", "longer", "touched"])
def test_a_file_that_was_touched_is_read_again(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_cache, "SETTLED", 0)
    path = write(tmp_path / "a.txt", LINES)
    first = opened(path)
    state = path.stat()
    read = reading_counted(monkeypatch)
    changed = LINES.replace("says", "said") + ("more\n" if change == "longer" else "")
    match change:
        case "replaced":
            write(tmp_path / "b.txt", changed).replace(path)
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        case "touched":
            path.touch()
        case _:
            write(path, changed)
            if change == "same times":
                os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (opened(path).fingerprint == first.fingerprint) == (change == "touched")
    assert len(read) == 1


def test_a_file_changed_just_now_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.txt", LINES)
    read = reading_counted(monkeypatch)
    opened(path)
    opened(path)
    assert len(read) == 2


def test_a_file_that_changes_while_it_is_first_read_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_cache, "SETTLED", 0)
    path = write(tmp_path / "a.txt", LINES)
    read = corpus_module._read

    def read_and_change(*arguments: Any) -> Any:
        found = read(*arguments)
        write(path, LINES + "it said more\n")
        return found

    monkeypatch.setattr(corpus_module, "_read", read_and_change)
    with pytest.raises(UserError, match="changed"):
        opened(path)
    monkeypatch.setattr(corpus_module, "_read", read)
    assert "said" in opened(path, valid_fraction=0, test_fraction=0).tokenizer.vocabulary.tokens


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 0, "files": [], "scans": {}}'])
def test_damaged_notes_are_not_believed(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_cache, "SETTLED", 0)
    config = CorpusConfig(source=str(write(tmp_path / "a.txt", LINES)))
    first = open_corpus(config, cache=tmp_path)
    (notes,) = (tmp_path / "scans").iterdir()
    notes.write_bytes(content)
    assert open_corpus(config, cache=tmp_path).fingerprint == first.fingerprint
    assert notes.read_bytes() != content


def test_the_cache_may_be_given(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", LINES)
    corpus = open_corpus(CorpusConfig(source=str(path)), cache=tmp_path / "here")
    files = {path.name for path in (tmp_path / "here" / "corpora" / corpus.fingerprint).iterdir()}
    assert files == {"train.ids", "valid.ids", "test.ids", "tokenizer.json", "manifest.json"}
    assert len(list((tmp_path / "here" / "corpora").iterdir())) == 1


@pytest.mark.parametrize(
    "damage",
    ["cut", "odd", "grown", "emptied", "foreign id", "no manifest", "manifest", "tokenizer"],
)
def test_a_damaged_cache_is_never_used(tmp_path: Path, damage: str) -> None:
    path = write(tmp_path / "a.txt", LINES)
    config = CorpusConfig(source=str(path))
    good = open_corpus(config, cache=tmp_path)
    expected = good.splits["valid"].tolist()
    folder = tmp_path / "corpora" / good.fingerprint
    ids = folder / "valid.ids"
    data = ids.read_bytes()
    match damage:
        case "cut":
            ids.write_bytes(data[:-2])
        case "odd":
            ids.write_bytes(data[:-1])
        case "grown":
            ids.write_bytes(data + data)
        case "emptied":
            ids.write_bytes(b"")
        case "foreign id":
            ids.write_bytes(b"\xff\xff" + data[2:])
        case "no manifest":
            (folder / "manifest.json").unlink()
        case "manifest":
            (folder / "manifest.json").write_bytes(b'{"dtype": "object"}')
        case "tokenizer":
            (folder / "tokenizer.json").write_bytes(b"{")
    again = open_corpus(config, cache=tmp_path)
    assert not again.summary.cached
    assert again.splits["valid"].tolist() == expected
    assert open_corpus(config, cache=tmp_path).summary.cached


def test_a_corpus_half_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.txt", LINES)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(corpus_module, "_learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_corpus(CorpusConfig(source=str(path)), cache=tmp_path)
    assert list((tmp_path / "corpora").iterdir()) == []


def test_a_cache_that_can_not_be_written_is_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", LINES)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="LSTM_TUI_CACHE"):
        open_corpus(CorpusConfig(source=str(path)), cache=tmp_path / "file")


def test_a_full_temporary_folder_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.txt", LINES)
    tokenizer = opened(path).tokenizer
    full = corpus_module.tempfile
    monkeypatch.setattr(full, "TemporaryFile", lambda: Path("/dev/full").open("w+b"))  # noqa: SIM115
    with pytest.raises(UserError, match=r"Can't write to the temporary folder .*No space left"):
        encoded(path, tokenizer)


@pytest.mark.parametrize("tokenizer", ["word", "character"])
def test_a_file_that_changes_while_it_is_read(
    tokenizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.txt", LINES)
    encode = corpus_module._encode

    def change_and_encode(*arguments: Any) -> object:
        write(path, LINES + "more\n")
        return encode(*arguments)

    monkeypatch.setattr(corpus_module, "_encode", change_and_encode)
    assert "changed while it was being read" in problem(path, tokenizer=tokenizer)


SWAPPED = {
    "at the beginning": LINES.replace("says", "said", 100),
    "at the end": LINES[::-1].replace("syas", "dias", 20)[::-1],
}
"""As long as LINES."""
READERS: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "word": ({"tokenizer": "word"}, {}),
    "whitespace": ({"tokenizer": "whitespace"}, {}),
    "many words": ({"tokenizer": "word"}, {"engine.text.interned_text.MAX_PRETOKENS": 5}),
    "character": ({"tokenizer": "character"}, {}),
    "subword": ({"tokenizer": "subword", "max_vocabulary": 300}, {}),
    "subword of a huge text": (
        {"tokenizer": "subword", "max_vocabulary": 300},
        {"engine.text.subwords.LEARN_FROM": 2000},
    ),
}
"""Settings of a corpus and bounds to lower."""
KINDS = {
    "file": ("a.txt", "a.txt", {}),
    "gzip": ("a.txt.gz", "a.txt.gz", {}),
    "folder": ("", "b.txt", {"a.txt": "first\n"}),
    "glob": ("*.log", "1.log", {"2.log": "last\n"}),
    "given train": ("", "train.txt", {"valid.txt": LINES, "test.txt": LINES}),
    "given train alone": ("", "train.txt", {}),
    "given valid": ("", "valid.txt", {"train.txt": LINES}),
}
"""The source, which of its files is swapped, and the others."""


def contents(corpus: Corpus | corpus_cache.Stored) -> object:
    ids = {split: ids.tolist() for split, ids in corpus.splits.items()}
    return ids, corpus.tokenizer.vocabulary.tokens, corpus.tokenizer.vocabulary.counts


@pytest.mark.parametrize("where", SWAPPED)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_a_text_swapped_for_one_as_long_is_never_taken_for_it(
    reader: str, kind: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before every reading, for good and for that reading alone."""
    settings, bounds = READERS[reader]
    monkeypatch.setattr(corpus_cache, "sync", lambda _: None)  # it takes most of the time
    for name, value in bounds.items():
        monkeypatch.setattr(name, value)
    folder = tmp_path / "text"
    folder.mkdir()
    source, swapped_file, others = KINDS[kind]
    for name, text in others.items():
        write(folder / name, text)
    texts = LINES, SWAPPED[where]
    path, cache = folder / swapped_file, tmp_path / "cache"
    config = msgspec.convert({"source": str(folder / source), **settings}, CorpusConfig)

    def put(text: str) -> None:
        data = text.encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)

    sound = {}
    for text in texts:
        put(text)
        corpus = open_corpus(config, cache=tmp_path / "sound")
        sound[corpus.fingerprint] = contents(corpus)
    assert len(sound) == 2

    read, readings, swapped = TextFile.read, 0, range(0)

    def reading(file: TextFile, tell: Any) -> Any:
        nonlocal readings
        if file.path == path:
            readings += 1
            put(texts[readings in swapped])
        return read(file, tell)

    monkeypatch.setattr(TextFile, "read", reading)
    open_corpus(config, cache=tmp_path / "counted")
    count, refused = readings, 0
    for number in range(1, count + 1):
        for end in (count + 1, number + 1):
            readings, swapped = 0, range(number, end)
            try:
                corpus = open_corpus(config, cache=cache)
                assert contents(corpus) == sound[corpus.fingerprint]
            except UserError as error:
                assert "changed while it was being read" in str(error)
                refused += 1
            for stored in (cache / "corpora").iterdir():
                found = corpus_cache.find(stored)
                assert found is not None
                assert contents(found) == sound[stored.name]
            shutil.rmtree(cache)
    assert refused >= 2


# --- progress and memory ----------------------------------------------------------------------


def test_progress_begins_goes_on_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "REPORT_EVERY", 0)
    write(tmp_path / "train.txt", LINES * 200)
    write(tmp_path / "valid.txt", LINES * 200)
    told: list[Progress] = []
    config = CorpusConfig(source=str(tmp_path))
    open_corpus(config, progress=told.append)
    assert list(dict.fromkeys(event.task for event in told)) == ["reading", "counting", "encoding"]
    for task, unit in (("reading", "bytes"), ("counting", "characters")):
        events = [event for event in told if event.task == task]
        done = [event.done for event in events]
        assert len(done) > 2
        assert done == sorted(done)
        assert done[-1] == events[0].total == events[-1].total
        assert {event.unit for event in events} == {unit}


def test_progress_is_told_at_most_ten_times_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10**9))
    monkeypatch.setattr(corpus_module.time, "monotonic", lambda: next(clock) * 0.001)
    monkeypatch.setattr("engine.text.reading.BLOCK", 1000)
    told: list[Progress] = []
    path = write(tmp_path / "a.txt", LINES * 20)
    open_corpus(CorpusConfig(source=str(path)), progress=told.append)
    reading = [event for event in told if event.task == "reading"]
    blocks = path.stat().st_size // 1000
    assert 2 <= len(reading) <= blocks // 50


MEASURE = """
import resource, sys
from engine.config import CorpusConfig
from engine.text.corpus import open_corpus
corpus = open_corpus(CorpusConfig(source=sys.argv[1], tokenizer=sys.argv[2], max_vocabulary=5000))
unit = 1 if sys.platform == "darwin" else 1024
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""


def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    rng = random.Random(1)
    words = [f"word-{int(rng.paretovariate(0.7)) % 30_000}" for _ in range(120_000)]
    block = "".join(" ".join(words[i : i + 12]) + "\n" for i in range(0, len(words), 12))
    small, large = tmp_path / "small.txt", tmp_path / "large.txt"
    small.write_text(block * 3)
    large.write_text(block * 30)
    size = large.stat().st_size
    assert size > 25_000_000

    def peak(path: Path) -> int:
        command = [sys.executable, "-c", MEASURE, str(path), "whitespace"]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        return int(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)

    # What the large one may add is its ids, which are mapped: two bytes for each token.
    ids = 2 * 30 * (len(words) + block.count("\n"))
    assert peak(large) - peak(small) < ids + 5_000_000
