"""Time that passes irregularly: what prediction and the life of tracks make of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from clmot.params import TrackParams
from clmot.tracking import kalman
from clmot.tracking.calibrated import CalibratedTracker, start_tracker
from clmot.tracking.tracker import Tracker


def walking() -> kalman.Motion:
    """Two people seen twice, of a height that does not change."""
    motion = kalman.initiate(np.array([[50.0, 60, 0.4, 100], [200, 80, 0.5, 40]]))
    motion = kalman.update(kalman.predict(motion), np.array([[53.0, 60, 0.4, 100], [196, 81, 0.5, 40]]))
    motion.mean[:, 7] = 0
    return motion


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 30])
def test_many_frames_at_once_are_one_after_another(frames: int) -> None:
    once = kalman.predict(walking(), float(frames))
    each = walking()
    for _ in range(frames):
        each = kalman.predict(each)
    np.testing.assert_allclose(once.mean, each.mean, rtol=1e-12)
    np.testing.assert_allclose(once.spread, each.spread, rtol=1e-9)


def test_uncertainty_grows_with_time_and_stays_one() -> None:
    before = walking()
    for elapsed in (0.25, 0.5, 1.0, 1.3, 2.0, 4.5):
        after = kalman.predict(walking(), elapsed)
        assert (after.spread[:, 0] > before.spread[:, 0]).all(), elapsed
        assert (after.spread[:, 0] * after.spread[:, 2] >= after.spread[:, 1] ** 2).all(), elapsed
        before = after


def person(frame: int) -> list[list[float]]:
    return [[10.0 + 9 * frame, 10, 40 + 9 * frame, 110]]


@pytest.mark.parametrize("association", ["fairmot", "calibrated"])
def test_who_runs_through_missing_frames_is_followed_where_the_time_is_told(association: str) -> None:
    """Nine pixels a frame at a width of 30: after a gap of six frames nothing overlaps but what was predicted."""
    params = TrackParams(association=association, confidence=0.3, new_track_confidence=0.5)
    seen = [*range(1, 12), 17, 18]
    told, untold = start_tracker(params, 30), start_tracker(params, 30)
    for before, frame in zip([0, *seen], seen, strict=False):
        with_time = told.update(person(frame), [0.9], elapsed=frame - before)
        without = untold.update(person(frame), [0.9])
    assert with_time.identities.tolist() == [1]
    assert without.identities.tolist() != [1]


def test_a_lost_track_has_its_seconds_however_many_frames_come() -> None:
    tracker = Tracker(TrackParams(association="fairmot", lost_seconds=1.0, new_track_confidence=0.5), 10)
    still = [[10, 10, 50, 120]]
    tracker.update(still, [0.9])
    tracker.update(still, [0.9])
    tracker.update([], [], elapsed=4)
    assert tracker.update(still, [0.9], elapsed=5).identities.tolist() == [1]
    tracker.update([], [], elapsed=11)
    assert tracker.update(still, [0.9]).identities.tolist() == []


@pytest.mark.parametrize("step", [1, 2, 3])
def test_looks_are_calibrated_where_frames_are_left_out(step: int) -> None:
    """Two people side by side, each with looks of their own: what tells them apart is learnt at any step."""
    random = np.random.default_rng(0)
    middle = random.standard_normal((2, 8))
    tracker = CalibratedTracker(TrackParams(association="calibrated"), 10)
    for frame in range(1, 120, step):
        boxes = [[10 + frame, 10, 50 + frame, 110], [300 + frame, 10, 340 + frame, 110]]
        looks = middle + 0.2 * random.standard_normal((2, 8))
        tracker.update(boxes, [0.9, 0.9], looks, elapsed=step if frame > 1 else 1)
    assert tracker.recent.ready
    assert tracker.recent(np.array([0.0]))[0] > 1 > -1 > tracker.recent(np.array([1.5]))[0]


def test_looks_after_seconds_calibrate_nothing() -> None:
    """What is found again then is not sure to be the same person."""
    tracker = CalibratedTracker(TrackParams(association="calibrated"), 10)
    for _ in range(60):
        tracker.update([[10, 10, 50, 110], [300, 10, 340, 110]], [0.9, 0.9], np.eye(2), elapsed=15)
    assert not tracker.recent.ready


def test_parts_of_frames_add_up() -> None:
    tracker = Tracker(TrackParams(), 30)
    for _ in range(20):
        tracker.update([], [], elapsed=1.5)
    assert tracker.frame == 30


@pytest.mark.parametrize("elapsed", [0.0, -1.0, float("nan"), float("inf")])
def test_time_that_does_not_pass_is_refused(elapsed: float) -> None:
    tracker = Tracker(TrackParams(), 30)
    with pytest.raises(ValueError, match="time since the last frame"):
        tracker.update([], [], elapsed=elapsed)
    assert tracker.frame == 0


def test_params_have_the_default_profiles_values() -> None:
    assert dataclasses.replace(TrackParams(), confidence=0.9) == TrackParams(confidence=0.9)
