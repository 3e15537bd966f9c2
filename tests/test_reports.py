"""Troubles of real users, each a script that tells right from wrong, where they are at hand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPORTS = sorted((Path(__file__).parents[2] / "shared" / "reports").glob("*.sh"))
CHECKS = [path for path in REPORTS if path.name != "common.sh"]


@pytest.mark.skipif(not CHECKS, reason="the reports are not here")
@pytest.mark.parametrize("check", CHECKS, ids=[path.stem for path in CHECKS])
def test_what_troubled_somebody_is_mended(check: Path) -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", check],
        env=dict(os.environ, PATH=programs),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
