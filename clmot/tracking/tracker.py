"""The tracker: detections of one frame in, identities out. It knows neither images nor networks.

Association follows FairMOT (Zhang et al., IJCV 2021, section 4.4), with `overlap_weight: 0` step by step; above 0,
boxes that overlap little cost more in the first matching too. A track's life:

    TENTATIVE --seen again--> TRACKED --missed--> LOST --found again--> TRACKED
        |missed                                    |missed for too long
        v                                          v
      gone                                       gone

What is gone is forgotten: memory holds the living tracks only, however long the video. Three switches add to
this; with all of them off not a bit of the results is another:

- `second_pass` (ByteTrack; Zhang et al., ECCV 2022): tracked people whom no detection was matched with may take one
  below `confidence` that overlaps, as a person half hidden gives one. Such a detection starts no track, confirms
  none and finds no lost one, and it leaves the track's embedding alone: what hides the person is what the network
  looked at.
- `camera_motion`: `update` is told how the camera moved, and moves the tracks along before it predicts them.
- `refind_seconds`: a confirmed track that is given up goes into a `Memory` for that long, without its place. Whoever is
  new takes the identity of the remembered track with the nearest embedding, if one is near enough: when
  confirmed, not when seen first, so that no flicker of the detector wakes up the dead, and by the embedding of both
  sightings.

Where this differs from the original on purpose:

- IoU treats boxes as continuous regions, without the original's extra pixel, unless `inclusive_pixels` asks for it.
- A lost track is given up after exactly `lost_seconds * frame_rate` missed frames. The original kept it one
  frame longer, in which it could still be found, and forgot it for good the next time it was lost.
- Tentative tracks are predicted like all others. The original updates them without letting the frame pass, so
  that their first two sightings teach them no velocity.
- Identities count from 1 in every tracker, given embeddings are not changed, zero vectors are "no embedding",
  and the scores given out are those of the detections.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clmot.params import TrackParams
from clmot.tracking import costs, kalman
from clmot.tracking.assignment import assign_pairs
from clmot.tracking.costs import Floats, Indices, Pairs
from clmot.tracking.detections import FrameDetections, checked
from clmot.tracking.memory import Memory
from clmot.tracking.tracks import Tracks, TrackState, TrackTable

_HEIGHT_VELOCITY = 7  # index in a track's mean


@dataclass(frozen=True, eq=False)
class Matches:
    """Who of the tracks is which of the detections."""

    rows: Indices
    """(S,) tracks, those that were tentative last; and"""
    cols: Indices
    """(S,) their detections."""
    newly_confirmed: int
    """How many of them were tentative: the last."""
    weak_rows: Indices
    """(W,) tracks that the second pass matched; and"""
    weak_cols: Indices
    """(W,) their detections among the weak ones."""
    free: Indices
    """(F,) detections without a track."""


class Steps:
    """Matching step by step: what one step leaves over the next may take."""

    def __init__(self, detections: int) -> None:
        """All `detections` are free."""
        self.free: Indices = np.arange(detections)
        """(F,) those without a track so far."""
        self.rows: list[Indices] = []
        """The tracks that each step matched; and"""
        self.cols: list[Indices] = []
        """their detections."""

    def match(self, tracks: Indices, pairs: Pairs, limit: float) -> Indices:
        """Assign `tracks` (n,) to free detections; `pairs` index both lists. Returns the tracks left over."""
        matches, left_tracks, left_free = assign_pairs(pairs, (len(tracks), len(self.free)), limit)
        self.rows.append(tracks[matches[:, 0]])
        self.cols.append(self.free[matches[:, 1]])
        self.free = self.free[left_free]
        return tracks[left_tracks]

    def ended(self, left: Indices, weak: Pairs, weak_detections: int, limit: float) -> Matches:
        """What was matched, once tracks `left` (n,) took weak detections; the last step was the tentative tracks'."""
        matches, _, _ = assign_pairs(weak, (len(left), weak_detections), limit)
        return Matches(
            rows=np.concatenate(self.rows),
            cols=np.concatenate(self.cols),
            newly_confirmed=len(self.rows[-1]),
            weak_rows=left[matches[:, 0]],
            weak_cols=matches[:, 1],
            free=self.free,
        )


