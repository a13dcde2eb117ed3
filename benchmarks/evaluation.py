"""How long scoring takes, and how much memory, for a results folder of the size of MOT20-05.

    python benchmarks/evaluation.py [--frames 3315] [--people 1200] [--crowd 205] [--breaks 0.003] [--seed 0]
                                    [--dimension 128]

draws the ground truth of a crowd, the tracks of an imperfect tracker, and the detections with embeddings that it
was given, writes them into a temporary folder as the pipeline does, scores that folder with all metrics, and
prints one JSON object: the sizes, `seconds` (reading included; `cpu_seconds` leaves out the waiting for a busy
machine, whose `load` before and after tells how busy it was), `peak_mib` of the whole process, and the scores.
With the default chance of a break, a person gets three tracks on average. benchmarks/results/evaluation.json is
what the defaults gave with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from clmot.evaluation.benchmark import Scoring, score_benchmark
from clmot.evaluation.table import rounded, rounded_observations
from clmot.inference.recording import RecordedDetections, write_recording
from clmot.motchallenge.sequence import ManifestEntry, write_manifest
from clmot.motchallenge.splits import Split

WIDTH, HEIGHT = 1654, 1080  # of MOT20-05, in pixels
STATIC_PERSON = 7
CONFIDENCE = 0.4  # from which the drawn tracker used a detection


def draw_crowd(rng: np.random.Generator, frames: int, people: int, crowd: int) -> np.ndarray:
    """(N, 8) rows of ground truth, sorted by frame: frame, identity, x, y, w, h, flag, class.

    Each of `people` walks straight through the picture for an equal time, so that about `crowd` are seen in a
    frame; every fortieth is a static person, whose boxes the official preprocessing takes out.
    """
    life = crowd * frames // people
    rows = []
    for identity in range(1, people + 1):
        start = int(rng.integers(-life // 2, frames - life // 2))
        seen = np.arange(max(0, start), min(frames, start + life))
        height = rng.uniform(80, 160)
        corner = rng.uniform((0, HEIGHT / 5), (WIDTH, HEIGHT))
        path = corner + np.outer(seen - start, rng.normal(0, 0.3, 2))  # (frames, 2), pixels
        static = identity % 40 == 0
        fixed = [0.42 * height, height, int(not static), STATIC_PERSON if static else 1]
        whose = np.full((len(seen), 1), identity)
        rows.append(np.hstack([seen[:, None] + 1, whose, path, np.tile(fixed, (len(seen), 1))]))
    table = np.concatenate(rows)
    return table[np.argsort(table[:, 0], kind="stable")]


def draw_tracks(rng: np.random.Generator, truth: np.ndarray, breaks: float) -> np.ndarray:
    """(M, 6) rows of results, sorted by frame: frame, identity, x, y, w, h.

    12 % of the boxes are missed, the others shift by some 4 % of their size, a track breaks with probability
    `breaks` in a frame, and 5 % of the boxes are false.
    """
    found = truth[rng.random(len(truth)) > 0.12]
    order = np.lexsort((found[:, 0], found[:, 1]))
    new_person = np.diff(found[order, 1], prepend=-1) != 0
    identity = np.empty(len(found))
    identity[order] = np.cumsum(new_person | (rng.random(len(found)) < breaks))
    box = found[:, 2:6] + rng.normal(0, 0.04, (len(found), 4)) * found[:, [4, 5, 4, 5]]
    tracks = np.column_stack([found[:, 0], identity, box])

    false = tracks[rng.choice(len(tracks), len(tracks) // 20, replace=False)]
    false = false[np.argsort(false[:, 0], kind="stable")]
    false[:, 1] = identity.max() + 1 + np.arange(len(false)) % 200  # 200 > false boxes in one frame
    false[:, 2:4] += rng.normal(0, 40, (len(false), 2))
    both = np.concatenate([tracks, false])
    _, once = np.unique(both[:, :2], axis=0, return_index=True)
    return both[once]


def draw_detections(rng: np.random.Generator, tracks: np.ndarray, dimension: int) -> RecordedDetections:
    """What the tracker was given: its boxes, as many as a fifth more scored low, and embeddings.

    A track looks like itself, with noise that makes one reading in some hundreds look more like someone else.
    """
    low = tracks[rng.choice(len(tracks), len(tracks) // 5, replace=False)]
    low[:, 2:4] += rng.normal(0, 60, (len(low), 2))
    rows = np.concatenate([tracks, low])
    scores = np.concatenate([rng.uniform(0.4, 1, len(tracks)), rng.uniform(0.05, 0.4, len(low))])
    order = np.argsort(rows[:, 0], kind="stable")
    rows, scores = rows[order], scores[order]
    looks = rng.standard_normal((int(rows[:, 1].max()) + 1, dimension), np.float32)
    vectors = np.empty((len(rows), dimension), np.float16)
    for start in range(0, len(rows), 1 << 16):
        part = slice(start, start + (1 << 16))
        seen = looks[rows[part, 1].astype(int)]
        seen = seen + 1.7 * rng.standard_normal(seen.shape, np.float32)
        vectors[part] = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    corners = np.concatenate([rows[:, 2:4] - 1, rows[:, 2:4] - 1 + rows[:, 4:6]], axis=1)
    return RecordedDetections(
        rows[:, 0].astype(np.int32), corners.astype(np.float32), scores.astype(np.float32), vectors
    )


def main() -> None:
    """Draw, write, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--frames", type=int, default=3315, help="frames of the sequence")
    parser.add_argument("--people", type=int, default=1200, help="true identities")
    parser.add_argument("--crowd", type=int, default=205, help="people in a frame, about")
    parser.add_argument("--breaks", type=float, default=0.003, help="chance that a track breaks in a frame")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn")
    parser.add_argument("--dimension", type=int, default=128, help="length of an embedding")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    truth = draw_crowd(rng, options.frames, options.people, options.crowd)
    tracks = draw_tracks(rng, truth, options.breaks)
    with tempfile.TemporaryDirectory() as folder:
        gt, results, name = Path(folder, "gt"), Path(folder, "tracks"), "MOT20-05"
        for directory in (gt / name, results):
            directory.mkdir(parents=True)
        write_manifest(gt, "MOT20", [ManifestEntry(name, "test", options.frames, WIDTH, HEIGHT, 25.0)])
        box = "%.2f,%.2f,%.2f,%.2f"
        np.savetxt(gt / name / "gt.txt", truth, fmt=f"%d,%d,{box},%d,%d,1")
        np.savetxt(results / f"{name}.txt", tracks, fmt=f"%d,%d,{box},1,-1,-1,-1")
        recorded = Path(folder, "detections", f"{name}.safetensors")
        detections = draw_detections(rng, tracks, options.dimension)
        write_recording(recorded, detections)
        count, megabytes = len(detections), recorded.stat().st_size / 1e6
        del detections
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before_load = os.getloadavg()[0]
        start, start_of_work = time.perf_counter(), time.process_time()
        scores = score_benchmark(
            results, gt, "MOT20", Split("full"), scoring=Scoring(confidence=CONFIDENCE), detections=recorded.parent
        )
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_of_work
    assert scores.combined is not None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
    unit = 2**20 if sys.platform == "darwin" else 2**10
    report = {
        "frames": options.frames,
        "truth_boxes": len(truth),
        "tracker_boxes": len(tracks),
        "identities": options.people,
        "tracks": len(np.unique(tracks[:, 1])),
        "detections": count,
        "detections_megabytes": round(megabytes, 1),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "load": [round(before_load, 1), round(os.getloadavg()[0], 1)],
        "cores": os.cpu_count(),
        "peak_mib": round(peak / unit),
        "peak_mib_of_the_drawing": round(before / unit),
        "scores": rounded(scores.combined) | rounded_observations(scores.observations),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
