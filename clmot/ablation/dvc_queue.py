"""DVC's queue of experiments, through DVC's own commands.

Workers run in the background, in a process group of their own: they go on when the terminal closes, and the
same command finds later what they have done. `dvc queue status` takes seconds of processor time, so whether an
experiment is ready is asked of Git (its commit is there), and DVC only now and then how the others are.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path

import psutil

from clmot.ablation.experiments import Experiment
from clmot.ablation.snapshot import git
from clmot.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

STATES = ("Running", "Queued", "Success", "Failed", "Unknown")
"""States of an experiment; if it is in the queue more than once, the first of these counts."""

TICK = 2.0
"""Seconds between two looks at the results, which cost milliseconds."""
LOOK_AT_QUEUE = 10
"""Every how many ticks DVC is asked, which costs seconds."""
PATIENCE = 2
"""Such looks in a row at which something must be wrong before it counts: an experiment that is just being picked up
is in no list for a moment, and DVC may be too busy to answer."""
LOG_LINES = 8
"""Of a failed experiment that are shown."""

_ROW = re.compile(rf"^[0-9a-f]{{7,}}\s+(?P<name>\S+)\s.*\b(?P<state>{'|'.join(STATES)})\s*$")
_NOISE = re.compile(r"^(WARNING: No file hash info found|Updating lock file|Generating lock file)")


def finished_experiments() -> dict[str, tuple[str, str]]:
    """`{name: (commit, commit it derives from)}` of DVC's experiments that have results; of equal names the newest."""
    references = git("for-each-ref", "--sort=committerdate", "--format=%(refname) %(objectname)", "refs/exps")
    found = {}
    for line in references.splitlines():
        reference, commit = line.split(" ")
        parts = reference.split("/")  # refs/exps/<2 digits of the baseline>/<38 digits>/<name>
        if len(parts) == 5 and len(parts[2]) == 2 and len(parts[3]) == 38:
            found[parts[4]] = (commit, parts[2] + parts[3])
    return found


@contextlib.contextmanager
def sole_runner() -> Iterator[None]:
    """Keep every other `clmot ablation` from running experiments in this folder: each would stop the other's workers.

    The kernel drops the lock when this process ends, however it ends; without such locks nothing is kept off.

    Raises:
        InputError: another one is running them.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError):  # no project of DVC's, which DVC says itself
            handle = os.open(".dvc", os.O_RDONLY)
            stack.callback(os.close, handle)
            try:
                if fcntl is not None:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    "another `clmot ablation` is running experiments here, and each would stop the other's: wait for "
                    "it, or stop it with Ctrl-C (--dry-run and --table-only work meanwhile)."
                ) from None
        yield


class DvcQueue:
    """The queue of the project in the current folder."""

    def add(self, experiment: Experiment) -> None:
        """Queue an experiment: from here on, changes in the folder do not reach it."""
        _dvc(*experiment.command())

    def start(self, jobs: int) -> None:
        """Have `jobs` workers in the background, those that run already among them. They end with the queue."""
        _dvc("queue", "start", "--jobs", str(jobs))

    def states(self) -> dict[str, str]:
        """`{name: state}` of everything in the queue, other people's experiments among them."""
        return parse_status(_dvc("queue", "status"))

    def finished(self) -> set[str]:
        """Names of all experiments that have results."""
        return set(finished_experiments())

    def alive(self) -> bool:
        """Whether a worker process exists. (DVC's own answer is no as well when a worker is slow to answer.)"""
        return any(_is_worker(path) for path in Path(".dvc/tmp/exps/celery").glob("dvc-exp-worker-*.pid"))

    def log(self, name: str) -> str:
        """The last lines of what an experiment wrote, or why there are none."""
        return last_lines(_dvc("queue", "logs", name, check=False))

    def remove(self, names: Iterable[str]) -> None:
        """Take experiments out of the queue; one that runs is interrupted, and its worker ends with it.

        Where the worker is gone DVC believes that the experiment runs, until it is told to kill what is not there: the
        first time this ends a process that the worker may have left behind, the second time it corrects the record.
        """
        names = sorted(names)
        for _ in range(2):
            states = self.states()
            running = [name for name in names if states.get(name) == "Running"]
            if running:
                _dvc("queue", "kill", *running, check=False)
        for name in names:
            _dvc("queue", "remove", name, check=False)


