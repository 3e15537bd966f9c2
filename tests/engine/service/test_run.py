"""A run as its engine has it."""

import errno
import os
from pathlib import Path

import pytest

from engine import runs
from engine.config import RunConfig
from engine.service.record import Record
from engine.service.run import Run


@pytest.mark.parametrize(
    ("number", "gone"),
    [
        (errno.ENOENT, True),
        (errno.ENOTDIR, True),
        (errno.EIO, False),
        (errno.ESTALE, False),
        (errno.EACCES, False),
        (errno.ENOTCONN, False),
    ],
)
def test_a_disk_that_does_not_answer_for_once_is_no_folder_that_is_gone(
    tmp_path: Path,
    small_config: RunConfig,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    gone: bool,
) -> None:
    folder = runs.create_run(tmp_path, "run", small_config)
    run = Run(folder, small_config, Record(folder, lambda _: None))
    assert not run.folder_is_gone

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", fail)
        assert run.folder_is_gone == gone
    assert not run.folder_is_gone
