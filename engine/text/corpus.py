"""A corpus: text, read as a stream, turned into token ids that are mapped into memory.

The first reading checks the text and takes its fingerprint; of files untouched since, it is
remembered. Where the same text was encoded in the same way before, its ids are found in the cache.
Else a second reading learns and encodes words: see `interning`. Characters, sub-words, and words
too many to hold in memory are learnt in a reading of their own, and then encoded in another. Every
reading has to give what the first gave.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
import platformdirs

from engine.config import CorpusConfig
from engine.errors import UserError
from engine.events import CorpusSummary, Progress
from engine.measures import bits_per_character
from engine.paths import named_path
from engine.text import corpus_cache
from engine.text.corpus_cache import Encoded
from engine.text.decoding import characters
from engine.text.interned_text import InternedText, TooMany
from engine.text.look import Look, look_at_source
from engine.text.prefetch import prefetch
from engine.text.reading import Source, read_chunks, read_text, resolve
from engine.text.remarks import remarks_on_corpus, remarks_on_files
from engine.text.scan_cache import Scan, file_states, recall, remember
from engine.text.spacing import learn_joins
from engine.text.splitting import divide
from engine.text.tokenizer import Tokenizer, learn_tokenizer, word_rules
from engine.text.vocabulary import MAX_TOKEN
from engine.text.words import WordTokenizer

FORMAT = 2
"""To be raised when the same text and configuration would be encoded differently."""
FREQUENT = 100
REPORT_EVERY = 0.1
"""Seconds."""

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Corpus:
    """An encoded corpus."""

    splits: dict[str, np.ndarray]
    """Ids of "train" and, where present, "valid" and "test": 1-D, uint16 or uint32, read-only,
    memory-mapped; at least 2 in each."""
    unknown: dict[str, int]
    """Of each split's tokens."""
    characters: dict[str, int]
    """Of each split's text."""
    tokenizer: Tokenizer
    summary: CorpusSummary
    fingerprint: str
    """Hex digest over the text of each split and how it is split and tokenised."""
    folder: Path
    """Where it is cached; what is worked out from it can be put there too."""

    def text(self, split: str) -> "EncodedText":
        """One of its splits. Raises UserError where there is no such split."""
        if split not in self.splits:
            raise UserError(
                f"{self.summary.source} has no {split} split; it has {', '.join(self.splits)}."
            )
        return EncodedText(self.splits[split], self.characters[split], self.unknown[split])


@dataclass(frozen=True)
class EncodedText:
    """A text under a tokenizer, which may have been learnt from another."""

    ids: np.ndarray
    """1-D, uint16 or uint32, read-only, memory-mapped; at least 2."""
    characters: int
    unknown: int
    """Of the tokens."""

    def bits_per_character(self, total_loss: float, tokenizer: Tokenizer) -> float | None:
        """A loss in nats, of all tokens but the first, as bits for each character that was
        predicted; None where `tokenizer`, which made them, makes words, as these don't spell the
        text out."""
        if not tokenizer.spells:
            return None
        first = tokenizer.decode(self.ids[:1].tolist())
        return bits_per_character(total_loss, self.characters - len(first))


def open_corpus(
    config: CorpusConfig, *, progress: Report = lambda _: None, cache: Path | None = None
) -> Corpus:
    """Read and encode a corpus, or find it in the cache.

    `cache` is the folder that holds encoded corpora; None takes $LSTM_TUI_CACHE, else the user's
    own cache folder. `progress` is told at most about ten times a second. Raises UserError where
    the source can't be read, isn't text or is too little, or where the cache can't be written.
    """
    source = resolve(config.source)
    cache = cache or _default_cache()
    scans = _scan(source, cache, progress)
    fingerprint = _fingerprint(config, scans)
    folder = cache / "corpora" / fingerprint

    stored = corpus_cache.find(folder)
    cached = stored is not None
    if stored is None:
        try:
            with corpus_cache.new_folder(folder) as new:
                tokenizer = _encode(config, source, scans, new, progress)
        except OSError as error:
            raise UserError(
                f"Can't write the encoded corpus below {folder.parent} ({error.strerror}): make "
                f"room, or name another folder in LSTM_TUI_CACHE."
            ) from None
        stored = corpus_cache.find(folder, tokenizer)
        if stored is None:
            raise UserError(f"The encoded corpus in {folder} can't be read back: try again.")
    else:
        corpus_cache.mark_used(folder)
    return Corpus(
        splits=stored.splits,
        unknown=stored.unknown,
        characters=stored.characters,
        tokenizer=stored.tokenizer,
        summary=_summary(config, source, scans, stored, fingerprint, cached),
        fingerprint=fingerprint,
        folder=folder,
    )


