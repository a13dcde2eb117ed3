"""Every stage where nothing more can be written: a sentence, no traceback, no debris, and the old outs stay."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from dvc_project import MEASURED, Project

pytestmark = pytest.mark.slow

STAGES = {
    "scenes": ["stages.scenes"],
    "download": ["stages.download", "MOT17"],
    "strip": ["stages.strip", "MOT17"],
    "index": ["stages.index"],
    "pretrain": ["stages.pretrain"],
    "train": ["stages.train"],
    "track": ["stages.track", "MOT17"],
    "evaluate": ["stages.evaluate"],
}
ROOM = {"nothing": 0, "some kilobytes": 20_000}
"""Bytes that a file may have: as a disk that is full does, this breaks files off in the middle."""
LIMITED = (
    "import os, resource, sys; size = int(sys.argv[1]); resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)); "
    "os.execv(sys.executable, [sys.executable, '-m', *sys.argv[2:]])"
)
"""Runs a module in a process whose files may not grow beyond the first argument."""
NOT_POSSIBLE = 77
ORDINARY = (
    "import ctypes, os, sys; refused = os.geteuid() == 0 and ctypes.CDLL(None).prctl(24, 1, 0, 0, 0); "
    f"refused and sys.exit({NOT_POSSIBLE}); os.execv(sys.executable, [sys.executable, '-m', *sys.argv[1:]])"
)
"""Runs a module for which permissions count, the superuser's too: without the capability to write everywhere."""
PLACES = ("data", "models", "tracks", "metrics")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small pipeline that ran once, by hand."""
    project = Project.cloned(tmp_path_factory.mktemp("project") / "project")
    project.change("data", benchmarks=["MOT17"])
    for stage in STAGES.values():
        project.call("python", "-m", *stage)
    return project


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for top in PLACES
        for path in sorted((folder / top).rglob("*"))
        if path.is_file() and not MEASURED.search(path.name)
    }


def run(project: Project, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["python", *command],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("stage", "room"),
    [
        *((stage, "nothing") for stage in STAGES),
        *((stage, "some kilobytes") for stage in ("download", "train", "track")),
    ],
)
def test_a_disk_without_room_is_one_sentence(stage: str, room: str, finished: Project) -> None:
    before = content(finished.folder)
    done = run(finished, "-c", LIMITED, str(ROOM[room]), *STAGES[stage])
    assert "Traceback" not in done.stderr
    assert content(finished.folder) == before
    if done.returncode == 0:  # all that it writes is small
        assert room != "nothing"
        return
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "File too large" in last or "No usable temporary directory" in last


@pytest.mark.parametrize("stage", STAGES)
def test_a_place_that_is_read_only_is_one_sentence(stage: str, finished: Project) -> None:
    before = content(finished.folder)
    folders = [finished.folder / top for top in PLACES]
    folders += [path for top in folders for path in top.rglob("*") if path.is_dir()]
    for path in folders:
        path.chmod(0o555)
    try:
        done = run(finished, "-c", ORDINARY, *STAGES[stage])
    finally:
        for path in folders:
            path.chmod(0o755)
    if done.returncode == NOT_POSSIBLE:
        pytest.skip("the superuser may not give up the capability to write everywhere, as in a bare container")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert content(finished.folder) == before
