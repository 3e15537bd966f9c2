"""A key is shown by its action, so that one of the user's own shows everywhere. The keys of dialogs
and of input fields (enter, tab, escape) can't be others, and are named as they are."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TUI = Path(__file__).parents[2] / "tui"
SHOWING = (*TUI.glob("*.py"), *TUI.glob("*/**/*.py"))
NAMED = re.compile(r"[←↑↓→] ?[←↑↓→]|\b(esc|escape|space|backspace|pgup|pgdn|[Ff]\d\d?)\b|\bctrl\+")
FIXED = {"keys.py", "settings.py"}
"""Where keys are declared, and read from the user's file."""


def sentences(path: Path) -> Iterator[tuple[str, str]]:
    """The literal texts of a file that are no docstrings, beside those of bindings and actions."""
    tree = ast.parse(path.read_text())
    passed: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            passed.add(node.value)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Binding", "ction")):
            passed.update(ast.walk(node))
    for node in ast.walk(tree):
        if node not in passed and isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield f"{path.relative_to(TUI)}:{node.lineno}", node.value


def is_of_a_form(path: Path) -> bool:
    """Whether its keys are its own: a dialog's, or those of a command's output."""
    parts = path.relative_to(TUI).parts
    return parts[0] == "commands" or (parts[0] == "screens" and path.name != "playground.py")


def test_no_sentence_of_the_playground_names_a_key_by_itself() -> None:
    named = [
        (where, text)
        for path in SHOWING
        if not is_of_a_form(path) and path.name not in FIXED
        for where, text in sentences(path)
        if NAMED.search(text) and text != "ctrl+q"  # which always quits
    ]
    assert not named


def test_each_part_of_a_hint_begins_with_an_action() -> None:
    hints = [
        (where, text.strip(" ·"))
        for path in SHOWING
        if not is_of_a_form(path)
        for where, text in sentences(path)
        if " · " in text and "{" in text
    ]
    assert len(hints) > 8
    for where, hint in hints:
        assert all(part.startswith("{") for part in hint.split(" · ")), where