def encode_source(
    source: Source, tokenizer: Tokenizer, *, split: str = ""
) -> Generator[Progress, None, EncodedText]:
    """Tell of progress, then return the text of a source, or of one split of a folder that names
    its splits, as `tokenizer` reads it. The ids lie in a temporary file that goes when they do.

    Raises UserError where the source can't be read, isn't text, is too little or lacks the split.
    """
    name = source.name
    if split and not source.given_splits:
        raise UserError(f"{name} has no splits of its own; only a folder with train.txt has.")
    if split and split not in source.splits:
        raise UserError(f"{name} has no {split}.txt; it has {', '.join(source.splits)}.")
    chosen = [source.splits[split]] if split else source.splits.values()
    parts = [part for parts in chosen for part in parts]

    size = sum(part.size for part in parts)
    read = length = tokens = unknown = 0

    def tell(used: int) -> None:
        nonlocal read
        read = used

    dtype = corpus_cache.smallest_type(len(tokenizer.vocabulary))
    try:
        with tempfile.TemporaryFile() as file:
            for chunk in read_chunks(parts, tell):
                text = chunk.decode()
                ids = tokenizer.encode(text)
                file.write(ids.astype(dtype).tobytes())
                length += len(text)
                tokens += len(ids)
                unknown += int((ids == tokenizer.vocabulary.unknown).sum())
                yield Progress(task="encoding", done=min(read, size), total=size, unit="bytes")
            file.flush()
            if tokens < corpus_cache.LEAST_TOKENS:
                raise UserError(f"{name} is too little text: there must be at least two tokens.")
            mapped = np.memmap(file, dtype, "r")
    except OSError as error:
        raise UserError(
            f"Can't write to the temporary folder {tempfile.gettempdir()} ({error.strerror})."
        ) from None
    return EncodedText(mapped, length, unknown)


# --- the first reading ------------------------------------------------------------------------


def _scan(source: Source, cache: Path, progress: Report) -> dict[str, Scan]:
    """What is known about the text of each split, else found out."""
    files = file_states(source)
    known = files and recall(cache, files)
    if known:
        return known
    scans = _read(source, progress)
    if files:
        remember(cache, files, scans)
    return scans


def _read(source: Source, progress: Report) -> dict[str, Scan]:
    """Read all there is, which also shows that all of it is text."""
    sizes = {split: sum(part.size for part in parts) for split, parts in source.splits.items()}
    ticker = _Ticker(progress, "reading", sum(sizes.values()), "bytes")
    scans: dict[str, Scan] = {}
    for split, parts in source.splits.items():
        read = size = length = lines = 0
        digest = _new_digest()
        blank = ended = True

        def tell(used: int) -> None:
            nonlocal read
            read = used

        for text in prefetch(read_text(parts, tell)):
            ticker.at(read)
            digest.update(text)
            size += len(text)
            length += characters(text)
            lines += int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord("\n")))
            blank = blank and text.decode().isspace()
            ended = text.endswith(b"\n")
        if split == "train" and blank:
            raise UserError(f"{source.name} is empty: there is no text in it to learn from.")
        scans[split] = Scan(size, length, lines + (not ended), digest.hexdigest())
        ticker.begin_at(sizes[split])
    ticker.end()
    return scans


def _new_digest() -> "hashlib.blake2b":
    """Of a text: see `Scan`."""
    return hashlib.blake2b(digest_size=16)


def _fingerprint(config: CorpusConfig, scans: dict[str, Scan]) -> str:
    settings = msgspec.structs.asdict(config)
    del settings["source"]
    texts = {split: scan.digest for split, scan in scans.items()}
    identity = msgspec.json.encode([FORMAT, settings, texts], order="deterministic")
    return hashlib.blake2b(identity, digest_size=16).hexdigest()


def _default_cache() -> Path:
    if named := os.environ.get("LSTM_TUI_CACHE"):
        return named_path(named, "The folder LSTM_TUI_CACHE")
    return Path(platformdirs.user_cache_dir("lstm-tui", appauthor=False))


# --- the second ---------------------------------------------------------------------------------


def _encode(
    config: CorpusConfig, source: Source, scans: dict[str, Scan], folder: Path, progress: Report
) -> Tokenizer:
    """Learn the tokenizer and write the encoded corpus into `folder`. Raises OSError."""
    shares = _shares(config, source)
    everything = sum(scan.characters for scan in scans.values())
    counting = _Ticker(progress, "counting", everything, "characters")
    encoding = _Ticker(progress, "encoding", everything, "characters")

    def texts(given: Iterable[str] = source.splits) -> Iterator[tuple[str, bytes]]:
        return _texts(source, scans, shares, given)

    with tempfile.TemporaryFile(dir=folder) as scratch:
        tokenizer, encoded = _learn(config, texts, scratch, counting.at)
        counting.end()
        if isinstance(tokenizer, WordTokenizer):
            tokenizer.joins = learn_joins(_beginning(texts(["train"])))
        look = look_at_source(source)
        tokens = corpus_cache.write(folder, tokenizer, _told(encoded, encoding.at), look)
    encoding.end()
    if "train" not in tokens:
        raise UserError(_too_little(source, look))
    return tokenizer


