"""How far chance carries a result: the tracker runs again with a few of its boxes left out at random.

One run of a tracker is one number without a spread. A detector that misses other boxes, or a film filmed a second
later, would give another: leaving out some per cent of the boxes, another choice each time, says how far it may be from
it. Boxes and embeddings are those that were recorded before association, so nothing but the tracker runs.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clmot.evaluation.clear import Evaluator
from clmot.evaluation.preprocessing import JudgedTruth
from clmot.evaluation.score import Scores, SequenceScores, combine, score_sequence
from clmot.inference.recording import RecordedDetections, read_embeddings, read_recording
from clmot.motchallenge.annotations import AnnotationTable
from clmot.params import TrackParams
from clmot.tracking.calibrated import start_tracker
from clmot.tracking.linking import TrackLinker

REPEATED_METRICS = ("IDF1", "AssA", "HOTA", "MOTA")
"""Whose mean and standard deviation are reported."""


@dataclass(frozen=True)
class Repeats:
    """How often the tracker runs again, and on what."""

    count: int
    """Runs; 0: none."""
    drop: float
    """Share of the boxes that each leaves out, 0..1."""
    seed: int
    """Of the choice of boxes."""
    track: TrackParams
    """The tracker's; `camera_motion` has no images here and is left out."""


def track_again(
    path: str | os.PathLike[str], repeats: Repeats, run: int, length: int, frame_rate: float
) -> AnnotationTable:
    """The tracks of one run through recorded detections, some of which are left out.

    Args:
        path: file of the recorded detections.
        repeats: share, seed and params.
        run: which; each leaves out other boxes.
        length: number of frames.
        frame_rate: frames per second.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    recorded = read_recording(path)
    kept = np.random.default_rng([repeats.seed, run]).random(len(recorded)) >= repeats.drop
    found = replay(path, recorded, kept, repeats.track, Film(length, frame_rate))
    corners = found.boxes
    return AnnotationTable(
        frame=found.frame,
        identity=found.identity,
        box=np.concatenate([corners[:, :2] + 1, corners[:, 2:] - corners[:, :2]], axis=1),
        confidence=found.scores,
        category=np.ones(len(corners), np.int64),
        visibility=np.ones(len(corners)),
    )


@dataclass(frozen=True)
class Film:
    """What a tracker has to know of it."""

    length: int
    """Number of frames."""
    frame_rate: float
    """Frames per second."""


@dataclass(frozen=True, eq=False)
class Replay:
    """What a tracker made of recorded detections: B boxes, by frame."""

    frame: NDArray[np.int64]
    """(B,) from 1."""
    identity: NDArray[np.int64]
    """(B,)"""
    row: NDArray[np.int64]
    """(B,) the recorded detection that each is."""
    boxes: NDArray[np.float64]
    """(B, 4) x1 y1 x2 y2, the image's corner at 0, 0."""
    scores: NDArray[np.float64]
    """(B,)"""


def replay(
    path: str | os.PathLike[str],
    recorded: RecordedDetections,
    kept: NDArray[np.bool_],
    params: TrackParams,
    film: Film,
    looks: bool = True,
) -> Replay:
    """Run the tracker through those of the recorded detections that are `kept`.

    Args:
        path: file of the recorded detections, from which embeddings are read frame by frame.
        recorded: the same without embeddings.
        kept: (N,) mask of all that were recorded.
        params: the tracker's.
        film: that they are of.
        looks: whether the tracker is given the embeddings.

    Raises:
        InputError: the file is gone or damaged.
    """
    tracker = start_tracker(params, film.frame_rate)
    linker = TrackLinker(params, film.frame_rate) if params.link == "offline" else None
    bounds = np.searchsorted(recorded.frame, np.arange(1, film.length + 2))
    frames, identities, chosen, boxes, scores = [], [], [], [], []
    for frame, (first, last) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True), start=1):
        rows = first + np.nonzero(kept[first:last])[0]
        vectors = read_embeddings(path, rows) if looks else None
        found = tracker.update(recorded.boxes[rows], recorded.scores[rows], vectors)
        if linker is not None:
            linker.see(frame, found, vectors)
        frames.append(np.full(len(found), frame))
        identities.append(found.identities)
        chosen.append(rows[found.detections])
        boxes.append(found.boxes)
        scores.append(found.scores)
    columns = (frames, identities, chosen)
    number, identity, row = (np.concatenate([np.zeros(0, np.int64), *column]) for column in columns)
    if linker is not None:
        identity, _ = linker.joined(number, identity)
    return Replay(
        number, identity, row, np.concatenate([np.zeros((0, 4)), *boxes]), np.concatenate([np.zeros(0), *scores])
    )


def score_again(
    truth: JudgedTruth,
    path: str | os.PathLike[str],
    repeats: Repeats,
    iou_threshold: float = 0.5,
    evaluator: Evaluator = "trackeval",
) -> list[SequenceScores]:
    """The scores of each run on one sequence."""
    return [
        score_sequence(truth, track_again(path, repeats, run, truth.length, truth.frame_rate), iou_threshold, evaluator)
        for run in range(repeats.count)
    ]


def spread(sequences: Sequence[Sequence[Scores]]) -> dict[str, float]:
    """`IDF1_drop` and `IDF1_drop_sd` and so on: mean and standard deviation (of n - 1) over the runs.

    Args:
        sequences: the scores of each run, for each sequence; all have as many runs.
    """
    if not sequences:
        return {}
    runs = [combine(run).metrics() for run in zip(*sequences, strict=True)]
    return _spread_of(runs)


def _spread_of(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in REPEATED_METRICS if runs else ():
        values = [run[name] for run in runs]
        found[f"{name}_drop"] = statistics.fmean(values)
        found[f"{name}_drop_sd"] = statistics.stdev(values) if len(values) > 1 else 0.0
    return found
