"""Work that is done ahead of those who wait for it, in order, by threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

LOOK_SECONDS = 0.02
"""How often a generator that is closed looks whether its feeding thread has seen it."""


def ahead(work: Callable[[T], R], items: Iterable[T], threads: int, limit: int) -> Generator[R, None, None]:
    """`map(work, items)`, done ahead by threads: the results in the items' order, each as soon as it is there.

    However long the items go on, at most `limit` + 2 of them are held. An error of `work`, or of the items, is raised
    where its result would have come. Threads begin with the first result that is asked for, and have ended when the
    generator has: at its end, by an error or Ctrl-C, or when it is closed.

    Args:
        work: may run in several threads at once.
        items: is iterated in a thread of its own, so that waiting for one delays no work.
        threads: that work.
        limit: results that wait, or are worked on, at most.
    """
    results: queue.Queue[Future[R] | None] = queue.Queue(max(1, limit))
    over = threading.Event()

    def feed() -> None:
        try:
            for item in items:
                if over.is_set():
                    return
                results.put(pool.submit(work, item))
        except BaseException as error:
            failed: Future[R] = Future()
            failed.set_exception(error)
            results.put(failed)
        else:
            results.put(None)

    feeder = threading.Thread(target=feed, name="clmot-feeder", daemon=True)
    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="clmot")
    try:
        feeder.start()
        while (result := results.get()) is not None:
            yield result.result()
    finally:
        over.set()
        while feeder.is_alive():  # it may wait for a place
            _cancel(results)
            feeder.join(LOOK_SECONDS)
        _cancel(results)
        pool.shutdown()


def _cancel(results: queue.Queue[Future[R] | None]) -> None:
    """Empty the queue; what nobody has begun with is not done."""
    while not results.empty():
        result = results.get()
        if result is not None:
            result.cancel()
