"""The fuzz harness in short (see `fuzz`), and that it tells what it finds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.faults import fuzz


@pytest.mark.parametrize(
    ("target", "cases"), [("texts", 80), ("models", 60), ("messages", 100), ("screen", 150)]
)
def test_a_few_cases(target: str, cases: int) -> None:
    report = fuzz.run(target, cases, seed=1)
    assert not report.faults, "\n".join(report.faults)
    assert report.outcomes.total() == cases


def test_faults_hangs_and_growth_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The case of seed 3 fails, that of 5 hangs, and that of 7 takes memory and keeps it."""
    monkeypatch.setattr(fuzz, "LONGEST", 1.0)
    kept: list[bytes] = []

    def case(random: Random) -> str:
        seed = next(seed for seed in range(10) if Random(seed).getstate() == random.getstate())
        if seed == 3:
            raise ValueError("it is three")
        if seed == 5:
            time.sleep(60)
        if seed == 7:
            kept.append(b"x" * 2 * fuzz.GROWTH)
        return "sound"

    @contextmanager
    def target(_: Path) -> Iterator[fuzz.Case]:
        yield case

    monkeypatch.setitem(fuzz.TARGETS, "made up", target)
    report = fuzz.run("made up", 10, seed=0)
    assert [fault.split("\n")[0] for fault in report.faults] == [
        "--seed 3",
        "--seed 5",
        "resident memory grew",
    ]
    assert "it is three" in report.faults[0]
    assert "Hang" in report.faults[1]
    assert report.outcomes == {"sound": 8}
    (alone,) = fuzz.run("made up", 1, seed=3).faults
    assert "it is three" in alone
