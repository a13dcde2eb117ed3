"""Films per second against the processes that track them, and what a thousand films cost by that.

    python -m benchmarks.scale MODEL --output benchmarks/results/scale.json

Drawn films are tracked in the processes that `clmot track --workers` and the stage `track` use, one thread each, which
share one core or two (the operating system's affinity): once all have loaded their network, a round of films is timed.
Rounds of all settings go by turns, and the best of each counts, as others may use the machine as well.

The cost model: `workers` that have a core each need  start + films x frames x seconds_per_frame / workers.  What was
measured with two is beside what the model says from one. Films do not wait for each other, and no frame travels, so
that machines add up as long as the storage delivers the frames: their bytes are there as well.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from clmot.errors import InputError, run_as_script
from clmot.files import write_json
from clmot.inference.model import Model, load
from clmot.spread import spread

SIZE = (640, 360)
PEOPLE = 8
SETTINGS = ((1, 1), (1, 2), (2, 1), (2, 2))
"""(cores, workers)"""
EXAMPLES = {"a thousand films of 600 frames": 600_000, "MOT20, training and test films": 13_410}


def main() -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of the model")
    parser.add_argument("--frames", type=int, default=60, help="of a film (default: 60)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    if not given.model.is_dir():
        raise InputError(f"{given.model} is no model's folder.")
    with tempfile.TemporaryDirectory() as folder:
        films = [Path(folder, f"film-{number}") for number in range(4)]
        size = sum(write_film(film, given.frames, seed) for seed, film in enumerate(films))
        best: dict[tuple[int, int], tuple[float, float]] = {}
        for _ in range(given.rounds):
            for cores, workers in SETTINGS:
                if cores <= len(os.sched_getaffinity(0)):
                    now = measured(given.model.absolute(), films, cores, workers)
                    before = best.get((cores, workers), now)
                    best[cores, workers] = (min(before[0], now[0]), max(before[1], now[1]))
    a_frame = 1 / (best[1, 1][1] * given.frames)
    rows = [
        {
            "cores": cores,
            "workers": workers,
            "seconds until all have begun": round(start, 2),
            "films_per_second": round(rate, 3),
            "frames_per_second": round(rate * given.frames, 1),
            "films_per_second of the model": round(min(cores, workers) / (a_frame * given.frames), 3),
        }
        for (cores, workers), (start, rate) in best.items()
    ]
    hours = {name: round(frames * a_frame / 3600, 2) for name, frames in EXAMPLES.items()}
    result = {
        "command": f"python -m benchmarks.scale MODEL --frames {given.frames} --rounds {given.rounds}",
        "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
        "film": {"frames": given.frames, "size": SIZE, "bytes_per_frame": round(size / len(films) / given.frames)},
        "measured": rows,
        "seconds_per_frame of one core": round(a_frame, 5),
        "hours of one core": hours,
    }
    write_json(given.output, result)
    for row in rows:
        print(row)
    print(hours)


def write_film(folder: Path, frames: int, seed: int) -> int:
    """A film of blurred noise before which coloured people walk, as JPEG files; their bytes."""
    random = np.random.default_rng(seed)
    ground = cv2.resize(random.integers(60, 160, (45, 80, 3), np.uint8), SIZE)
    start, step = random.uniform(0, SIZE[0], PEOPLE), random.uniform(-6, 6, PEOPLE)
    colours = random.integers(0, 255, (PEOPLE, 3))
    folder.mkdir(parents=True)
    for frame in range(1, frames + 1):
        image = ground.copy()
        for person in range(PEOPLE):
            left, top = int(start[person] + frame * step[person]) % SIZE[0], 40 + 30 * person
            cv2.rectangle(image, (left, top), (left + 24, top + 64), colours[person].tolist(), -1)
        cv2.imwrite(str(folder / f"{frame:06d}.jpg"), image)
    return sum(file.stat().st_size for file in folder.iterdir())


def make(model: Path, cores: int) -> partial[int]:
    """What tracks a film in a process that shares some of the cores with the others."""
    import torch

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    torch.set_num_threads(1)
    return partial(boxes_of, load(model, device="cpu"))


def boxes_of(model: Model, film: Path) -> int:
    """Track a film; its boxes."""
    return sum(len(frame) for frame in model.track(str(film)))


def measured(model: Path, films: list[Path], cores: int, workers: int) -> tuple[float, float]:
    """Seconds until every worker has tracked its first film, and films per second from there on."""
    begin = time.perf_counter()
    jobs = [films[number % len(films)] for number in range(workers + 8)]
    alone = partial(make, model, cores)
    ends = [time.perf_counter() for _ in spread(alone, jobs, "none", workers)]
    started = ends[workers - 1]
    return started - begin, (len(ends) - workers) / (ends[-1] - started)


if __name__ == "__main__":
    run_as_script(main)
