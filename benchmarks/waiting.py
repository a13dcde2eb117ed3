"""Frames a second of training by how OpenMP's threads wait for each other, on a quiet machine and on a busy one.

    python -m benchmarks.waiting --results benchmarks/results/waiting.json

A layer's threads wait for its slowest, and then for the next layer. They sleep at once (`asleep`), spin for some
microseconds first (`ours`: what importing `clmot` sets) or for some milliseconds (`spinning`: what libgomp does unless
told otherwise). Each trains an epoch of the default in a process of its own, by turns, alone and with a second of its
kind on the same cores. Run it where nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.training import STAGES, measure, spread

WAITS: dict[str, dict[str, str]] = {
    "asleep": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"},
    "ours": {},
    "spinning": {"GOMP_SPINCOUNT": "300000"},
}


def at_once(together: int, data: Path, batches: int, wait: dict[str, str]) -> dict[str, list[float]]:
    """What the first says of so many trainings that run `together`."""
    here = Path(__file__).resolve().parents[1]
    with ThreadPoolExecutor() as pool:
        first, *_ = pool.map(lambda _: measure(here, data, batches, wait), range(together))
    return first


def main() -> None:
    """Measure as the command line says, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/training"))
    parser.add_argument("--batches", type=int, default=8, help="steps of an epoch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    report: dict[str, Any] = {"cores": os.cpu_count(), "rounds": options.rounds, "batches": options.batches}
    for together, name in enumerate(("alone", "two at once"), 1):
        rounds = [
            {wait: at_once(together, options.data, options.batches, WAITS[wait]) for wait in WAITS}
            for _ in range(options.rounds)
        ]
        report[name] = {
            stage: {
                wait: {
                    "frames_per_second": spread([one[wait][stage][2] / one[wait][stage][0] for one in rounds]),
                    "times_asleep": spread([one["asleep"][stage][0] / one[wait][stage][0] for one in rounds]),
                }
                for wait in WAITS
            }
            for stage in STAGES
        }
    print(json.dumps(report, indent=2))
    if options.results:
        options.results.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
