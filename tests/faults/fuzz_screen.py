"""Any string, on its way to the screen: what a terminal would obey doesn't get there."""

import asyncio
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from unittest import mock

from msgspec.structs import replace
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Static

from engine import runs
from engine.config import RunConfig, preset
from engine.service import client
from engine.visible import visible
from tui.run.controller import RunController
from tui.sanitize import content
from tui.screens.open_model import OpenModel
from tui.widgets.text import fit

SHOWN = 300
"""Strings that real widgets show at the end, at most."""
SHOWN_EACH = 10
"""One of so many cases is."""
WRITTEN = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
"""Format characters that are signs of a script, drawn around the digits after them."""
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
PIECES = [
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\x1bP+q\x1b\\",
    "\x9b2J",
    "[/oops]",
    "[bold]",
    "[@click=app.quit]x[/]",
    "\\[",
    "$primary",
    "\u202e",
    "\u2066x\u2069",
    "e" + "\u0301" * 40,
    "\u0301",
    "\u0903\u093f",
    "👨\u200d👩\u200d👧",
    "🏳️\u200d🌈",
    "👍🏽",
    "🇩🇪🇫",
    "1\ufe0f\u20e3",
    "\ufe0f",
    "日本語",
    "ｶﾞ",
    "가\u1100\u1161\u11a8",
    "עברית نص",
    "क्षि",
    "\ud800",
    "\udc80",
    "\r\n",
    "\t",
    "\n\n",
    "\u2028",
    "\x85",
    "\u00ad",
    "\ufeff",
    "\U000e0041",
    "plain words",
]


@contextmanager
def target(folder: Path) -> Iterator[object]:
    """See `fuzz`."""
    kept: list[str] = []
    count = 0

    def case(random: Random) -> str:
        nonlocal count
        text = _string(random)
        _check(text, random.randint(-1, 60))
        if count % SHOWN_EACH == 0 and len(kept) < SHOWN:
            kept.append(text)
        count += 1
        return "sound"

    yield case
    asyncio.run(_show(kept, folder))


def _string(random: Random) -> str:
    parts = []
    for _ in range(random.randint(0, 12)):
        match random.randrange(4):
            case 0:
                parts.append(chr(random.randrange(0x110000)) * random.choice([1, 1, 2, 30]))
            case 1:
                parts.append(
                    chr(random.choice([random.randrange(0x100), random.randrange(0x3000)]))
                )
            case _:
                parts.append(random.choice(PIECES))
    return "".join(parts)


def _check(text: str, width: int) -> None:
    shown = visible(text)
    assert_harmless(shown)
    assert visible(shown) == shown
    lines = visible(text, keep_newlines=True)
    assert lines.count("\n") == text.count("\n")
    assert_harmless(lines.replace("\n", ""))
    assert content(text).plain == shown
    assert content(text).spans == []
    assert content(text, keep_newlines=True).plain == lines
    fitted = fit(text, width)
    assert_harmless(fitted)
    assert cell_len(fitted) == max(0, width), (cell_len(fitted), width)


def assert_harmless(text: str) -> None:
    """Nothing that a terminal obeys, or draws other text in another place for."""
    text.encode()
    for character in text:
        category = unicodedata.category(character)
        assert category not in ("Cc", "Cs", "Zl", "Zp"), ascii(character)
        assert category != "Cf" or ord(character) in WRITTEN, ascii(character)
        assert unicodedata.bidirectional(character) not in BIDI, ascii(character)


class _Shower(App[None]):
    def __init__(self, texts: list[str]) -> None:
        super().__init__()
        self._texts = texts

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            for text in self._texts:
                yield Static(content(text), markup=False)
                yield Static(content(text, keep_newlines=True), markup=False)


async def _show(texts: list[str], models: Path) -> None:
    """The strings in widgets, and as names and corpora in the list of models."""
    app = _Shower(texts)
    found = [
        runs.RunInfo(
            name=text,
            folder=models / f"{number}{text.replace(chr(0), '')}",
            config=_config(text),
            step=number,
            valid_perplexity=None,
            modified=0.0,
            live=False,
            problem=text,
        )
        for number, text in enumerate(texts)
    ]
    with mock.patch.object(runs, "list_runs", lambda _: found):
        async with app.run_test(size=(80, 24)) as pilot:
            for widget in app.query(Static):
                _check_drawn(widget)
            screen = OpenModel(RunController(models, client.launch))
            await app.push_screen(screen)
            await app.workers.wait_for_complete()
            await pilot.pause()
            table = screen.query_one(DataTable)
            assert table.row_count == len(texts)
            for row in range(0, len(texts), 10):
                table.move_cursor(row=row)
                await pilot.pause()
                _check_drawn(table)


def _config(text: str) -> RunConfig:
    config = preset("toy")
    return replace(config, corpus=replace(config.corpus, source=text))


def _check_drawn(widget: Static | DataTable[object]) -> None:
    for line in range(widget.size.height):
        strip = widget.render_line(line)
        assert_harmless(strip.text)
        assert cell_len(strip.text) <= widget.size.width, ascii(strip.text)
