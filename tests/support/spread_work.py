"""Work for processes of their own, which import it by its name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from clmot.errors import InputError


def double(offset: int, number: int) -> int:
    return 2 * number + offset


def make_double(offset: int) -> Callable[[int], int]:
    return partial(double, offset)


def die(number: int) -> int:
    if number == 3:
        os._exit(1)
    return number


def make_die() -> Callable[[int], int]:
    return die


def make_nothing() -> Callable[[int], int]:
    raise InputError("there are no such weights")


def slow(folder: Path, number: int) -> tuple[int, str]:
    """The number again, and the machine of a Ray cluster that it took half a second on."""
    import ray

    with (folder / "begun").open("a") as begun:
        begun.write(f"{number}\n")
    time.sleep(0.5)
    return number, ray.get_runtime_context().get_node_id()


def make_slow(folder: Path) -> Callable[[int], tuple[int, str]]:
    return partial(slow, folder)