class Tracker:
    """Follows people through one video. Every video needs its own tracker.

    >>> from clmot.params import load_params
    >>> tracker = Tracker(load_params().track, frame_rate=30)
    >>> tracks = tracker.update([[10, 10, 50, 120], [200, 15, 240, 130]], [0.9, 0.8])
    >>> tracks.identities.tolist()
    [1, 2]
    """

    _looks_at_weak = False
    """Whether the second pass is told the embeddings of its detections."""

    def __init__(self, params: TrackParams, frame_rate: float) -> None:
        """Start before the first frame.

        Args:
            params: thresholds and switches.
            frame_rate: frames per second; what turns seconds into frames.

        Raises:
            ValueError: the frame rate is not a number above 0.
        """
        if not (np.isfinite(frame_rate) and frame_rate > 0):
            raise ValueError(f"the frame rate should be above 0, got {frame_rate}")
        self.params = params
        self.lost_frames = round(params.lost_seconds * frame_rate)
        """How many frames a track may miss and still be found again."""
        self.refind_frames = round(params.refind_seconds * frame_rate)
        """For how many frames after that its identity is remembered."""
        self.kept_frames = self.lost_frames
        """How many frames a track may miss before it is given up."""
        self.frame = 0
        """Number of the last frame, from 1, of those that there would be if none was left out."""
        self.passed = 1
        """Whole frames since the last update: more than one where frames were left out."""
        self._rest = 0.0  # of a frame, between the time that passed and the whole frames that it was counted as
        self.tracks = TrackTable.empty(0)
        self.memory = Memory.empty()
        """Tracks that were given up and may come back; always empty with `refind_seconds: 0`."""
        self._gate = costs.gate_threshold(params.gating_probability)
        self._extra_pixel = float(params.inclusive_pixels)
        self._next_identity = 1

    def update(
        self,
        boxes: ArrayLike,
        scores: ArrayLike,
        embeddings: ArrayLike | None = None,
        camera: ArrayLike | None = None,
        elapsed: float = 1.0,
    ) -> Tracks:
        """Let one frame pass.

        Detections below `confidence`, and boxes without width or height, are not used. With embeddings (unless
        `embedding: none`), tracks and lost tracks are matched by appearance fused with motion and overlap, gated by
        motion; then what is left of the tracks by overlap. Without embeddings the first matching is by overlap, of
        tracks and lost tracks alike, at `iou_threshold_alone`, and the second has nothing left to do. With
        `second_pass`, what is still left of the tracks is matched by overlap with weaker detections. Tentative
        tracks come last, by overlap. The first frame's tracks are confirmed at once.

        Args:
            boxes: (N, 4) x1 y1 x2 y2 in image pixels; N may be 0 and differ from frame to frame.
            scores: (N,)
            embeddings: (N, D) of any length, or None. D must not change.
            camera: (2, 3) A|t that takes image coordinates of the last frame to those of this one, A x + t: how
                the camera moved (see `kalman.transformed`). None: it did not. What is given is applied; the param
                `camera_motion` decides whether the pipeline estimates it.
            elapsed: the time since the last frame in frames of the tracker's rate: 2 where one is missing between
                them. The prediction reaches that far, and so much of the time that lost tracks have is over.

        Returns:
            The confirmed tracks that were seen in this frame and that pass `min_box_area` and `max_aspect`.

        Raises:
            ValueError: shapes do not fit together, a number is nan or infinite, the camera mirrors or flattens the
            image, or no time passed. The tracker is unchanged then.
        """
        detections, weak = self._usable(boxes, scores, embeddings)
        moved = None if camera is None else _checked_camera(camera)
        if not (np.isfinite(elapsed) and elapsed > 0):
            raise ValueError(f"the time since the last frame should be above 0, got {elapsed}")
        self.passed = max(1, round(elapsed + self._rest))
        self._rest = float(np.clip(elapsed + self._rest - self.passed, -0.5, 0.5))
        self.frame += self.passed
        table = self._predicted(detections, moved, elapsed)
        found = self._associated(table, detections, weak)
        features = self._smoothed(table, detections, found.rows, found.cols)
        table = self._seen(table, detections, found.rows, found.cols)
        if weak is not None:
            table = self._seen(table, weak, found.weak_rows, found.weak_cols)
        if len(self.memory):
            new = slice(len(found.rows) - found.newly_confirmed, None)
            table = self._recognised(table, found.rows[new], features[new])
        born = self._born(detections, found.free, table.feature.shape[1])
        self.tracks = self._next(table, found.rows, features, born)
        return self._reported()

    def _usable(
        self, boxes: ArrayLike, scores: ArrayLike, embeddings: ArrayLike | None
    ) -> tuple[FrameDetections, FrameDetections | None]:
        """The detections that may be used, and (None without a second pass) the weaker ones for that."""
        params = self.params
        corners, score, vectors = checked(boxes, scores, embeddings, self.tracks.feature.shape[1], self.frame + 1)
        has_area = (corners[:, 2:] > corners[:, :2]).all(axis=1)
        strong = (score >= params.confidence) & has_area
        detections = FrameDetections.chosen(strong, corners, score, vectors if params.use_embedding else None)
        if not params.second_pass:
            return detections, None
        between = (score >= params.second_pass_confidence) & (score < params.confidence) & has_area
        looked_at = vectors if self._looks_at_weak and params.use_embedding else None
        return detections, FrameDetections.chosen(between, corners, score, looked_at)

    def _predicted(self, detections: FrameDetections, camera: Floats | None, elapsed: float) -> TrackTable:
        """The tracks `elapsed` frames later."""
        table = self.tracks
        mean = table.mean.copy()
        # A box that is out of sight keeps its last height: its growth cannot be checked.
        mean[table.state == TrackState.LOST, _HEIGHT_VELOCITY] = 0
        motion = kalman.Motion(mean, table.spread)
        if camera is not None:
            motion = kalman.transformed(motion, camera)
        motion = kalman.predict(motion, elapsed)
        feature = table.feature
        if detections.embedding is not None and feature.shape[1] != detections.embedding.shape[1]:
            # The first embeddings of this video: what was tracked without has none yet.
            feature = np.zeros((len(table), detections.embedding.shape[1]), np.float32)
        return table.replaced(mean=motion.mean, spread=motion.spread, feature=feature)

    def _associated(self, table: TrackTable, detections: FrameDetections, weak: FrameDetections | None) -> Matches:
        """Match predicted tracks with detections, step by step; what one step leaves over the next may take."""
        params, state, corners = self.params, table.state, table.corners()
        steps = Steps(len(detections))

        def overlaps(tracks: Indices, boxes: Floats, limit: float) -> Pairs:
            return costs.overlapping_pairs(corners[tracks], boxes, limit, self._extra_pixel)

        confirmed = np.nonzero(state != TrackState.TENTATIVE)[0]
        if detections.embedding is None:
            pairs = overlaps(confirmed, detections.corners, params.iou_threshold_alone)
            left = steps.match(confirmed, pairs, params.iou_threshold_alone)
            left = left[state[left] == TrackState.TRACKED]
        else:
            limit = params.match_threshold
            pairs = self._fused(table, corners, confirmed, detections, limit)
            left = steps.match(confirmed, pairs, limit)
            left = left[state[left] == TrackState.TRACKED]
            pairs = overlaps(left, detections.corners[steps.free], params.iou_threshold)
            left = steps.match(left, pairs, params.iou_threshold)
        tentative = np.nonzero(state == TrackState.TENTATIVE)[0]
        pairs = overlaps(tentative, detections.corners[steps.free], params.unconfirmed_threshold)
        steps.match(tentative, pairs, params.unconfirmed_threshold)
        if weak is None:
            return steps.ended(left, Pairs.none(), 0, params.second_pass_threshold)
        pairs = overlaps(left, weak.corners, params.second_pass_threshold)
        return steps.ended(left, pairs, len(weak), params.second_pass_threshold)

    def _fused(
        self, table: TrackTable, corners: Floats, rows: Indices, detections: FrameDetections, limit: float
    ) -> Pairs:
        """Appearance fused with motion and overlap for the pairs within the motion gate that may cost less than
        `limit`.

        `corners` (N, 4) are the table's boxes.
        """
        assert detections.embedding is not None
        weight, overlap_weight = self.params.motion_weight, self.params.overlap_weight
        mean, variance = kalman.project(table.motion(rows))
        # Each part only adds to the cost: pairs that the others make too expensive need no look at their appearance.
        share = (1 - weight) * (1 - overlap_weight)
        within = self._gate if share <= 0 else min(self._gate, limit / share)
        pairs = costs.gated_pairs(mean, variance, detections.measured, within)
        overlap = None
        if overlap_weight:
            overlap = costs.aligned_iou_distance(
                corners[rows[pairs.rows]], detections.corners[pairs.cols], self._extra_pixel
            )
            possible = share * pairs.costs + overlap_weight * overlap < limit
            pairs = Pairs(pairs.rows[possible], pairs.cols[possible], pairs.costs[possible])
            overlap = overlap[possible]
        cosine = costs.aligned_cosine_distance(table.feature, detections.embedding, rows[pairs.rows], pairs.cols)
        cost = costs.fuse(cosine, pairs.costs, weight)
        if overlap is not None:
            cost = (1 - overlap_weight) * cost + overlap_weight * overlap
        return Pairs(pairs.rows, pairs.cols, cost)

    def _smoothed(
        self, table: TrackTable, detections: FrameDetections, rows: Indices, cols: Indices
    ) -> NDArray[np.float32]:
        """The features (S, D) of the table's `rows` (S,) after they were matched with the detections `cols` (S,)."""
        features = table.feature[rows]
        if detections.embedding is None:
            return features
        return costs.smoothed(features, detections.embedding[cols], self.params.embedding_momentum)

    def _seen(self, table: TrackTable, detections: FrameDetections, rows: Indices, cols: Indices) -> TrackTable:
        """The table, but for features, after its `rows` were matched with the detections `cols`."""
        motion = kalman.update(table.motion(rows), detections.measured[cols])
        names = ("mean", "spread", "state", "last_frame", "score", "detection")
        columns = {name: getattr(table, name).copy() for name in names}
        columns["mean"][rows], columns["spread"][rows] = motion.mean, motion.spread
        columns["state"][rows] = TrackState.TRACKED
        columns["last_frame"][rows] = self.frame
        columns["score"][rows] = detections.score[cols]
        columns["detection"][rows] = detections.index[cols]
        return table.replaced(**columns)

    def _recognised(self, table: TrackTable, rows: Indices, features: NDArray[np.float32]) -> TrackTable:
        """The table after those of its `rows` (S,) who are remembered got their identities back.

        Their features (S, D) become, in place, what they were, smoothed with what they are.
        """
        found, places = self.memory.recognised(features, self.params.refind_threshold)
        if not len(found):
            return table
        memory = self.memory
        identity, first_frame = table.identity.copy(), table.first_frame.copy()
        identity[rows[found]], first_frame[rows[found]] = memory.identity[places], memory.first_frame[places]
        features[found] = costs.smoothed(memory.feature[places], features[found], self.params.embedding_momentum)
        remains = np.ones(len(memory), bool)
        remains[places] = False
        self.memory = memory.select(remains)
        return table.replaced(identity=identity, first_frame=first_frame)

    def _born(self, detections: FrameDetections, free: Indices, dimension: int) -> TrackTable:
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

    def _next(self, table: TrackTable, rows: Indices, features: NDArray[np.float32], born: TrackTable) -> TrackTable:
        """What lives on after this frame: the tracks that are not given up, and those just born.

        Args:
            table: all older tracks as they are now, but for their features.
            rows: (S,) those of the table that were matched with a detection, weak ones apart.
            features: (S, D) what theirs have become; the others keep what the table has.
            born: new tracks.
        """
        missed = self.frame - table.last_frame
        state = table.state.copy()
        state[(missed > 0) & (state == TrackState.TRACKED)] = TrackState.LOST
        table = table.replaced(state=state)
        given_up = (missed > 0) & ((state == TrackState.TENTATIVE) | (missed > self.kept_frames))
        if self.refind_frames:
            self._remember(table, given_up & (state == TrackState.LOST))
        keep, keep_born = self._without_duplicates(table, ~given_up, born)
        joined = table.joined(keep, born, keep_born)
        place = np.cumsum(keep) - 1
        stay = keep[rows]
        joined.feature[place[rows[stay]]] = features[stay]
        if (joined.identity[1:] < joined.identity[:-1]).any():  # somebody came back
            return joined.select(np.argsort(joined.identity))
        return joined

    def _remember(self, table: TrackTable, given_up: NDArray[np.bool_]) -> None:
        """Take up tracks that were `given_up` (N,), and forget those remembered for too long."""
        gone, missed = table.select(given_up), self.frame - self.memory.last_frame
        memory = self.memory.select(missed <= self.lost_frames + self.refind_frames)
        self.memory = memory.remembering(Memory(gone.identity, gone.first_frame, gone.last_frame, gone.feature))

    def _without_duplicates(
        self, table: TrackTable, keep: NDArray[np.bool_], born: TrackTable
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Of a lost track and one that is seen in its place, keep the one that has lived longer.

        Args:
            table: the tracks that were there before;
            keep: (N,) which of them still live.
            born: (M tracks) those that are new.

        Returns:
            Masks (N,) and (M,) of those that stay.
        """
        keep, keep_born = keep.copy(), np.ones(len(born), bool)
        missed = self.frame - table.last_frame
        lost = np.nonzero(keep & (table.state == TrackState.LOST) & (missed <= self.lost_frames))[0]
        if not len(lost):
            return keep, keep_born
        here = np.nonzero(keep & (table.state != TrackState.LOST))[0]
        age = table.last_frame - table.first_frame
        pairs = costs.overlapping_pairs(
            np.concatenate((table.corners(here), born.corners())),
            table.corners(lost),
            self.params.duplicate_threshold,
            self._extra_pixel,
        )
        if len(pairs.rows):
            pairs = self._possibly_one(table, np.concatenate((table.feature[here], born.feature)), lost, pairs)
        age_here = np.concatenate((age[here], np.zeros(len(born), np.int64)))
        drop_here, drop_lost = _younger(pairs, age_here, age[lost])
        keep[here[drop_here[: len(here)]]] = False
        keep_born[drop_here[len(here) :]] = False
        keep[lost[drop_lost]] = False
        return keep, keep_born

    def _possibly_one(self, table: TrackTable, feature: NDArray[np.float32], lost: Indices, pairs: Pairs) -> Pairs:
        """Those of the pairs of features (n, D) seen now and tracks `lost` (m,) that may be one person: all."""
        return pairs

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
    boxes_a: Floats, ages_a: Indices, boxes_b: Floats, ages_b: Indices, limit: float, offset: float = 0.0
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which tracks of two lists are the younger half of a pair closer than IoU distance `limit`.

    Of equally old ones, `a`'s is dropped.

    Args:
        boxes_a: (M, 4) corners; ages_a: (M,) frames between first and last sighting.
        boxes_b: (N, 4) corners; ages_b: (N,).
        limit: IoU distance.
        offset: what the IoU adds to sides (`costs.aligned_iou_distance`).

    Returns:
        Masks (M,) and (N,) of those to drop.
    """
    return _younger(costs.overlapping_pairs(boxes_a, boxes_b, limit, offset), ages_a, ages_b)


def _younger(pairs: Pairs, ages_a: Indices, ages_b: Indices) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks (M,) and (N,) of the younger halves of pairs of two lists; of equally old ones the first list's."""
    older_a = ages_a[pairs.rows] > ages_b[pairs.cols]
    drop_a, drop_b = np.zeros(len(ages_a), bool), np.zeros(len(ages_b), bool)
    drop_a[pairs.rows[~older_a]] = True
    drop_b[pairs.cols[older_a]] = True
    return drop_a, drop_b


def _checked_camera(camera: ArrayLike) -> Floats:
    matrix = np.asarray(camera, np.float64)
    if matrix.shape != (2, 3):
        raise ValueError(f"the camera's motion should be a (2, 3) matrix A|t, got {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError("the camera's motion holds nan or inf")
    if not np.linalg.det(matrix[:, :2]) > 0:
        raise ValueError("the camera's motion mirrors or flattens the image: the determinant of A is not above 0")
    return matrix
