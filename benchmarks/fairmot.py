"""FairMOT's association as it was published: an object per track, an 8x8 covariance each, whole cost matrices.

The rival that `benchmarks.association` measures, and the second implementation that the tests compare with. Plain on
purpose, and written from descriptions of the method (Zhang et al., IJCV 2021; Wojke et al., ICIP 2017) and of its
code's behaviour. It shares nothing with `clmot.tracking` but the params and the form of a frame's result.

The original's faults are part of it, as they decide what it costs and how good it is: `FairMOT(repaired=True)` is the
same without those that `clmot.tracking.tracker` lists as departures, the extra pixel excepted. Only in one thing is the
rival slower than it has to be: the original's IoU is a compiled loop, this one is numpy's.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import lap
import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from scipy.stats import chi2

from clmot.params import TrackParams
from clmot.tracking.tracks import Tracks

Floats = NDArray[np.float64]

_STEP = np.eye(8) + np.eye(8, k=4)  # x, y, aspect, height move by their velocities
_OBSERVE = np.eye(4, 8)


def _deviations(height: float, aspect: float, weight: float) -> list[float]:
    return [weight * height, weight * height, aspect, weight * height]


def start(measured: Floats) -> tuple[Floats, Floats]:
    """Mean (8,) and covariance (8, 8) of a box (4,) x, y, aspect, height seen for the first time."""
    height = measured[3]
    deviations = _deviations(height, 1e-2, 2 / 20) + _deviations(height, 1e-5, 10 / 160)
    return np.concatenate((measured, np.zeros(4))), np.diag(np.square(deviations))


def project(mean: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Mean (4,) and covariance (4, 4) of what a detector will see."""
    noise = np.diag(np.square(_deviations(mean[3], 1e-1, 1 / 20)))
    return _OBSERVE @ mean, _OBSERVE @ covariance @ _OBSERVE.T + noise


def correct(mean: Floats, covariance: Floats, measured: Floats) -> tuple[Floats, Floats]:
    """Mean and covariance after the box was seen at `measured` (4,)."""
    seen, seen_covariance = project(mean, covariance)
    factor = scipy.linalg.cho_factor(seen_covariance, lower=True, check_finite=False)
    gain = scipy.linalg.cho_solve(factor, (covariance @ _OBSERVE.T).T, check_finite=False).T
    return mean + gain @ (measured - seen), covariance - gain @ seen_covariance @ gain.T


def squared_mahalanobis(mean: Floats, covariance: Floats, measured: Floats) -> Floats:
    """(N,) squared distances of measurements (N, 4) from one track."""
    seen, seen_covariance = project(mean, covariance)
    factor = np.linalg.cholesky(seen_covariance)
    whitened = scipy.linalg.solve_triangular(factor, (measured - seen).T, lower=True, check_finite=False)
    return (whitened * whitened).sum(axis=0)


