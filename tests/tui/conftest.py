from collections.abc import Iterator
from typing import Any

import pytest
from textual._compositor import Compositor
from textual._context import visible_screen_stack
from textual._styles_cache import StylesCache
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.geometry import Region
from textual.renderables.blank import Blank
from textual.screen import Screen

_render_update, _parse_rules = Compositor.render_update, Stylesheet._parse_rules
_parsed: dict[tuple[object, ...], list[RuleSet]] = {}


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


@pytest.fixture(autouse=True)
def no_picture_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each widget draws what is new to see. Putting that together for a terminal that isn't there
    is left out: it would be thrown away."""

    def drawn(
        compositor: Compositor,
        full: bool = False,
        screen_stack: list[Screen[object]] | None = None,
        simplify: bool = False,
    ) -> object:
        if full:  # for a picture that is saved
            return _render_update(compositor, full, screen_stack, simplify)
        visible_screen_stack.set(screen_stack or [])
        screen, dirty = compositor.size.region, set(compositor._dirty_regions)
        compositor._dirty_regions.clear()
        if screen in dirty:
            return list(compositor._get_renders(screen))
        if dirty:
            seen = Region.from_union(list(dirty)).intersection(screen)
            return list(compositor._get_renders(seen))
        return None

    monkeypatch.setattr(Compositor, "render_update", drawn)


@pytest.fixture(autouse=True)
def styles_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All apps have the same."""

    def parsed(sheet: Stylesheet, *text: Any, **source: Any) -> list[RuleSet]:
        key = (*text, *source.items(), *sheet._variables.items())
        if key not in _parsed:
            _parsed[key] = _parse_rules(sheet, *text, **source)
        return _parsed[key]

    monkeypatch.setattr(Stylesheet, "_parse_rules", parsed)
