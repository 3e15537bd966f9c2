"""Word vectors out to files that gensim and the projector read, and in from files they wrote."""

import gzip
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.embeddings.export import ExportFormat, Written, export_vectors, written_files
from engine.embeddings.files import load_vectors, starting_vectors
from engine.errors import UserError
from engine.text.vector_files import VectorFile
from engine.text.vocabulary import Vocabulary

FORMATS: list[ExportFormat] = ["word2vec", "word2vec-binary", "glove"]
TOKENS = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=8, unique=True)
Table = NDArray[np.float32]


def table(words: int, size: int, seed: int = 1) -> Table:
    """Floats of all sizes: each bit pattern that is finite."""
    bits = np.random.default_rng(seed).integers(0, 1 << 32, (words, size), np.uint32)
    values = bits.view(np.float32)
    return np.where(np.isfinite(values), values, 1.5).astype(np.float32)


def export(path: Path, form: ExportFormat, tokens: list[str], vectors: Table) -> Written:
    *_, written = export_vectors(path, form, tokens, list(range(len(tokens), 0, -1)), vectors)
    assert isinstance(written, Written)
    return written


def by_gensim(path: Path, form: ExportFormat) -> Any:
    return KeyedVectors.load_word2vec_format(
        str(path), binary=form == "word2vec-binary", no_header=form == "glove"
    )


def same(one: Any, other: Any) -> bool:
    """Bit by bit, but for the sign of a zero."""
    return bool(np.array_equal(np.asarray(one, np.float32) + 0.0, np.asarray(other) + 0.0))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("size", [2, 7, 300])
def test_gensim_reads_each_number_as_it_was(tmp_path: Path, form: ExportFormat, size: int) -> None:
    tokens = [f"w{index}" for index in range(1500)]
    vectors = table(1500, size)
    written = export(tmp_path / "v", form, tokens, vectors)
    assert (written.files, written.escaped) == ([tmp_path / "v"], 0)
    read = by_gensim(tmp_path / "v", form)
    assert read.index_to_key == tokens
    assert same(read.vectors, vectors)
    assert list(tmp_path.iterdir()) == [tmp_path / "v"]


@settings(max_examples=60, deadline=None)
@given(tokens=TOKENS, form=st.sampled_from(FORMATS))
def test_whatever_the_words_are_gensim_finds_each_or_the_export_is_refused(
    tmp_path_factory: pytest.TempPathFactory, tokens: list[str], form: ExportFormat
) -> None:
    path = tmp_path_factory.mktemp("out") / "v"
    vectors = table(len(tokens), 3)
    try:
        written = export(path, form, tokens, vectors)
    except UserError as refusal:
        assert "would be the same word" in str(refusal)
        assert not list(path.parent.iterdir())
        return
    read = by_gensim(path, form)
    assert len(read) == len(tokens)
    assert same(read.vectors, vectors)
    plain = [token for token in tokens if not re.search(r"\s|[\x00-\x1f\x7f-\x9f]", token)]
    assert set(plain) <= set(read.index_to_key)
    assert written.escaped == len(tokens) - len(plain)


def test_the_projectors_tables_fit_line_by_line(tmp_path: Path) -> None:
    """Its rules: vectors by tabs, no header; metadata of two columns has one; no line is blank."""
    tokens = ["the", " ", "\n", "\t", "a b", "\x85"]
    vectors = table(6, 4)
    written = export(tmp_path / "v.tsv", "projector", tokens, vectors)
    assert written.files == [tmp_path / "v.tsv", tmp_path / "v.metadata.tsv"]
    assert written.files == written_files(tmp_path / "v.tsv", "projector")
    rows = (tmp_path / "v.tsv").read_text().split("\n")
    labels = (tmp_path / "v.metadata.tsv").read_text().split("\n")
    assert (rows.pop(), labels.pop()) == ("", "")
    assert same([row.split("\t") for row in rows], vectors)
    assert labels[0] == "word\tcount"
    assert [label.split("\t") for label in labels[1:]] == [
        *(["the", "6"], ["\\x20", "5"], ["\\x0a", "4"]),
        *(["\\x09", "3"], ["a b", "2"], ["\\x85", "1"]),
    ]
    assert written.escaped == 4


def test_numpy_reads_npz_without_unpickling(tmp_path: Path) -> None:
    tokens = ["the", "é", "a b", "\x00"]
    vectors = table(4, 5)
    assert export(tmp_path / "v.npz", "npz", tokens, vectors).escaped == 1
    with np.load(tmp_path / "v.npz", allow_pickle=False) as read:
        assert read["words"].tolist() == ["the", "é", "a b", "\\x00"]
        assert same(read["vectors"], vectors)


@pytest.mark.parametrize("form", [*FORMATS, "projector", "npz"])
def test_nothing_is_left_of_an_export_that_fails(tmp_path: Path, form: ExportFormat) -> None:
    (tmp_path / "v.txt").write_text("before")
    vectors = table(3000, 4)
    begun = export_vectors(tmp_path / "v.txt", form, [f"w{n}" for n in range(3000)], [1] * 3000,
                           vectors)  # fmt: skip
    next(begun)
    if form != "npz":
        begun.close()  # type: ignore[attr-defined]
        assert [path.name for path in tmp_path.iterdir()] == ["v.txt"]
        assert (tmp_path / "v.txt").read_text() == "before"
    with pytest.raises(UserError, match="would be the same word"):
        export(tmp_path / "v.txt", form, ["\x00", "\\x00"], vectors[:2])
    vectors[7, 1] = np.inf
    with pytest.raises(UserError, match="no longer finite"):
        export(tmp_path / "v.txt", form, [f"w{n}" for n in range(3000)], vectors)
    with pytest.raises(UserError, match="is a folder"):
        export(tmp_path, form, ["a"], vectors[:1])
    with pytest.raises(UserError, match="Can't write"):
        export(tmp_path / "nowhere" / "v", form, ["a"], vectors[:1])


