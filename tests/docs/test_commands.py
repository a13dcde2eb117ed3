"""The commands of README and docs, word for word, in one small project under DVC itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import yaml
from documents import ROOT, Block, blocks
from dvc_project import Project
from tiny_films import write_film

pytestmark = pytest.mark.slow

# Those of an experiment's copy of the project come before a film that Git does not know.
ORDER = ("docs/experiments.md", "docs/tracking.md", "README.md", "docs/data.md", "docs/weights.md", "CONTRIBUTING.md")
BLOCKS = [block for name in ORDER for block in blocks(ROOT / name, "sh") if block.mark == "run"]
RUN = [
    block
    for at, block in enumerate(BLOCKS)
    if not {*block.commands} <= {command for earlier in BLOCKS[:at] for command in earlier.commands}
]
"""Those that have a command that none before has."""
SHELL = 'set -euo pipefail; make() { command make -o .venv/.installed "$@"; }\n'
"""make does not look whether the environment is up to date: it is the one that runs this test."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline has run, with a film beside it."""
    project = Project.cloned(tmp_path_factory.mktemp("project"))
    project.environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(project.folder)}  # the copy's code throughout
    os.symlink(sys.prefix, project.folder / ".venv")
    params = yaml.safe_load((project.folder / "params.yaml").read_text())
    params["data"]["benchmarks"] = ["MOT17"]
    (project.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    project.commit("one benchmark")
    project.dvc("repro")
    project.commit("results")
    write_film(project.folder / "door.mp4", "coco")
    return project


@pytest.mark.parametrize("block", RUN, ids=lambda block: f"{block.document}: {block.commands[0]}")
def test_commands(block: Block, project: Project) -> None:
    project.call("bash", "-c", SHELL + block.text)


def test_what_they_left(project: Project) -> None:
    """After the commands above: the film is tracked, scored and drawn; the views and the fullest frames are too."""
    # A network of one epoch on a few frames may find no one: the file of tracks is there, and may be empty.
    assert Path(project.folder, "tracks/MOT17/door.txt").is_file()
    assert "MOT17" in Path(project.folder, "metrics/table.md").read_text()
    for name in ("videos/MOT17-door.mp4", "views.jpg", "fullest.jpg"):
        assert Path(project.folder, name).stat().st_size > 0, name
