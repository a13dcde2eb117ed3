"""The life of tracks: what each situation does, hostile input, and a plain second implementation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from moving_people import AXES, crowd, fixed_params, names_in_another_order, person, run

from benchmarks.fairmot import FairMOT
from clmot.tracking import costs, kalman
from clmot.tracking.boxes import to_corners, to_xyah
from clmot.tracking.tracker import Tracker, TrackState


@pytest.fixture(scope="module")
def params():
    return fixed_params()


# A life, step by step.


def test_the_first_frames_people_are_confirmed_at_once_and_later_ones_when_seen_again(params):
    tracker = Tracker(params, 30)
    first = ([person(0)], AXES[:1])
    both = ([person(0), person(300)], AXES[:2])
    assert run(tracker, [first, both, both]) == [[1], [1], [1, 2]]


def test_an_empty_first_frame_confirms_nobody_of_the_second(params):
    both = ([person(0), person(300)], AXES[:2])
    assert run(Tracker(params, 30), [None, both, both]) == [[], [], [1, 2]]


def test_a_tentative_track_that_is_missed_once_is_gone(params):
    tracker = Tracker(params, 30)
    first = ([person(0)], AXES[:1])
    both = ([person(0), person(300)], AXES[:2])
    assert run(tracker, [first, both, first]) == [[1], [1], [1]]
    assert len(tracker.tracks) == 1
    assert run(tracker, [both, both])[-1] == [1, 3]  # a new person as far as anyone can tell


def test_states(params):
    tracker = Tracker(params, 30)
    tracker.update([person(0)], [0.9], AXES[:1])
    assert tracker.tracks.state.tolist() == [TrackState.TRACKED]
    tracker.update([person(300)], [0.9], AXES[1:2])
    assert tracker.tracks.state.tolist() == [TrackState.LOST, TrackState.TENTATIVE]
    tracker.update([person(300)], [0.9], AXES[1:2])
    assert tracker.tracks.state.tolist() == [TrackState.LOST, TrackState.TRACKED]


def test_a_lost_track_is_found_by_its_looks_and_not_by_overlap(params):
    shown, other = ([person(100)], AXES[:1]), ([person(100)], AXES[1:2])
    assert run(Tracker(params, 30), [shown, None, None, shown]) == [[1], [], [], [1]]
    # Someone else at the same place starts again; the older, lost track is the one that stays as a duplicate.
    far = dataclasses.replace(params, duplicate_threshold=0.0)
    assert run(Tracker(far, 30), [shown, None, other, other]) == [[1], [], [], [2]]


def test_a_tracked_person_that_looks_different_is_held_by_overlap(params):
    assert run(Tracker(params, 30), [([person(100)], AXES[:1]), ([person(102)], AXES[1:2])]) == [[1], [1]]


def test_looks_do_not_carry_beyond_the_motion_gate(params):
    frames = [([person(100)], AXES[:1])] * 3 + [([person(600)], AXES[:1])] * 2
    assert run(Tracker(params, 30), frames) == [[1], [1], [1], [], [2]]


def test_looks_keep_crossing_people_apart(params):
    """Two people swap places between two frames, less than a gate apart: only embeddings can tell."""
    apart = dataclasses.replace(params, embedding="none")
    frames = [([person(100), person(108)], AXES[:2])] * 3 + [([person(108), person(100)], AXES[:2])]
    by_looks, by_overlap = Tracker(params, 30), Tracker(apart, 30)
    run(by_looks, frames[:-1])
    run(by_overlap, frames[:-1])
    looks = by_looks.update(frames[-1][0], [0.9, 0.9], frames[-1][1])
    overlap = by_overlap.update(frames[-1][0], [0.9, 0.9], frames[-1][1])
    assert looks.detections.tolist() == [0, 1]
    assert overlap.detections.tolist() == [1, 0]


def test_overlap_keeps_neighbours_apart_whose_looks_deceive(params):
    """In one frame two neighbours look like each other, by a little more than like themselves."""
    deceived = np.array([[0.6, 0.8], [0.8, 0.6]])
    shown = [([person(100), person(120)], np.eye(2))] * 3 + [([person(101), person(121)], deceived)]
    loose = dataclasses.replace(params, match_threshold=0.7)
    for overlap_weight, expected in ((0.0, [1, 0]), (0.4, [0, 1])):
        tracker = Tracker(dataclasses.replace(loose, overlap_weight=overlap_weight), 30)
        run(tracker, shown[:-1])
        assert tracker.update(shown[-1][0], [0.9, 0.9], shown[-1][1]).detections.tolist() == expected


def test_a_lost_track_that_overlaps_nothing_is_still_found_by_its_looks(params):
    weighted = dataclasses.replace(params, overlap_weight=0.4, match_threshold=0.7, lost_seconds=2.0)
    frames = [([person(100)], AXES[:1])] * 3 + [None] * 20 + [([person(145)], AXES[:1])]
    assert run(Tracker(weighted, 30), frames)[-1] == [1]


class OverEveryPair(Tracker):
    """The first matching's cost as params.yaml writes it, for all pairs and without a shortcut."""

    def _fused(self, table, corners, rows, detections, limit):
        motion, overlap = self.params.motion_weight, self.params.overlap_weight
        projected, variance = kalman.project(table.motion(rows))
        gap = kalman.squared_mahalanobis(projected[:, None], variance[:, None], detections.measured[None])
        looks = costs.cosine_distance(table.feature[rows], detections.embedding)
        apart = costs.iou_distance(corners[rows], detections.corners, float(self.params.inclusive_pixels))
        cost = (1 - overlap) * (motion * looks + (1 - motion) * gap) + overlap * apart
        inside = np.nonzero(gap <= self._gate)
        return costs.Pairs(*inside, cost[inside])