@dataclass(eq=False)
class Track:
    """One track, or one detection that may become one."""

    score: float
    detection: int
    box: Floats
    """(4,) x1 y1 x2 y2 as detected."""
    look: NDArray[np.floating]
    """(D,) embedding of length 1."""
    history: list[NDArray[np.floating]] = field(default_factory=list)
    """Every embedding it was ever given: they are never read and never freed."""
    smooth: NDArray[np.floating] | None = None
    mean: Floats | None = None
    covariance: Floats | None = None
    identity: int = 0
    first: int = 0
    last: int = 0
    state: str = "new"
    confirmed: bool = False

    def xyah(self) -> Floats:
        """(4,) centre, aspect, height as detected."""
        x1, y1, x2, y2 = self.box
        return np.array([(x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / (y2 - y1), y2 - y1])

    def corners(self) -> Floats:
        """(4,) x1 y1 x2 y2: as believed, or as detected where nothing is believed yet."""
        if self.mean is None:
            return self.box
        centre, (aspect, height) = self.mean[:2], self.mean[2:4]
        half = np.array([aspect * height, height]) / 2
        return np.concatenate((centre - half, centre + half))

    def remember(self, look: NDArray[np.floating], momentum: float) -> None:
        """Smooth the embedding."""
        self.history.append(look)
        if self.smooth is None:
            self.smooth = look
        else:
            self.smooth = momentum * self.smooth + (1 - momentum) * look
        self.smooth = self.smooth / np.linalg.norm(self.smooth)


class FairMOT:
    """Same use as `clmot.tracking.tracker.Tracker`; embeddings are needed, and the switches of params are not read."""

    _counter = itertools.count(1)  # the original's identities go on from video to video

    def __init__(self, params: TrackParams, frame_rate: float, *, repaired: bool = False) -> None:
        """Start before the first frame; `repaired`: without the original's faults."""
        self.params = params
        self.repaired = repaired
        self.lost_frames = round(params.lost_seconds * frame_rate)
        self.gate = chi2.ppf(params.gating_probability, df=4)
        self.frame = 0
        self.tracked: list[Track] = []
        self.lost: list[Track] = []
        self.removed: list[Track] = []
        if repaired:
            self._counter = itertools.count(1)

    def update(self, boxes: ArrayLike, scores: ArrayLike, embeddings: NDArray[np.floating]) -> Tracks:
        """Let one frame pass; arguments and result as `Tracker.update`."""
        self.frame += 1
        free = self._detections(np.asarray(boxes, float).reshape(-1, 4), np.asarray(scores, float), embeddings)
        tentative = [t for t in self.tracked if not t.confirmed]
        pool = [t for t in self.tracked if t.confirmed] + self.lost
        self._predict(pool + tentative if self.repaired else pool)

        left, free = self._match(pool, free, self._fused_distance(pool, free), self.params.match_threshold)
        left = [t for t in left if t.state == "tracked"]
        left, free = self._match(left, free, iou_distance(left, free), self.params.iou_threshold)
        newly_lost = left
        for track in newly_lost:
            track.state = "lost"
        dropped, free = self._match(tentative, free, iou_distance(tentative, free), self.params.unconfirmed_threshold)
        removed = dropped
        for track in dropped:
            track.state = "removed"
        born = [d for d in free if d.score >= self.params.new_track_confidence]
        for track in born:
            self._activate(track)
        for track in self.lost:
            if track.state != "tracked" and self.frame - track.last > self.lost_frames:
                track.state = "removed"
                removed = [*removed, track]

        found = [t for t in self.lost if t.state == "tracked"]
        self.tracked = [t for t in self.tracked if t.state == "tracked"] + found + born
        self.lost = [t for t in self.lost if t.state != "tracked"] + newly_lost
        if self.repaired:
            self.lost = [t for t in self.lost if t.state == "lost"]
        else:
            # One frame late: those of this frame are added after those of the frames before were taken out.
            ever_removed = {id(t) for t in self.removed}
            self.lost = [t for t in self.lost if id(t) not in ever_removed]
            self.removed += removed
        self._drop_duplicates()
        return self._reported()

    def _detections(self, boxes: Floats, scores: Floats, embeddings: NDArray[np.floating]) -> list[Track]:
        found = []
        for index in np.nonzero(scores >= self.params.confidence)[0]:
            look = embeddings[index]
            if self.repaired:
                look = look / np.linalg.norm(look)
            else:
                look /= np.linalg.norm(look)  # the caller's array
            found.append(Track(float(scores[index]), int(index), boxes[index], look))
            found[-1].remember(look, 0)
        return found

    def _predict(self, tracks: list[Track]) -> None:
        for track in tracks:
            assert track.mean is not None
            if track.state != "tracked":
                track.mean[7] = 0
        if not tracks:
            return
        means = np.stack([t.mean for t in tracks if t.mean is not None])
        covariances = np.stack([t.covariance for t in tracks if t.covariance is not None])
        noise = [_deviations(m[3], 1e-2, 1 / 20) + _deviations(m[3], 1e-5, 1 / 160) for m in means]
        means = means @ _STEP.T
        covariances = _STEP @ covariances @ _STEP.T + np.stack([np.diag(row) for row in np.square(noise)])
        for track, mean, covariance in zip(tracks, means, covariances, strict=True):
            track.mean, track.covariance = mean, covariance

    def _fused_distance(self, tracks: list[Track], detections: list[Track]) -> Floats:
        if not tracks or not detections:
            return np.zeros((len(tracks), len(detections)))
        looks = np.asarray([t.smooth for t in tracks], float), np.asarray([d.look for d in detections], float)
        cost = np.maximum(0.0, cdist(*looks, "cosine"))
        measured = np.asarray([d.xyah() for d in detections])
        weight = self.params.motion_weight
        for row, track in enumerate(tracks):
            assert track.mean is not None
            assert track.covariance is not None
            gap = squared_mahalanobis(track.mean, track.covariance, measured)
            cost[row, gap > self.gate] = np.inf
            cost[row] = weight * cost[row] + (1 - weight) * gap
        return cost

    def _match(
        self, tracks: list[Track], detections: list[Track], cost: Floats, limit: float
    ) -> tuple[list[Track], list[Track]]:
        """Match, update what was matched, and return what was not."""
        if not cost.size:
            return tracks, detections
        _, partner, _ = lap.lapjv(cost, extend_cost=True, cost_limit=limit)
        for track, col in zip(tracks, partner.tolist(), strict=True):
            if col >= 0:
                self._take(track, detections[col])
        taken = set(partner.tolist())
        return (
            [t for t, col in zip(tracks, partner.tolist(), strict=True) if col < 0],
            [d for col, d in enumerate(detections) if col not in taken],
        )

    def _take(self, track: Track, seen: Track) -> None:
        assert track.mean is not None
        assert track.covariance is not None
        track.mean, track.covariance = correct(track.mean, track.covariance, seen.xyah())
        track.remember(seen.look, self.params.embedding_momentum)
        track.score, track.detection = seen.score, seen.detection
        track.last, track.state, track.confirmed = self.frame, "tracked", True

    def _activate(self, track: Track) -> None:
        track.mean, track.covariance = start(track.xyah())
        track.identity = next(self._counter)
        track.first = track.last = self.frame
        track.state, track.confirmed = "tracked", self.frame == 1

    def _drop_duplicates(self) -> None:
        distance = iou_distance(self.tracked, self.lost)
        drop: set[int] = set()
        for row, col in zip(*np.nonzero(distance < self.params.duplicate_threshold), strict=True):
            here, gone = self.tracked[row], self.lost[col]
            drop.add(id(gone if here.last - here.first > gone.last - gone.first else here))
        self.tracked = [t for t in self.tracked if id(t) not in drop]
        self.lost = [t for t in self.lost if id(t) not in drop]

    def _reported(self) -> Tracks:
        shown = []
        for track in sorted(self.tracked, key=lambda t: t.identity):
            width, height = track.corners()[2:] - track.corners()[:2]
            person = width * height >= self.params.min_box_area and width <= self.params.max_aspect * height
            if track.confirmed and person:
                shown.append(track)
        return Tracks(
            np.array([t.identity for t in shown], np.int64),
            np.array([t.corners() for t in shown]).reshape(-1, 4),
            np.array([t.score if self.repaired else 1.0 for t in shown]),
            np.array([t.detection for t in shown], np.int64),
        )


def iou_distance(tracks: list[Track], detections: list[Track]) -> Floats:
    """(M, N) 1 - IoU that counts pixels inclusively: a box from 0 to 9 is 10 wide."""
    a = np.array([t.corners() for t in tracks]).reshape(-1, 1, 4)
    b = np.array([d.corners() for d in detections]).reshape(1, -1, 4)
    side = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1, 0)
    areas = [np.prod(box[..., 2:] - box[..., :2] + 1, axis=-1) for box in (a, b)]
    overlap = side.prod(axis=-1)
    return 1 - overlap / (areas[0] + areas[1] - overlap)
