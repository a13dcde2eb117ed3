"""How long association takes, what memory it holds, and how good its tracks are; no network involved.

    python -m benchmarks.association                          # generated crowds of 20, 60, 150 and 300 people
    python -m benchmarks.association --people 300 --dimensions 512 --frames 20000 --no-scores
    python -m benchmarks.association --npz detections.npz     # anybody's detections

Prints json. Every case runs in a process of its own, on one thread; only `Tracker.update` is timed, by the
clock and in processor time (which others on the machine stretch less). Thresholds come from params.yaml
(`--params`), so that what is measured is what the pipeline runs.

Layout of an .npz: `frame` (R,) from 1, ascending or not; `boxes` (R, 4) x1 y1 x2 y2 in pixels from 0;
`scores` (R,); optional `embeddings` (R, D); optional `frame_rate` and `length` (single numbers; 30, and the
last frame); optional ground truth `gt_frame` (G,), `gt_identity` (G,), `gt_boxes` (G, 4).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clmot.errors import InputError, run_as_script
from clmot.evaluation.score import score_sequence
from clmot.motchallenge.annotations import AnnotationTable
from clmot.params import PARAMS_FILE, TrackParams, load_params
from clmot.progress import progress
from clmot.tracking.tracker import Tracker

SCENE = np.array([1920.0, 1080.0])
FRAME_RATE = 30.0
WARM_UP = 10
"""Frames at the beginning that are not counted."""


@dataclass(frozen=True)
class Case:
    """What one process measures."""

    params: TrackParams
    people: int
    dimension: int
    frames: int
    seed: int
    repeats: int
    scores: bool
    npz: Path | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """Detections of a frame, and who was really there."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    embeddings: NDArray[np.float32] | None
    true_identities: NDArray[np.int64]
    true_boxes: NDArray[np.float64]


def generated_crowd(people: int, dimension: int, frames: int, seed: int) -> Iterator[Frame]:
    """Walking people, frame by frame, so that a long film needs no more memory than a short one.

    Everybody walks on with small changes of speed; who leaves comes back in as somebody else. One in ten
    detections is missed at random and one person in ten is hidden, for ten frames on average; a false
    detection comes with every twentieth person. Same seeds give the same crowd.
    """
    rng = np.random.default_rng(seed)
    identity = np.arange(1, people + 1)
    centre = rng.uniform(0, SCENE, (people, 2))
    speed = rng.normal(0, [2.5, 0.8], (people, 2))
    height = rng.uniform(60, 180, people)
    looks = _looks(rng, people, dimension)
    hidden = np.zeros(people, bool)
    for _ in range(frames):
        speed += rng.normal(0, 0.15, speed.shape)
        centre += speed
        height *= np.exp(rng.normal(0, 0.003, people))
        gone = ((centre < -20) | (centre > SCENE + 20)).any(axis=1)
        if gone.any():
            count = int(gone.sum())
            identity[gone] = identity.max() + 1 + np.arange(count)
            side = rng.integers(0, 2, count)
            centre[gone] = np.stack((side * SCENE[0], rng.uniform(0, SCENE[1], count)), axis=1)
            speed[gone] = np.stack(
                ((1 - 2 * side) * rng.uniform(1, 4, count), rng.normal(0, 0.8, count)), axis=1
            )
            height[gone] = rng.uniform(60, 180, count)
            looks[gone] = _looks(rng, count, dimension)
        hidden = np.where(hidden, rng.random(people) > 0.1, rng.random(people) < 0.011)
        half = np.stack((0.2 * height, 0.5 * height), axis=1)
        true_boxes = np.concatenate((centre - half, centre + half), axis=1)
        seen = ~hidden & (rng.random(people) > 0.1)
        noise = rng.normal(0, 0.02, true_boxes.shape) * height[:, None]
        false = rng.poisson(people / 20)
        corner = rng.uniform(0, SCENE, (false, 2))
        size = rng.uniform(60, 180, (false, 1)) * [0.4, 1]
        # Noise half as long as the vector: cosine distance .1 to the same person's looks, 1 to others'.
        vectors = looks + rng.standard_normal(looks.shape, np.float32) * np.float32(0.5 / dimension**0.5)
        yield Frame(
            np.concatenate(((true_boxes + noise)[seen], np.concatenate((corner, corner + size), axis=1))),
            np.concatenate((rng.uniform(0.5, 1, int(seen.sum())), rng.uniform(0.3, 0.7, false))),
            np.concatenate((vectors[seen], _looks(rng, false, dimension))),
            identity.copy(),
            true_boxes,
        )


