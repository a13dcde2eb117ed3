"""How good detections are before they are linked: average precision, precision and recall.

Which true boxes count and what is forgiven is as in the MOTChallenge's preprocessing for tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clmot.evaluation.preprocessing import DISTRACTOR_OVERLAP, ROUNDING, JudgedTruth, iou_matrix, rows_by_frame
from clmot.motchallenge.annotations import AnnotationTable
from clmot.ranking import average_precision, match_best_first

WRONG, FORGIVEN = -1, -2
"""Instead of a true box: the detection is a false positive; it lies on a distractor and is neither right nor wrong."""


@dataclass(frozen=True, eq=False)
class JudgedDetections:
    """The detections that count, of one sequence or of several together."""

    scores: np.ndarray
    """(N,) float."""
    right: np.ndarray
    """(N,) bool: whether the detection is a true box's."""
    truth_boxes: int
    """How many true boxes count."""

    @property
    def average_precision(self) -> float:
        """Area under precision over recall, 0..1; 0 without a true box."""
        return average_precision(self.scores, self.right, self.truth_boxes)

    def precision(self, confidence: float) -> float:
        """Share of the detections scored `confidence` or more that are right; 0 when there are none."""
        used = self.scores >= confidence
        return float(self.right[used].mean()) if used.any() else 0.0

    def recall(self, confidence: float) -> float:
        """Share of the true boxes found by detections scored `confidence` or more; 0 without a true box."""
        found = int(self.right[self.scores >= confidence].sum())
        return found / self.truth_boxes if self.truth_boxes else 0.0


def match_detections(judged: JudgedTruth, detections: AnnotationTable, iou_threshold: float = 0.5) -> np.ndarray:
    """Which true box each detection found.

    Per frame, best score first, a detection takes the true box with which it overlaps most, of those that are still
    free and that it overlaps enough: IoU >= `iou_threshold` for boxes that count (flagged pedestrians), >= 0.5 for
    distractors. Greedy by score as usual for detectors, so that detections below a threshold change
    nothing above it; the one-to-one matching that the official preprocessing makes for tracks would not have this.

    Args:
        judged: the ground truth.
        detections: the boxes with their scores as `confidence`, frames numbered from 1; what lies beyond the evaluated
            frames is ignored.

    Returns:
        (N,) int64: row of `judged.table`, `WRONG` or `FORGIVEN`.
    """
    truth, length, is_counted = judged.table, judged.length, judged.counted
    candidates = np.nonzero(is_counted | judged.distractor)[0]
    needed = np.where(is_counted, iou_threshold, DISTRACTOR_OVERLAP) - ROUNDING
    found = np.full(len(detections), WRONG, np.int64)
    wanted = np.intersect1d(truth.frame[candidates], detections.frame)
    wanted = wanted[(wanted >= 1) & (wanted <= length)]
    frames = zip(rows_by_frame(truth.frame[candidates], wanted), rows_by_frame(detections.frame, wanted), strict=True)
    for places, rows in frames:
        true = candidates[places]
        rows = rows[np.argsort(-detections.confidence[rows], kind="stable")]  # equal scores as in the file
        overlaps = iou_matrix(truth.box[true], detections.box[rows])  # (G, T)
        ones = match_best_first(overlaps, needed[true])
        found[rows[ones >= 0]] = true[ones[ones >= 0]]
    on_distractor = found >= 0
    on_distractor[on_distractor] = ~is_counted[found[on_distractor]]
    found[on_distractor] = FORGIVEN
    return found


def judge(scores: np.ndarray, found: np.ndarray, truth_boxes: int) -> JudgedDetections:
    """What `match_detections` `found` (N,) says of detections with `scores` (N,), where `truth_boxes` count."""
    kept = found != FORGIVEN
    return JudgedDetections(scores[kept], found[kept] >= 0, truth_boxes)


def combine_judged(sequences: Sequence[JudgedDetections]) -> JudgedDetections:
    """The detections of several sequences as one detector's."""
    return JudgedDetections(
        np.concatenate([s.scores for s in sequences]),
        np.concatenate([s.right for s in sequences]),
        sum(s.truth_boxes for s in sequences),
    )
