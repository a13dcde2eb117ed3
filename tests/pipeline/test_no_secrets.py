"""Passwords stay where their owner put them: no screen, lock, cache, run or artifact has them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc_project import Project
from faulty_tracking_server import FAULTS
from faulty_tracking_server import running as tracking
from flaky_server import FlakyServer
from flaky_server import running as serving
from tiny_archive import sequence_files, write_zip

pytestmark = pytest.mark.slow
SECRET = "s3cret"


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[FlakyServer]:
    archive = write_zip(tmp_path / "MOT17.zip", sequence_files("train/MOT17-02-DPM", 6))
    with serving() as server:
        server.put("/data/MOT17.zip", archive.read_bytes())
        yield server


def project_with(source: str, folder: Path) -> Project:
    project = Project.cloned(folder)
    project.change("data", benchmarks=["MOT17"], source=source)
    return project


def holders(project: Project, done: subprocess.CompletedProcess[str]) -> list[str]:
    """Everything that has the secret, except params.yaml, where someone wrote it."""
    said = [name for name, text in (("stdout", done.stdout), ("stderr", done.stderr)) if SECRET in text]
    files = [
        path.relative_to(project.folder).as_posix()
        for path in project.folder.rglob("*")
        if path.is_file() and path.name != "params.yaml" and SECRET.encode() in path.read_bytes()
    ]
    return said + files


def test_a_password_in_the_environment_fetches_and_is_nowhere(mirror: FlakyServer, tmp_path: Path) -> None:
    address = mirror.url.replace("//", "//me:${MOT_PASSWORD}@") + "/data"
    project = project_with(address, tmp_path / "project")
    with tracking(FAULTS["no permission"]) as tracker:
        project.environment |= {
            "MOT_PASSWORD": SECRET,
            "MLFLOW_TRACKING_URI": tracker.replace("//", f"//me:{SECRET}@"),
            "NO_PROXY": "127.0.0.1",
        }
        done = project.call("dvc", "repro", "pretrain")
        assert done.stderr.count("warning: MLflow does not record this stage (") == 1
    assert mirror.asked("MOT17.zip")
    assert "MOT_PASSWORD" in (project.folder / "dvc.lock").read_text()
    assert holders(project, done) == []


@pytest.mark.parametrize(
    "source",
    [f"http://me:{SECRET}@127.0.0.1:9/data", f"s3://{SECRET}@bucket/data", f"https://127.0.0.1:9/data?token={SECRET}"],
)
def test_a_password_in_params_is_refused_before_anything_keeps_it(source: str, tmp_path: Path) -> None:
    project = project_with(source, tmp_path / "project")
    done = project.call("dvc", "repro", expect=None)
    assert done.returncode != 0
    assert "'data.source' is an address with a user, a password or a query in it" in done.stderr
    # Git has what was committed with it: that is its owner's doing.
    assert [name for name in holders(project, done) if not name.startswith(".git/")] == []
    assert not (project.folder / "dvc.lock").exists()
