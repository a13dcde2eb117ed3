"""Work done ahead by threads: order, bounds, errors, and that no thread is left."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from clmot.inference.ahead import ahead


def ours() -> list[str]:
    """Threads of `ahead` that live."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("clmot")]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("limit", [1, 3, 20])
def test_results_come_in_order_whoever_is_ready_first(threads: int, limit: int) -> None:
    gates = [threading.Event() for _ in range(12)]
    gates[0].set()

    def work(number: int) -> int:
        if number % 2 and threads > 1 and limit > 1:
            gates[number - 1].wait(5)  # the one before has begun
        gates[number].set()
        return number * number

    assert list(ahead(work, range(12), threads, limit)) == [number * number for number in range(12)]
    assert ours() == []


def test_no_more_is_taken_than_may_wait() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = ahead(lambda number: number, items(), 2, 4)
    for number in range(50):
        assert next(results) == number
        assert len(taken) <= number + 1 + 4 + 2
    results.close()
    assert ours() == []


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_error_comes_where_its_result_would_have(kind: type[BaseException]) -> None:
    def work(number: int) -> int:
        if number == 5:
            raise kind("five")
        return number

    results = ahead(work, range(9), 3, 6)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(kind, match="five"):
        next(results)
    assert ours() == []


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_error_of_the_items_comes_after_those_before_it(kind: type[BaseException]) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise kind("no more")

    results = ahead(lambda number: -number, items(), 2, 8)
    assert [next(results) for _ in range(3)] == [0, -1, -2]
    with pytest.raises(kind, match="no more"):
        next(results)
    assert ours() == []


def test_nothing_begins_before_it_is_asked_for_and_nothing_is_left_of_what_is_forgotten() -> None:
    begun: list[int] = []
    results = ahead(begun.append, range(100), 2, 4)
    assert begun == []
    assert ours() == []
    next(results)
    assert ours() != []
    del results
    assert ours() == []
    assert len(begun) < 10


def test_no_items_no_results() -> None:
    assert list(ahead(lambda item: item, [], 2, 2)) == []