def _looks(rng: np.random.Generator, count: int, dimension: int) -> NDArray[np.float32]:
    vectors = rng.standard_normal((count, dimension), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def read_npz(path: Path) -> tuple[list[Frame], float]:
    """The frames of a file laid out as this module's docstring says, and its frame rate.

    Raises:
        InputError: the file cannot be read, or an array is missing or has another shape.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = dict(content)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as .npz ({error}).") from None
    missing = [name for name in ("frame", "boxes", "scores") if name not in arrays]
    if missing:
        raise InputError(
            f"{path} has no array '{missing[0]}': see `python -m benchmarks.association --help`."
        )
    number = arrays["frame"].astype(np.int64)
    embeddings = arrays.get("embeddings")
    truth = arrays.get("gt_frame", np.zeros(0, np.int64)).astype(np.int64)
    identities = arrays.get("gt_identity", np.zeros(0, np.int64)).astype(np.int64)
    true_boxes = arrays.get("gt_boxes", np.zeros((0, 4)))
    rows = {"boxes": arrays["boxes"], "scores": arrays["scores"]}
    if embeddings is not None:
        rows["embeddings"] = embeddings
    for names, values, count in [(n, v, len(number)) for n, v in rows.items()] + [
        ("gt_identity", identities, len(truth)),
        ("gt_boxes", true_boxes, len(truth)),
    ]:
        if len(values) != count:
            raise InputError(
                f"{path}: '{names}' has {len(values)} rows, expected {count}, one for each frame number."
            )
    length = int(arrays.get("length", max(number.max(initial=0), truth.max(initial=0))))
    frames = []
    for frame in range(1, length + 1):
        here, there = number == frame, truth == frame
        frames.append(
            Frame(
                arrays["boxes"][here].astype(np.float64),
                arrays["scores"][here].astype(np.float64),
                None if embeddings is None else embeddings[here],
                identities[there],
                true_boxes[there].astype(np.float64),
            )
        )
    return frames, float(arrays.get("frame_rate", FRAME_RATE))


def measure(case: Case) -> dict[str, Any]:
    """Track one case `repeats` times and describe the run with the lowest median of processor time."""
    best: dict[str, Any] | None = None
    for _ in range(case.repeats):
        run = _run(case)
        if best is None or run["processor_ms_per_frame"]["median"] < best["processor_ms_per_frame"]["median"]:
            best = run
    assert best is not None
    return best


def _run(case: Case) -> dict[str, Any]:
    if case.npz is not None:
        stored, frame_rate = read_npz(case.npz)
        frames, length, name = iter(stored), len(stored), case.npz.name
    else:
        frames, length, frame_rate = (
            generated_crowd(case.people, case.dimension, case.frames, case.seed),
            case.frames,
            FRAME_RATE,
        )
        name = f"{case.people} people, {case.dimension}-d"
    tracker = Tracker(case.params, frame_rate)
    seconds, processor_seconds = np.zeros(length), np.zeros(length)
    living = given = dimension = 0
    rows: dict[str, list[NDArray[Any]]] = {"results": [], "truth": []}
    memory_early = 0.0
    for number, frame in enumerate(progress(frames, name, total=length, unit="frame"), start=1):
        begin, processor_begin = time.perf_counter(), time.thread_time()
        tracks = tracker.update(frame.boxes, frame.scores, frame.embeddings)
        processor_seconds[number - 1] = time.thread_time() - processor_begin
        seconds[number - 1] = time.perf_counter() - begin
        living, given = max(living, len(tracker.tracks)), given + len(frame.boxes)
        dimension = 0 if frame.embeddings is None else frame.embeddings.shape[1]
        if case.scores:
            rows["results"].append(_rows(number, tracks.identities, tracks.boxes, tracks.scores))
            count = len(frame.true_identities)
            rows["truth"].append(_rows(number, frame.true_identities, frame.true_boxes, np.ones(count)))
        if number == max(1, length // 10):
            memory_early = _resident_mib()
    found: dict[str, Any] = {
        "case": name,
        "frames": length,
        "detections_per_frame": round(given / max(1, length), 1),
        "embedding_dimension": dimension,
        "most_living_tracks": living,
        "ms_per_frame": _quantiles(seconds),
        "processor_ms_per_frame": _quantiles(processor_seconds),
        "memory_mib": {
            "peak": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            # Rows kept for scoring grow with the film; without them (--no-scores) this is the tracker's own.
            "growth_after_first_tenth": round(_resident_mib() - memory_early, 1),
        },
    }
    if case.scores and any(len(there) for there in rows["truth"]):
        scores = score_sequence(_table(rows["truth"]), _table(rows["results"]), length, "MOT17", 0.5)
        found |= {name: round(float(getattr(scores, name)), 4) for name in ("IDF1", "MOTA", "HOTA")}
        found["IDSW"] = int(scores.IDSW)
    return found


def _quantiles(seconds: NDArray[np.float64]) -> dict[str, float]:
    # The first frames have little to associate with, which would make them the fastest.
    settled = seconds[WARM_UP:] if len(seconds) > 2 * WARM_UP else seconds
    low, median, high = 1e3 * np.percentile(settled, [0, 50, 95]) if len(settled) else np.zeros(3)
    return {"median": round(median, 3), "p95": round(high, 3), "fastest": round(low, 3)}


def _rows(
    frame: int, identities: NDArray[np.int64], boxes: NDArray[np.float64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.column_stack((np.full(len(identities), frame), identities, boxes, scores))


def _table(frames: list[NDArray[np.float64]]) -> AnnotationTable:
    """Rows of frame, identity, corners from 0 and confidence as MOTChallenge annotations of pedestrians."""
    rows = np.concatenate(frames)
    box = rows[:, 2:6].copy()
    box[:, 2:] -= box[:, :2]
    box[:, :2] += 1
    return AnnotationTable(
        frame=rows[:, 0].astype(np.int64),
        identity=rows[:, 1].astype(np.int64),
        box=box,
        confidence=rows[:, 6],
        category=np.ones(len(rows), np.int64),
        visibility=np.ones(len(rows)),
    )


def _resident_mib() -> float:
    """Memory of this process now; 0 where the system does not tell (other than Linux)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Measure the cases asked for and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, nargs="+", default=[20, 60, 150, 300], metavar="N")
    parser.add_argument("--dimensions", type=int, nargs="+", default=[128, 512], metavar="D")
    parser.add_argument("--frames", type=int, default=1000, metavar="N", help="of each generated crowd")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--repeats", type=int, default=3, metavar="N", help="runs of a case; the best is printed"
    )
    parser.add_argument("--no-embedding", action="store_true", help="associate by motion and overlap alone")
    parser.add_argument("--no-scores", action="store_true", help="skip IDF1, MOTA and HOTA")
    parser.add_argument("--npz", type=Path, metavar="FILE", help="detections of your own instead of crowds")
    parser.add_argument("--params", type=Path, default=Path(PARAMS_FILE), metavar="FILE")
    options = parser.parse_args()
    if min(options.people + options.dimensions + [options.frames, options.repeats]) < 1:
        raise InputError("people, dimensions, frames and repeats should be at least 1.")
    params = load_params(options.params).track
    if options.no_embedding:
        params = dataclasses.replace(params, use_embedding=False)
    crowds = [(0, 0)] if options.npz else [(n, d) for n in options.people for d in options.dimensions]
    cases = [
        Case(
            params,
            people,
            dimension,
            options.frames,
            options.seed,
            options.repeats,
            not options.no_scores,
            options.npz,
        )
        for people, dimension in crowds
    ]
    # Read by the numerical libraries when a case's process starts.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    spawn = multiprocessing.get_context("spawn")
    measured = []
    for case in cases:
        with ProcessPoolExecutor(1, mp_context=spawn) as process:
            measured.append(process.submit(measure, case).result())
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    json.dump({"machine": machine, "cases": measured}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    run_as_script(main)
