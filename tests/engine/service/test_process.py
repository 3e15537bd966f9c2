"""The process that an engine is started in."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.service import process
from engine.service.process import ENVIRONMENT, start

pytestmark = pytest.mark.usefixtures("real_processes")

ARRAYS = """
import resource
import numpy as np
begun = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    [np.ones(1 << 20) for _ in range(3)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begun)
"""


def faults(environment: dict[str, str]) -> int:
    """Pages that had to be made for 50 times 24 MiB."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", ARRAYS]
    done = subprocess.run(command, env=own | environment, capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_memory_that_is_freed_is_used_again() -> None:
    assert faults(ENVIRONMENT) < faults({}) / 5


def test_an_engine_is_started_so_unless_the_user_wants_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, str] = {}

    def popen(*_: object, env: dict[str, str], **__: Any) -> None:
        given.update(env)

    monkeypatch.setattr(process.subprocess, "Popen", popen)
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")
    start(tmp_path)
    assert given == ENVIRONMENT | dict(os.environ)
    assert given["MALLOC_TOP_PAD_"] == "1"


HELD_UP = """
import runpy, sys, threading
threading.Thread(target=threading.Event().wait).start()
sys.argv = ["worker", sys.argv[1]]
runpy.run_module("engine.service.worker", run_name="__main__")
"""


def test_an_engine_ends_whatever_its_threads_still_do(tmp_path: Path) -> None:
    """As the one that loads torch, which Python would wait for, or for a lock that it holds."""
    command = [sys.executable, "-c", HELD_UP, str(tmp_path / "no-run")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
