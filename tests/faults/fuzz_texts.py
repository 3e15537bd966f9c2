"""Any bytes under any name, opened as a corpus: it is one, or a sentence says why not."""

import gzip
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from unittest import mock

import msgspec

from engine.config import CorpusConfig
from engine.errors import UserError
from engine.text.corpus import Corpus, encode_source, open_corpus
from engine.text.reading import resolve
from tests.faults.sentences import assert_sentence

SCRIPTS = [
    "The cat sat on the mat; don't ask why - state-of-the-art.\n",
    "Grüße aus Łódź, naïve façade cafe\u0301\r\n",
    "日本語の文章。中文，没有空格！한국어 텍스트\n",
    "हिन्दी में क्षत्रिय। ภาษาไทย نص عربي، می\u200cخواهم עברית\n",
    "🙂👨\u200d👩\u200d👧🏳️\u200d🌈 e\u0302\u0323\u0301\u0301\u0301\n",
    "a\u202eb\u2066c\u2069\u200b\u2028\u2029\x85\x0b\x0c\x1c\x1f\n",
    "<unk> <eos> N '' `` 3.14 <unk>\n\n\n \t \n",
    "\ufeff\ufffe\uffff\U0010ffff\u0000\ud7ff\ue000",
    "\r\r\n\n\r",
    "\u0301\u0301 \u200d\u200c",
    "{[(\"'«»“”’)]} \x1b[31m\x1b]0;x\x07\n",
]
BYTES = [
    b"\xff\xfe",
    b"\xfe\xff",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"\x80",
    b"\x1f\x8b\x08\x00",
    b"\n",
    b" ",
]
NAMES = [
    b"a",
    b"b",
    b"c",
    b"caf\xe9",
    b"two\nlines",
    b"\x1b[2J",
    "\u202etxt".encode(),
    b"[b]*?",
    b"x" * 200,
]
SUFFIXES = [b".txt", b".TXT", b".text", b".md", b".tokens"]
ODD_SOURCES = [".", "/dev/null", "/proc/self/mem", "~", "~x/y", "\0", "*[", "x" * 5000]
STORED = {"train.ids", "valid.ids", "test.ids", "tokenizer.json", "manifest.json"}


@contextmanager
def target(folder: Path) -> Iterator[object]:
    """See `fuzz`."""
    with (
        mock.patch("engine.text.corpus_cache.sync", lambda _: None),
        mock.patch("engine.text.scan_cache.SETTLED", 0),
    ):
        yield lambda random: _case(random, folder / "case")


def _case(random: Random, folder: Path) -> str:
    texts, cache = folder / "texts", folder / "cache"
    texts.mkdir(parents=True)
    try:
        source = _write_source(random, texts)
        config = _settings(random, source)
        with _bounds(random):
            try:
                corpus = open_corpus(config, cache=cache)
            except UserError as error:
                assert_sentence(str(error))
                return "refused"
            finally:
                _check_cache(cache)
            _check(corpus)
            again = open_corpus(config, cache=cache)
            assert again.summary.cached
            assert again.fingerprint == corpus.fingerprint
            _encode_another(random, corpus, texts)
        return "sound"
    finally:
        shutil.rmtree(folder)


def _check(corpus: Corpus) -> None:
    tokens = len(corpus.tokenizer.vocabulary)
    for split, ids in corpus.splits.items():
        assert len(ids) >= 2, split
        assert int(ids.max()) < tokens, split
        corpus.tokenizer.decode(ids.tolist()).encode()
    msgspec.msgpack.encode(corpus.summary)


def _check_cache(cache: Path) -> None:
    """Whole corpora in it, and nothing else."""
    for stored in (cache / "corpora").glob("*"):
        names = {path.name for path in stored.iterdir()}
        assert {"train.ids", "tokenizer.json", "manifest.json"} <= names <= STORED, stored


def _encode_another(random: Random, corpus: Corpus, texts: Path) -> None:
    other = texts / "other"
    other.write_bytes(_text(random))
    work = encode_source(resolve(str(other)), corpus.tokenizer)
    try:
        while True:
            next(work)
    except StopIteration as end:
        assert int(end.value.ids.max()) < len(corpus.tokenizer.vocabulary)
    except UserError as error:
        assert_sentence(str(error))