@pytest.mark.parametrize("overlap_weight", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("motion_weight", [0.9, 1.0])
def test_shortcuts_change_nobodys_identity(params, overlap_weight, motion_weight):
    weighted = dataclasses.replace(
        params, overlap_weight=overlap_weight, motion_weight=motion_weight, match_threshold=0.6
    )
    ours, plain = Tracker(weighted, 30), OverEveryPair(weighted, 30)
    for frame in crowd(3, 40, 60, miss=0.2, noise=0.4, size=(400, 300)):
        a, b = ours.update(*frame), plain.update(*frame)
        np.testing.assert_array_equal(a.identities, b.identities)
        np.testing.assert_array_equal(a.detections, b.detections)


def test_without_embeddings_lost_tracks_are_found_by_overlap(params):
    frames = [([person(100)], None), None, None, ([person(101)], None)]
    assert run(Tracker(params, 30), frames) == [[1], [], [], [1]]


def test_the_embedding_switch_makes_embeddings_irrelevant(params):
    off = dataclasses.replace(params, embedding="none")
    with_them, without = Tracker(off, 30), Tracker(off, 30)
    for boxes, scores, embeddings in crowd(1, 15, 40):
        a, b = with_them.update(boxes, scores, embeddings), without.update(boxes, scores)
        np.testing.assert_array_equal(a.identities, b.identities)
        np.testing.assert_array_equal(a.boxes, b.boxes)


def test_embeddings_may_be_absent_in_some_frames(params):
    tracker = Tracker(params, 30)
    shown = ([person(100), person(300)], AXES[:2])
    bare = ([person(101), person(301)], None)
    assert run(tracker, [bare, bare, shown, bare, shown]) == [[1, 2]] * 5
    np.testing.assert_allclose(tracker.tracks.feature, AXES[:2], atol=1e-6)


def test_weak_detections_continue_tracks_but_start_none(params):
    tracker = Tracker(params, 30)
    tracker.update([person(0)], [0.9], AXES[:1])
    tracks = tracker.update([person(1), person(300), person(600)], [0.45, 0.45, 0.1], AXES[:3])
    assert tracks.identities.tolist() == [1]
    assert len(tracker.tracks) == 1
    assert tracker.update([person(2)], [0.39], AXES[:1]).identities.tolist() == []


def test_a_lost_track_stops_growing(params):
    """What is out of sight keeps its height, though it moves on."""
    tracker = Tracker(params, 30)
    for step in range(10):
        tracker.update([person(100 + 4 * step, 100, 80 + 4 * step)], [0.9], AXES[:1])
    tracker.update([], [], None)
    assert tracker.tracks.mean[0, 7] > 1  # missed now: predicted while it still counted as tracked
    height = tracker.tracks.mean[0, 3]
    tracker.update([], [], None)
    assert tracker.tracks.mean[0, 3] == height
    assert tracker.tracks.mean[0, 0] > 150


def test_duplicates_leave_the_older_track(params):
    """A new track starts where an older one was just lost: the new one goes, the older is found again."""
    a, b = AXES[:1], AXES[1:2]
    # Without the second step, a change of looks breaks the track.
    tracker = Tracker(dataclasses.replace(params, iou_threshold=0.0), 30)
    assert run(tracker, [([person(100)], a)] * 5)[-1] == [1]
    assert run(tracker, [([person(100)], b)]) == [[]]
    assert tracker.tracks.identity.tolist() == [1]  # the new, tentative one was its duplicate
    assert run(tracker, [([person(100)], a)]) == [[1]]


def test_only_people_shaped_boxes_of_some_size_are_reported(params):
    boxes = [person(0), [100, 100, 200, 150], [300, 300, 305, 309]]
    tracker = Tracker(params, 30)
    assert tracker.update(boxes, [0.9] * 3, AXES[:3]).identities.tolist() == [1]
    assert len(tracker.tracks) == 3  # followed all the same: a box may grow


def test_results_are_the_smoothed_boxes_and_point_to_their_detections(params):
    tracker = Tracker(params, 30)
    tracker.update([person(0), person(300)], [0.9, 0.9], AXES[:2])
    tracks = tracker.update([person(500), person(304), person(2)], [0.6, 0.7, 0.8], AXES[[2, 1, 0]])
    assert tracks.identities.tolist() == [1, 2]
    assert tracks.detections.tolist() == [2, 1]
    motion = kalman.predict(kalman.initiate(to_xyah(np.array([person(0), person(300)]))))
    expected = kalman.update(motion, to_xyah(np.array([person(2), person(304)])))
    np.testing.assert_allclose(tracks.boxes, to_corners(expected.mean[:, :4]), rtol=1e-12)


# Ordinary extremes and bad input.


@pytest.mark.parametrize("embeddings", [True, False])
def test_frames_without_detections(params, embeddings):
    tracker = Tracker(params, 30)
    for _ in range(3):
        tracks = tracker.update(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 8)) if embeddings else None)
        assert len(tracks) == 0
    assert tracks.boxes.shape == (0, 4)


