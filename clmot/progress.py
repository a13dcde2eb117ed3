"""Progress bars that keep quiet when nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], description: str, **options: Any) -> Iterator[T]:
    """Iterate over `items` behind a progress bar on stderr; no bar when stderr is not a terminal.

    `options` go to tqdm (total, unit, unit_scale, ...).
    """
    return iter(tqdm(items, desc=description, disable=not sys.stderr.isatty(), dynamic_ncols=True, **options))
