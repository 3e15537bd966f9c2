"""The lock and the address of a run's engine, and whose word counts."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from engine import runs
from engine.config import preset
from engine.errors import UserError
from engine.runs.engines import EngineAddress, hold, tell_address
from engine.runs.private import place_of


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(runs.STATE_VARIABLE, str(tmp_path / "state"))
    return runs.create_run(tmp_path / "models", "mine", preset("toy"))


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_disk_that_can_not_lock_is_not_taken_for_another_engine(
    run: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError, match=f"Can't lock .*: {os.strerror(number)}; name another"):
        hold(run)


@pytest.mark.parametrize("open_to_others", ["place", "runs"])
def test_what_others_could_have_written_is_not_believed(run: Path, open_to_others: str) -> None:
    with hold(run):
        tell_address(run, EngineAddress(1, "/tmp/theirs"))
        assert runs.is_live(run) and runs.read_address(run) and runs.is_made_here(run)
        place = place_of(run)
        (place if open_to_others == "place" else place.parent).chmod(0o777)
        assert not runs.is_live(run)
        assert runs.read_address(run) is None
        assert not runs.is_made_here(run)