def test_boxes_without_area_are_ignored(params):
    boxes = [person(0), [50, 50, 50, 90], [90, 50, 60, 90], [200, 200, 240, 200]]
    assert Tracker(params, 30).update(boxes, [0.9] * 4, AXES[:4]).identities.tolist() == [1]


def test_identical_boxes_with_identical_looks(params):
    tracker = Tracker(params, 30)
    for _ in range(5):
        tracks = tracker.update([person(0)] * 6, [0.9] * 6, AXES[[0] * 6])
        assert len(set(tracks.identities.tolist())) == len(tracks) == 6
        assert sorted(tracks.detections.tolist()) == list(range(6))


def test_three_hundred_people(params):
    tracker = Tracker(params, 30)
    for boxes, scores, embeddings in crowd(3, 300, 5, size=(1900, 1000)):
        tracks = tracker.update(boxes, np.maximum(scores, 0.6), embeddings)
    assert len(tracks) > 200


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["boxes", "scores", "embeddings"])
def test_numbers_that_are_none_are_refused_and_change_nothing(params, bad, place):
    tracker = Tracker(params, 30)
    tracker.update([person(0)], [0.9], AXES[:1])
    frame = {
        "boxes": np.array([person(0), person(300)]),
        "scores": np.array([0.9, 0.9]),
        "embeddings": AXES[:2].copy(),
    }
    frame[place].reshape(2, -1)[1, -1] = bad
    with pytest.raises(ValueError, match=f"{place} hold nan or inf, first in row 1 of frame 2"):
        tracker.update(**frame)
    assert tracker.frame == 1
    assert tracker.update([person(1)], [0.9], AXES[:1]).identities.tolist() == [1]


def test_shapes_that_do_not_fit_are_refused(params):
    tracker = Tracker(params, 30)
    with pytest.raises(ValueError, match=r"boxes should be \(N, 4\)"):
        tracker.update(np.zeros((2, 5)), [1, 1])
    with pytest.raises(ValueError, match="need scores of shape"):
        tracker.update([person(0)], [0.9, 0.8])
    with pytest.raises(ValueError, match="need embeddings of shape"):
        tracker.update([person(0)], [0.9], AXES[:2])
    tracker.update([person(0)], [0.9], AXES[:1])
    with pytest.raises(ValueError, match="embeddings had 8 numbers so far, now 5"):
        tracker.update([person(0)], [0.9], AXES[:1, :5])
    with pytest.raises(ValueError, match="frame rate"):
        Tracker(params, 0)


