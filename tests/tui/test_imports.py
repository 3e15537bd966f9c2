"""The screen's process never loads torch: checked in a process of its own."""

import subprocess
import sys

_SCRIPT = """
import importlib, pkgutil, sys
import tui
names = ["tui.app", "tui.cli"]
names += [module.name for module in pkgutil.walk_packages(tui.__path__, "tui.")]
for name in names:
    importlib.import_module(name)
rooms = ("model", "training", "generation", "embeddings", "evaluation")
heavy = ("torch", "safetensors", *(f"engine.{room}" for room in rooms))
print(*sorted(module for module in sys.modules if module.startswith(heavy)))
print(*sorted(names))
"""


def test_no_module_of_the_screen_loads_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True
    )
    heavy, names = done.stdout.split("\n")[:2]
    assert heavy == ""
    for name in ("tui.app", "tui.screens.playground", "tui.screens.new_run", "tui.chart.widget"):
        assert name in names.split()


_FIRST_FRAME = """
import asyncio, sys
from pathlib import Path
import tui.cli, tui.commands.play
from tui.app import PlaygroundApp

PlaygroundApp._begin = lambda app: None  # no engine

async def first_frame():
    app = PlaygroundApp(Path("nowhere"))
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        return "\\n".join(strip.text for strip in app.screen._compositor.render_strips(app.size))

assert "press space to start" in asyncio.run(first_frame())
unwanted = ("click", "tui.commands.", "tui.screens.", "tui.chart.plot", "tokenizers", "numpy")
print(*[name for name in sys.modules if name.startswith(unwanted)])
"""


def test_the_first_frame_needs_no_dialog_no_command_line_and_no_numpy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_FRAME], capture_output=True, text=True, check=True
    )
    assert sorted(done.stdout.split()) == [
        "tui.commands.play",
        "tui.screens.playground",
    ]


def test_what_the_command_line_prints_needs_no_textual() -> None:
    script = "import sys, tui.sanitize, tui.progress_line; print('textual' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
