"""The rooms as imports draw them. Their order is held by the contracts of pyproject.toml, which
name every room; within a room no modules import each other in a circle."""

import ast
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("engine", "tui")


def modules() -> dict[str, Path]:
    """Every module of both packages with its file."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def imported(path: Path) -> set[str]:
    """What a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_no_modules_import_each_other_in_a_circle() -> None:
    paths = modules()
    graph = {name: (imported(path) & set(paths)) - {name} for name, path in paths.items()}
    assert len(graph) > 150 and sum(map(len, graph.values())) > 500
    for name, others in graph.items():  # of a package and a module of its, the module is meant
        others -= {other for other in others if any(o.startswith(f"{other}.") for o in others)}
        others -= {name.rpartition(".")[0]}
    TopologicalSorter(graph).prepare()  # raises CycleError with the circle


@pytest.mark.parametrize("package", PACKAGES)
def test_a_contract_orders_every_room(package: str) -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    (contract,) = (
        contract
        for contract in tools["importlinter"]["contracts"]
        if contract["type"] == "layers" and contract["containers"] == [package]
    )
    assert contract["exhaustive"] and "ignore_imports" not in contract
    named = {room.strip() for layer in contract["layers"] for room in layer.split("|")}
    rooms = {name.split(".")[1] for name in modules() if name.startswith(f"{package}.")}
    assert named == rooms