# Properties on crowds.


@pytest.mark.parametrize("use_embedding", [True, False])
def test_identities_are_unique_and_each_has_its_own_detection(params, use_embedding):
    tracker = Tracker(dataclasses.replace(params, embedding="network" if use_embedding else "none"), 30)
    for boxes, scores, embeddings in crowd(4, 60, 60, size=(400, 300), false=5):
        tracks = tracker.update(boxes, scores, embeddings)
        assert (np.diff(tracks.identities) > 0).all()
        assert len(np.unique(tracks.detections)) == len(tracks)
        np.testing.assert_array_equal(tracks.scores, scores[tracks.detections])
        assert (scores[tracks.detections] >= params.confidence).all()
        assert np.isfinite(tracks.boxes).all()
        state = tracker.tracks
        assert (np.diff(state.identity) > 0).all()
        assert np.isfinite(state.mean).all()
        assert (state.spread[:, [0, 2]] > 0).all()
        np.testing.assert_allclose(np.linalg.norm(state.feature, axis=1), use_embedding, atol=1e-5)


@pytest.mark.parametrize("use_embedding", [True, False])
def test_the_order_of_detections_does_not_matter(params, use_embedding):
    params = dataclasses.replace(params, embedding="network" if use_embedding else "none")
    assert len(names_in_another_order(params, crowd(5, 40, 60, size=(400, 300)), seed=0)) > 40


def test_the_same_detections_give_the_same_bytes(params):
    def tracked():
        tracker = Tracker(params, 30)
        return b"".join(
            column.tobytes() for frame in crowd(6, 40, 30) for column in vars(tracker.update(*frame)).values()
        )

    assert tracked() == tracked()


@pytest.mark.parametrize("people", [8, 30, 80])
def test_batched_equals_one_object_per_track(params, people):
    """FairMOT's association as published, with 8x8 covariances, whole matrices and lap, gives the same tracks.

    That is, once its faults are repaired: what `clmot.tracking.tracker` lists is all that differs.
    """
    params = dataclasses.replace(params, min_box_area=0, max_aspect=1e9, lost_seconds=0.3, inclusive_pixels=True)
    batched, plain = Tracker(params, 30), FairMOT(params, 30, repaired=True)
    for boxes, scores, embeddings in crowd(7, people, 40, size=(400, 250), miss=0.2, noise=0.6):
        ours, theirs = batched.update(boxes, scores, embeddings), plain.update(boxes, scores, embeddings)
        np.testing.assert_array_equal(ours.identities, theirs.identities)
        np.testing.assert_array_equal(ours.detections, theirs.detections)
        np.testing.assert_array_equal(ours.scores, theirs.scores)
        np.testing.assert_allclose(ours.boxes, theirs.boxes, rtol=1e-9, atol=1e-9)
    living = sorted(plain.tracked + plain.lost, key=lambda track: track.identity)
    assert batched.tracks.identity.tolist() == [track.identity for track in living]
    for at, track in enumerate(living):
        np.testing.assert_allclose(batched.tracks.mean[at], track.mean, rtol=1e-9, atol=1e-9)
        covariance = batched.tracks.motion([at]).covariance()[0]
        np.testing.assert_allclose(covariance, track.covariance, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(batched.tracks.feature[at], track.smooth, rtol=1e-4, atol=1e-5)


def test_where_nobody_comes_or_goes_the_tracks_are_fairmots_with_its_faults(params):
    """Nobody new after the first frame, no one lost for long: where its faults do not show there is no difference."""
    params = dataclasses.replace(params, confidence=0, new_track_confidence=1, inclusive_pixels=True)
    first = dataclasses.replace(params, new_track_confidence=0)
    ours, theirs = Tracker(first, 30), FairMOT(first, 30)
    names: dict[int, int] = {}  # theirs count on from tracker to tracker
    for boxes, scores, embeddings in crowd(8, 25, 60, miss=0.15, false=0):
        a, b = ours.update(boxes, scores, embeddings), theirs.update(boxes, scores, embeddings.copy())
        ours.params = theirs.params = params
        for mine, their in zip(a.identities.tolist(), b.identities.tolist(), strict=True):
            assert names.setdefault(mine, their) == their
        np.testing.assert_array_equal(a.detections, b.detections)
        np.testing.assert_allclose(a.boxes, b.boxes, rtol=1e-9, atol=1e-9)
    assert len(set(names.values())) == len(names) > 15
