"""The house, read from the imports themselves: rooms in an order, and every import goes down."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ORDER = [
    *(
        "motchallenge",
        "archives",
        "labels",
        "films",
        "synthetic",
        "sources",
        "data",
        "models",
        "losses",
        "training",
    ),
    *("tracking", "inference", "export", "evaluation", "check", "ablation", "reporting", "cli"),
]
"""From the ground up: a room imports from those before it. The ground floor (files of `clmot` itself) is below all."""
LARGEST_SHARE = 0.15
FILES = sorted((ROOT / "clmot").rglob("*.py"))


def room_of(module: str) -> str:
    """`clmot.tracking.costs` -> `tracking`; the ground floor's modules -> the empty name."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ORDER else ""


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(file) for file in FILES}


def imports(file: Path) -> set[str]:
    """The modules of this project that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & MODULES - {"clmot"}


def climbs(graph: dict[str, set[str]]) -> list[str]:
    """Imports that go up, `clmot.data.frames -> clmot.training.loop`."""
    floors = {"": -1} | {room: floor for floor, room in enumerate(ORDER)}
    return [
        f"{module} -> {other}"
        for module, others in graph.items()
        for other in sorted(others)
        if floors[room_of(other)] > floors[room_of(module)]
    ]


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle; none: empty."""
    done: set[str] = set()

    def visit(module: str, way: list[str]) -> list[str]:
        if module in way:
            return way[way.index(module) :]
        if module in done:
            return []
        for other in sorted(graph.get(module, ())):
            if found := visit(other, [*way, module]):
                return found
        done.add(module)
        return []

    return next((found for module in sorted(graph) if (found := visit(module, []))), [])


FRONT_DOOR = ROOT / "clmot" / "__init__.py"
"""Names what people ask the package for, and imports it when they do."""
GRAPH = {module_of(file): imports(file) for file in FILES if file.name != "__main__.py" and file != FRONT_DOOR}


def test_every_folder_is_a_room_of_the_order() -> None:
    assert {path.name for path in (ROOT / "clmot").iterdir() if (path / "__init__.py").is_file()} == set(ORDER)


def test_no_import_climbs() -> None:
    assert climbs(GRAPH) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(GRAPH) == []


@pytest.mark.parametrize(
    ("graph", "wrong"),
    [
        ({"clmot.tracking.costs": {"clmot.training.loop"}}, False),
        ({"clmot.training.loop": {"clmot.tracking.costs"}}, True),
        ({"clmot.errors": {"clmot.data.strip"}}, True),
        ({"clmot.cli.main": {"clmot.errors", "clmot.cli.check"}}, False),
    ],
)
def test_a_climb_is_seen(graph: dict[str, set[str]], wrong: bool) -> None:
    assert bool(climbs(graph)) == wrong


def test_a_circle_is_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_room_is_a_house_of_its_own() -> None:
    lines: dict[str, int] = defaultdict(int)
    for file in FILES:
        lines[room_of(module_of(file))] += len(file.read_text(encoding="utf-8").splitlines())
    largest = max(ORDER, key=lambda room: lines[room])
    assert lines[largest] <= LARGEST_SHARE * sum(lines.values()), largest
