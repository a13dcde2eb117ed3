"""What it costs to say that a track and a detection are the same person.

Every distance is elementwise over leading axes, so that the same few lines serve all pairs (`a[:, None]`
against `b[None]`) and a list of candidate pairs (`a[rows]` against `b[cols]`). In a crowd almost all pairs
are far apart: `gated_pairs` and `overlapping_pairs` find the few that are not, whose costs alone are computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from clmot.tracking.kalman import squared_mahalanobis

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

# Bounds that decide which pairs are looked at closely are widened by this, so that rounding loses none.
_SLACK = 1 + 1e-9
# Pairs whose vectors are gathered at once: few enough to stay in the cache and to reuse the same memory.
_BLOCK = 128


@dataclass(frozen=True, eq=False)
class Pairs:
    """Candidate pairs; every pair that is not listed costs infinitely much."""

    rows: Indices
    """(P,) index of the track."""
    cols: Indices
    """(P,) index of the detection."""
    costs: Floats
    """(P,)"""

    @classmethod
    def none(cls) -> Pairs:
        """No candidates."""
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, np.zeros(0))

    def below(self, limit: float) -> Pairs:
        """The pairs that cost less than `limit`."""
        keep = self.costs < limit
        if keep.all():
            return self
        return Pairs(self.rows[keep], self.cols[keep], self.costs[keep])

    def among(self, rows: Indices, cols: Indices, shape: tuple[int, int]) -> Pairs:
        """The pairs of `rows` (n,) and `cols` (m,) of all (M, N) of `shape`, as places in these lists."""
        if not len(rows) or not len(cols):
            return Pairs.none()
        place_row, place_col = np.full(shape[0], -1), np.full(shape[1], -1)
        place_row[rows], place_col[cols] = np.arange(len(rows)), np.arange(len(cols))
        at, to = place_row[self.rows], place_col[self.cols]
        keep = (at >= 0) & (to >= 0)
        return Pairs(at[keep], to[keep], self.costs[keep])

    def dense(self, shape: tuple[int, int]) -> Floats:
        """The cost matrix, inf where there is no candidate."""
        matrix = np.full(shape, np.inf)
        matrix[self.rows, self.cols] = self.costs
        return matrix


def aligned_iou_distance(a: Floats, b: Floats, offset: float = 0.0) -> Floats:
    """1 - IoU of corners (..., 4) with corners (..., 4); the leading axes broadcast.

    Boxes are continuous regions. The original counts pixels inclusively, which adds 1 to every width and
    height and overlap: `offset=1` does that. Boxes without area have distance 1 from everything, themselves
    included.
    """
    side = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    side = np.maximum(side + offset, 0)
    overlap = side[..., 0] * side[..., 1]
    union = _area(a, offset) + _area(b, offset) - overlap
    return 1 - np.divide(overlap, union, out=np.zeros_like(overlap), where=overlap > 0)


def iou_distance(a: Floats, b: Floats, offset: float = 0.0) -> Floats:
    """1 - IoU of all corners (M, 4) with all corners (N, 4) -> (M, N); see `aligned_iou_distance`."""
    return aligned_iou_distance(a[:, None], b[None], offset)


def cosine_distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> Floats:
    """max(0, 1 - cosine) of all unit vectors (M, D) with all unit vectors (N, D) -> (M, N).

    A zero vector ("no embedding") has distance 1 from everything.
    """
    return np.maximum(0.0, 1 - (a @ b.T).astype(np.float64))


def aligned_cosine_distance(a: NDArray[np.floating], b: NDArray[np.floating], rows: Indices, cols: Indices) -> Floats:
    """`cosine_distance(a, b)[rows, cols]`, computed where it is asked for when that is little."""
    # A gathered product reads 2*D numbers from memory for D multiplications, a matrix product reuses what it
    # read: measured, a pair of the first costs as much as some thirty of the second.
    if len(rows) * 30 > len(a) * len(b):
        return cosine_distance(a, b)[rows, cols]
    cosine = np.empty(len(rows), np.result_type(a, b))
    for begin in range(0, len(rows), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        cosine[block] = np.einsum("pd,pd->p", a[rows[block]], b[cols[block]])
    return np.maximum(0.0, 1 - cosine.astype(np.float64))


def normalised(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows (N, D) of finite numbers scaled to length 1, as a copy; rows of zeros stay zero."""
    vectors = np.asarray(vectors)
    if vectors.dtype not in (np.float32, np.float64):
        vectors = vectors.astype(np.float32)
    squared = np.einsum("nd,nd->n", vectors, vectors)
    # float32 holds squares of lengths in this range with full precision; other rows are scaled apart.
    ordinary = (squared > 1e-24) & (squared < 1e24)
    scale = 1 / np.sqrt(np.where(ordinary, squared, 1))
    rows = np.multiply(vectors, scale[:, None].astype(vectors.dtype), dtype=np.float32, casting="same_kind")
    for row in np.nonzero(~ordinary)[0]:
        largest = float(np.abs(vectors[row]).max(initial=0))
        wide = vectors[row].astype(np.float64) / (largest or 1)
        rows[row] = wide / (np.linalg.norm(wide) or 1)
    return rows


