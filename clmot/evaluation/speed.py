"""How fast tracking was, as `track` measured it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from clmot.errors import InputError


def measured_speeds(directory: str | os.PathLike[str], benchmarks: Iterable[str]) -> dict[str, Any]:
    """`{benchmark: what track measured}` of a folder of <benchmark>.speed.json, for those that are there and tracked
    anything.

    Raises:
        InputError: a file is not JSON.
    """
    measured = {}
    for benchmark in sorted(benchmarks):
        path = Path(directory) / f"{benchmark}.speed.json"
        if path.is_file():
            try:
                measured[benchmark] = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                raise InputError(f"{path} is not JSON: run the track stage again (`dvc repro track`).") from None
    return {benchmark: speed for benchmark, speed in measured.items() if speed}
