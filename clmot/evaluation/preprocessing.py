"""From two files of boxes to frames that can be scored: the preprocessing of the MOTChallenge.

The rules are those of TrackEval's `MotChallenge2DBox`, down to its rounding, so that numbers can be compared
with published ones: tracker boxes on what looks like a walking person but is none (a seated passenger, a
reflection) are neither right nor wrong, and only flagged pedestrians can be missed.

Boxes stay in the file's own `x y w h`: a shift to 0-based corners would round differently, and an overlap of
exactly one half would fall on the other side for a few boxes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from clmot.errors import InputError
from clmot.motchallenge.annotations import UNKNOWN_IDENTITY, AnnotationTable
from clmot.motchallenge.classes import PEDESTRIANS, UNCLASSED, ObjectClass, TrackedKind
from clmot.motchallenge.splits import home_benchmark

ROUNDING = float(np.finfo(float).eps)
"""How far below a threshold an IoU may lie and still reach it (TrackEval's convention)."""

DISTRACTOR_OVERLAP = 0.5
"""IoU from which a tracker box belongs to a distractor: fixed by the benchmark, not a choice of ours."""


@dataclass(frozen=True, eq=False)
class ScoredFrame:
    """One frame after preprocessing.

    Only overlapping pairs are kept: dense matrices would need 1 GB for all frames of MOT20-05.
    """

    truth: np.ndarray
    """(G,) int64: identities of the true boxes, 0-based and dense over the sequence."""
    tracked: np.ndarray
    """(T,) int64: identities of the tracker boxes, 0-based and dense over the sequence."""
    rows: np.ndarray
    """(P,) int32: the true box of each overlapping pair, an index into `truth`."""
    columns: np.ndarray
    """(P,) int32: its tracker box, an index into `tracked`."""
    overlaps: np.ndarray
    """(P,) float64: its IoU, above 0."""

    def similarity(self) -> np.ndarray:
        """(G, T) float64: the IoU of every true box with every tracker box."""
        dense = np.zeros((len(self.truth), len(self.tracked)))
        dense[self.rows, self.columns] = self.overlaps
        return dense


@dataclass(frozen=True, eq=False)
class ScoredFrames:
    """A sequence after preprocessing: what every metric starts from."""

    frames: tuple[ScoredFrame, ...]
    """The frames of the evaluated range in which either side had a box, in order: the others change no metric."""
    length: int
    """Number of evaluated frames, also without a box."""
    truth_identities: int
    """Number of distinct true identities (after preprocessing)."""
    tracked_identities: int
    """Number of distinct tracker identities (after preprocessing)."""

    @property
    def truth_boxes(self) -> int:
        """Number of true boxes."""
        return sum(len(frame.truth) for frame in self.frames)

    @property
    def tracked_boxes(self) -> int:
        """Number of tracker boxes."""
        return sum(len(frame.tracked) for frame in self.frames)


@dataclass(frozen=True, eq=False)
class JudgedTruth:
    """The ground truth of one sequence in the evaluated frames, and what the rules say of each of its boxes."""

    table: AnnotationTable
    """Every class and flag, frames numbered from 1. Where all that count have identities, no two boxes share an
    unknown one (-1)."""
    length: int
    """Number of evaluated frames; all of them count, with output or without."""
    benchmark: str
    """`MOT15`, `MOT17` or `MOT20`: whose rules apply."""
    counted: np.ndarray
    """(N,) bool: to be found (flagged pedestrians, unless another kind of object was asked for)."""
    distractor: np.ndarray
    """(N,) bool: a box on it is neither right nor wrong."""
    identified: bool
    """Whether every box that counts has an identity: tracks cannot be scored otherwise."""
    sequence: str = ""
    """Its name."""
    source: str = "the ground truth"
    """The file, for messages."""
    frame_rate: float = 25.0
    """Frames per second: what a second is when embeddings are judged."""

    @property
    def boxes(self) -> int:
        """How many boxes count."""
        return int(self.counted.sum())


def judge_truth(
    table: AnnotationTable,
    length: int,
    benchmark: str,
    sequence: str = "",
    source: str = "the ground truth",
    kind: TrackedKind = PEDESTRIANS,
) -> JudgedTruth:
    """Ask once which boxes count, which are forgiven, and whether people can be told apart.

    A film of one's own may have boxes without identities (-1): if one of them counts, nothing can be known of its
    tracks; regions to ignore and distractors often have none, and theirs play no part. In the benchmarks' own
    sequences every box has an identity, so there -1 is one like any other.
    """
    is_counted = kind.counted(table.confidence, table.category, benchmark)
    identified = True
    if home_benchmark(sequence) is None:
        identified = not (is_counted & (table.identity == UNKNOWN_IDENTITY)).any()
        table = _told_apart(table) if identified else table
    distractor = np.isin(table.category, [int(c) for c in kind.distractors(benchmark)])
    return JudgedTruth(table, length, benchmark, is_counted, distractor, bool(identified), sequence, source)


def preprocess(judged: JudgedTruth, results: AnnotationTable, results_source: str = "the results") -> ScoredFrames:
    """Apply the official preprocessing to one sequence.

    Per frame: match tracker boxes one-to-one to ALL true boxes with IoU >= 0.5 so that the summed IoU is
    largest; drop the tracker boxes matched to a distractor class of `benchmark`; then keep the true boxes of
    class pedestrian whose flag is not 0 (or those of the kind that `judge_truth` was given). MOT15 has no classes:
    nothing is dropped, flagged boxes are kept.

    Args:
        judged: the ground truth.
        results: the tracker's boxes, frames numbered from 1.
        results_source: their file, for messages.

    Raises:
        InputError: an identity appears twice in a frame; a frame lies outside 1..length; a class is unknown.
    """
    truth, length = judged.table, judged.length
    for table, name in ((truth, judged.source), (results, results_source)):
        _check_frames(table, length, name)
        _check_identities(table, name)
    if judged.benchmark not in UNCLASSED:
        _check_classes(truth, judged.source)

    kept_truth: list[np.ndarray] = []  # rows of `truth`, per frame
    kept_results: list[np.ndarray] = []  # rows of `results`, per frame
    pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    wanted = np.union1d(truth.frame, results.frame)
    frames = zip(rows_by_frame(truth.frame, wanted), rows_by_frame(results.frame, wanted), strict=True)
    for truth_rows, result_rows in frames:
        overlaps = iou_matrix(truth.box[truth_rows], results.box[result_rows])
        dropped = _on_distractors(overlaps, judged.distractor[truth_rows])
        result_rows = np.delete(result_rows, dropped)
        overlaps = np.delete(overlaps, dropped, axis=1)[judged.counted[truth_rows]]
        rows, columns = np.nonzero(overlaps)
        pairs.append((rows.astype(np.int32), columns.astype(np.int32), overlaps[rows, columns]))
        kept_truth.append(truth_rows[judged.counted[truth_rows]])
        kept_results.append(result_rows)

    truth_dense, truth_identities = _dense_identities(truth.identity, kept_truth)
    tracked_dense, tracked_identities = _dense_identities(results.identity, kept_results)
    return ScoredFrames(
        frames=tuple(
            ScoredFrame(true, tracked, *pair)
            for true, tracked, pair in zip(truth_dense, tracked_dense, pairs, strict=True)
        ),
        length=length,
        truth_identities=truth_identities,
        tracked_identities=tracked_identities,
    )


def _told_apart(truth: AnnotationTable) -> AnnotationTable:
    """The same boxes, where each of unknown identity (-1) has one of its own, below all others."""
    unknown = truth.identity == UNKNOWN_IDENTITY
    lowest = int(truth.identity.min(initial=UNKNOWN_IDENTITY))
    identity = truth.identity.copy()
    identity[unknown] = lowest - 1 - np.arange(int(unknown.sum()))
    return dataclasses.replace(truth, identity=identity)


def iou_matrix(truth: np.ndarray, results: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of `truth` (G, 4) with every one of `results` (T, 4): (G, T).

    Boxes are `x y w h`; one without area overlaps nothing. The operations come in TrackEval's order, so that
    the results agree to the last bit.
    """
    left, top = truth[:, 0, None], truth[:, 1, None]  # (G, 1)
    right, bottom = left + truth[:, 2, None], top + truth[:, 3, None]
    other_left, other_top = results[:, 0], results[:, 1]  # (T,)
    other_right, other_bottom = other_left + results[:, 2], other_top + results[:, 3]
    width = np.minimum(right, other_right) - np.maximum(left, other_left)  # (G, T)
    height = np.minimum(bottom, other_bottom) - np.maximum(top, other_top)
    intersection = np.maximum(width, 0) * np.maximum(height, 0)
    area = (right - left) * (bottom - top)
    other_area = (other_right - other_left) * (other_bottom - other_top)
    union = area + other_area - intersection
    solid = (area > ROUNDING) & (other_area > ROUNDING) & (union > ROUNDING)
    return np.divide(intersection, union, out=np.zeros_like(union), where=solid)


def _on_distractors(overlaps: np.ndarray, is_distractor: np.ndarray) -> np.ndarray:
    """Indices of the tracker boxes (columns of `overlaps`, (G, T)) whose true box `is_distractor` (G,)."""
    candidates = overlaps >= DISTRACTOR_OVERLAP - ROUNDING
    if not candidates[is_distractor].any():
        return np.empty(0, dtype=np.int64)  # whatever the matching, it could drop nothing
    scores = np.where(candidates, overlaps, 0.0)
    rows, columns = linear_sum_assignment(-scores)
    matched = scores[rows, columns] > ROUNDING
    return columns[matched & is_distractor[rows]]


def rows_by_frame(frame: np.ndarray, wanted: np.ndarray) -> Iterator[np.ndarray]:
    """For each of the `wanted` frames, the indices of its rows in `frame` (N,), in the order of the file."""
    order = np.argsort(frame, kind="stable")
    sorted_frame = frame[order]
    first, last = (np.searchsorted(sorted_frame, wanted, side) for side in ("left", "right"))
    for begin, end in zip(first, last, strict=True):
        yield order[begin:end]


def _dense_identities(identity: np.ndarray, rows: list[np.ndarray]) -> tuple[list[np.ndarray], int]:
    """Renumber the identities of the given rows as 0, 1, ... in their own order; with their number."""
    lengths = [len(part) for part in rows]
    distinct, dense = np.unique(identity[np.concatenate(rows)] if rows else identity[:0], return_inverse=True)
    return np.split(dense.astype(np.int64), np.cumsum(lengths)[:-1]) if rows else [], len(distinct)


def _check_frames(table: AnnotationTable, length: int, name: str) -> None:
    outside = (table.frame < 1) | (table.frame > length)
    if outside.any():
        raise InputError(
            f"{name}: frame {int(table.frame[outside][0])} lies outside the evaluated frames 1 to {length} "
            f"(numbered from 1 within the evaluated part); check that the file belongs to this sequence."
        )


def _check_identities(table: AnnotationTable, name: str) -> None:
    order = np.lexsort((table.identity, table.frame))
    frame, identity = table.frame[order], table.identity[order]
    twice = (frame[1:] == frame[:-1]) & (identity[1:] == identity[:-1])
    if twice.any():
        at = int(np.argmax(twice))
        unknown = " (boxes without identities, on which no track can be scored)" if identity[at] < 0 else ""
        raise InputError(
            f"{name}: identity {int(identity[at])} appears more than once in frame {int(frame[at])}{unknown}; "
            f"give every box of a frame an identity of its own."
        )


def _check_classes(truth: AnnotationTable, name: str) -> None:
    known = [int(member) for member in ObjectClass]
    unknown = ~np.isin(truth.category, known)
    if unknown.any():
        at = int(np.argmax(unknown))
        raise InputError(
            f"{name}: class {int(truth.category[at])} in frame {int(truth.frame[at])} is none of the "
            f"MOTChallenge's classes {min(known)} to {max(known)}; correct that row."
        )
