"""The kill points in short (see `kill`), and that the command tells what it finds."""

import os
import tempfile
from pathlib import Path

import pytest

from tests.faults import kill

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/cmdline").exists(), reason="engines are found in /proc"
)


def test_a_few_kills() -> None:
    report = kill.run(points=6, seed=40, steps=200)
    assert not report.faults, "\n".join(report.faults)
    assert report.counts.total() == 6


def test_what_is_lost_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a run that took steps nothing is left; and the environment is as it was."""
    before = dict(os.environ)

    def lose(run: kill.Run) -> None:
        run.give_up()
        run.begun = True
        (run.folder / "config.json").unlink()
        run.check()

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(kill, "STAGES", {"training": kill.STAGES["training"]})
    monkeypatch.setattr(kill.Run, "kill_client", lose)
    monkeypatch.setattr(kill.Run, "kill_engine", lose)
    (fault,) = kill.run(points=1, seed=3, steps=200).faults
    assert fault.startswith("--seed 3 --points 1\n")
    assert "the run is lost" in fault
    assert os.environ == before
