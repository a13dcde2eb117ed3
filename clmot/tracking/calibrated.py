"""Association by calibrated looks: the tracker for any detector, embedding and frame rate.

FairMOT adds a cosine distance, a Mahalanobis distance and an overlap with fixed weights, and compares the sum with a
fixed threshold. What such a number means differs from embedding to embedding, and a pair that overlaps nothing can
hardly ever be cheap enough. Here a look is *evidence* in nats, read off the film so far (`LookEvidence`; nothing of the
future), and place is evidence of the same kind:

1. Tracks, and those lost for at most `lost_seconds`, by overlap below `iou_threshold_alone`, less `look_weight` a nat.
2. Confirmed tracks that are left, those lost for `refind_seconds` more too, by looks and place alone: evidence above
   `refind_evidence`; with `reentry: new` those only who have not walked out of the view.
3. Tentative tracks by overlap, as 1.
4. With `second_pass`, weaker detections by overlap.

No step takes a pair against which looks speak with more than `look_veto`, or with more than they do in all but one of a
hundred sightings of one person, where that is more: an embedding that knows places cries wolf whenever a person has
moved, and a veto that is often wrong cuts more tracks than it keeps pure. Without embeddings, or with one that tells no
one apart, all evidence is 0: what is left is association by overlap alone, as `fairmot`'s without an embedding.

How far a box can be trusted is read off the film as well (`CoveredPeople`). Most detectors lose those who are covered,
and the box found at their place is another person's: the veto keeps tracks pure there, and a covered box starts no
track. Where covered people are found all the same, boxes say who is who better than a look at whoever stands in front
does, so the steps by overlap know no veto.

Two people who cross are the ones who swap, so what is hidden is not learnt: a box that is covered by one that stands
before it changes neither feature nor gallery. A track is known by two things: its smoothed feature, right for the next
frame, and its gallery, right for whoever was away. Both are calibrated apart, the second on looks at least
`AWAY_SECONDS` old, on pairs of which boxes alone leave no doubt, whatever looks say of them. Evidence goes over from
the one to the other as that time passes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clmot.params import TrackParams
from clmot.tracking import costs, kalman
from clmot.tracking.costs import Floats, Indices, Pairs
from clmot.tracking.detections import FrameDetections
from clmot.tracking.evidence import LARGEST, LookEvidence
from clmot.tracking.gallery import EVERY_SECONDS, Gallery
from clmot.tracking.tracker import Matches, Steps, Tracker
from clmot.tracking.tracks import TrackState, TrackTable
from clmot.tracking.view import View

HIDDEN_SHARE = 0.25
"""Share of a box covered by another, from which it shows two people."""
PRIOR_PEOPLE, PRIOR_MISSED = 10.0, 0.3
"""Before a film has shown anything: so many covered people, and the share of them that is missed."""
AWAY_SECONDS = 1.0
"""From then on a track is judged by its gallery alone."""
SAMPLE_SECONDS = 0.1
"""Between two calibrating frames: neighbouring ones say the same again."""
SURE_IOU, SURE_MARGIN = 0.3, 0.2
"""Overlap of a pair whose identity boxes alone settle, and how much more it is than that of either with anyone else."""
PLACE_SPREAD, WALKING_SPREAD = 0.3, 0.5
"""Standard deviation of where somebody is again: body heights, and body heights a second (half of a walking speed)."""
HEIGHT_SPREAD, HEIGHT_GROWTH = 0.15, 0.05
"""Standard deviation of the logarithm of a height seen again, and its growth a second."""
NEWCOMERS = 0.02
"""People who might be mistaken for it, per squared body height: one in seven by seven heights."""
NEWCOMER_HEIGHTS = 0.4
"""Standard deviation of the logarithm of their heights."""


class CoveredPeople:
    """How often people who were there a moment ago and are covered by others now are found by overlap."""

    def __init__(self) -> None:
        """Before the first frame."""
        self._there, self._missed = PRIOR_PEOPLE, PRIOR_PEOPLE * PRIOR_MISSED

    def count(self, there: int, missed: int) -> None:
        """`missed` of `there` covered people overlapped nothing that could be them."""
        self._there += there
        self._missed += missed

    @property
    def missed(self) -> float:
        """Share of them that is missed, 0..1."""
        return self._missed / self._there


class CalibratedTracker(Tracker):
    """Follows people through one video; see the module. It is used as `Tracker` is."""

    _looks_at_weak = True

    def __init__(self, params: TrackParams, frame_rate: float) -> None:
        """As `Tracker`."""
        super().__init__(params, frame_rate)
        self.frame_rate = frame_rate
        self.kept_frames = self.lost_frames + self.refind_frames
        self.gallery = Gallery(0)
        """The looks of `tracks`, in their order."""
        self.recent = LookEvidence()
        """Of cosine distances to a track's smoothed feature."""
        self.away = LookEvidence()
        """Of mean distances to a track's gallery."""
        self.covered = CoveredPeople()
        self.view = View()
        self._hidden: NDArray[np.bool_] = np.zeros(0, bool)

    def _usable(
        self, boxes: ArrayLike, scores: ArrayLike, embeddings: ArrayLike | None
    ) -> tuple[FrameDetections, FrameDetections | None]:
        """As in `Tracker`; weak detections have their embeddings too."""
        detections, weak = super()._usable(boxes, scores, embeddings)
        corners = detections.corners if weak is None else np.concatenate((detections.corners, weak.corners))
        self._hidden = covered_share(corners)[: len(detections)] >= HIDDEN_SHARE
        self.view.see(corners)
        return detections, weak

    def _associated(self, table: TrackTable, detections: FrameDetections, weak: FrameDetections | None) -> Matches:
        params, state, corners = self.params, table.state, table.corners()
        self.gallery.follow(table.identity, table.feature, self.frame - self.passed)
        overlaps = costs.overlapping_pairs(corners, detections.corners, 1.0, self._extra_pixel)
        steps = Steps(len(detections))
        confirmed = state != TrackState.TENTATIVE
        near = np.nonzero(confirmed & (self.frame - table.last_frame <= self.lost_frames))[0]
        limit = params.iou_threshold_alone
        pairs = self._overlapping(table, overlaps, near, detections, steps.free, limit)
        left = steps.match(near, pairs, limit)
        self._count_covered(table, corners, near, steps.rows[0])
        self._calibrate(table, overlaps, detections)
        if self.away.ready and detections.embedding is not None:
            apart = confirmed.copy()
            apart[steps.rows[0]] = False
            apart = self._may_return(table, np.nonzero(apart)[0])
            pairs = self._reappearing(table, apart, detections, steps.free)
            steps.match(apart, pairs, -params.refind_evidence)
            left = left[~np.isin(left, steps.rows[1])] if len(steps.rows[1]) else left
        left = left[state[left] == TrackState.TRACKED]
        tentative = np.nonzero(~confirmed)[0]
        limit = params.unconfirmed_threshold
        pairs = self._overlapping(table, overlaps, tentative, detections, steps.free, limit)
        steps.match(tentative, pairs, limit)
        limit = params.second_pass_threshold
        if weak is None:
            return steps.ended(left, Pairs.none(), 0, limit)
        every = np.arange(len(weak))
        overlaps = costs.overlapping_pairs(corners, weak.corners, 1.0, self._extra_pixel)
        return steps.ended(left, self._overlapping(table, overlaps, left, weak, every, limit), len(weak), limit)

    def _overlapping(
        self,
        table: TrackTable,
        overlaps: Pairs,
        rows: Indices,
        detections: FrameDetections,
        cols: Indices,
        limit: float,
    ) -> Pairs:
        """Pairs of tracks `rows` (n,) and detections `cols` (m,), as places in these lists, by overlap and looks.

        `overlaps` are all pairs of the table and the detections that overlap, with their IoU distance.
        """
        pairs = overlaps.below(limit).among(rows, cols, (len(table), len(detections)))
        if detections.embedding is None or not len(pairs.rows):
            return pairs
        nats = self._evidence(table, rows[pairs.rows], detections.embedding, cols[pairs.cols])
        cost = pairs.costs - self.params.look_weight * nats
        allowed = (nats >= -self._veto) | self._boxes_tell
        return Pairs(pairs.rows[allowed], pairs.cols[allowed], cost[allowed])

    @property
    def _veto(self) -> float:
        """Nats of looks against a pair beyond which it is refused: `look_veto`, or what one person's seldom have."""
        return max(self.params.look_veto, self.recent.innocent, self.away.innocent)

    @property
    def _boxes_tell(self) -> bool:
        """Whether covered people are found, so that a box where one was is that person's."""
        return self.covered.missed < self.params.covered_missed

    def _count_covered(self, table: TrackTable, corners: Floats, near: Indices, matched: Indices) -> None:
        """Look at the tracks `near` (n,) that were seen in the update before; `matched` (S,) are those found again."""
        before = self.frame - self.passed
        seen = near[(table.state[near] == TrackState.TRACKED) & (table.last_frame[near] == before)]
        covered = seen[covered_share(corners[seen]) >= HIDDEN_SHARE]
        self.covered.count(len(covered), int((~np.isin(covered, matched)).sum()))

    def _may_return(self, table: TrackTable, rows: Indices) -> Indices:
        """Those of the tracks `rows` (n,) that may be found again away from where overlap would find them."""
        if self.params.reentry == "same":
            return rows
        mean, frames = table.mean[rows], self.frame - table.last_frame[rows]
        last = mean[:, :2] - frames[:, None] * mean[:, 4:6]
        return rows[~self.view.left(last, mean[:, 4:6], frames / self.frame_rate, self.frame_rate)]

    def _reappearing(self, table: TrackTable, rows: Indices, detections: FrameDetections, cols: Indices) -> Pairs:
        """Pairs of tracks `rows` (n,) and detections `cols` (m,) by looks and place; the cost is minus the evidence."""
        assert detections.embedding is not None
        params = self.params
        place = self._place(table, rows, detections.measured[cols])  # (n, m)
        at, to = np.nonzero(place > params.refind_evidence - params.refind_trust * LARGEST)
        nats = self._evidence(table, rows[at], detections.embedding, cols[to])
        total = place[at, to] + params.refind_trust * nats
        found = (total > params.refind_evidence) & (nats > params.refind_looks)
        return Pairs(at[found], to[found], -total[found])

    def _evidence(self, table: TrackTable, rows: Indices, embedding: NDArray[np.float32], cols: Indices) -> Floats:
        """What looks say, in nats (P,), for pairs of tracks `rows` (P,) and `embedding[cols]` (P, D), of length 1."""
        if not len(rows):
            return np.zeros(0)
        distance = costs.aligned_cosine_distance(table.feature, embedding, rows, cols)
        nats, apart = self.recent(distance), distance == 1  # as from a zero vector, which is no embedding
        share = np.minimum((self.frame - table.last_frame[rows]) / (AWAY_SECONDS * self.frame_rate), 1)
        if self.away.ready:
            place = self.gallery.place[rows]
            distance = costs.aligned_cosine_distance(self.gallery.mean, embedding, place, cols)
            away = np.where(self.gallery.known(place), self.away(distance), nats)
            nats = (1 - share) * nats + share * away
        else:
            nats = (1 - share) * nats
        if apart.any():
            nats[apart & ~(_any(table.feature)[rows] & _any(embedding)[cols])] = 0
        return nats

    def _place(self, table: TrackTable, rows: Indices, measured: Floats) -> Floats:
        """Logarithm of how much denser a track is expected at a place, than newcomers are: nats (n, m).

        Somebody out of sight may have walked on as before, or stayed: the nearer of both counts.

        Args:
            table: predicted tracks; `rows` (n,) of them.
            measured: (m, 4) x, y, aspect, height.
        """
        mean = table.mean[rows]
        frames = (self.frame - table.last_frame[rows])[:, None]  # (n, 1)
        seconds = frames / self.frame_rate
        expected, height = mean[:, :2], mean[:, 3:4]
        stayed = expected - frames * mean[:, 4:6]
        scale = height * measured[:, 3]  # (n, m): squared mean height
        moved = [((measured[:, :2] - at[:, None]) ** 2).sum(axis=2) for at in (expected, stayed)]
        return place_evidence(np.minimum(*moved) / scale, np.log(measured[:, 3] / height), seconds)

    def _calibrate(self, table: TrackTable, overlaps: Pairs, detections: FrameDetections) -> None:
        """Learn from those who were seen a moment ago and of whom overlap leaves no doubt who they are now.

        Looks have no say in that: pairs that the veto refused teach how often it is wrong.
        """
        embedding, before = detections.embedding, self.frame - self.passed
        every = max(1, round(SAMPLE_SECONDS * self.frame_rate))
        due = self.frame // every > before // every
        if embedding is None or not due or self.passed > AWAY_SECONDS * self.frame_rate:
            return
        rows, cols = _unrivalled(overlaps, (len(table), len(detections)))
        sure = (table.state[rows] == TrackState.TRACKED) & (table.last_frame[rows] == before)
        sure &= _any(embedding)[cols] & _any(table.feature)[rows]
        rows, looks = rows[sure], embedding[cols[sure]]
        mine = np.eye(len(rows), dtype=bool)
        distance = costs.cosine_distance(table.feature[rows], looks)
        self.recent.learn(distance[mine], distance[~mine])
        mean, known = self.gallery.mean_until(rows, self.frame - round(AWAY_SECONDS * self.frame_rate))
        distance = costs.cosine_distance(mean[known], looks)
        mine = mine[known]
        self.away.learn(distance[mine], distance[~mine])

    def _smoothed(
        self, table: TrackTable, detections: FrameDetections, rows: Indices, cols: Indices
    ) -> NDArray[np.float32]:
        """As in `Tracker`, but that hidden people are not learnt; the gallery learns as well."""
        if detections.embedding is None:
            return table.feature[rows]
        features = super()._smoothed(table, detections, rows, cols)
        # A track of one or two sightings knows nothing better yet.
        learns = ~self._hidden[cols] | (self.frame - table.first_frame[rows] < 2)
        features[~learns] = table.feature[rows[~learns]]
        every = max(1, round(EVERY_SECONDS * self.frame_rate))
        self.gallery.remember(rows[learns], detections.embedding[cols[learns]], self.frame, every)
        return features

    def _born(self, detections: FrameDetections, free: Indices, dimension: int) -> TrackTable:
        """As in `Tracker`; where covered people are often missed and looks may veto, a covered box is no new person."""
        if self.recent.against > self._veto and not self._boxes_tell:
            free = free[~self._hidden[free]]
        return super()._born(detections, free, dimension)

    def _seen(self, table: TrackTable, detections: FrameDetections, rows: Indices, cols: Indices) -> TrackTable:
        """As in `Tracker`; who was found by looks, away from where overlap would have, starts their motion anew."""
        after = super()._seen(table, detections, rows, cols)
        away = self.frame - table.last_frame[rows] > 1
        rows, cols = rows[away], cols[away]
        apart = costs.aligned_iou_distance(table.corners(rows), detections.corners[cols], self._extra_pixel)
        found = apart >= self.params.iou_threshold_alone
        if found.any():
            motion = kalman.initiate(detections.measured[cols[found]])
            after.mean[rows[found]], after.spread[rows[found]] = motion.mean, motion.spread
        return after

    def _possibly_one(self, table: TrackTable, feature: NDArray[np.float32], lost: Indices, pairs: Pairs) -> Pairs:
        """Two whose looks contradict each other are two, however close."""
        if not len(pairs.rows) or not feature.shape[1]:
            return pairs
        nats = self._evidence(table, lost[pairs.cols], feature, pairs.rows)
        one = nats >= -self._veto
        return Pairs(pairs.rows[one], pairs.cols[one], pairs.costs[one])

    def _remember(self, table: TrackTable, gone: NDArray[np.bool_]) -> None:
        """Nothing: who may be found again is kept among the tracks."""


