"""What the engine says: reasons, never keys, options or sub-commands, which are the screen's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine

ROOT = Path(engine.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
FORBIDDEN = re.compile(
    r"`lstm-tui|(?<![\w-])--[a-z]|\b[Pp]ress(es)?\b(?! & Wolf)|\b[Cc]trl\b|\bF\d\b"
)
OWN_OPTIONS = {"--ask", "--corpus", "--vectors"}
"""Of the engine's process, which nobody types."""


def forbidden(source: str) -> list[str]:
    """The strings of a module that are no docstrings and name what they may not."""
    nodes = list(ast.walk(ast.parse(source)))
    documents = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    return [text for text in _literals(nodes, documents) if FORBIDDEN.search(text)]


def _literals(nodes: list[ast.AST], documents: set[int]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and id(node) not in documents:
            if isinstance(node.value, bytes):
                yield node.value.decode("latin-1")
            elif isinstance(node.value, str):
                yield node.value


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(ROOT)) for path in MODULES])
def test_the_engine_names_no_key_and_no_sub_command(path: Path) -> None:
    assert set(forbidden(path.read_text(encoding="utf-8"))) <= OWN_OPTIONS


def test_the_scan_sees_what_it_is_to_see() -> None:
    source = "'''As `lstm-tui train`.'''\nfail('by --resume')\nfail(f'press {key}')\nfail('fine')\n"
    assert forbidden(source) == ["by --resume", "press "]
