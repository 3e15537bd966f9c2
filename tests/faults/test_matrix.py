"""docs/faults.md tells what is so: its tests are there, and its sentences are the program's."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in (ROOT / "docs" / "faults.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| fault |", "| --- |"))
]
LEAST = 8
"""Characters of a piece of a sentence that is looked for."""


def literals() -> str:
    """Every text in the program, … for what is put into it, one a line."""
    found = []
    for room in ("engine", "tui"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = [
                        part.value if isinstance(part, ast.Constant) else "…"
                        for part in node.values
                    ]
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return "\n".join(found)


PROGRAM = literals()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_a_row_of_the_matrix(row: list[str]) -> None:
    fault, seen, _, test = row
    assert fault and seen
    match = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", test)
    assert match, test
    source = (ROOT / match[1]).read_text()
    assert re.search(rf"^(async )?def {match[2]}\(", source, re.MULTILINE), test
    for sentence in re.findall("“(.*?)”", seen):
        for piece in sentence.split("…"):
            if len(piece.strip()) >= LEAST:
                assert piece.strip(" .:,;(") in PROGRAM, piece


def test_the_matrix_is_whole() -> None:
    assert len(ROWS) > 60
    assert all(len(row) == 4 for row in ROWS)
