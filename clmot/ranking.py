"""Detections by their scores, held to true boxes: who finds whom, and the average precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def match_best_first(overlaps: NDArray[np.floating], needed: NDArray[np.floating]) -> NDArray[np.int64]:
    """Which true box each detection of a frame finds (T,), -1 for none: best score first, each takes the box with which
    it overlaps most, of those that are still free and that it overlaps enough.

    Args:
        overlaps: (G, T) IoU of true boxes with detections, the detections in falling order of their scores.
        needed: (G,) the least IoU at which a true box is found.
    """
    found = np.full(overlaps.shape[1], -1, np.int64)
    which, ranks = np.nonzero(overlaps >= needed[:, None])
    best_first = np.lexsort((-overlaps[which, ranks], ranks))
    free = [True] * overlaps.shape[0]
    for one, rank in zip(which[best_first].tolist(), ranks[best_first].tolist(), strict=True):
        if free[one] and found[rank] < 0:
            free[one] = False
            found[rank] = one
    return found


def average_precision(scores: np.ndarray, right: np.ndarray, truth_boxes: int) -> float:
    """Area under the interpolated curve of precision over recall; 0 without a true box (Everingham et al., "The Pascal
    Visual Object Classes Challenge: A Retrospective", IJCV 2015, section 4.1, all points).

    At every recall the precision is the highest that is reached at this recall or a higher one. Detections of equal
    score come in together: their order makes no difference.

    Args:
        scores: (N,) in any order.
        right: (N,) bool, each true box at most once.
        truth_boxes: how many there are to find.
    """
    if not truth_boxes or not len(scores):
        return 0.0
    order = np.argsort(-scores, kind="stable")
    last_of_equal = np.nonzero(np.append(np.diff(scores[order]) != 0, True))[0]
    hits = np.cumsum(right[order])[last_of_equal]
    precision = hits / (last_of_equal + 1)
    recall = hits / truth_boxes
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0) * precision).sum())
