"""The tracker: detections of one frame in, identities out. It knows neither images nor networks.

Association follows FairMOT (Zhang et al., IJCV 2021, section 4.4). A track's life:

    TENTATIVE --seen again--> TRACKED --missed--> LOST --found again--> TRACKED
        |missed                                    |missed for too long
        v                                          v
      gone                                       gone

What is gone is forgotten: memory holds the living tracks only, however long the video.

Where this differs from the original on purpose:

- IoU treats boxes as continuous regions, without the original's extra pixel (`costs.aligned_iou_distance`).
- A lost track is given up after exactly `lost_seconds * frame_rate` missed frames. The original kept it one
  frame longer, in which it could still be found, and forgot it for good the next time it was lost.
- Tentative tracks are predicted like all others. The original updates them without letting the frame pass, so
  that their first two sightings teach them no velocity.
- Identities count from 1 in every tracker, given embeddings are not changed, zero vectors are "no embedding",
  and the scores given out are those of the detections.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clmot.params import TrackParams
from clmot.tracking import costs, kalman
from clmot.tracking.assignment import assign_pairs
from clmot.tracking.boxes import to_corners, to_xyah
from clmot.tracking.costs import Floats, Indices, Pairs

_HEIGHT_VELOCITY = 7  # index in a track's mean


class TrackState(IntEnum):
    """Where a track is in its life; there is no state for those that ended, as they are not kept."""

    TENTATIVE = 0
    """Seen once, in the last frame; not reported until seen again."""
    TRACKED = 1
    """Confirmed, and seen in the last frame."""
    LOST = 2
    """Confirmed, and missed in the last frame."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """The confirmed tracks seen in a frame, ordered by identity."""

    identities: Indices
    """(M,) from 1, in order of first appearance."""
    boxes: Floats
    """(M, 4) x1 y1 x2 y2: the detection smoothed by the motion model."""
    scores: Floats
    """(M,) of the detections."""
    detections: Indices
    """(M,) index of each track's detection in what was given."""

    def __len__(self) -> int:
        return len(self.identities)


@dataclass(frozen=True, eq=False)
class TrackTable:
    """All living tracks, a row each, ordered by identity."""

    identity: Indices
    """(N,)"""
    state: NDArray[np.int8]
    """(N,) `TrackState`"""
    first_frame: Indices
    """(N,) when it was seen first."""
    last_frame: Indices
    """(N,) when it was seen last."""
    score: Floats
    """(N,) of the detection seen last."""
    detection: Indices
    """(N,) index of that detection in its frame."""
    mean: Floats
    """(N, 8) and"""
    spread: Floats
    """(N, 3, 4): see `kalman.Motion`."""
    feature: NDArray[np.float32]
    """(N, D) smoothed embedding of length 1, or zeros where none was ever given."""

    def __len__(self) -> int:
        return len(self.identity)

    @classmethod
    def empty(cls, dimension: int) -> TrackTable:
        """No tracks, with embeddings of `dimension`."""
        whole = np.zeros(0, np.int64)
        return cls(
            identity=whole,
            state=np.zeros(0, np.int8),
            first_frame=whole,
            last_frame=whole,
            score=np.zeros(0),
            detection=whole,
            mean=np.zeros((0, 8)),
            spread=np.zeros((0, 3, 4)),
            feature=np.zeros((0, dimension), np.float32),
        )

    def select(self, keep: NDArray[np.bool_]) -> TrackTable:
        """The rows where `keep` (N,) holds; itself when that is all."""
        if keep.all():
            return self
        return TrackTable(**{name: column[keep] for name, column in vars(self).items()})

    def extended(self, more: TrackTable) -> TrackTable:
        """These tracks, then `more`."""
        if not len(more):
            return self
        columns = vars(self)
        return TrackTable(
            **{name: np.concatenate((columns[name], column)) for name, column in vars(more).items()}
        )

    def motion(self, rows: Indices | slice) -> kalman.Motion:
        """The beliefs about `rows`."""
        return kalman.Motion(self.mean[rows], self.spread[rows])

    def corners(self, rows: Indices | slice) -> Floats:
        """Believed boxes of `rows`, (n, 4) x1 y1 x2 y2."""
        return to_corners(self.mean[rows, :4])


