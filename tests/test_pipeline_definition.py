"""dvc.yaml against the code: every stage depends on exactly the modules and the params it uses.

A dependency too few gives stale results, one too many retrains for nothing.
"""

from __future__ import annotations

import ast
import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from clmot.params import Params, load_params

ROOT = Path(__file__).parents[1]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES: dict[str, dict[str, typing.Any]] = PIPELINE["stages"]
WATCHER = "clmot/reporting/mlflow_run.py"
"""Watches a run and can change no out, so a change to it must not run anything again."""


def module_file(name: str) -> str | None:
    """The file of a dotted module of this project, relative to its root; None for other people's modules."""
    path = Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if (ROOT / candidate).is_file():
            return candidate.as_posix()
    return None


def imported_files(file: str) -> set[str]:
    """Files of this project that one file imports, anywhere in it: lazy imports count."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively; this project names modules in full"
            assert node.module is not None
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}  # `from room import module`
    return {found for name in names if (found := module_file(name))}


def closure(file: str) -> set[str]:
    """`file` and all it imports, directly or not, without the watcher and the rooms' `__init__.py`."""
    seen: set[str] = set()
    waiting = [file]
    while waiting:
        current = waiting.pop()
        if current not in seen and current != WATCHER:
            seen.add(current)
            waiting += sorted(imported_files(current))
    return {found for found in seen if not found.endswith("__init__.py")}


def expanded(deps: list[str]) -> set[str]:
    """Code among a stage's deps, a folder as the modules in it."""
    files: set[str] = set()
    for dep in deps:
        if dep.split("/")[0] in ("clmot", "stages"):
            path = ROOT / dep
            assert path.exists(), f"dvc.yaml depends on {dep}, which does not exist"
            found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
            files |= {p.relative_to(ROOT).as_posix() for p in found if p.name != "__init__.py"}
    return files


class Params_:
    """Which dotted params a piece of code names after `params.`, found without running it."""


def sections(kind: type[typing.Any] = Params) -> dict[str, type[typing.Any]]:
    """The fields of a params section that are sections themselves."""
    hints = typing.get_type_hints(kind)
    return {
        field.name: hints[field.name]
        for field in dataclasses.fields(kind)
        if dataclasses.is_dataclass(hints[field.name])
    }
