"""Every stage where nothing more can be written: a sentence, no traceback, no debris, and the old outs stay."""

from __future__ import annotations

import json
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
LIMITED = (
    "import os, resource, sys; size = int(sys.argv[1]); resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
)
"""Runs Python in a process whose files may not grow beyond the first argument."""
NOT_POSSIBLE = 77
ORDINARY = (
    "import ctypes, os, sys; refused = os.geteuid() == 0 and ctypes.CDLL(None).prctl(24, 1, 0, 0, 0); "
    f"refused and sys.exit({NOT_POSSIBLE}); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
"""Runs Python so that permissions count, the superuser's too: without the capability to write everywhere."""
STAGE_AFTER_STAGE = """
import contextlib, importlib, io, json, os, sys, traceback
from clmot.errors import run_as_script
results, out = {}, os.dup(1)  # a stage that fails lets go of standard output
for stage in sys.argv[1:]:
    name, *sys.argv[1:] = stage.split()
    code, said = 0, io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            run_as_script(lambda: importlib.import_module(name).main())
        except SystemExit as end:
            code = end.code
        except Exception:
            traceback.print_exc()
    results[name] = (code, said.getvalue())
os.write(out, ("RESULTS" + json.dumps(results)).encode())
"""
"""Runs stages in one process, which loads the libraries once: exit code and stderr of each."""
PLACES = ("data", "models", "tracks", "metrics")


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for top in PLACES
        for path in sorted((folder / top).rglob("*"))
        if path.is_file() and not MEASURED.search(path.name)
    }


def several(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[int, str]]:
    """What `STAGE_AFTER_STAGE` printed."""
    assert done.returncode == 0, done.stderr
    results: dict[str, tuple[int, str]] = json.loads(done.stdout.rsplit("RESULTS", 1)[1])
    return results


def run(project: Project, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["python", *command],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def is_one_sentence(code: int, said: str) -> bool:
    return code == 2 and "Traceback" not in said and said.splitlines()[-1].startswith("error: ")


def is_full(said: str) -> bool:
    last = said.splitlines()[-1]
    return "File too large" in last or "No usable temporary directory" in last


@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_without_room_is_one_sentence(stage: str, project: Project) -> None:
    """Also where the libraries themselves cannot be loaded without a temporary file."""
    before = content(project.folder)
    done = run(project, "-c", LIMITED, "0", "-m", *STAGES[stage])
    assert is_one_sentence(done.returncode, done.stderr), done.stderr
    assert is_full(done.stderr)
    assert content(project.folder) == before


def test_a_disk_that_fills_on_the_way_is_one_sentence(project: Project) -> None:
    """Files are broken off in the middle after some kilobytes; what writes less than that is done."""
    before = content(project.folder)
    stages = [" ".join(STAGES[stage]) for stage in ("download", "train", "track")]
    results = several(run(project, "-c", LIMITED, "20000", "-c", STAGE_AFTER_STAGE, *stages))
    for name, (code, said) in results.items():
        assert code == 0 or (is_one_sentence(code, said) and is_full(said)), (name, said)
    assert any(code for code, _ in results.values())
    assert content(project.folder) == before


def test_a_place_that_is_read_only_is_one_sentence(project: Project) -> None:
    before = content(project.folder)
    folders = [project.folder / top for top in PLACES]
    folders += [path for top in folders for path in top.rglob("*") if path.is_dir()]
    for path in folders:
        path.chmod(0o555)
    try:
        stages = [" ".join(stage) for stage in STAGES.values()]
        done = run(project, "-c", ORDINARY, "-c", STAGE_AFTER_STAGE, *stages)
    finally:
        for path in folders:
            path.chmod(0o755)
    if done.returncode == NOT_POSSIBLE:
        pytest.skip("the superuser may not give up the capability to write everywhere, as in a bare container")
    results = several(done)
    assert len(results) == len(STAGES)
    for name, (code, said) in results.items():
        assert is_one_sentence(code, said), (name, said)
    assert content(project.folder) == before
