"""A finished pipeline, which takes a minute to run, for all tests of this folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dvc_project import Project, finished_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline has run and whose results are committed; not to be changed."""
    return finished_project(tmp_path_factory)


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, to be changed at will."""
    folder = tmp_path / "project"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return Project(folder)