def place_evidence(moved: Floats, growth: Floats, seconds: Floats) -> Floats:
    """Logarithm of how much denser someone is expected where they are seen again than newcomers are: nats.

    All three have shapes that broadcast to the result's.

    Args:
        moved: squared distance from where they are expected, in squared body heights.
        growth: logarithm of the height now over that of the last sighting.
        seconds: since then.
    """
    spread = PLACE_SPREAD + WALKING_SPREAD * seconds
    height_spread = HEIGHT_SPREAD + HEIGHT_GROWTH * seconds
    nats = -moved / (2 * spread**2) - np.log(2 * np.pi * spread**2 * NEWCOMERS)
    return np.asarray(nats - growth**2 / (2 * height_spread**2) + np.log(NEWCOMER_HEIGHTS / height_spread))


def _any(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of (N, D), of length 1 or 0, are embeddings: zeros are none."""
    return np.asarray(np.einsum("nd,nd->n", vectors, vectors) > 0)


def covered_share(corners: Floats) -> Floats:
    """Share (N,) of each box (N, 4) that the one covering most of it covers, of those that stand before it.

    On flat ground that is whose feet are lower in the image.
    """
    back, front = costs.crossing(corners, corners)
    before = corners[front, 3] > corners[back, 3]
    back, front = back[before], front[before]
    side = np.minimum(corners[back, 2:], corners[front, 2:]) - np.maximum(corners[back, :2], corners[front, :2])
    size = corners[back, 2:] - corners[back, :2]
    share = np.zeros(len(corners))
    np.maximum.at(share, back, side[:, 0] * side[:, 1] / (size[:, 0] * size[:, 1]))
    return share


def _unrivalled(pairs: Pairs, shape: tuple[int, int]) -> tuple[Indices, Indices]:
    """Rows and cols (S,) of pairs that overlap well, and so much more than either with others that none could be meant.

    Args:
        pairs: all that overlap, of `shape` (tracks, detections), with their IoU distance.
        shape: of the costs.
    """
    iou = 1 - pairs.costs
    best = np.argsort(iou, kind="stable")  # the best of each row, and of each column, is written last
    of_row, of_col = np.full(shape[0], -1), np.full(shape[1], -1)
    of_row[pairs.rows[best]] = of_col[pairs.cols[best]] = best
    place = np.arange(len(iou))
    own = (of_row[pairs.rows] == place) & (of_col[pairs.cols] == place)
    rival_row, rival_col = np.zeros(shape[0]), np.zeros(shape[1])
    np.maximum.at(rival_row, pairs.rows[~own], iou[~own])
    np.maximum.at(rival_col, pairs.cols[~own], iou[~own])
    rows, cols, iou = pairs.rows[own], pairs.cols[own], iou[own]
    sure = (iou > SURE_IOU) & (iou - np.maximum(rival_row[rows], rival_col[cols]) > SURE_MARGIN)
    return rows[sure], cols[sure]


def start_tracker(params: TrackParams, frame_rate: float) -> Tracker:
    """The tracker that `track.association` names, before the first frame."""
    kind = CalibratedTracker if params.association == "calibrated" else Tracker
    return kind(params, frame_rate)
