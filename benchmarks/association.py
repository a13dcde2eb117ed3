"""How long association takes beside FairMOT's, what memory it holds, and how good its tracks are; no network involved.

    python -m benchmarks.association                          # generated crowds of 20, 60, 150 and 300 people
    python -m benchmarks.association --people 300 --dimensions 512 --frames 20000 --no-rival --no-scores
    python -m benchmarks.association --npz detections.npz     # your detections

Prints json, the command included. Every case is measured on one thread, in processes of its own: first the tracker
alone (time, memory), then it and `benchmarks.fairmot` in turn on every frame, so that a busy machine troubles
both alike (`times_as_long`: FairMOT's processor time over ours, frame by frame), then the scores of both. Only
`update` is timed, by the clock and in processor time, which others on the machine stretch less. Thresholds,
FairMOT's too, come from params.yaml (`--params`), so that what is measured is what the pipeline runs; the scores
with the thresholds of FairMOT's own that profiles/paper.yaml names are beside them.

Layout of an .npz: see `benchmarks.crowds`.
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
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.crowds import FRAME_RATE, Frame, generated_crowd, read_npz
from benchmarks.fairmot import FairMOT
from clmot.errors import InputError, run_as_script
from clmot.evaluation.preprocessing import judge_truth
from clmot.evaluation.score import score_sequence
from clmot.motchallenge.annotations import AnnotationTable
from clmot.params import PARAMS_FILE, TrackParams, load_params
from clmot.progress import progress
from clmot.tracking.calibrated import start_tracker
from clmot.tracking.tracks import Tracks

WARM_UP = 10
"""Frames at the beginning that are not counted: they have little to associate with."""
EARLY = 1000
"""Frame after which memory should not grow any more."""
FAIRMOT_DEFAULTS: dict[str, Any] = {
    "association": "fairmot",
    "confidence": 0.4,
    "new_track_confidence": 0.4,
    "embedding_momentum": 0.9,
    "motion_weight": 0.98,
    "overlap_weight": 0,
    "gating_probability": 0.95,
    "match_threshold": 0.4,
    "iou_threshold": 0.5,
    "unconfirmed_threshold": 0.7,
    "duplicate_threshold": 0.15,
    "lost_seconds": 1.0,
}


class Associates(Protocol):
    """What the tracker and its rival have in common."""

    def update(self, boxes: ArrayLike, scores: ArrayLike, embeddings: Any) -> Tracks:
        """Let one frame pass."""


@dataclass(frozen=True)
class Case:
    """What is measured."""

    params: TrackParams
    people: int
    dimension: int
    frames: int
    seed: int
    repeats: int
    npz: Path | None = None

    def open(self) -> tuple[Iterator[Frame], int, float, str]:
        """The frames, how many they are, their rate, and what to call them."""
        if self.npz is not None:
            stored, rate = read_npz(self.npz)
            return iter(stored), len(stored), rate, self.npz.name
        crowd = generated_crowd(self.people, self.dimension, self.frames, self.seed)
        return crowd, self.frames, FRAME_RATE, f"{self.people} people, {self.dimension}-d"


class Stopwatch:
    """Seconds of every call, by the clock and of the processor."""

    def __init__(self, calls: int) -> None:
        """Reserve the memory, so that it is not taken for the tracker's."""
        self.clock = np.full(calls, np.nan)
        self.processor = np.full(calls, np.nan)

    def time(self, at: int, tracker: Associates, frame: Frame, embeddings: Any) -> Tracks:
        """`tracker.update`, as call number `at`."""
        begin, processor_begin = time.perf_counter(), time.thread_time()
        tracks = tracker.update(frame.boxes, frame.scores, embeddings)
        self.processor[at] = time.thread_time() - processor_begin
        self.clock[at] = time.perf_counter() - begin
        return tracks


