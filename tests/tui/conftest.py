import pytest


@pytest.fixture(autouse=True)
def prompt_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The playground draws without regard to what is trained beside it: tests need not wait."""
    monkeypatch.setattr("tui.screens.playground.SLOWEST", 0.1)