@dataclass(frozen=True, eq=False)
class _Detections:
    """The detections of a frame that may be used."""

    index: Indices
    """(N,) in what was given."""
    corners: Floats
    """(N, 4)"""
    measured: Floats
    """(N, 4) x, y, aspect, height"""
    score: Floats
    """(N,)"""
    embedding: NDArray[np.float32] | None
    """(N, D) of length 1 or 0; None: association by overlap alone"""

    def __len__(self) -> int:
        return len(self.index)


class Tracker:
    """Follows people through one video. Every video needs its own tracker.

    >>> from clmot.params import load_params
    >>> tracker = Tracker(load_params().track, frame_rate=30)
    >>> tracks = tracker.update([[10, 10, 50, 120], [200, 15, 240, 130]], [0.9, 0.8])
    >>> tracks.identities.tolist()
    [1, 2]
    """

    def __init__(self, params: TrackParams, frame_rate: float) -> None:
        """Start before the first frame.

        Args:
            params: thresholds and switches.
            frame_rate: frames per second; what turns `lost_seconds` into frames.

        Raises:
            ValueError: the frame rate is not a number above 0.
        """
        if not (np.isfinite(frame_rate) and frame_rate > 0):
            raise ValueError(f"the frame rate should be above 0, got {frame_rate}")
        self.params = params
        self.lost_frames = round(params.lost_seconds * frame_rate)
        """How many frames a track may miss and still be found again."""
        self.frame = 0
        """Number of the last frame, from 1."""
        self.tracks = TrackTable.empty(0)
        self._gate = costs.gate_threshold(params.gating_probability)
        self._next_identity = 1

    def update(self, boxes: ArrayLike, scores: ArrayLike, embeddings: ArrayLike | None = None) -> Tracks:
        """Let one frame pass.

        Detections below `confidence`, and boxes without width or height, are not used. With embeddings (and
        `use_embedding`), tracks and lost tracks are matched by appearance fused with motion, gated by motion;
        then what is left of the tracks by overlap. Without embeddings the first matching is by overlap, of
        tracks and lost tracks alike, at `iou_threshold`, and the second has nothing left to do. Tentative
        tracks come last, by overlap. The first frame's tracks are confirmed at once.

        Args:
            boxes: (N, 4) x1 y1 x2 y2 in image pixels; N may be 0 and differ from frame to frame.
            scores: (N,)
            embeddings: (N, D) of any length, or None. D must not change.

        Returns:
            The confirmed tracks that were seen in this frame and that pass `min_box_area` and `max_aspect`.

        Raises:
            ValueError: shapes do not fit together, or a number is nan or infinite. The tracker is unchanged
            then.
        """
        detections = self._usable(boxes, scores, embeddings)
        self.frame += 1
        table = self._predicted(detections)

        state = table.state
        free = np.arange(len(detections))  # detections without a track
        seen_rows: list[Indices] = []
        seen_cols: list[Indices] = []

        def match(rows: Indices, pairs: Pairs, limit: float) -> Indices:
            """Assign `rows` of the table to the free detections; returns the rows left over."""
            nonlocal free
            matches, left_rows, left_cols = assign_pairs(pairs, (len(rows), len(free)), limit)
            seen_rows.append(rows[matches[:, 0]])
            seen_cols.append(free[matches[:, 1]])
            free = free[left_cols]
            return rows[left_rows]

        def overlaps(rows: Indices, limit: float) -> Pairs:
            return costs.overlapping_pairs(table.corners(rows), detections.corners[free], limit)

        params = self.params
        confirmed = np.nonzero(state != TrackState.TENTATIVE)[0]
        if detections.embedding is None:
            match(confirmed, overlaps(confirmed, params.iou_threshold), params.iou_threshold)
        else:
            limit = params.match_threshold
            left = match(confirmed, self._fused(table, confirmed, detections, limit), limit)
            left = left[state[left] == TrackState.TRACKED]
            match(left, overlaps(left, params.iou_threshold), params.iou_threshold)
        tentative = np.nonzero(state == TrackState.TENTATIVE)[0]
        match(tentative, overlaps(tentative, params.unconfirmed_threshold), params.unconfirmed_threshold)

        table = self._seen(table, detections, np.concatenate(seen_rows), np.concatenate(seen_cols))
        table = self._aged(table).extended(self._born(detections, free, table.feature.shape[1]))
        self.tracks = self._without_duplicates(table)
        return self._reported()

    def _usable(self, boxes: ArrayLike, scores: ArrayLike, embeddings: ArrayLike | None) -> _Detections:
        """Check the input, and copy what may be used of it."""
        corners = np.asarray(boxes, np.float64)
        score = np.asarray(scores, np.float64)
        if corners.size == 0:
            corners = corners.reshape(-1, 4)  # [] is no boxes
        if corners.ndim != 2 or corners.shape[1] != 4:
            raise ValueError(f"boxes should be (N, 4) x1 y1 x2 y2, got {corners.shape}")
        if score.shape != (len(corners),):
            raise ValueError(
                f"{len(corners)} boxes need scores of shape ({len(corners)},), got {score.shape}"
            )
        given = {"boxes": corners, "scores": score}
        vectors = None
        if embeddings is not None:
            vectors = np.asarray(embeddings)
            if vectors.size == 0 and not len(corners):
                vectors = np.zeros((0, self.tracks.feature.shape[1]), np.float32)
            if vectors.ndim != 2 or len(vectors) != len(corners):
                raise ValueError(
                    f"{len(corners)} boxes need embeddings of shape ({len(corners)}, D), got {vectors.shape}"
                )
            dimension = self.tracks.feature.shape[1]
            if dimension and vectors.shape[1] != dimension:
                raise ValueError(f"embeddings had {dimension} numbers so far, now {vectors.shape[1]}")
            given["embeddings"] = vectors
        for name, values in given.items():
            # A finite sum has finite terms; when it is not (it may have overflowed), the terms are looked at.
            with np.errstate(over="ignore", invalid="ignore"):
                total = values.sum()
            if not np.isfinite(total) and not np.isfinite(values).all():
                row = int(np.nonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0][0])
                raise ValueError(f"{name} hold nan or inf, first in row {row} of frame {self.frame + 1}")
        use = (score >= self.params.confidence) & (corners[:, 2:] > corners[:, :2]).all(axis=1)
        index = np.nonzero(use)[0]
        corners = corners[index]
        return _Detections(
            index=index,
            corners=corners,
            measured=to_xyah(corners),
            score=score[index],
            embedding=(
                costs.normalised(vectors[index])
                if vectors is not None and self.params.use_embedding
                else None
            ),
        )

    def _predicted(self, detections: _Detections) -> TrackTable:
        """The tracks one frame later."""
        table = self.tracks
        mean = table.mean.copy()
        # A box that is out of sight keeps its last height: its growth cannot be checked.
        mean[table.state == TrackState.LOST, _HEIGHT_VELOCITY] = 0
        motion = kalman.predict(kalman.Motion(mean, table.spread))
        feature = table.feature
        if detections.embedding is not None and feature.shape[1] != detections.embedding.shape[1]:
            # The first embeddings of this video: what was tracked without has none yet.
            feature = np.zeros((len(table), detections.embedding.shape[1]), np.float32)
        return TrackTable(**{**vars(table), "mean": motion.mean, "spread": motion.spread, "feature": feature})

    def _fused(self, table: TrackTable, rows: Indices, detections: _Detections, limit: float) -> Pairs:
        """Appearance fused with motion for the pairs within the motion gate."""
        assert detections.embedding is not None
        weight = self.params.motion_weight
        mean, variance = kalman.project(table.motion(rows))
        # Appearance only adds to the cost: pairs that motion alone makes too expensive need no look at it.
        within = self._gate if weight >= 1 else min(self._gate, limit / (1 - weight))
        pairs = costs.gated_pairs(mean, variance, detections.measured, within)
        cosine = costs.aligned_cosine_distance(
            table.feature, detections.embedding, rows[pairs.rows], pairs.cols
        )
        return Pairs(pairs.rows, pairs.cols, costs.fuse(cosine, pairs.costs, weight))

    def _seen(self, table: TrackTable, detections: _Detections, rows: Indices, cols: Indices) -> TrackTable:
        """The table after its `rows` were matched with the detections `cols`."""
        motion = kalman.update(table.motion(rows), detections.measured[cols])
        columns = {name: column.copy() for name, column in vars(table).items() if name != "feature"}
        columns["mean"][rows], columns["spread"][rows] = motion.mean, motion.spread
        columns["state"][rows] = TrackState.TRACKED
        columns["last_frame"][rows] = self.frame
        columns["score"][rows] = detections.score[cols]
        columns["detection"][rows] = detections.index[cols]
        feature = table.feature
        if detections.embedding is not None:
            feature = feature.copy()
            feature[rows] = costs.smoothed(
                feature[rows], detections.embedding[cols], self.params.embedding_momentum
            )
        return TrackTable(**columns, feature=feature)

    def _aged(self, table: TrackTable) -> TrackTable:
        """The table after what was not seen was marked lost, or given up."""
        missed = self.frame - table.last_frame
        state = np.where((missed > 0) & (table.state == TrackState.TRACKED), TrackState.LOST, table.state)
        given_up = (missed > 0) & ((state == TrackState.TENTATIVE) | (missed > self.lost_frames))
        return TrackTable(**{**vars(table), "state": state.astype(np.int8)}).select(~given_up)

    def _born(self, detections: _Detections, free: Indices, dimension: int) -> TrackTable:
        """New tracks from the detections `free` that score high enough."""
        cols = free[detections.score[free] >= self.params.new_track_confidence]
        count = len(cols)
        motion = kalman.initiate(detections.measured[cols])
        identity = np.arange(self._next_identity, self._next_identity + count)
        self._next_identity += count
        state = TrackState.TRACKED if self.frame == 1 else TrackState.TENTATIVE
        return TrackTable(
            identity=identity,
            state=np.full(count, state, np.int8),
            first_frame=np.full(count, self.frame),
            last_frame=np.full(count, self.frame),
            score=detections.score[cols],
            detection=detections.index[cols],
            mean=motion.mean,
            spread=motion.spread,
            feature=(
                detections.embedding[cols]
                if detections.embedding is not None
                else np.zeros((count, dimension), np.float32)
            ),
        )

    def _without_duplicates(self, table: TrackTable) -> TrackTable:
        """Of a lost track and one that is seen in its place, keep the one that has lived longer."""
        lost = np.nonzero(table.state == TrackState.LOST)[0]
        if not len(lost):
            return table
        here = np.nonzero(table.state != TrackState.LOST)[0]
        drop_here, drop_lost = duplicates(
            table.corners(here),
            (table.last_frame - table.first_frame)[here],
            table.corners(lost),
            (table.last_frame - table.first_frame)[lost],
            self.params.duplicate_threshold,
        )
        keep = np.ones(len(table), bool)
        keep[here[drop_here]] = False
        keep[lost[drop_lost]] = False
        return table.select(keep)

    def _reported(self) -> Tracks:
        """What the world sees of this frame."""
        table = self.tracks
        rows = np.nonzero(table.state == TrackState.TRACKED)[0]
        boxes = table.corners(rows)
        width, height = (boxes[:, 2:] - boxes[:, :2]).T
        people = (
            (width > 0)
            & (height > 0)
            & (width * height >= self.params.min_box_area)
            & (width <= self.params.max_aspect * height)
        )
        rows = rows[people]
        return Tracks(table.identity[rows], boxes[people], table.score[rows], table.detection[rows])


def duplicates(
    boxes_a: Floats, ages_a: Indices, boxes_b: Floats, ages_b: Indices, limit: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which tracks of two lists are the younger half of a pair closer than IoU distance `limit`.

    Of equally old ones, `a`'s is dropped.

    Args:
        boxes_a: (M, 4) corners; ages_a: (M,) frames between first and last sighting.
        boxes_b: (N, 4) corners; ages_b: (N,).

    Returns:
        Masks (M,) and (N,) of those to drop.
    """
    pairs = costs.overlapping_pairs(boxes_a, boxes_b, limit)
    older_a = ages_a[pairs.rows] > ages_b[pairs.cols]
    drop_a, drop_b = np.zeros(len(boxes_a), bool), np.zeros(len(boxes_b), bool)
    drop_a[pairs.rows[~older_a]] = True
    drop_b[pairs.cols[older_a]] = True
    return drop_a, drop_b