def smoothed(features: NDArray[np.float32], embeddings: NDArray[np.float32], momentum: float) -> NDArray[np.float32]:
    """Exponential moving average of unit vectors (N, D), renormalised.

    Where there is no embedding (zeros), or where it cancels the feature out, the feature stays; where there
    is no feature yet, the embedding becomes it.
    """
    mixed = features * np.float32(momentum)
    mixed += embeddings * np.float32(1 - momentum)
    squared = np.einsum("nd,nd->n", mixed, mixed)
    gone = squared < 1e-12
    mixed *= (1 / np.sqrt(np.where(gone, 1, squared)))[:, None]
    if gone.any():
        mixed[gone] = features[gone]
    return mixed


def gate_threshold(probability: float, coordinates: int = 4) -> float:
    """Squared Mahalanobis distance within which a true box, or some coordinates of it, lies with `probability`."""
    return float(2 * gammaincinv(coordinates / 2, probability))  # as scipy.stats.chi2.ppf, which takes long to load


def gated_pairs(mean: Floats, variance: Floats, measured: Floats, threshold: float) -> Pairs:
    """The pairs whose squared Mahalanobis distance is at most `threshold`, with that distance as cost.

    Args:
        mean: (M, 4) and
        variance: (M, 4) of the projected tracks (`kalman.project`).
        measured: (N, 4) x, y, aspect, height of the detections.
    """
    if not len(mean) or not len(measured):
        return Pairs.none()
    reach = np.sqrt(threshold * variance[:, 0]) * _SLACK
    rows, cols = _within(mean[:, 0] - reach, mean[:, 0] + reach, measured[:, 0])
    # One coordinate at a time leaves little for the last ones.
    near = (measured[cols, 1] - mean[rows, 1]) ** 2 <= threshold * variance[rows, 1] * _SLACK
    rows, cols = rows[near], cols[near]
    distance = squared_mahalanobis(mean[rows], variance[rows], measured[cols])
    inside = distance <= threshold
    return Pairs(rows[inside], cols[inside], distance[inside])


def overlapping_pairs(a: Floats, b: Floats, limit: float, offset: float = 0.0) -> Pairs:
    """Pairs of corners (M, 4) and (N, 4) whose IoU distance is below `limit`, with that distance as cost.

    `offset` as in `aligned_iou_distance`.
    """
    if not len(a) or not len(b):
        return Pairs.none()
    if offset:  # boxes that reach further to the right and down, except for rounding
        a, b = (boxes + np.array([0, 0, offset, offset]) for boxes in (a, b))
    rows, cols = crossing(a, b)
    return Pairs(rows, cols, aligned_iou_distance(a[rows], b[cols])).below(limit)


def crossing(a: Floats, b: Floats) -> tuple[Indices, Indices]:
    """All (row, col) of corners (M, 4) and (N, 4) that overlap, in order of rows and then of left sides; boxes without
    area overlap nothing.

    A crowd stands side by side: sorted by left sides, those that a box may overlap are a short run.
    """
    order = np.argsort(b[:, 0], kind="stable")
    order = order[(b[order, 2:] > b[order, :2]).all(axis=1)]
    x1, y1, x2, y2 = np.ascontiguousarray(b[order].T)
    left, top, right, bottom = np.ascontiguousarray(a.T)
    begin = np.searchsorted(np.maximum.accumulate(x2), left, side="right")  # all before it end further left
    count = np.maximum(np.searchsorted(x1, right, side="left") - begin, 0)
    count[(left >= right) | (top >= bottom)] = 0
    rows, places = _runs(begin, count)
    overlap = left[rows] < x2[places]
    overlap &= y1[places] < bottom[rows]
    overlap &= top[rows] < y2[places]
    return rows[overlap], order[places[overlap]]


def fuse(cosine: Floats, squared_distance: Floats, weight: float) -> Floats:
    """weight * cosine distance + (1 - weight) * squared Mahalanobis distance (FairMOT; JDE's lambda).

    Pairs outside the gate must have been left out (or set to inf) before.
    """
    return weight * cosine + (1 - weight) * squared_distance


def _area(boxes: Floats, offset: float) -> Floats:
    width = np.maximum(boxes[..., 2] - boxes[..., 0] + offset, 0)
    return width * np.maximum(boxes[..., 3] - boxes[..., 1] + offset, 0)


def _within(low: Floats, high: Floats, values: Floats) -> tuple[Indices, Indices]:
    """All (row, col) with low[row] <= values[col] <= high[row], in order of rows and then of values."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    start = np.searchsorted(ordered, low, side="left")
    rows, places = _runs(start, np.searchsorted(ordered, high, side="right") - start)
    return rows, order[places]


def _runs(start: Indices, count: Indices) -> tuple[Indices, Indices]:
    """All (row, place) with start[row] <= place < start[row] + count[row], in order."""
    rows = np.repeat(np.arange(len(start)), count)
    first = np.cumsum(count) - count  # where each row's run begins among all pairs
    return rows, np.arange(len(rows)) + np.repeat(start - first, count)
