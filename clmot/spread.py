"""Work on many films, spread over processes of this machine or, with Ray, over machines.

What works is made once in each process (a network is loaded once), and takes one film after another. No frame travels:
films are named, and workers read them and write their results where they find them, so that all machines need the same
folders. Without Ray a pool of processes does the same with the same code.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, TypeVar

from clmot.errors import InputError

T = TypeVar("T")
R = TypeVar("R")
Work = Callable[[T], R]
Done = Generator[tuple[int, R], None, None]

NONE, AUTO = "none", "auto"
CORES = 2
"""That a worker has where there is no GPU: enough to read ahead of the network."""
TRIES = 3
"""Of a film whose worker dies. Machines are lost; but a film that loses every worker it is given is at fault itself."""
LOOK_SECONDS = 1.0
"""Between two looks at whether machines have come that could have a worker."""


def is_cluster(text: str) -> bool:
    """Whether a text names where films are spread: none, auto, ray://HOST:PORT or HOST:PORT."""
    host, colon, port = text.removeprefix("ray://").rpartition(":")
    return text in (NONE, AUTO) or bool(host and colon and port.isdecimal())


def spread(make: Callable[[], Work[T, R]], items: Sequence[T], cluster: str, workers: int) -> Done[R]:
    """Do the work on each item; pairs of its index and result, in the order in which they are done.

    Args:
        make: makes what works, once in each process; can be pickled, and so can items and results.
        items: one piece of work each.
        cluster: `none`: processes of this machine; `auto`: the Ray cluster that this machine belongs to, or one of its
            own; `ray://HOST:PORT`: that cluster.
        workers: processes of a pool, at most one for each item; 0: this process.

    Raises:
        InputError: Ray is not installed, there is no such cluster, or an item's workers died again and again.
    """
    if not items:
        return
    if cluster != NONE:
        yield from _by_ray(make, items, cluster)
    elif workers:
        yield from _by_pool(make, items, min(workers, len(items)))
    else:
        work = make()
        for index, item in enumerate(items):
            yield index, work(item)


_work: Any = None
"""Of a process of the pool."""


def _begin(make: Callable[[], Any]) -> None:
    global _work
    try:
        _work = make()
    except InputError as error:  # is raised where the work is asked for; here it would only break the pool
        _work = partial(_refuse, str(error))


def _refuse(sentence: str, _: Any) -> None:
    raise InputError(sentence)


def _do(item: Any) -> Any:
    return _work(item)


def _by_pool(make: Callable[[], Work[T, R]], items: Sequence[T], workers: int) -> Done[R]:
    import multiprocessing
    from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait

    # Started anew, not forked: torch's threads and CUDA do not survive a fork.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, fresh, _begin, (make,)) as pool:
        indices: dict[Future[R], int] = {pool.submit(_do, item): index for index, item in enumerate(items)}
        waiting = set(indices)
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield indices[future], future.result()
        except BrokenExecutor:
            raise InputError(
                "a worker process died; do so many have the memory that they need? Fewer workers need less."
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _by_ray(make: Callable[[], Work[T, R]], items: Sequence[T], cluster: str) -> Done[R]:
    ray = _connected(cluster)
    left = deque(range(len(items)))
    tries = [0] * len(items)
    actors = _Actors(ray, make)
    at_work: dict[Any, tuple[Any, int]] = {}
    try:
        while left or at_work:
            while left and (actor := actors.idle(len(left))) is not None:
                index = left.popleft()
                at_work[actor.do.remote(items[index])] = actor, index
            awaited = [*at_work, *actors.asked]
            if not awaited:  # all machines are lost; others may come
                time.sleep(LOOK_SECONDS)
                continue
            done, _ = ray.wait(awaited, timeout=LOOK_SECONDS)
            for ref in done:
                if ref not in at_work:
                    actors.arrived(ref)
                    continue
                actor, index = at_work.pop(ref)
                try:
                    result = ray.get(ref)
                except ray.exceptions.RayActorError:
                    tries[index] += 1
                    if tries[index] == TRIES:
                        raise InputError(
                            f"{items[index]}: {TRIES} workers died on it; do they have the memory that it needs?"
                        ) from None
                    print(f"a worker is lost; {items[index]} is done again.", file=sys.stderr)
                    left.appendleft(index)
                    continue
                actors.free.append(actor)
                yield index, result
    finally:
        actors.end()


class _Actors:
    """Workers of a Ray cluster: as many as its free GPUs, or cores, have room for."""

    def __init__(self, ray: Any, make: Callable[[], Any]) -> None:
        class Worker:
            def __init__(self, make: Callable[[], Any]) -> None:
                self.work = make()

            def ready(self) -> None:
                """Answers when the worker is there."""

            def do(self, item: Any) -> Any:
                return self.work(item)

        total = ray.cluster_resources()
        cores = min([CORES, *(int(node["Resources"].get("CPU", 1)) or 1 for node in ray.nodes() if node["Alive"])])
        needs = {"num_gpus": 1} if total.get("GPU") else {"num_cpus": cores}
        self.ray, self.needs, self.make = ray, needs, make
        self.kind = ray.remote(Worker).options(**needs)
        self.free: list[Any] = []
        self.asked: dict[Any, Any] = {}
        """Workers that were asked for and are not there yet, by what says when they are."""
        self.all: list[Any] = []

    def room(self) -> int:
        """Workers that what is free in the cluster has room for."""
        name, each = ("GPU", 1) if "num_gpus" in self.needs else ("CPU", self.needs["num_cpus"])
        return int(self.ray.available_resources().get(name, 0) // each)

    def idle(self, wanted: int) -> Any:
        """A worker that waits for work; None: there is none. Where there is room for more, they are asked for."""
        if not self.free:
            for _ in range(min(wanted, self.room()) - len(self.asked)):
                actor = self.kind.remote(self.make)
                self.all.append(actor)
                self.asked[actor.ready.remote()] = actor
            return None
        return self.free.pop()

    def arrived(self, ref: Any) -> None:
        actor = self.asked.pop(ref)
        try:
            self.ray.get(ref)
        except self.ray.exceptions.RayActorError as error:
            if "creation task" in str(error):  # it would not be made by another one either
                *_, reason = str(error).strip().splitlines()
                raise InputError(f"no worker could be started: {reason}") from None
        else:
            self.free.append(actor)

    def end(self) -> None:
        for actor in self.all:
            with contextlib.suppress(Exception):
                self.ray.kill(actor)


def _connected(cluster: str) -> Any:
    """Ray, connected to a cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise InputError(
            "spreading films over machines needs Ray: `pip install clmot[cluster]`, or `--workers N` for processes of "
            "this one."
        ) from None
    if ray.is_initialized():
        return ray
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if cluster != AUTO:
        try:
            ray.init(address=cluster, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise InputError(f"there is no Ray cluster at {cluster} ({error}).") from None
        return ray
    try:
        ray.init(address="auto", **options)
    except ConnectionError:
        print("no Ray cluster runs here; one of this machine alone is started.", file=sys.stderr)
        ray.init(include_dashboard=False, **options)
    return ray
