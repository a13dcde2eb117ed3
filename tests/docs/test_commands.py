"""The commands of README and docs, word for word, in one small project under DVC itself."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from documents import ROOT, blocks
from dvc_project import Project, finished_project
from tiny_films import write_film

pytestmark = pytest.mark.slow

# Those of an experiment's copy of the project come before a film that Git does not know.
ORDER = ("docs/experiments.md", "docs/tracking.md", "README.md", "docs/data.md", "docs/weights.md", "CONTRIBUTING.md")


def unseen_lines() -> list[ParameterSet]:
    """Of every block the lines that none before has; blocks without such are left out."""
    seen: set[str] = set()
    found = []
    for block in (block for name in ORDER for block in blocks(ROOT / name, "sh") if block.mark == "run"):
        if lines := [command for command in block.commands if command not in seen]:
            found.append(pytest.param(lines, id=f"{block.document}: {lines[0]}"))
        seen |= {*lines}
    return found


SHELL = 'set -euo pipefail; make() { command make -o .venv/.installed "$@"; }\n'
"""make does not look whether the environment is up to date: it is the one that runs this test."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline has run, with a film beside it."""
    folder = tmp_path_factory.mktemp("documents") / "project"
    shutil.copytree(finished_project(tmp_path_factory).folder, folder, symlinks=True)
    project = Project(folder)
    project.environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)}  # the copy's code throughout
    os.symlink(sys.prefix, folder / ".venv")
    write_film(folder / "door.mp4", "coco")
    return project


@pytest.mark.parametrize("lines", unseen_lines())
def test_commands(lines: list[str], project: Project) -> None:
    project.call("bash", "-c", SHELL + "\n".join(lines))


def test_what_they_left(project: Project) -> None:
    """After the commands above: the film is tracked, scored and drawn; the views and the fullest frames are too."""
    # A network of one epoch on a few frames may find no one: the file of tracks is there, and may be empty.
    assert Path(project.folder, "tracks/MOT17/door.txt").is_file()
    assert "MOT17" in Path(project.folder, "metrics/table.md").read_text()
    for name in ("videos/MOT17-door.mp4", "views.jpg", "fullest.jpg"):
        assert Path(project.folder, name).stat().st_size > 0, name