def measure_alone(case: Case) -> dict[str, Any]:
    """Time and memory of the tracker, over `case.repeats` runs."""
    watches = []
    for run in range(case.repeats):
        frames, length, rate, name = case.open()
        tracker = start_tracker(case.params, rate)
        watches.append(watch := Stopwatch(length))
        living = given = dimension = 0
        memory = {"before": _resident_mib()}
        for at, frame in enumerate(progress(frames, name, total=length, unit="frame")):
            watch.time(at, tracker, frame, frame.embeddings)
            living, given = max(living, len(tracker.tracks)), given + len(frame.boxes)
            dimension = 0 if frame.embeddings is None else frame.embeddings.shape[1]
            if at + 1 == EARLY:
                memory[f"after_{EARLY}_frames"] = _resident_mib()
        memory["at_the_end"] = _resident_mib()
        if run == 0:
            memory["peak"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
            first_memory = memory
    return {
        "case": name,
        "frames": length,
        "detections_per_frame": round(given / max(1, length), 1),
        "embedding_dimension": dimension,
        "most_living_tracks": living,
        "ms_per_frame": _summary([watch.clock for watch in watches]),
        "processor_ms_per_frame": _summary([watch.processor for watch in watches]),
        "memory_mib": first_memory,
    }


def measure_beside_the_rival(case: Case) -> dict[str, Any]:
    """The tracker and FairMOT, in turn on every frame, over `case.repeats` runs."""
    ours, theirs = [], []
    for _ in range(case.repeats):
        frames, length, rate, name = case.open()
        trackers: list[Associates] = [start_tracker(case.params, rate), FairMOT(case.params, rate)]
        watches = [Stopwatch(length), Stopwatch(length)]
        for at, frame in enumerate(progress(frames, f"{name}, FairMOT", total=length, unit="frame")):
            for which in (0, 1) if at % 2 else (1, 0):
                # The rival writes into what it is given.
                given = None if frame.embeddings is None else frame.embeddings.copy()
                watches[which].time(at, trackers[which], frame, given)
        ours.append(watches[0])
        theirs.append(watches[1])
    ratios = [_settled(t.processor) / _settled(o.processor) for o, t in zip(ours, theirs, strict=True)]
    low, middle, high = np.percentile(np.concatenate(ratios), [5, 50, 95])
    return {
        "fairmot_ms_per_frame": _summary([watch.clock for watch in theirs]),
        "fairmot_processor_ms_per_frame": _summary([watch.processor for watch in theirs]),
        "ours_ms_per_frame": _summary([watch.clock for watch in ours]),
        "ours_processor_ms_per_frame": _summary([watch.processor for watch in ours]),
        "times_as_long": {
            "median": round(middle, 1),
            "p5": round(low, 1),
            "p95": round(high, 1),
            "median_of_each_run": [round(float(np.median(ratio)), 1) for ratio in ratios],
        },
    }


def measure_scores(case: Case, with_rival: bool) -> dict[str, Any]:
    """IDF1, MOTA, HOTA and identity switches of the tracker and FairMOT; nothing without ground truth."""
    own = dataclasses.replace(case.params, **FAIRMOT_DEFAULTS)
    candidates: dict[str, Callable[[float], Associates]] = {"ours": lambda rate: start_tracker(case.params, rate)}
    if with_rival:
        candidates["fairmot"] = lambda rate: FairMOT(case.params, rate)
        candidates["fairmot_with_its_own_thresholds"] = lambda rate: FairMOT(own, rate)
        candidates["ours_with_fairmots_thresholds"] = lambda rate: start_tracker(own, rate)
    found = {}
    for name, start in candidates.items():
        frames, length, rate, title = case.open()
        tracker = start(rate)
        results, truth = [], []
        for number, frame in enumerate(progress(frames, f"{title}, {name}", total=length, unit="frame"), start=1):
            vectors = None if frame.embeddings is None else frame.embeddings.copy()
            tracks = tracker.update(frame.boxes, frame.scores, vectors)
            results.append(_rows(number, tracks.identities, tracks.boxes, tracks.scores))
            sure = np.ones(len(frame.true_identities))
            truth.append(_rows(number, frame.true_identities, frame.true_boxes, sure))
        if not any(len(rows) for rows in truth):
            return {}
        scores = score_sequence(judge_truth(_table(truth), length, "MOT17"), _table(results))
        found[name] = {metric: round(float(getattr(scores, metric)), 4) for metric in ("IDF1", "MOTA", "HOTA")}
        found[name]["IDSW"] = int(scores.IDSW)
    return found


def _settled(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    return seconds[WARM_UP:] if len(seconds) > 2 * WARM_UP else seconds


def _summary(runs: list[NDArray[np.float64]]) -> dict[str, float]:
    """Milliseconds: the median over runs of each run's median and 95th percentile, and the best run's median."""
    settled = [1e3 * _settled(seconds) for seconds in runs]
    if not len(settled[0]):
        return {}
    medians = [float(np.median(run)) for run in settled]
    return {
        "median": round(float(np.median(medians)), 3),
        "p95": round(float(np.median([np.percentile(run, 95) for run in settled])), 3),
        "median_of_best_run": round(min(medians), 3),
        "fastest_frame": round(min(float(run.min()) for run in settled), 3),
    }


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
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def main() -> None:
    """Measure the cases asked for and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, nargs="+", default=[20, 60, 150, 300], metavar="N")
    parser.add_argument("--dimensions", type=int, nargs="+", default=[128, 512], metavar="D")
    parser.add_argument("--frames", type=int, default=1000, metavar="N", help="of each generated crowd")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="runs of each measurement")
    parser.add_argument("--no-embedding", action="store_true", help="associate by motion and overlap alone")
    parser.add_argument("--no-rival", action="store_true", help="skip FairMOT")
    parser.add_argument("--no-scores", action="store_true", help="skip IDF1, MOTA and HOTA")
    parser.add_argument("--npz", type=Path, metavar="FILE", help="detections of your own instead of crowds")
    parser.add_argument("--params", type=Path, default=Path(PARAMS_FILE), metavar="FILE")
    options = parser.parse_args()
    if min(options.people + options.dimensions + [options.frames, options.repeats]) < 1:
        raise InputError("people, dimensions, frames and repeats should be at least 1.")
    params = load_params(options.params).track
    if options.no_embedding:
        params = dataclasses.replace(params, embedding="none")
    crowds = [(0, 0)] if options.npz else [(n, d) for n in options.people for d in options.dimensions]
    cases = [
        Case(params, people, dimension, options.frames, options.seed, options.repeats, options.npz)
        for people, dimension in crowds
    ]
    # Read by the numerical libraries when a case's process starts.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_at_the_start": os.getloadavg()[0],
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    measured = []
    for case in cases:
        found = _apart(measure_alone, case)
        rival = not options.no_rival and params.use_embedding and found["embedding_dimension"] > 0
        if rival:
            found["beside_fairmot"] = _apart(measure_beside_the_rival, case)
        if not options.no_scores:
            found["scores"] = _apart(measure_scores, case, rival)
        measured.append(found)
    command = " ".join(["python -m benchmarks.association", *sys.argv[1:]])
    json.dump({"command": command, "machine": machine, "cases": measured}, sys.stdout, indent=2)
    print()


def _apart(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Call it in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


if __name__ == "__main__":
    run_as_script(main)
