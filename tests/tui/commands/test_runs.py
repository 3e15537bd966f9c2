import errno
from types import SimpleNamespace
from typing import Any

import click
import pytest

from tui.commands import runs
from tui.output import OutputFailed


@pytest.mark.parametrize(("code", "ends"), [(129, click.exceptions.Exit), (0, OutputFailed)])
def test_a_terminal_that_is_gone_before_the_farewell_changes_no_exit_code(
    monkeypatch: pytest.MonkeyPatch, code: int, ends: type[Exception]
) -> None:
    def gone(_: str) -> None:
        raise OutputFailed(OSError(errno.EIO, "Input/output error"))

    monkeypatch.setattr(runs, "echo", gone)
    app: Any = SimpleNamespace(run=lambda: "It goes on training.", return_code=code)
    with pytest.raises(ends) as ended:
        runs._run(app)
    assert getattr(ended.value, "exit_code", 0) == code
