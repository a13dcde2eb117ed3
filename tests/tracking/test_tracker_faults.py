"""The original tracker's faults: each is seen in FairMOT's association as it was published, and not in ours.

So every test here would fail on the original, which the rival of the benchmark stands for.
"""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from moving_people import AXES, crowd, fixed_params, person, run

from benchmarks.fairmot import FairMOT
from clmot.tracking.tracker import Tracker

SHOWN = ([person(100)], AXES[:1])


@pytest.fixture(scope="module")
def params():
    return fixed_params()


def runs(tracker, frames):
    """As `run`, with identities counted from the first that is seen: the original's go on from tracker to tracker."""
    found = run(tracker, [None if frame is None else (frame[0], frame[1].copy()) for frame in frames])
    first = next((identities[0] for identities in found if identities), 1)
    return [[identity - first + 1 for identity in identities] for identities in found]


def test_fault_a_vector_per_detection_leaks_for_ever(params):
    """One person, seen in every frame: what is held must not grow."""

    def growth(tracker):
        run(tracker, [SHOWN] * 20)
        before = len(pickle.dumps(vars(tracker)))
        run(tracker, [SHOWN] * 200)
        return len(pickle.dumps(vars(tracker))) - before

    one_vector = AXES[:1].nbytes
    assert growth(FairMOT(params, 30)) > 200 * one_vector
    assert growth(Tracker(params, 30)) < one_vector


def test_fault_removed_tracks_are_kept_for_ever(params):
    """Another person in every frame, none of whom comes back."""
    params = dataclasses.replace(params, lost_seconds=0.1)

    def growth(tracker):
        def pass_by(frames):
            for at in range(frames):
                run(tracker, [([person(150 * (at % 8))], AXES[[at % 8]].copy())] * 2)

        pass_by(20)
        before = len(pickle.dumps(vars(tracker)))
        pass_by(200)
        return len(pickle.dumps(vars(tracker))) - before

    one_track = 8 * 8 * 8  # of which a covariance is the most
    assert growth(FairMOT(params, 30)) > 100 * one_track
    assert growth(Tracker(params, 30)) < one_track


def test_no_leak_in_a_crowd_that_comes_and_goes(params):
    """And nothing is kept alive by a view of it either, which is how a slice of one frame's embeddings can leak."""

    def held(tracker):
        columns = [*vars(tracker.tracks).values(), *vars(tracker.memory).values()]
        return sum((c if c.base is None else c.base).nbytes for c in columns), len(vars(tracker))

    tracker = Tracker(dataclasses.replace(params, lost_seconds=0.2), 30)
    sizes, lives = [], []
    for frame, (boxes, scores, embeddings) in enumerate(crowd(2, 15, 300, miss=0.3, false=8)):
        tracker.update(boxes, scores, embeddings)
        if frame >= 20:
            sizes.append(held(tracker)[0])
            lives.append(len(tracker.tracks))
            assert held(tracker)[1] == held(Tracker(params, 30))[1]
    assert tracker._next_identity > 700
    assert max(lives) < 15 * 4
    assert np.mean(sizes[140:]) <= 1.1 * np.mean(sizes[:140])


def test_fault_identities_go_on_across_sequences(params):
    frames = [([person(0), person(300)], AXES[:2])]

    def two_videos(tracker_class):
        return [run(tracker_class(params, 30), [(frames[0][0], AXES[:2].copy())]) for _ in range(2)]

    first, second = two_videos(FairMOT)
    assert first != second
    assert two_videos(Tracker) == [[[1, 2]]] * 2


@pytest.mark.parametrize(("frame_rate", "seconds", "limit"), [(30, 1.0, 30), (14, 1.0, 14), (30, 0.1, 3), (7, 0, 0)])
def test_fault_a_track_is_dropped_one_frame_late(params, frame_rate, seconds, limit):
    params = dataclasses.replace(params, lost_seconds=seconds)
    in_time, too_late = ([SHOWN] * 5 + [None] * missed + [SHOWN] for missed in (limit, limit + 1))
    assert runs(FairMOT(params, frame_rate), too_late)[-1] == [1]
    assert runs(Tracker(params, frame_rate), in_time)[-1] == [1]
    tracker = Tracker(params, frame_rate)
    run(tracker, too_late[:-1])
    assert len(tracker.tracks) == 0
    assert run(tracker, [SHOWN, SHOWN]) == [[], [2]]


def test_fault_a_track_dropped_late_is_never_trusted_again(params):
    """Found in the frame it should not be there for, it is gone at its next miss, however short."""
    params = dataclasses.replace(params, lost_seconds=0.1)
    late = [SHOWN] * 5 + [None] * 4 + [SHOWN] * 10
    assert runs(FairMOT(params, 30), [*late, None, SHOWN])[-3:] == [[1], [], []]
    assert runs(Tracker(params, 30), [*late, None, SHOWN])[-3:] == [[2], [], [2]]
    again_and_again = [SHOWN] + ([None] * 3 + [SHOWN]) * 5
    assert [found for found in runs(Tracker(params, 30), again_and_again) if found] == [[1]] * 6


def test_fault_inputs_are_normalised_in_place(params):
    def given():
        return [np.array([person(0)]), np.array([0.9]), 5 * AXES[:1].astype(np.float32)]

    theirs, ours = given(), given()
    FairMOT(params, 30).update(*theirs)
    assert theirs[2].max() == 1
    tracker = Tracker(params, 30)
    for _ in range(3):
        tracks = tracker.update(*ours)
    for array, before in zip(ours, given(), strict=True):
        np.testing.assert_array_equal(array, before)
    # Nor does a change of what was given or got change the tracker.
    for array in (tracks.boxes, *ours):
        array[:] = 0
    assert tracker.tracks.mean[0, 3] == pytest.approx(100)
    assert tracker.tracks.feature[0].max() == pytest.approx(1)


def test_fault_a_zero_vector_becomes_nan(params):
    boxes, nothing = [person(0), person(300)], np.zeros((2, 8))
    original = FairMOT(params, 30)
    with np.errstate(invalid="ignore"):
        original.update(boxes, [0.9, 0.9], nothing.copy())
    assert np.isnan([track.smooth for track in original.tracked]).all()
    tracker = Tracker(params, 30)
    frames = [(boxes, nothing), (boxes, nothing), (boxes, AXES[:2]), (boxes, nothing)]
    assert run(tracker, frames) == [[1, 2]] * 4
    np.testing.assert_allclose(tracker.tracks.feature, AXES[:2], atol=1e-6)


def test_fault_scores_are_written_as_1(params):
    boxes, scores = [person(0), person(300)], [0.9, 0.7]
    assert FairMOT(params, 30).update(boxes, scores, AXES[:2].copy()).scores.tolist() == [1, 1]
    tracker = Tracker(params, 30)
    assert tracker.update(boxes, scores, AXES[:2]).scores.tolist() == scores
    tracks = tracker.update(boxes[::-1], [0.6, 0.45], AXES[[1, 0]])
    assert tracks.scores.tolist() == [0.45, 0.6]
