"""The encoded corpora: what killed engines left goes, and so do the longest unused."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.config import CorpusConfig
from engine.text import corpus_cache
from engine.text.corpus import Corpus, open_corpus

KILLED_WHILE_ENCODING = """
import os, signal, sys
from pathlib import Path
from engine.config import CorpusConfig
from engine.text import corpus
corpus._learn = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
corpus.open_corpus(CorpusConfig(source=sys.argv[1]), cache=Path(sys.argv[2]))
"""


def opened(folder: Path, name: str) -> Corpus:
    text = folder / f"{name}.txt"
    text.write_text(f"{name} sat on the mat\n" * 100)
    return open_corpus(CorpusConfig(source=str(text)), cache=folder / "cache")


def cached(folder: Path) -> set[str]:
    return {path.name for path in (folder / "cache" / "corpora").iterdir()}


def set_age(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds, time.time() - seconds))


def test_what_a_killed_engine_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the cat sat\n" * 100)
    command = [sys.executable, "-c", KILLED_WHILE_ENCODING]
    ended = subprocess.run([*command, tmp_path / "a.txt", tmp_path / "cache"], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = (tmp_path / "cache" / "corpora").iterdir()
    assert left.name.startswith(".new-")
    first = opened(tmp_path, "dog")
    assert cached(tmp_path) == {left.name, first.fingerprint}, "it may have been made just now"
    set_age(left, 60)
    second = opened(tmp_path, "owl")
    assert cached(tmp_path) == {first.fingerprint, second.fingerprint}


def test_what_another_engine_is_writing_is_left_alone(tmp_path: Path) -> None:
    opened(tmp_path, "dog")
    writing = tmp_path / "cache" / "corpora" / ".new-other"
    writing.mkdir()
    set_age(writing, 60)
    lock = os.open(writing, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    opened(tmp_path, "owl")
    assert writing.is_dir()
    os.close(lock)


def test_a_folder_is_held_while_it_is_written(tmp_path: Path) -> None:
    with corpus_cache.new_folder(tmp_path / "final") as folder:
        lock = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(lock)


def test_the_longest_unused_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpora = [opened(tmp_path, name) for name in ("cat", "dog", "owl")]
    folders = [tmp_path / "cache" / "corpora" / corpus.fingerprint for corpus in corpora]
    for age, folder in zip((300, 200, 100), folders, strict=True):
        set_age(folder, age)
    opened(tmp_path, "cat")  # used again
    size = sum(path.stat().st_size for path in folders[0].iterdir())
    monkeypatch.setattr(corpus_cache, "LARGEST", 3 * size + size // 2)
    newest = opened(tmp_path, "fox")
    kept = {corpora[0].fingerprint, corpora[2].fingerprint, newest.fingerprint}
    assert cached(tmp_path) == kept
    assert corpora[1].splits["train"].max() > 0, "what is mapped stays readable"
    monkeypatch.setattr(corpus_cache, "LARGEST", 1)
    only = opened(tmp_path, "hen")
    assert cached(tmp_path) == {only.fingerprint}
    shutil.rmtree(tmp_path / "cache")
