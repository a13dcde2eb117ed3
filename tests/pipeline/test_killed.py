"""Stages that are killed at any moment, by themselves and under DVC: run again, they end in the same bytes.

`CLMOT_KILLS=60 pytest tests/pipeline/test_killed.py -s` kills more often than the default and prints what it met.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable

import psutil
import pytest
from dvc_project import Project

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("CLMOT_KILLS", "4"))
PLACES = ("data", "models", "tracks", "metrics")
STAGES = {
    "scenes": "scenes",
    "download MOT17": "download@MOT17",
    "strip MOT17": "strip@MOT17",
    "index": "index",
    "pretrain": "pretrain",
    "train": "train",
    "track MOT17": "track@MOT17",
    "evaluate": "evaluate",
}
"""What follows `python -m stages.` -> DVC's name."""
NOT_OURS = (".dvc", ".git", "__pycache__", "mlflow.db", "mlartifacts")
"""What DVC and MLflow keep, whose leftovers are theirs."""
HANGS = 600.0


def names(project: Project) -> set[str]:
    """Every file and folder that is there, hidden ones too."""
    found = (path.relative_to(project.folder) for path in project.folder.rglob("*"))
    return {path.as_posix() for path in found if not any(part.startswith(NOT_OURS) for part in path.parts)}


def is_writing(project: Project) -> bool:
    """Whether a draft of an out or of a checkpoint lies beside its place."""
    walks = (os.walk(project.folder / place) for place in (*PLACES, ".checkpoints"))  # folders may go meanwhile
    return any(name.endswith(".partial") for walk in walks for _, *found in walk for names in found for name in names)


def kill(project: Project, command: list[str], moment: Callable[[], bool]) -> bool:
    """Kill a command and all that it started when the moment has come; False: it ended before."""
    process = subprocess.Popen(
        command,
        cwd=project.folder,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    begun = time.monotonic()
    while process.poll() is None and not moment():
        assert time.monotonic() - begun < HANGS
        time.sleep(0.001)
    ended = process.poll() is not None
    if not ended:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        while lives(process.pid):  # a busy machine needs a moment to end what DVC had started
            time.sleep(0.01)
    return not ended


def lives(group: int) -> bool:
    """Whether a process of the group has not ended yet."""
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(OSError):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                return True
    return False


def after(seconds: float, condition: Callable[[], bool] = lambda: True) -> Callable[[], bool]:
    """A moment: so many seconds after the condition first holds."""
    since: list[float] = []

    def has_come() -> bool:
        if not since and condition():
            since.append(time.monotonic())
        return bool(since) and time.monotonic() - since[0] >= seconds

    return has_come


def test_killed_at_random_moments(project: Project) -> None:
    expected, there = project.outs(*PLACES), names(project)
    generator = random.Random(0)
    order: list[str] = []
    seconds = dict.fromkeys(STAGES, 4.0)
    """How long a stage takes: a guess, and then how long it last took here."""
    killed = 0
    for number in range(KILLS):
        order = order or generator.sample(list(STAGES), len(STAGES))
        stage, by_dvc = order.pop(), number % 2 == 1
        alone = ["python", "-m", *f"stages.{stage}".split()]
        command = ["dvc", "repro", "-s", "-f", STAGES[stage]] if by_dvc else alone
        # Half of them at any time, most of which is loading libraries; half while something is written.
        share = generator.random()
        in_writing = generator.random() < 0.5
        moment = after(0.3 * share, lambda: is_writing(project)) if in_writing else after(share * seconds[stage])
        what = f"{stage}, {'by DVC' if by_dvc else 'by itself'}, {'while it wrote' if in_writing else 'at any time'}"
        hit = kill(project, command, moment)
        killed += hit
        print(f"{number + 1}: {what}: {'killed' if hit else 'had ended before'}", flush=True)
        begun = time.monotonic()
        if by_dvc:
            project.call("python", "tools/mend.py")
            project.call("dvc", "repro")
            # DVC has the results in its cache and trains nothing: what a training that began again had saved is left
            # to whom it may serve, and goes by this command.
            if trainings := [
                path.name for path in (project.folder / ".checkpoints").iterdir() if path.name != "tracks"
            ]:
                project.call("python", "-m", "clmot", "clean", *trainings)
        else:
            project.call(*alone)
            seconds[stage] = time.monotonic() - begun
        assert project.outs(*PLACES) == expected, (number, command)
        assert names(project) == there, (number, command)
    print(f"{killed} of {KILLS} were killed and ended in the same bytes; the others had ended before.")
    assert killed >= KILLS // 2
