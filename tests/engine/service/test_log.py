"""The log of an engine."""

import io
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from engine import runs
from engine.runs.private import make_place
from engine.service.log import MAX_LOG, _Bounded, _Visible

pytestmark = pytest.mark.usefixtures("real_processes")


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch, printed: io.StringIO) -> logging.Logger:
    """It logs as an engine does, to what is standard error then."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", printed)
        handler = _Bounded()
    handler.setFormatter(_Visible("%(message)s"))
    logger = logging.Logger("engine", logging.INFO)
    logger.addHandler(handler)
    return logger


def test_a_full_log_still_tells_of_what_ended_the_engine(
    logger: logging.Logger, printed: io.StringIO
) -> None:
    for number in range(2 * MAX_LOG // 100):
        logger.info("%s %d", "é" * 50, number)
    try:
        raise MemoryError("the end")
    except MemoryError:
        logger.exception("a step failed")
    text = printed.getvalue()
    assert len(text.encode()) < MAX_LOG
    assert text.count("The log is full") == 1
    assert text.endswith("MemoryError: the end\n")


def test_errors_without_end_are_bounded_too(logger: logging.Logger, printed: io.StringIO) -> None:
    for _ in range(2 * MAX_LOG // 100):
        logger.error("x" * 99)
    assert len(printed.getvalue()) < MAX_LOG + 1000


def test_a_disk_that_takes_nothing_disturbs_nobody(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr(logger.handlers[0], "stream", full)
        for _ in range(2 * MAX_LOG // 1000):
            logger.info("x" * 999)
        logger.error("the end")
        with pytest.raises(OSError, match="No space left"):
            full.close()


def test_a_log_begins_anew_and_the_one_before_is_kept(tmp_path: Path) -> None:
    make_place(tmp_path)
    log = runs.log_path(tmp_path)
    program = (
        "import os, sys, pathlib; from engine.service.log import begin_log;"
        "begin_log(pathlib.Path(sys.argv[1])); print(sys.argv[2]); os.write(2, b'to stderr')"
    )
    for word in ("first", "second"):
        subprocess.run([sys.executable, "-c", program, str(tmp_path), word], check=True)
    assert "second" in log.read_text() and "to stderr" in log.read_text()
    assert "first" in log.with_suffix(".log.before").read_text()
