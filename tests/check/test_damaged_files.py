"""Thousands of files that are almost right: each is read, or refused with a sentence, and soon."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests/support/damaged_files.py"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("tables", 2000), ("images", 500), ("videos", 300), ("weights", 300)])
def test_damaged_files_are_read_or_refused(kind: str, count: int) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), kind, "0", str(count)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=1800,  # a bound for hangs, not for slow machines
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == ""


@pytest.mark.parametrize("text", [True, False])
def test_files_are_damaged_in_many_ways(text: bool) -> None:
    from damaged_files import mutated

    data = b"1,-1,10,20,30,60,1\n" * 20
    found = {mutated(data, np.random.default_rng(seed), text) for seed in range(200)}
    assert len(found) > 150
    assert {len(one) < len(data) for one in found} == {True, False}
    assert mutated(data, np.random.default_rng(5), text) == mutated(data, np.random.default_rng(5), text)