def run_experiments(
    groups: Sequence[Sequence[Experiment]],
    queue: DvcQueue,
    jobs: int,
    check_unchanged: Callable[[], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Generator[tuple[Experiment, str], None, None]:
    """Run one group of experiments after the other; yield each as it ends, with why it failed (empty: it did not).

    What an earlier call left in the queue is waited for, what failed then is tried again. Leaving the loop early, or
    Ctrl-C, takes the rest out of the queue and interrupts what runs.

    Args:
        groups: see `waves`; none of them has results.
        queue: DVC's.
        jobs: how many run beside each other.
        check_unchanged: raises InputError when the project is no longer what the experiments were planned from; called
            before a later group is queued.
        sleep: waits so many seconds.

    Raises:
        InputError: the project changed, or DVC would not queue an experiment (then none of its group is).
    """
    for number, group in enumerate(groups):
        pending = {str(experiment.name): experiment for experiment in group}
        try:
            if number:
                check_unchanged()
            _enqueue(pending, queue)
            queue.start(jobs)
            yield from _wait_for(pending, queue, jobs, sleep)
            if number < len(groups) - 1:
                _let_workers_end(queue, sleep)
        except (KeyboardInterrupt, GeneratorExit, InputError):
            queue.remove(pending)
            raise


def _enqueue(pending: dict[str, Experiment], queue: DvcQueue) -> None:
    """Queue what is not in the queue; what ended there without results, or lost its worker, makes room."""
    states, alive = queue.states(), queue.alive()
    for name, experiment in pending.items():
        state = states.get(name)
        if state == "Queued" or (state == "Running" and alive):
            continue
        if state is not None:
            queue.remove([name])
        queue.add(experiment)


def _wait_for(
    pending: dict[str, Experiment], queue: DvcQueue, jobs: int, sleep: Callable[[float], None]
) -> Generator[tuple[Experiment, str], None, None]:
    """Yield each of the pending experiments (by name) as it ends, and take it out of `pending`."""
    wrong: Counter[str] = Counter()
    ticks = 0
    while pending:
        sleep(TICK)
        ticks += 1
        for name in [name for name in pending if name in queue.finished()]:
            yield pending.pop(name), ""
        if not pending or ticks % LOOK_AT_QUEUE:
            continue
        states = _states_or_none(queue)
        if states is None:
            continue
        alive = queue.alive()
        for name in list(pending):
            state = states.get(name)
            healthy = state == "Queued" or (state == "Running" and alive)
            wrong[name] = 0 if healthy else wrong[name] + 1
            if state == "Failed" or wrong[name] >= PATIENCE:
                yield pending.pop(name), queue.log(name) if state == "Failed" else _explanation(state)
        # A worker may end, for want of work, just as more is queued: it was counted and no other was started.
        waiting = sum(states.get(name) == "Queued" for name in pending)
        if waiting and (not alive or list(states.values()).count("Running") < jobs):
            queue.start(jobs)


def _states_or_none(queue: DvcQueue) -> dict[str, str] | None:
    """None when DVC does not answer: experiments of hours shall not end because it could not once."""
    try:
        return queue.states()
    except InputError as error:
        print(f"warning: {error}", file=sys.stderr)
        return None


def _let_workers_end(queue: DvcQueue, sleep: Callable[[float], None], ticks: int = 30) -> None:
    """One that ends for want of work would take the next experiment with it: DVC then says that it runs for ever."""
    while queue.alive() and ticks:
        sleep(TICK)
        ticks -= 1


def _explanation(state: str | None) -> str:
    if state == "Running":
        return "its worker is gone: it was killed, or the machine was"
    if state is None:
        return "it was taken out of DVC's queue"
    return "DVC's queue says that it ended, but it has no results (see .dvc/tmp/exps/celery/*.out)"


def parse_status(text: str) -> dict[str, str]:
    """`{name: state}` of the table that `dvc queue status` prints."""
    found: dict[str, str] = {}
    for row in filter(None, map(_ROW.match, text.splitlines())):
        found[row["name"]] = min(row["state"], found.get(row["name"], row["state"]), key=STATES.index)
    return found


def last_lines(text: str, count: int = LOG_LINES) -> str:
    """The end of a log without DVC's remarks on its own files."""
    lines = [line.rstrip() for line in text.replace("\r", "\n").splitlines()]
    lines = [line for line in lines if line and not _NOISE.match(line)]
    return "\n".join(lines[-count:]) or "(it wrote nothing)"


def _is_worker(pid_file: Path) -> bool:
    """Whether the process of that number lives and is a worker: numbers are used again."""
    try:
        return "queue-worker" in psutil.Process(int(pid_file.read_text())).cmdline()
    except (OSError, ValueError, psutil.Error):
        return False


def _dvc(*arguments: str, check: bool = True) -> str:
    """What a command of DVC's prints.

    Raises:
        InputError: it fails, and `check` says that it must not.
    """
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
        output.seek(0)
        errors.seek(0)
        said, complained = (stream.read().decode("utf-8", errors="replace") for stream in (output, errors))
    if code and check:
        reason = last_lines(complained or said, 1).removeprefix("ERROR: ")
        raise InputError(f"`dvc {' '.join(arguments[:2])}` failed: {reason}")
    return said if said.strip() or not code else complained
