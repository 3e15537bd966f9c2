import errno
from types import SimpleNamespace
from typing import Any

import pytest

from tui.commands import play, shared
from tui.output import OutputFailed


def test_a_terminal_that_is_gone_before_the_farewell_changes_no_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(_: str) -> None:
        raise OutputFailed(OSError(errno.EIO, "Input/output error"))

    monkeypatch.setattr(shared, "echo", gone)
    app: Any = SimpleNamespace(run=lambda: "It goes on training.", return_code=129)
    assert play._run(app) == 129
    app.return_code = 0
    with pytest.raises(OutputFailed):
        play._run(app)
