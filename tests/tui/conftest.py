from collections.abc import Iterator

import pytest
from textual._styles_cache import StylesCache
from textual.renderables.blank import Blank


@pytest.fixture(autouse=True)
def prompt_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The playground draws without regard to what is trained beside it: tests need not wait."""
    monkeypatch.setattr("tui.screens.playground.SLOWEST", 0.1)


@pytest.fixture(autouse=True)
def earlier_apps_are_garbage(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An app keeps what is loaded when it starts from the collector: here that is earlier apps,
    of which Textual itself remembers a thousand drawn widgets."""
    monkeypatch.setattr("gc.freeze", lambda: None)
    yield
    StylesCache.get_inner_outer.cache_clear()


@pytest.fixture(autouse=True)
def nothing_behind_dialogs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tinted behind a dialog is drawn for pictures alone: it takes longer than the rest."""
    if request.path.name != "test_snapshots.py":
        monkeypatch.setattr("textual.screen.BackgroundScreen", lambda screen, color: Blank(color))
