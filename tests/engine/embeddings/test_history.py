"""The past of an embedding: kept within a bound, by step, and there again after reopening."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import messages as p
from engine.config import RunConfig, replace
from engine.embeddings import history
from engine.embeddings.history import FILE, LIMIT, WordHistory, capacity, next_step
from engine.errors import UserError
from engine.runs import create_run
from tests.conducted import ask, conducted

ALL = np.ones(50, np.bool_)


def vectors(seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(size=(50, 8)).astype(np.float32)


@settings(deadline=None)
@given(st.integers(1, 8192), st.integers(2, 1_000_000))
def test_whatever_the_model_208_frames_stay_within_the_limit(size: int, vocabulary: int) -> None:
    words = capacity(size, vocabulary)
    assert 2 <= words <= vocabulary
    assert history._HEAD + 208 * (12 + words * (8 + 2 * size)) <= LIMIT


def test_208_frames_reach_ten_million_steps() -> None:
    step = 0
    for _ in range(208):
        step = next_step(step)
    assert step > 10_000_000


def test_what_was_kept_is_there_again(tmp_path: Path) -> None:
    kept = WordHistory(tmp_path, 8, ALL)
    steps = []
    for step in range(300):
        if kept.due(step):
            kept.observe(step, vectors(step))
            steps.append(step)
    assert steps[:5] == [0, 1, 2, 3, 4]
    assert all(after <= 1.08 * before + 1 for before, after in pairwise(steps))
    again = WordHistory(tmp_path, 8, ALL)
    assert [frame.step for frame in again.frames] == steps
    assert again.taken == (tmp_path / FILE).stat().st_size
    for step in (0, 7, 100, 299):
        frame = again.frame_at(step)
        assert frame is not None
        assert frame.step == max(each for each in steps if each <= step)
        read = again.read(frame)
        assert read is not None
        assert read.vectors == pytest.approx(vectors(frame.step)[read.ids], rel=2e-3, abs=2e-3)


def test_a_past_that_was_gone_back_from_is_cut_off(tmp_path: Path) -> None:
    kept = WordHistory(tmp_path, 8, ALL)
    for step in (0, 10, 20, 30):
        kept.observe(step, vectors(step))
    again = WordHistory(tmp_path, 8, ALL)
    assert again.due(15)
    again.observe(15, vectors(99))
    assert [frame.step for frame in again.frames] == [0, 10, 15]
    assert [frame.step for frame in WordHistory(tmp_path, 8, ALL).frames] == [0, 10, 15]


@settings(deadline=None)
@given(cut=st.integers(0, 400), garbage=st.binary(max_size=60))
def test_a_damaged_file_gives_what_is_whole_before(
    tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes
) -> None:
    folder = tmp_path_factory.mktemp("words")
    kept = WordHistory(folder, 8, ALL)
    for step in (0, 1, 2):
        kept.observe(step, vectors(step))
    data = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(data[: len(data) - cut] + garbage)
    again = WordHistory(folder, 8, ALL)
    whole = [frame for frame in kept.frames if frame.end <= len(data) - cut]
    assert again.frames[: len(whole)] == whole
    again.observe(5, vectors(5))
    assert [frame.step for frame in WordHistory(folder, 8, ALL).frames][-1] == 5


def test_pinned_words_are_kept_from_then_on_and_stay_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MAX_WORDS", 10)
    kept = WordHistory(tmp_path, 8, ALL)
    kept.observe(0, vectors(0))
    kept.pin([40, 45, 40])
    kept.observe(1, vectors(1))
    again = WordHistory(tmp_path, 8, ALL)
    ids = [again.read(frame).ids.tolist() for frame in again.frames]  # type: ignore[union-attr]
    assert ids == [list(range(10)), [*range(8), 40, 45]]
    assert again.pinned == [40, 45]


@pytest.mark.parametrize("pins", [[3], [45, 3], []])
def test_pins_of_frequent_words_and_of_the_last_moment_stay_too(
    tmp_path: Path, pins: list[int]
) -> None:
    kept = WordHistory(tmp_path, 8, ALL)
    kept.observe(0, vectors(0))
    kept.pin([1])
    kept.pin(pins)
    assert WordHistory(tmp_path, 8, ALL).pinned == pins


@pytest.mark.parametrize("data", [b"", b"[1, 2", b"[-1, 50, 49]", b"[" + b"1," * 9999, b'{"a": 1}'])
def test_a_damaged_file_of_pins_pins_what_there_is(tmp_path: Path, data: bytes) -> None:
    (tmp_path / history.PINS).write_bytes(data)
    assert WordHistory(tmp_path, 8, ALL).pinned == ([49] if b"49" in data else [])


def test_a_disk_that_takes_nothing_stops_no_training(tmp_path: Path) -> None:
    kept = WordHistory(tmp_path / "gone", 8, ALL)
    kept.observe(0, vectors(0))
    assert (kept.frames, kept.due(1)) == ([], False)


def test_a_run_answers_as_it_stood_at_earlier_steps_also_after_reopening(
    small_config: RunConfig, tmp_path: Path
) -> None:
    config = replace(small_config, {"training.steps": 40})
    folder = create_run(tmp_path, "drift", config)
    first = conducted(folder)
    first.command(p.Start())
    before = ask(p.WordQuery(query="cat", top=5), first.run).neighbours
    while first.run.busy:
        first.advance()
    assert first.run.step == 40
    for run in (first.run, conducted(folder, asking=True).run):
        past = ask(p.PinWords(), run)
        assert (past.steps[0], past.steps[-1] <= 40) == (0, True)
        assert past.bytes == (folder / FILE).stat().st_size < past.most_bytes
        then = ask(p.WordQuery(query="cat", top=5, at=0), run)
        assert then.step == 0
        assert [near.cosine for near in then.neighbours] == pytest.approx(
            [near.cosine for near in before], abs=2e-3
        )
        assert ask(p.WordQuery(query="cat - dog + owl", at=25), run).step <= 25
        drift = ask(p.WordDrift(word="cat", top=5), run)
        assert drift.steps == past.steps
        now = ask(p.WordQuery(query="cat", top=5), run).neighbours
        assert [near.word for near in drift.neighbours] == [near.word for near in now]
        for near in drift.neighbours:
            assert len(near.cosines) == len(drift.steps)
            assert near.arrived is None or near.arrived in drift.steps
    with pytest.raises(UserError, match="only asked"):
        ask(p.PinWords(words=["cat"]), run)
    assert ask(p.PinWords(words=["owl"]), first.run).pinned == ["owl"]