@contextmanager
def _bounds(random: Random) -> Iterator[None]:
    """Sometimes low ones, so that a short text goes the ways of a long one."""
    lowered = {
        "engine.text.reading.BLOCK": random.randint(3, 50),
        "engine.text.interned_text.MAX_PRETOKENS": random.randint(0, 20),
        "engine.text.interned_text.MAX_LONG_SIZE": 40,
        "engine.text.interned_text.AT_ONCE": random.randint(1, 5),
        "engine.text.subwords.LEARN_FROM": random.randint(1, 100),
        "engine.text.subwords.CACHED_WORDS": 2,
    }
    with ExitStack() as stack:
        for name, value in lowered.items():
            if random.random() < 0.15:
                stack.enter_context(mock.patch(name, value))
        yield


def _settings(random: Random, source: str) -> CorpusConfig:
    return msgspec.convert(
        {
            "source": source,
            "tokenizer": random.choice(["word", "whitespace", "character", "subword"]),
            "lowercase": random.random() < 0.5,
            "punctuation": random.choice(["separate", "drop"]),
            "min_count": random.choice([1, 1, 2, 3, 1_000_000]),
            "max_vocabulary": random.choice([2, 3, 256, 257, 258, 300, 300, 5000, 1_000_000]),
            "valid_fraction": random.choice([0, 1e-9, 0.05, random.random() / 2, 0.5]),
            "test_fraction": random.choice([0, 1e-9, 0.05, random.random() / 2, 0.49]),
        },
        CorpusConfig,
    )


def _write_source(random: Random, folder: Path) -> str:
    kind = random.choice(["file", "folder", "glob", "splits"] * 5 + ["odd source"])
    if kind == "splits":
        for split in ("train", *random.sample(["valid", "test"], random.randint(0, 2))):
            _write(random, folder / f"{split}.txt")
        return str(folder)
    paths = []
    for _ in range(1 if kind == "file" else random.randint(1, 3)):
        name = random.choice(NAMES) + str(len(paths)).encode() + random.choice(SUFFIXES)
        inner = folder / random.choice(["", "deep", os.fsdecode(b"caf\xe9")])
        inner.mkdir(exist_ok=True)
        paths.append(_write(random, inner / os.fsdecode(name)))
    match kind:
        case "file":
            return str(paths[0])
        case "folder":
            return str(folder)
        case "glob":
            return str(folder / "**" / random.choice(["*", "*", "*.t*", "[!x]*", "**", "["]))
        case _:
            return random.choice(ODD_SOURCES)


def _write(random: Random, path: Path) -> Path:
    data = _text(random)
    if random.random() < 0.2:
        path = path.with_name(path.name + ".gz")
        data = gzip.compress(data, 1)
        if random.random() < 0.5:
            data = _mutated(random, data)
    path.write_bytes(data)
    return path


def _text(random: Random) -> bytes:
    match random.randrange(16):
        case 0:
            data = random.randbytes(random.choice([0, 1, 2, 3, 100, 5000]))
        case 1:
            data = random.choice(SCRIPTS).encode() * random.choice([1, 1, 300_000 // 60])
        case 2:
            data = random.choice([b"x", "日".encode(), b"ab", b" ", b"\r", b"\n"]) * random.choice(
                [1, 2, 129, 10_000, 200_000]
            )
        case 3:
            data = _lines(random).encode(
                random.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
            )
        case _:
            data = _lines(random).encode()
    return _mutated(random, data) if random.random() < 0.1 else data


def _lines(random: Random) -> str:
    text = "".join(random.choice(SCRIPTS[:-4]) for _ in range(random.randint(1, 30)))
    if random.random() < 0.3:
        some = [
            random.randrange(0x300),
            random.randrange(0xD800),
            random.randrange(0xE000, 0x110000),
        ]
        text += "".join(map(chr, random.choices(some, k=20)))
    return text


def _mutated(random: Random, data: bytes) -> bytes:
    """Cut, flipped, doubled, or with something put in."""
    for _ in range(random.randint(1, 4)):
        place = random.randint(0, len(data))
        match random.randrange(4):
            case 0:
                data = data[:place]
            case 1 if data:
                place = min(place, len(data) - 1)
                data = (
                    data[:place]
                    + bytes([data[place] ^ 1 << random.randrange(8)])
                    + data[place + 1 :]
                )
            case 2:
                data = data[:place] + data[place // 2 : place // 2 + 50] + data[place:]
            case _:
                data = (
                    data[:place] + random.choice(BYTES) * random.choice([1, 3, 2000]) + data[place:]
                )
    return data