# --- in -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", FORMATS)
def test_what_gensim_wrote_is_read(tmp_path: Path, form: ExportFormat, packed: bool) -> None:
    vectors = np.random.default_rng(4).normal(size=(2500, 30)).astype(np.float32)
    tokens = [f"wört{index}" for index in range(2500)]
    theirs = KeyedVectors(30)
    theirs.add_vectors(tokens, vectors)
    path = tmp_path / ("v.gz" if packed else "v")
    theirs.save_word2vec_format(
        str(path), binary=form == "word2vec-binary", write_header=form != "glove"
    )
    file = VectorFile(path)
    words = None if form == "glove" else 2500
    assert file.head == (form, 30, words)
    read = list(file.vectors())
    assert [word for word, _ in read] == tokens
    assert same([vector for _, vector in read], vectors)
    fingerprint = file.fingerprint
    if packed:
        (tmp_path / "plain").write_bytes(gzip.decompress(path.read_bytes()))
        plain = VectorFile(tmp_path / "plain")
        assert len(list(plain.vectors({"wört7"}))) == 1
        assert plain.fingerprint == fingerprint
    vocabulary, found = load_vectors(path)
    assert vocabulary.tokens == [*tokens, "<unk>"]
    assert same(found[:-1], vectors) and not found[-1].any()


def test_glove_words_may_hold_blanks_and_the_first_of_two_counts(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_text("the 1 2\n. . 3 4\nthe 5 6\n<unk> 7 8 \n\nname@domain.com 9 1e-3")
    vocabulary, vectors = load_vectors(path)
    assert vocabulary.tokens == ["the", ". .", "<unk>", "name@domain.com"]
    assert vectors.tolist() == [[1, 2], [3, 4], [7, 8], [9, np.float32(1e-3)]]


@pytest.mark.parametrize("head", ["", "2 2\n"])
def test_a_byte_order_mark_is_no_part_of_a_word(tmp_path: Path, head: str) -> None:
    path = tmp_path / "v.txt"
    path.write_text(f"{head}the 1 2\nof 3 4\n", encoding="utf-8-sig")
    assert load_vectors(path)[0].tokens == ["the", "of", "<unk>"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no file of word vectors"),
        (b"only\n", "no file of word vectors"),
        (b"two words\n", "no file of word vectors"),
        (b"the 1 2\nof 1\n", "Line 2 .* isn't a word and 2 numbers"),
        (b"the 1 2\nof 1 x\n", "Line 2"),
        (b"the 1 2\n" + b"x" * 3_000_000, "Line 2"),
        (b"3 2\nthe 1 2\nof 3 4\n", "cut short: it has 2 of the 3"),
        (b"1000000000000 2\nthe 1 2\n", "cut short: it has 1"),
        (b"5 90000000\nthe 1 2\n", "1 to 8,192 can be read"),
        (b"2 2\nthe \x00\x00\x80?\x00\x00\x80?\nof \x00\x00", "cut short: it has 1 of the 2"),
        (b"2 2\n" + b"x" * 5_000, "cut short: it has 0 of the 2"),
        (b"0 2\n", "no word vector"),
        (gzip.compress(b"the 1 2\n" * 9999, mtime=0)[:-20], "Can't read the vectors"),
        (b"\x1f\x8bnonsense", "Can't read the vectors"),
    ],
    ids=itertools.count(),
)
def test_a_damaged_file_says_how(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "v.txt"
    path.write_bytes(data)
    with pytest.raises(UserError, match=why):
        load_vectors(path)


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=300), head=st.sampled_from([b"", b"2 2\n", b"the 1 2\n", b"3 1\n"]))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, head: bytes, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("in") / "v"
    path.write_bytes(head + data)
    try:
        vocabulary, vectors = load_vectors(path)
    except UserError:
        return
    assert len(vocabulary) == len(vectors)


# --- to start from --------------------------------------------------------------------------------

WORDS = Vocabulary(["the", "<unk>", "cat", "dog"], [50, 20, 20, 10])


def test_a_vocabularys_words_are_found_and_their_share_is_told(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_text("dog 1 2\nbird 3 4\nthe 5 6\ncat nan 1\ndog 7 8\n")
    found = starting_vectors(path, WORDS, 5)
    assert found.rows.tolist() == [0, 3]
    assert found.vectors.tolist() == [[5, 6], [1, 2]]
    assert found.tokens == pytest.approx(0.6)
    assert found.size == 2
    path.write_text("bird 3 4\n")
    with pytest.raises(UserError, match="No word of the vocabulary"):
        starting_vectors(path, WORDS, 5)


def test_longer_vectors_are_projected_on_their_principal_directions(tmp_path: Path) -> None:
    random = np.random.default_rng(8)
    tokens = [f"w{index}" for index in range(60)]
    flat = random.normal(size=(60, 3)) @ random.normal(size=(3, 12))  # three directions are all
    path = tmp_path / "v.txt"
    export(path, "glove", tokens, flat.astype(np.float32))
    vocabulary = Vocabulary([*tokens, "<unk>"], [1] * 61)
    found = starting_vectors(path, vocabulary, 4)
    assert found.vectors.shape == (60, 4)
    again = starting_vectors(path, vocabulary, 4)
    assert np.array_equal(found.vectors, again.vectors)
    centred = flat - flat.mean(axis=0)
    projected = found.vectors - found.vectors.mean(axis=0)
    assert projected @ projected.T == pytest.approx(centred @ centred.T, rel=1e-3, abs=1e-3)
