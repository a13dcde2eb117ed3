"""The download stage, killed while it fetches and while it extracts: started again, it ends as if nothing had been."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from dvc_project import Project
from flaky_server import FlakyServer, running
from tiny_archive import gt_rows, jpeg, sequence_files, tree, write_zip

from clmot.sources.partial_file import PartialFile
from clmot.sources.scenes import write_scenes

REPOSITORY = Path(__file__).resolve().parents[2]
FRAMES = 300
EARLY = 3
SCENES = Path("data/scenes.json")
STAGE = """
import runpy, sys
from clmot.sources import download
download.PATIENCE = download.Patience(piece=1 << 14, record_every=0.02, first_pause=0.01)
sys.argv = ["stages.download", "MOT15"]
runpy.run_module("stages.download", run_name="__main__", alter_sys=True)
"""
Condition = Callable[[], bool]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """MOT15.zip with one film of some 1.2 MB."""
    noise = random.Random(0)
    files = sequence_files("train/TUD-Campus", FRAMES, gt=gt_rows(2), images=False)
    for frame in range(1, FRAMES + 1):
        # Whatever follows a JPEG's end belongs to no picture.
        files[f"train/TUD-Campus/img1/{frame:06d}.jpg"] = jpeg(frame % 200) + noise.randbytes(3000)
    return write_zip(tmp_path_factory.mktemp("archive") / "MOT15.zip", files).read_bytes()


@pytest.fixture(scope="module")
def expected(archive: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The outs of an unbroken run."""
    folder = tmp_path_factory.mktemp("unbroken")
    with running() as server:
        server.put("/MOT15.zip", archive)
        stage = Stage(folder, server)
        stage.start().wait()
    return stage.outs()


@pytest.fixture
def server(archive: bytes) -> Iterator[FlakyServer]:
    with running() as state:
        state.put("/MOT15.zip", archive)
        yield state


class Stage:
    """The download stage in a folder of its own, in processes of their own."""

    def __init__(self, folder: Path, server: FlakyServer) -> None:
        self.folder = folder
        self.target = folder / ".archives" / "MOT15.zip"
        text = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
        text = re.sub(r"(?m)^  source: \S+", "  source: official", text)
        (folder / "params.yaml").write_text(text, encoding="utf-8")
        write_scenes(folder / SCENES, "official", 0, 0)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
        self.environment |= {
            "PYTHONPATH": str(REPOSITORY),
            "CLMOT_OFFICIAL_URL": server.url,
            "NO_PROXY": "127.0.0.1",
        }

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", STAGE],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def outs(self) -> dict[str, bytes]:
        return {name: data for name, data in tree(self.folder / "data").items() if name != SCENES.name}

    def recorded(self) -> bool:
        partial = PartialFile.load(self.target)
        return self.target.exists() or (partial is not None and partial.received > 0)

    def extracting(self) -> bool:
        return any((self.folder / "data" / "frames").glob(".MOT15.*.partial/TUD-Campus/img1/000001.jpg"))


def kill_when(process: subprocess.Popen[bytes], condition: Condition) -> bool:
    """Kill the process and all it started once the condition holds; False: it ended before."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        if process.poll() is not None:
            return False
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def survives(
    stage: Stage, server: FlakyServer, expected: Mapping[str, bytes], condition: Condition
) -> tuple[bool, int]:
    """Kill one run, start another: the outs are right, and nothing that was safe is fetched twice.

    Returns:
        Whether the first run was killed, and how many bytes were safe then.
    """
    size = len(server.files["/MOT15.zip"])
    killed = kill_when(stage.start(), condition)
    assert stage.outs() in ({}, expected) or all("/." in f"/{name}" for name in stage.outs()), "whole or absent"
    whole = stage.target.exists()
    partial = PartialFile.load(stage.target)
    held = size if whole else partial.received if partial else 0
    before, server.speed = server.settled(), None
    assert stage.start().wait() == 0
    assert stage.outs() == expected
    assert server.settled() - before == (0 if held == size else size - held + 4)
    assert [p.name for p in (stage.folder / ".archives").iterdir() if p.name != "locks"] == ["MOT15.zip"]
    return killed, held


def moments(stage: Stage, server: FlakyServer, size: int, number: int) -> Condition:
    """The number-th of twenty moments: twelve of the fetching, eight of the extraction."""
    if number < 12:
        wanted = size * (number + random.Random(number).random()) / 12
        # In the first three nothing need be safe yet. Later something is, once the process has come to write it down,
        # which on a busy machine may be long after the bytes were sent.
        return lambda: server.sent >= wanted and (number < EARLY or stage.recorded())
    pause = random.Random(number).uniform(0, 0.08)

    def extracted() -> bool:
        if stage.extracting():
            time.sleep(pause)
            return True
        return False

    return extracted


def check_moment(number: int, folder: Path, server: FlakyServer, expected: Mapping[str, bytes]) -> tuple[bool, int]:
    stage = Stage(folder, server)
    size = len(server.files["/MOT15.zip"])
    server.sent, server.speed = 0, 5e5 if number < 12 else None
    return survives(stage, server, expected, moments(stage, server, size, number))


@pytest.mark.parametrize("number", [5, 14])
def test_killed(number: int, tmp_path: Path, server: FlakyServer, expected: Mapping[str, bytes]) -> None:
    killed, held = check_moment(number, tmp_path, server, expected)
    assert killed
    assert held > 0


@pytest.mark.slow
def test_killed_at_ten_moments(tmp_path: Path, server: FlakyServer, expected: Mapping[str, bytes]) -> None:
    results = []
    for number in range(0, 20, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        results.append(check_moment(number, folder, server, expected))
        shutil.rmtree(folder)
    assert sum(killed for killed, _ in results) >= 8, "a moment may be missed on a slow machine"
    assert all(held > 0 for _, held in results[EARLY:])


@pytest.mark.slow
def test_killed_under_dvc(tmp_path: Path, server: FlakyServer, expected: Mapping[str, bytes]) -> None:
    """With DVC's own processes, locks and cache in between."""
    size = len(server.files["/MOT15.zip"])
    project = Project.cloned(tmp_path)
    stage = Stage(tmp_path, server)  # for its names only
    project.environment |= {"CLMOT_OFFICIAL_URL": server.url, "NO_PROXY": "127.0.0.1"}
    path = tmp_path / "params.yaml"
    path.write_text(re.sub(r"(?m)^  source: \S+", "  source: official", path.read_text()))
    server.speed = size / 8  # one piece, so one connection: eight seconds
    process = subprocess.Popen(
        ["dvc", "repro", "-s", "download@MOT15"],
        cwd=tmp_path,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert kill_when(process, lambda: server.sent > size * 0.6)
    partial = PartialFile.load(stage.target)
    assert partial is not None
    assert partial.received > 0
    before, server.speed = server.settled(), None
    assert project.dvc("repro", "-s", "download@MOT15") == {"download@MOT15"}
    assert server.settled() - before == size - partial.received + 4
    outs = {
        name: data for name, data in tree(tmp_path / "data").items() if not name.endswith((".gitignore", SCENES.name))
    }
    assert outs == expected
    assert project.dvc("repro", "-s", "download@MOT15") == set()
