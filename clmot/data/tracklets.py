"""Who is who for a while, from boxes alone: short, sure tracklets, and which of them cannot be one person.

Boxes of neighbouring frames are joined only where nothing else could be meant: each is the other's best overlap, and
the next best on either side is clearly worse. What is left in doubt begins a new tracklet. Two tracklets that exist at
the same moment are two people; two that never met may be one. No identity is read anywhere here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pairwise_iou(boxes: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.floating]:
    """IoU (N, M) of boxes (N, 4) and (M, 4), corners; 0 where both are empty."""
    # Sides one by one: a last axis of two numbers is slow.
    left, top, right, bottom = boxes.T[:, :, None]
    other_left, other_top, other_right, other_bottom = others.T
    shared = (np.minimum(right, other_right) - np.maximum(left, other_left)).clip(min=0)
    shared *= (np.minimum(bottom, other_bottom) - np.maximum(top, other_top)).clip(min=0)
    area, other_area = ((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes, others))
    return shared / np.maximum(area[:, None] + other_area[None, :] - shared, 1e-9)


def link_boxes(
    frame: NDArray[np.integer],
    boxes: NDArray[np.floating],
    min_iou: float,
    margin: float,
    max_gap: int = 1,
) -> NDArray[np.int64]:
    """Join the boxes of one film to tracklets.

    A box continues the tracklet of an earlier one where their IoU is the highest that either has with any box of the
    other's frame, reaches `min_iou`, and exceeds the second highest on both sides by `margin`. The nearest earlier
    frame is tried first, then up to `max_gap` frames back if the tracklet was not continued in between.

    Args:
        frame: (R,) the frame of each box, in any order.
        boxes: (R, 4) corners.
        min_iou: above 0, at most 1.
        margin: 0 or more.
        max_gap: 1: only neighbouring frames are compared.

    Returns:
        (R,) the tracklet of each box, counted from 0 in order of first frame and then of row.
    """
    tracklet = np.full(len(frame), -1, np.int64)
    if not len(frame):
        return tracklet
    continued = np.zeros(len(frame), bool)
    order = np.argsort(frame, kind="stable")
    numbers, starts = np.unique(frame[order], return_index=True)
    rows_of = dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))
    count = 0
    for number, rows in rows_of.items():
        for gap in range(1, max_gap + 1):
            before = rows_of.get(number - gap)
            if before is None or (tracklet[rows] >= 0).all():
                continue
            earlier, later = _sure_pairs(pairwise_iou(boxes[before], boxes[rows]), min_iou, margin)
            free = ~continued[before[earlier]] & (tracklet[rows[later]] < 0)
            earlier, later = before[earlier[free]], rows[later[free]]
            tracklet[later], continued[earlier] = tracklet[earlier], True
        new = rows[tracklet[rows] < 0]
        tracklet[new] = np.arange(count, count + len(new))
        count += len(new)
    return tracklet


def _sure_pairs(iou: NDArray[np.floating], min_iou: float, margin: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of (N, M) that are each other's best, by `margin`, and reach `min_iou`."""
    rows = np.arange(len(iou))
    best = iou.argmax(1)
    values = iou[rows, best]
    others = iou.copy()
    others[rows, best] = -np.inf
    second = np.maximum(others.max(1, initial=0), _without(iou, best, rows).max(1, initial=0))
    sure = (iou.argmax(0)[best] == rows) & (values >= min_iou) & (values - second >= margin)
    return rows[sure], best[sure]


def _without(iou: NDArray[np.floating], columns: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.floating]:
    """For each of `columns`, its values (len(columns), N) with that of the row in `rows` taken out."""
    values = iou.T[columns].copy()
    values[np.arange(len(columns)), rows] = -np.inf
    return values


def coexistence(frame: NDArray[np.integer], tracklet: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of a film's T tracklets exist at the same moment somewhere in their lives.

    Args:
        frame: (R,) the frame of each box.
        tracklet: (R,) its tracklet, 0..T-1.

    Returns:
        (T, T) symmetric; false on the diagonal.
    """
    count = int(tracklet.max(initial=-1)) + 1
    first = np.full(count, np.iinfo(np.int64).max)
    last = np.full(count, np.iinfo(np.int64).min)
    np.minimum.at(first, tracklet, frame)
    np.maximum.at(last, tracklet, frame)
    together = (first[:, None] <= last[None, :]) & (first[None, :] <= last[:, None])
    np.fill_diagonal(together, False)
    return together


def merge_relation(together: NDArray[np.bool_], group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The `coexistence` (G, G) of groups of tracklets: two groups met where any two of their members did.

    Args:
        together: (T, T).
        group: (T,) the group of each tracklet, 0..G-1.
    """
    count = int(group.max(initial=-1)) + 1
    member = np.zeros((count, len(group)), np.float32)
    member[group, np.arange(len(group))] = 1
    met = (member @ together.astype(np.float32) @ member.T) > 0
    np.fill_diagonal(met, False)
    return met


def group_tracklets(
    similarity: NDArray[np.floating],
    together: NDArray[np.bool_],
    weight: NDArray[np.floating],
    threshold: float,
) -> NDArray[np.int64]:
    """Join tracklets that look alike and never met, the most alike first (average linkage with a veto).

    The similarity of two groups is the mean over their pairs of members, each pair weighted by the product of its
    weights. A group met whom any member met, and is joined with none of them.

    Args:
        similarity: (T, T) symmetric, in -1..1.
        together: (T, T) bool, see `coexistence`.
        weight: (T,) above 0, such as the number of boxes.
        threshold: lowest similarity that joins.

    Returns:
        (T,) the group of each tracklet, counted from 0.
    """
    count = len(similarity)
    group = np.arange(count)
    if count < 2:
        return group
    mean = similarity.astype(np.float64)
    veto = together.copy()
    np.fill_diagonal(veto, True)
    mass = weight.astype(np.float64)
    alike = np.where(veto, -np.inf, mean)
    while True:
        # The best of each row is kept in `alike` itself: T is some hundreds, and a pass over it is a millisecond.
        kept, gone = np.unravel_index(int(alike.argmax()), alike.shape)
        if not alike[kept, gone] >= threshold:
            break
        mixed = (mass[kept] * mean[kept] + mass[gone] * mean[gone]) / (mass[kept] + mass[gone])
        mean[kept], mean[:, kept] = mixed, mixed
        forbidden = veto[kept] | veto[gone]
        veto[kept], veto[:, kept] = forbidden, forbidden
        veto[gone], veto[:, gone] = True, True
        mass[kept] += mass[gone]
        group[group == gone] = kept
        alike[kept] = np.where(veto[kept], -np.inf, mixed)
        alike[:, kept] = alike[kept]
        alike[gone], alike[:, gone] = -np.inf, -np.inf
    return np.unique(group, return_inverse=True)[1].astype(np.int64)
