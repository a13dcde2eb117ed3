"""DVC's queue of experiments, through DVC's own commands.

Workers run in the background, in a process group of their own: they go on when the terminal closes, and whoever comes
back finds what they have done. `dvc queue status` takes seconds of processor time, so whether an experiment is ready is
asked of Git (its commit is there), and DVC is asked only now and then how the others are.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from clmot.ablation.experiments import Experiment
from clmot.ablation.git import experiment_commits
from clmot.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

State = Literal["Running", "Queued", "Success", "Failed", "Unknown"]
STATES: tuple[State, ...] = ("Running", "Queued", "Success", "Failed", "Unknown")
"""Of an experiment that stands in the queue more than once, the first of these counts."""

LOG_LINES = 8
"""Of a failed experiment that are shown."""

STOP_SECONDS = 20.0
"""How long an interrupted experiment is waited for."""

_ROW = re.compile(rf"^[0-9a-f]{{7,}}\s+(?P<name>\S+)\s.*\b(?P<state>{'|'.join(STATES)})\s*$")
_NOISE = re.compile(r"^(WARNING: No file hash info found|Updating lock file|Generating lock file)")


@contextlib.contextmanager
def sole_runner() -> Iterator[None]:
    """Keep every other `clmot ablation` from running experiments in this folder: each would stop the other's workers.

    The kernel drops the lock when this process ends, however it ends. Where there are no such locks, nothing is kept
    off.

    Raises:
        InputError: another one is running them.
    """
    handle = None
    try:
        try:
            handle = os.open(".dvc", os.O_RDONLY)
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "another `clmot ablation` is running experiments here, and each would stop the other's: wait for it, "
                "or stop it with Ctrl-C (--dry-run and --table-only work meanwhile)."
            ) from None
        except OSError:  # a file system without locks; or no project of DVC's, which DVC says itself
            pass
        yield
    finally:
        if handle is not None:
            os.close(handle)


class DvcQueue:
    """The queue of the project in the current folder."""

    def add(self, experiment: Experiment) -> None:
        """Queue an experiment: from here on, changes in the folder do not reach it.

        Raises:
            InputError: DVC refuses.
        """
        self._call(*experiment.command())

    def start(self, jobs: int) -> None:
        """Have `jobs` workers in the background, those that run already among them. They end with the queue."""
        self._call("queue", "start", "--jobs", str(jobs))

    def states(self) -> dict[str, State]:
        """`{name: state}` of everything in the queue, other people's experiments among them."""
        return parse_status(self._call("queue", "status"))

    def finished(self) -> set[str]:
        """Names of all experiments that have results."""
        return set(experiment_commits())

    def alive(self) -> bool:
        """Whether a worker process exists. (DVC's own answer is no as well when a worker is slow to answer.)"""
        return any(_is_worker(path) for path in Path(".dvc/tmp/exps/celery").glob("dvc-exp-worker-*.pid"))

    def log(self, name: str) -> str:
        """The last lines of what an experiment wrote, or why there are none."""
        done = self._run("queue", "logs", name)
        return last_lines(done.stdout if done.returncode == 0 and done.stdout.strip() else done.stderr)

    def stop(self, names: Iterable[str]) -> None:
        """Take experiments out of the queue; one that runs is interrupted, and its worker ends with it."""
        names = set(names)
        states = self.states()
        queued = sorted(name for name in names if states.get(name) == "Queued")
        running = sorted(name for name in names if states.get(name) == "Running")
        if queued:
            self._run("queue", "remove", *queued)
        if running:
            self._run("queue", "kill", *running)
            # An experiment that is just ending looks like one that runs to whoever starts again at once.
            deadline = time.monotonic() + STOP_SECONDS
            while self.alive() and time.monotonic() < deadline:
                time.sleep(0.5)

    def forget(self, name: str) -> None:
        """Make room for queueing an experiment again that failed, or whose worker was killed.

        Where the worker is gone DVC believes that the experiment runs, until it is told to kill what is not there: the
        first time this ends a process that the worker may have left behind, the second time it corrects the record.
        """
        for _ in range(2):
            if self.states().get(name) != "Running":
                break
            self._run("queue", "kill", name)
        self._run("queue", "remove", name)

    def _call(self, *arguments: str) -> str:
        done = self._run(*arguments)
        if done.returncode:
            said = last_lines(done.stderr or done.stdout, 1).removeprefix("ERROR: ")
            raise InputError(f"`dvc {' '.join(arguments[:2])}` failed: {said}")
        return done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        programs = os.pathsep.join([os.path.join(sys.prefix, "bin"), os.environ.get("PATH", os.defpath)])
        # Into files: a worker inherits these and keeps them open, and a pipe would be waited for as long as it lives.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            code = subprocess.run(
                # A worker that starts or ends holds DVC's lock for moments.
                [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments],
                # DVC starts `dvc` for a worker and `python` for a stage, by these names: ours are to be found first.
                env={**os.environ, "PATH": programs},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                check=False,
            ).returncode
            said = []
            for stream in (output, errors):
                stream.seek(0)
                said.append(stream.read().decode("utf-8", errors="replace"))
        return subprocess.CompletedProcess(arguments, code, *said)


def parse_status(text: str) -> dict[str, State]:
    """`{name: state}` of the table that `dvc queue status` prints."""
    found: dict[str, State] = {}
    for line in text.splitlines():
        row = _ROW.match(line)
        if row:
            state = next(state for state in STATES if state == row["state"])
            other = found.get(row["name"], state)
            found[row["name"]] = min(state, other, key=STATES.index)
    return found


def last_lines(text: str, count: int = LOG_LINES) -> str:
    """The end of a log without DVC's remarks on its own files."""
    lines = [line.rstrip() for line in text.replace("\r", "\n").splitlines()]
    lines = [line for line in lines if line and not _NOISE.match(line)]
    return "\n".join(lines[-count:]) or "(it wrote nothing)"


def _is_worker(pid_file: Path) -> bool:
    """Whether the process of that number lives and is a worker: numbers are used again."""
    try:
        number = int(pid_file.read_text())
        command = subprocess.run(
            ["ps", "-p", str(number), "-o", "command="], capture_output=True, text=True, check=False
        ).stdout
    except (OSError, ValueError):
        return False
    return "queue-worker" in command