def _beginning(texts: Iterable[tuple[str, bytes]]) -> str:
    """Some of the training text."""
    return next((chunk.decode() for split, chunk in texts if split == "train"), "")


def _too_little(source: Source, look: Look) -> str:
    if look.long < 0.5:
        return f"{source.name} is too little text: there must be at least two tokens."
    return (
        f"{source.name} has hardly a word of {MAX_TOKEN} characters or fewer, and longer ones are "
        f"unknown, so there is nothing to learn: corpus.tokenizer=character takes each character "
        f"as a token."
    )


def _learn(
    config: CorpusConfig,
    texts: Callable[..., Iterator[tuple[str, bytes]]],
    scratch: BinaryIO,
    tell: Callable[[int], None],
) -> tuple[Tokenizer, Iterator[Encoded]]:
    """The tokenizer of the training text, and all of the text in its ids. `texts` reads it anew, or
    only the splits it is given; it is read to its end each time, since only there it shows that it
    is still the same. `scratch` is an empty file, `tell` is given the characters learnt from."""
    if rules := word_rules(config):
        with suppress(TooMany):
            return InternedText(rules, texts(), scratch, tell).learn(config)

    def training_text() -> Iterator[str]:
        done = 0
        for split, chunk in prefetch(texts(["train"])):
            if split == "train":
                yield (text := chunk.decode())
                done += len(text)
                tell(done)

    def encoded() -> Iterator[Encoded]:
        for split, chunk in prefetch(texts()):
            text = chunk.decode()
            too_long = rules.too_long(text) if rules else 0
            yield Encoded(split, tokenizer.encode(text), len(text), too_long)

    tokenizer = learn_tokenizer(config, training_text)
    return tokenizer, encoded()


def _told(encoded: Iterable[Encoded], tell: Callable[[int], None]) -> Iterator[Encoded]:
    """The same; `tell` is given the characters so far."""
    done = 0
    for stretch in encoded:
        yield stretch
        done += stretch.characters
        tell(done)


def _shares(config: CorpusConfig, source: Source) -> dict[str, float]:
    """The parts of the training text to cut off for other splits."""
    if not source.given_splits:
        return {"valid": config.valid_fraction, "test": config.test_fraction}
    return {} if "valid" in source.splits else {"valid": config.valid_fraction}


def _texts(
    source: Source, scans: dict[str, Scan], shares: dict[str, float], given: Iterable[str]
) -> Iterator[tuple[str, bytes]]:
    """(split, chunk) in UTF-8 of the text of these splits as they are given, and of what is cut off
    from them; first all of "train". Raises UserError, at the end of each, where the text isn't that
    of the first reading."""
    for name in given:
        digest = _new_digest()
        text = _digested(read_chunks(source.splits[name]), digest)
        cut = shares if name == "train" else {}
        yield from divide(name, text, scans[name].characters, cut)
        if digest.hexdigest() != scans[name].digest:
            raise UserError(f"{source.name} changed while it was being read: open it again.")


def _digested(chunks: Iterable[bytes], digest: "hashlib.blake2b") -> Iterator[bytes]:
    """The same; `digest` is that of all so far."""
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _summary(
    config: CorpusConfig,
    source: Source,
    scans: dict[str, Scan],
    stored: corpus_cache.Stored,
    fingerprint: str,
    cached: bool,
) -> CorpusSummary:
    vocabulary = stored.tokenizer.vocabulary
    tokens = {split: len(ids) for split, ids in stored.splits.items()}
    counts = (tokens, stored.unknown, stored.too_long)
    return CorpusSummary(
        source=source.name,
        tokenizer=stored.tokenizer.rules,
        files=source.files,
        bytes=sum(scan.bytes for scan in scans.values()),
        characters=sum(scan.characters for scan in scans.values()),
        lines=sum(scan.lines for scan in scans.values()),
        tokens=tokens,
        vocabulary=len(vocabulary),
        unknown_rate={split: stored.unknown[split] / tokens[split] for split in tokens},
        too_long=stored.too_long,
        remarks=[
            *remarks_on_files(source),
            *remarks_on_corpus(config, stored.look, vocabulary, *counts),
        ],
        frequent=[
            entry
            for entry in zip(vocabulary.tokens[:FREQUENT], vocabulary.counts, strict=False)
            if entry[1] > 0
        ],
        cached=cached,
        fingerprint=fingerprint,
    )


class _Ticker:
    """Tells how far a task has come, at most every REPORT_EVERY seconds, and its end."""

    def __init__(self, progress: Report, task: str, total: int, unit: str) -> None:
        self._progress = progress
        self._task, self._total, self._unit = task, total, unit
        self._base = 0
        self._next = 0.0

    def begin_at(self, done: int) -> None:
        """Count what `at` is given from here on."""
        self._base += done

    def at(self, done: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + REPORT_EVERY
            self._tell(min(self._base + done, self._total))

    def end(self) -> None:
        self._tell(self._total)

    def _tell(self, done: int) -> None:
        self._progress(Progress(task=self._task, done=done, total=self._total, unit=self._unit))
