"""Progress bars that are silent when stderr is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], description: str, **options: Any) -> Iterator[T]:
    """Iterate over `items` behind a progress bar on stderr; no bar when stderr is not a terminal.

    `options` go to tqdm (total, unit, unit_scale, ...).
    """
    return iter(tqdm(items, desc=description, disable=not sys.stderr.isatty(), dynamic_ncols=True, **options))


def byte_progress(total: int | None, description: str, done: int = 0) -> tqdm[NoReturn]:
    """A bar of bytes on stderr with speed and time left, to be `update`d; quiet where `progress` is.

    `done` bytes were there before and count neither for the speed nor for the time left.
    """
    return tqdm(
        total=total,
        initial=done,
        desc=description,
        unit="B",
        unit_scale=True,
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
    )
