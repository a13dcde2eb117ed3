"""Run experiments through DVC's queue until each has results or has failed."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from clmot.ablation.experiments import Experiment, next_wave
from clmot.errors import InputError
from clmot.progress import progress

TICK = 2.0
"""Seconds between two looks at the results, which cost milliseconds."""
FIRST_LOOK, LAST_LOOK = 6.0, 60.0
"""Seconds between two looks at the queue, which cost seconds: few at first, more the longer nothing changes."""
PATIENCE = 2
"""Looks in a row at which something must be wrong before it counts: an experiment that is just being picked up stands
nowhere for a moment."""

SILENCE = 5
"""Looks in a row that DVC may fail to answer. Experiments that run are left running then."""


class Queue(Protocol):
    """What running needs of `DvcQueue`."""

    def add(self, experiment: Experiment) -> None: ...
    def start(self, jobs: int) -> None: ...
    def states(self) -> Mapping[str, str]: ...
    def finished(self) -> set[str]: ...
    def alive(self) -> bool: ...
    def log(self, name: str) -> str: ...
    def stop(self, names: Sequence[str]) -> None: ...
    def forget(self, name: str) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """How an experiment ended."""

    experiment: Experiment
    failure: str = ""
    """The last lines of its log, or what became of it; empty when it has results."""


def run_experiments(
    experiments: Sequence[Experiment],
    queue: Queue,
    jobs: int,
    check_unchanged: Callable[[], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Generator[Outcome, None, None]:
    """Queue and run the experiments that have no results yet; yield how each ended, as it ends.

    Whenever one ends, all are queued that may run beside what is still pending (see `next_wave`). What an earlier call
    left in the queue is waited for, what failed then is tried again. Leaving the loop early, or Ctrl-C, takes the rest
    out of the queue and interrupts what runs.

    Args:
        experiments: in the order in which they should run.
        queue: DVC's.
        jobs: how many run beside each other.
        check_unchanged: raises InputError when the project is no longer what the experiments were planned from. Called
            before more of them are queued while others have already run, which `jobs` above 1 needs, and before one
            is queued a second time because its worker is gone.
        sleep: waits so many seconds.

    Raises:
        InputError: the project changed, or DVC would not queue an experiment: what was pending has run by then, and was
            yielded. Or DVC does not answer any more: what runs is left running.
    """
    done = queue.finished()
    made = {key for experiment in experiments if str(experiment.name) in done for key in experiment.stage_keys}
    waiting = [experiment for experiment in experiments if str(experiment.name) not in done]
    pending: dict[str, Experiment] = {}
    refusal: InputError | None = None
    try:
        wave = next_wave(waiting, made, jobs)
        if wave:
            refusal = _queue_wave(wave, pending, queue, jobs)
        waiting = [experiment for experiment in waiting if experiment not in wave]
        for outcome in _wait_for(pending, queue, jobs, check_unchanged, sleep):
            if not outcome.failure:
                made |= set(outcome.experiment.stage_keys)
            yield outcome
            wave = next_wave(waiting, made, jobs, pending.values())
            if wave and refusal is None:
                refusal = _refusal_of(check_unchanged) or _queue_wave(wave, pending, queue, jobs)
                waiting = [experiment for experiment in waiting if experiment not in wave]
    except (KeyboardInterrupt, GeneratorExit):
        if pending:
            print(f"taking {len(pending)} experiments out of DVC's queue ...", file=sys.stderr)
            queue.stop(list(pending))
        raise
    if refusal is not None:
        raise refusal


def _queue_wave(
    wave: Sequence[Experiment], pending: dict[str, Experiment], queue: Queue, jobs: int
) -> InputError | None:
    """Queue a wave, which is `pending` (by name) from then on; or nothing of it, and say why."""
    names = [str(experiment.name) for experiment in wave]
    pending |= dict(zip(names, wave, strict=True))  # before it is queued, for whoever interrupts that
    try:
        _enqueue(wave, queue)
        queue.start(jobs)
    except InputError as error:  # half a comparison in the queue is nobody's wish
        queue.stop(names)
        for name in names:
            del pending[name]
        return error
    return None


def _wait_for(
    pending: dict[str, Experiment],
    queue: Queue,
    jobs: int,
    check_unchanged: Callable[[], None],
    sleep: Callable[[float], None],
) -> Generator[Outcome, None, None]:
    """Yield how each of the pending experiments (by name) ends, and take it out of `pending`.

    More may be put into `pending` whenever one was yielded.
    """
    wrong: Counter[str] = Counter()
    queued_again: set[str] = set()
    pause, waited, silent, idle = FIRST_LOOK, 0.0, 0, 0
    while pending:
        sleep(TICK)
        waited += TICK
        looked = waited >= pause
        states: Mapping[str, str] = {}
        asked = list(pending)  # what is queued from here on does not stand in `states`
        if looked:
            waited, pause = 0.0, min(1.5 * pause, LAST_LOOK)
            try:
                states, silent = queue.states(), 0
            except InputError:  # experiments of hours shall not end because DVC could not answer once
                looked, silent = False, silent + 1
                if silent >= SILENCE:
                    raise
        for name in sorted(queue.finished() & set(pending), key=list(pending).index):
            yield Outcome(pending.pop(name))
            pause = FIRST_LOOK
        if not looked:
            continue
        alive = queue.alive()
        for name in asked:
            if name not in pending:
                continue
            state = states.get(name)
            if state == "Failed":
                yield Outcome(pending.pop(name), queue.log(name))
                pause = FIRST_LOOK
            elif state == "Queued" or (state == "Running" and alive):
                wrong[name] = 0
            else:
                wrong[name] += 1
                if wrong[name] >= PATIENCE:
                    if state == "Running":
                        queue.forget(name)
                    # A worker that ends for want of work can take the next experiment with it: DVC then says that it
                    # runs for ever. So the first time is no failure of the experiment's.
                    if state == "Running" and name not in queued_again and _refusal_of(check_unchanged) is None:
                        queued_again.add(name)
                        queue.add(pending[name])
                        queue.start(jobs)
                        wrong[name], pause = 0, FIRST_LOOK
                        continue
                    yield Outcome(pending.pop(name), _explanation(state))
        # A worker may end, for want of work, just as more is queued: it was counted and no other was started.
        queued = any(states.get(name) == "Queued" for name in pending)
        idle = idle + 1 if queued and list(states.values()).count("Running") < jobs else 0
        if queued and (not alive or idle >= PATIENCE):
            queue.start(jobs)
            idle = 0


def _refusal_of(check: Callable[[], None]) -> InputError | None:
    try:
        check()
    except InputError as error:
        return error
    return None


def _enqueue(wave: Sequence[Experiment], queue: Queue) -> None:
    """Queue what is not in the queue; what runs or waits there is left, what ended there without results makes room."""
    states = queue.states()
    alive = queue.alive()
    done = queue.finished()  # asked last: one that ended meanwhile must not be taken for one that failed
    for experiment in progress(wave, "queueing", unit="experiment"):
        name = str(experiment.name)
        state = states.get(name)
        if name in done or state == "Queued" or (state == "Running" and alive):
            continue
        if state is not None:
            queue.forget(name)
        queue.add(experiment)


def _explanation(state: str | None) -> str:
    if state == "Running":
        return "its worker is gone: it was killed, or the machine was"
    if state is None:
        return "somebody took it out of DVC's queue"
    return "DVC's queue says that it ended, but it has no results (see .dvc/tmp/exps/celery/*.out)"
