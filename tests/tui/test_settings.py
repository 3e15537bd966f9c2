"""Keys of the user's own, and the layout that is remembered."""

from pathlib import Path

import pytest

from engine import messages as p
from tests.tui.fake_engine import Launch
from tests.tui.screen_help import Room
from tui import keys
from tui.app import PlaygroundApp
from tui.panes.generation import GenerationPane
from tui.panes.neighbours import NeighboursPane
from tui.panes.registry import ACTIONS
from tui.settings import Layout, Settings, load_settings, remember, remembered, settings_file


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LSTM_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("LSTM_TUI_STATE", str(tmp_path / "state"))
    (tmp_path / "config").mkdir()
    return tmp_path


@pytest.fixture(autouse=True)
def own_keys():
    yield
    keys.remap({})


def load(text: str | bytes) -> Settings:
    settings_file().write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_settings(ACTIONS)


def test_without_a_file_every_key_is_its_own() -> None:
    assert load_settings(ACTIONS) == Settings()


def test_keys_are_named_as_people_or_textual_name_them() -> None:
    text = """[keys]
zoom = "f5"
warmer = "f6, ctrl+up"
rate_up = "&"
show_corpus = "ctrl+b"
"""
    assert load(text.encode("utf-8-sig")) == load(text)
    assert load(text) == Settings(
        {
            "zoom": "f5",
            "warmer": "f6,ctrl+up",
            "rate_up": "ampersand",
            "show_corpus": "ctrl+b",
        }
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[keys", "isn't TOML"),
        (b"\xff\xfe", "isn't UTF-8"),
        ("[colours]\n", "a section [keys]"),
        ("[keys]\nzoom = 5\n", "a section [keys]"),
        ("[keys]\nzom = 'f5'\n", "no action is called 'zom'"),
        ("[keys]\nzoom = 's'\n", "would be the key of both save and zoom"),
        ("[keys]\nzoom = 'hyperdrive'\n", "there is no key 'hyperdrive'"),
        ("[keys]\nzoom = ''\n", "there is no key ''"),
        ("[keys]\nzoom = 'win+z'\n", "there is no key 'win+z'"),
        ("[keys]\nzoom = 'f5,ctrl+q'\n", "'ctrl+q' can't be the key of zoom: it quits"),
        ("[keys]\nsave = 'tab'\n", "'tab' can't be the key of save: it goes to the next field"),
    ],
)
def test_a_bad_file_is_told_in_one_sentence_and_not_used(text: str | bytes, why: str) -> None:
    found = load(text)
    assert found.keys == {}
    assert why in found.problem and "\n" not in found.problem and found.problem.endswith(".")


def test_a_key_may_be_taken_from_an_action_that_gets_another() -> None:
    found = load("[keys]\nzoom = 's'\nsave = 'ctrl+s'\n")
    assert found == Settings({"zoom": "s", "save": "ctrl+s"})


def test_quitting_keeps_the_key_that_always_quits() -> None:
    assert load("[keys]\nquit = 'f10, ctrl+q'\n") == Settings({"quit": "f10,ctrl+q"})


def test_a_file_that_cannot_be_read_is_told(folder: Path) -> None:
    settings_file().mkdir()
    assert "can't be read" in load_settings(ACTIONS).problem


async def test_a_remapped_key_works_and_shows_everywhere(tmp_path: Path) -> None:
    settings = Settings({"start_pause": "f9", "generate": "ctrl+g", "show_corpus": "f1"})
    launch = Launch()
    app = PlaygroundApp(tmp_path, launch=launch, settings=settings)
    async with app.run_test(size=(120, 36)) as pilot:
        room = Room(app, pilot, launch)
        await room.until(lambda: app.session is not None)
        await room.until(lambda: "press f9 to start" in room.text("#numbers"))
        assert "ctrl+g lets the model write" in room.current
        assert app.playground.query_one("#corpus").border_title == "f1 corpus"
        assert "f9 start/pause" in app.playground.query_one("#keys").render().plain
        assert "f9 pauses" in keys.sentence("{start_pause} pauses")
        await room.press("space")
        assert not room.engine.asked(p.Start)
        await room.press("f9")
        await room.until(lambda: room.engine.asked(p.Start))


async def test_a_bad_file_is_told_on_the_screen(tmp_path: Path) -> None:
    launch = Launch()
    app = PlaygroundApp(tmp_path, launch=launch, settings=load("[keys"))
    async with app.run_test() as pilot:
        room = Room(app, pilot, launch)
        await room.until(lambda: any("isn't TOML" in toast for toast in room.toasts))


async def test_theme_pane_and_views_are_remembered_and_no_zoom(tmp_path: Path) -> None:
    async with PlaygroundApp(tmp_path, launch=Launch(), layout=remembered()).run_test() as pilot:
        pilot.app.theme = "textual-light"
        await pilot.press("4", "z", "8", "3", "9", "9")
        await pilot.pause()
        pilot.app.exit()
    views = {"neighbours": ["measure"], "generation": ["write", "cell"]}
    assert remembered() == Layout("textual-light", "neighbours", views)
    app = PlaygroundApp(tmp_path, launch=Launch(), layout=remembered())
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        assert app.theme == "textual-light"
        assert app.playground.current == "neighbours" and not app.playground.zoomed
        assert app.playground.query_one("#neighbours").display
        await pilot.press("z")
        await pilot.pause()
        assert [view.ID for view in app.playground.query_one(NeighboursPane).shown] == ["measure"]
        await pilot.press("4")
        await pilot.pause()
        generation = app.playground.query_one(GenerationPane)
        assert [view.ID for view in generation.shown] == ["write", "cell"]
        assert generation.active.ID == "cell"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"pane": 3}',
        b'{"theme": "none", "pane": "x", "views": {"neighbours": ["x"], "x": []}}',
    ],
)
async def test_a_layout_that_is_no_layout_is_passed_over(tmp_path: Path, text: bytes) -> None:
    remember(Layout())
    (tmp_path / "state" / "layout.json").write_bytes(text)
    app = PlaygroundApp(tmp_path, launch=Launch(), layout=remembered())
    async with app.run_test() as pilot:
        await pilot.pause()
        assert app.playground.current == "training"
        assert app.playground.query_one(NeighboursPane).arrangement == ["drift", "list"]


async def test_a_greyed_key_says_why(tmp_path: Path) -> None:
    launch = Launch()
    app = PlaygroundApp(tmp_path, launch=launch)
    async with app.run_test() as pilot:
        room = Room(app, pilot, launch)
        await room.until(lambda: app.session is not None)
        await room.press("s", "s", "s")
        await room.until(lambda: room.toasts)
        assert room.toasts == ["No step was taken yet."]
