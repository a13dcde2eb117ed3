"""The switches of association: the second pass, identities found again, and that switched off they change no bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_people import AXES, crowd, fixed_params, names_in_another_order, person, run

from clmot.tracking import memory as memory_module
from clmot.tracking.memory import Memory
from clmot.tracking.tracker import Tracker, TrackState

RECORDED = Path(__file__).parents[1] / "recorded" / "tracks_with_all_switches_off.npz"
EVERYTHING = {"second_pass": True, "camera_motion": True, "refind_seconds": 5.0}


@pytest.fixture(scope="module")
def params():
    return fixed_params()


def bytes_of(tracker, frames, **arguments):
    return b"".join(
        column.tobytes() for frame in frames for column in vars(tracker.update(*frame, **arguments)).values()
    )


# Switched off.


def whole_number_crowd(people=14, frames=90, dimension=8):
    """Boxes and embeddings from whole numbers only, so that every machine draws the same."""
    rng = np.random.default_rng(11)
    size, ghost = np.array([500, 300]), np.array([40, 90])
    centre = rng.integers(0, size, (people, 2)) * 1.0
    speed = rng.integers(-24, 25, (people, 2)) / 8
    height = rng.integers(60, 140, people)
    looks = rng.integers(-8, 9, (people, dimension))
    for _ in range(frames):
        centre = centre + speed
        speed = np.where((centre < 0) | (centre > size), -speed, speed)
        half = np.stack((height // 5, height // 2), axis=1)
        boxes = np.concatenate((centre - half, centre + half), axis=1)
        boxes = boxes + rng.integers(-16, 17, (people, 4)) / 8
        seen = rng.integers(0, 100, people) >= 15
        ghosts = int(rng.integers(0, 4))
        corner = rng.integers(0, size, (ghosts, 2))
        noise = rng.integers(-3, 4, (people, dimension))
        embeddings = np.concatenate(((looks + noise)[seen], rng.integers(-8, 9, (ghosts, dimension))))
        boxes = np.concatenate((boxes[seen], np.concatenate((corner, corner + ghost), axis=1)))
        yield boxes, rng.integers(5, 101, len(boxes)) / 100, embeddings


@pytest.mark.parametrize("use_embedding", [True, False])
def test_switched_off_the_tracks_are_those_recorded_before_there_were_switches(params, use_embedding):
    """Bit for bit: identities, detections, boxes and scores of 90 frames, as the tracker gave them then."""
    name = "with_embedding" if use_embedding else "without_embedding"
    tracker = Tracker(
        dataclasses.replace(params, embedding="network" if use_embedding else "none", lost_seconds=0.5), 30
    )
    rows = []
    for frame, detections in enumerate(whole_number_crowd(), start=1):
        tracks = tracker.update(*detections)
        ids = np.full(len(tracks), frame), tracks.identities, tracks.detections
        rows.append(np.column_stack((*ids, tracks.boxes, tracks.scores)))
    with np.load(RECORDED) as recorded:
        np.testing.assert_array_equal(np.concatenate(rows), recorded[name])


def test_switched_off_their_thresholds_mean_nothing(params):
    others = dataclasses.replace(params, second_pass_confidence=0.0, second_pass_threshold=1.0, refind_threshold=2.0)
    frames = list(crowd(1, 20, 60, miss=0.3))
    assert bytes_of(Tracker(others, 30), frames) == bytes_of(Tracker(params, 30), frames)
    tracker = Tracker(params, 30)
    bytes_of(tracker, frames)
    assert len(tracker.memory) == 0


def test_a_camera_that_stands_still_changes_no_bit(params):
    frames = list(crowd(1, 20, 40))
    still = bytes_of(Tracker(params, 30), frames, camera=np.eye(2, 3))
    assert still == bytes_of(Tracker(params, 30), frames)


def test_a_second_pass_without_weak_detections_changes_no_bit(params):
    frames = [(boxes, np.maximum(scores, 0.4), looks) for boxes, scores, looks in crowd(1, 20, 40)]
    second = dataclasses.replace(params, second_pass=True)
    assert bytes_of(Tracker(second, 30), frames) == bytes_of(Tracker(params, 30), frames)


# Properties that hold with every combination of switches.


switched = st.fixed_dictionaries(
    {
        "embedding": st.sampled_from(["network", "none"]),
        "second_pass": st.booleans(),
        "refind_seconds": st.sampled_from([0.0, 0.5, 5.0]),
        "inclusive_pixels": st.booleans(),
        "lost_seconds": st.sampled_from([0.0, 0.1, 0.5]),
    }
)


@settings(max_examples=25, deadline=None)
@given(switched, st.integers(0, 2**16), st.integers(0, 12))
def test_no_combination_gives_an_identity_or_a_detection_twice(switches, seed, people):
    params = fixed_params(**switches, refind_threshold=0.6)
    tracker = Tracker(params, 30)
    lowest = params.second_pass_confidence if params.second_pass else params.confidence
    for boxes, scores, embeddings in crowd(seed, people, 25, miss=0.4, noise=0.6, false=1, size=(300, 200)):
        tracks = tracker.update(boxes, scores, embeddings)
        assert (np.diff(tracks.identities) > 0).all()
        assert len(np.unique(tracks.detections)) == len(tracks)
        np.testing.assert_array_equal(tracks.scores, scores[tracks.detections])
        assert (tracks.scores >= lowest).all()
        assert np.isfinite(tracks.boxes).all()
        living = tracker.tracks.identity
        assert (np.diff(living) > 0).all()
        assert not set(living.tolist()) & set(tracker.memory.identity.tolist())
        assert len(np.unique(tracker.memory.identity)) == len(tracker.memory)


@settings(max_examples=25, deadline=None)
@given(switched, st.integers(0, 2**16))
def test_the_order_of_detections_changes_no_track(switches, seed):
    params = fixed_params(**switches, refind_threshold=0.6)
    names_in_another_order(params, crowd(seed, 10, 25, miss=0.3, size=(300, 200)), seed)


@settings(max_examples=25, deadline=None)
@given(switched, st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_frames_without_people_may_come_at_any_time(switches, counts):
    tracker = Tracker(fixed_params(**switches), 30)
    for count in counts:
        boxes = [person(100 * place) for place in range(count)]
        tracks = tracker.update(boxes, np.full(count, 0.9), AXES[:count] if count else None)
        assert len(tracks) <= count


@pytest.mark.parametrize("use_embedding", [True, False])
def test_three_hundred_people_with_every_switch(use_embedding):
    tracker = Tracker(fixed_params(**EVERYTHING, embedding="network" if use_embedding else "none"), 30)
    for boxes, scores, embeddings in crowd(3, 300, 8, size=(1900, 1000)):
        shift = np.array([[1, 0, 3], [0, 1, -2]])
        tracks = tracker.update(boxes, np.maximum(scores, 0.45), embeddings, shift)
    assert len(tracks) > 200


# The second pass.


SECOND = {"second_pass": True}


@pytest.mark.parametrize("embeddings", [True, False])
def test_a_tracked_person_may_take_a_weak_detection(params, embeddings):
    looks = AXES[:1] if embeddings else None
    for on, expected in ((False, []), (True, [1])):
        tracker = Tracker(dataclasses.replace(params, second_pass=on), 30)
        tracker.update([person(100)], [0.9], looks)
        tracks = tracker.update([person(102)], [0.2], looks)
        assert tracks.identities.tolist() == expected
        assert tracks.scores.tolist() == [0.2] * on
        assert tracks.detections.tolist() == [0] * on


def test_the_motion_learns_from_a_weak_detection_and_the_embedding_does_not(params):
    tracker = Tracker(dataclasses.replace(params, **SECOND), 30)
    tracker.update([person(100)], [0.9], AXES[:1])
    feature = tracker.tracks.feature.copy()
    tracker.update([person(110)], [0.2], AXES[1:2])  # what hides the person looks like someone else
    np.testing.assert_array_equal(tracker.tracks.feature, feature)
    assert tracker.tracks.mean[0, 0] > 125
    assert tracker.tracks.last_frame.tolist() == [2]
    assert tracker.update([person(112)], [0.9], AXES[:1]).identities.tolist() == [1]


@pytest.mark.parametrize("use_embedding", [True, False])
def test_weak_detections_start_confirm_and_find_nobody(params, use_embedding):
    params = dataclasses.replace(params, **SECOND, confidence=0.6, new_track_confidence=0.3)
    tracker = Tracker(dataclasses.replace(params, embedding="network" if use_embedding else "none"), 30)
    tracker.update([person(100)], [0.9], AXES[:1])
    # New people: weak ones start nothing even where `new_track_confidence` would let them.
    tracker.update([person(100), person(400), person(600)], [0.9, 0.9, 0.5], AXES[:3])
    assert tracker.tracks.state.tolist() == [TrackState.TRACKED, TrackState.TENTATIVE]
    # The tentative track sees but a weak detection, and the tracked one nothing.
    assert tracker.update([person(400)], [0.5], AXES[1:2]).identities.tolist() == []
    assert tracker.tracks.state.tolist() == [TrackState.LOST]
    # The lost one sees but a weak detection.
    assert tracker.update([person(100)], [0.5], AXES[:1]).identities.tolist() == []
    assert tracker.tracks.state.tolist() == [TrackState.LOST]
    assert tracker.update([person(100)], [0.9], AXES[:1]).identities.tolist() == [1]


def test_a_strong_detection_is_preferred_however_well_a_weak_one_overlaps(params):
    tracker = Tracker(dataclasses.replace(params, **SECOND), 30)
    tracker.update([person(100)], [0.9], AXES[:1])
    tracks = tracker.update([person(100), person(106)], [0.39, 0.4], AXES[:2][[1, 1]])
    assert tracks.detections.tolist() == [1]


@pytest.mark.parametrize(
    ("score", "shift", "threshold", "expected"),
    [
        (0.1, 2, 0.5, [1]),
        (0.09, 2, 0.5, []),  # below second_pass_confidence
        (0.2, 20, 0.5, []),  # IoU 1/3
        (0.2, 20, 0.7, [1]),
    ],
)
def test_bounds_of_the_second_pass(params, score, shift, threshold, expected):
    tracker = Tracker(dataclasses.replace(params, **SECOND, second_pass_threshold=threshold), 30)
    tracker.update([person(100)], [0.9], AXES[:1])
    assert tracker.update([person(100 + shift)], [score], AXES[:1]).identities.tolist() == expected


def test_every_weak_detection_serves_one_track(params):
    tracker = Tracker(dataclasses.replace(params, **SECOND, duplicate_threshold=0.0), 30)
    tracker.update([person(100), person(108)], [0.9, 0.9], AXES[:2])
    tracks = tracker.update([person(107)], [0.2], AXES[2:3])
    assert tracks.identities.tolist() == [2]


def test_people_half_hidden_keep_their_identities(params):
    """A crowd whose detections weaken for a quarter of a second at a time, and with them the embeddings."""

    def identities_given(on):
        tracker = Tracker(dataclasses.replace(params, second_pass=on, lost_seconds=0.1), 30)
        rng = np.random.default_rng(0)
        hidden = np.zeros(12, int)
        for boxes, _, embeddings in crowd(9, 12, 200, miss=0, false=0, size=(1600, 900)):
            hidden = np.where(hidden > 0, hidden - 1, np.where(rng.random(12) < 0.03, 8, 0))
            scores = np.where(hidden > 0, 0.25, 0.9)
            embeddings = np.where(hidden[:, None] > 0, rng.normal(size=embeddings.shape), embeddings)
            tracker.update(boxes, scores, embeddings)
        return tracker._next_identity - 1

    assert identities_given(False) > 40
    assert identities_given(True) <= 14


# Identities found again.


REFIND = {"lost_seconds": 0.1, "refind_seconds": 1.0}  # lost for 3 frames, remembered for 30 more
HERE, THERE = ([person(100)], AXES[:1]), ([person(700)], AXES[:1])


def test_whoever_comes_back_gets_the_old_identity_when_confirmed(params):
    gone = [HERE] * 3 + [None] * 10
    assert run(Tracker(dataclasses.replace(params, lost_seconds=0.1), 30), [*gone, THERE, THERE])[-2:] == [
        [],
        [2],
    ]
    tracker = Tracker(dataclasses.replace(params, **REFIND), 30)
    run(tracker, gone)
    assert tracker.memory.identity.tolist() == [1]
    assert run(tracker, [THERE]) == [[]]
    assert tracker.memory.identity.tolist() == [1]
    assert run(tracker, [THERE, THERE]) == [[1], [1]]
    assert tracker.tracks.first_frame.tolist() == [1]
    assert len(tracker.memory) == 0


def test_a_flicker_wakes_nobody(params):
    tracker = Tracker(dataclasses.replace(params, **REFIND), 30)
    run(tracker, [HERE] * 3 + [None] * 10 + [THERE, None] * 5)
    assert tracker.memory.identity.tolist() == [1]
    assert len(tracker.tracks) == 0


@pytest.mark.parametrize(("missed", "expected"), [(33, [1]), (34, [2])])
def test_how_long_somebody_is_remembered(params, missed, expected):
    """3 frames lost and 30 remembered: confirmed in frame 35 after the last sighting at the latest."""
    tracker = Tracker(dataclasses.replace(params, **REFIND), 30)
    assert run(tracker, [HERE] * 3 + [None] * (missed - 1) + [THERE, THERE])[-1] == expected


def test_somebody_within_the_time_of_lost_tracks_is_no_matter_of_memory(params):
    """`lost_seconds` comes first: until then the motion gate keeps people from jumping."""
    tracker = Tracker(dataclasses.replace(params, lost_seconds=1.0, refind_seconds=5.0), 30)
    assert run(tracker, [HERE] * 3 + [None] * 10 + [THERE] * 2)[-1] == [2]


def test_whoever_was_there_all_along_keeps_the_own_identity(params):
    """However much like someone who left: only who is new can be who was gone."""
    tracker = Tracker(dataclasses.replace(params, **REFIND), 30)
    twins = ([person(100), person(700)], AXES[[0, 0]])
    assert run(tracker, [twins] * 3 + [THERE] * 20)[-1] == [2]
    assert tracker.memory.identity.tolist() == [1]


def look(angle):
    """A unit vector, `angle` radians from the first axis."""
    return np.cos(angle) * AXES[0] + np.sin(angle) * AXES[1]


def test_the_threshold_is_on_the_cosine_distance(params):
    for angle, expected in ((0.6, [1]), (0.7, [2])):  # 1 - cos: .175, .235; the threshold is .2
        tracker = Tracker(dataclasses.replace(params, **REFIND), 30)
        back = ([person(700)], look(angle)[None])
        assert run(tracker, [HERE] * 3 + [None] * 10 + [back] * 2)[-1] == expected


def test_two_newcomers_and_one_remembered(params):
    tracker = Tracker(dataclasses.replace(params, **REFIND), 30)
    both = ([person(300), person(700)], np.stack((look(0.5), look(0.2))))
    assert run(tracker, [HERE] * 3 + [None] * 10 + [both] * 2)[-1] == [1, 2]
    assert tracker.tracks.mean[0, 0] == pytest.approx(720)  # the one that is more alike


def test_the_most_alike_pair_is_taken_first():
    """Not the least total, which would give up the pair that is all but the same."""
    remembered = Memory(np.array([1, 2]), np.array([1, 1]), np.array([9, 9]), np.float32([look(0.0), look(0.4)]))
    newcomers = np.float32([look(0.02), look(-0.3)])
    rows, places = remembered.recognised(newcomers, 0.2)
    assert (rows.tolist(), places.tolist()) == ([0], [0])
    least_total = remembered.recognised(newcomers[[1, 0]], 0.3)
    assert [side.tolist() for side in least_total] == [[0, 1], [1, 0]]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 8), st.integers(0, 8), st.floats(0, 2), st.integers(0, 2**16))
def test_recognised_pairs_are_one_to_one_near_and_stable(newcomers, remembered, limit, seed):
    rng = np.random.default_rng(seed)

    def unit(count):
        vectors = rng.normal(size=(count, 4)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors[rng.random(count) < 0.2] = 0
        return vectors

    at = np.arange(remembered)
    looks, features = unit(remembered), unit(newcomers)
    looks[~looks.any(axis=1)] = [1, 0, 0, 0]  # memory holds no zeros
    rows, places = Memory(at, at, at, looks).recognised(features, limit)
    assert len(set(rows.tolist())) == len(rows) == len(set(places.tolist()))
    distance = np.maximum(1 - features @ looks.T.reshape(4, remembered), 0).astype(float)
    distance[~features.any(axis=1)] = np.inf
    assert (distance[rows, places] < limit).all()
    # No pair that is left, or half of which is, is nearer than the pairs its halves are in.
    best_row, best_col = np.full(newcomers, np.inf), np.full(remembered, np.inf)
    best_row[rows] = best_col[places] = distance[rows, places]
    blocked = (distance >= limit) | (best_row[:, None] <= distance) | (best_col[None] <= distance)
    assert blocked.all()


def test_those_without_an_embedding_are_neither_remembered_nor_recognised(params):
    params = dataclasses.replace(params, **REFIND, refind_threshold=2.0)
    bare = Tracker(params, 30)
    frames = [([person(100)], None)] * 3 + [None] * 10 + [([person(700)], None)] * 2
    assert run(bare, frames)[-1] == [2]
    assert len(bare.memory) == 0
    tracker = Tracker(params, 30)
    zeros = ([person(700)], np.zeros((1, 8)))
    assert run(tracker, [HERE] * 3 + [None] * 10 + [zeros] * 2)[-1] == [2]
    assert tracker.memory.identity.tolist() == [1]
    off = Tracker(dataclasses.replace(params, embedding="none"), 30)
    assert run(off, [HERE] * 3 + [None] * 10 + [THERE] * 2)[-1] == [2]


@pytest.mark.parametrize(("threshold", "remembered"), [(0.15, []), (0.0, [2])])
def test_a_track_that_was_dropped_as_a_duplicate_is_not_remembered(params, threshold, remembered):
    """Somebody older walks to where someone was just lost: the lost track is no person's any more."""
    params = dataclasses.replace(params, refind_seconds=5.0, duplicate_threshold=threshold)
    tracker = Tracker(params, 30)
    for step in range(80):
        boxes = [person(min(10 * step, 200))] + [person(200)] * (5 <= step < 15)
        tracker.update(boxes, [0.9] * len(boxes), AXES[: len(boxes)])
    assert tracker.tracks.identity.tolist() == [1]
    assert tracker.memory.identity.tolist() == remembered


def test_looks_of_whoever_came_back_are_the_old_ones_seen_once_more(params):
    tracker = Tracker(dataclasses.replace(params, **REFIND), 30)
    back = ([person(700)], look(0.5)[None])
    run(tracker, [HERE] * 3 + [None] * 10 + [back] * 2)
    mixed = 0.9 * look(0) + 0.1 * look(0.5)
    np.testing.assert_allclose(tracker.tracks.feature[0], mixed / np.linalg.norm(mixed), atol=1e-6)


def test_memory_is_bounded_for_ever(params, monkeypatch):
    """A new face every other frame, and a memory for years: at most so many are held, the latest ones."""
    monkeypatch.setattr(memory_module, "MOST_REMEMBERED", 40)
    params = dataclasses.replace(params, lost_seconds=0.0, refind_seconds=1e6, refind_threshold=1e-6)
    tracker = Tracker(params, 30)
    rng = np.random.default_rng(0)
    held = []
    for _ in range(300):
        stranger = ([person(rng.uniform(0, 1500))], rng.normal(size=(1, 8)))
        run(tracker, [stranger, stranger])
        memory = tracker.memory
        assert (np.diff(memory.last_frame) > 0).all()
        held.append(sum((c if c.base is None else c.base).nbytes for c in vars(memory).values()))
    assert tracker._next_identity > 290
    assert len(tracker.memory) == 40
    assert tracker.memory.last_frame[0] >= tracker.frame - 2 * 45
    assert len(set(held[100:])) == 1


def test_memory_is_bounded_by_its_time(params):
    params = dataclasses.replace(params, lost_seconds=0.0, refind_seconds=1.0, refind_threshold=1e-6)
    tracker = Tracker(params, 30)
    rng = np.random.default_rng(0)
    for _ in range(100):
        stranger = ([person(rng.uniform(0, 1500))], rng.normal(size=(1, 8)))
        run(tracker, [stranger, stranger])
        assert len(tracker.memory) <= 16
        assert (tracker.frame - tracker.memory.last_frame <= 30).all()
    assert len(tracker.memory) > 10
    run(tracker, [None] * 40)
    assert len(tracker.memory) == 0


def test_people_who_come_and_go_are_counted_once(params):
    """Six people, each out of sight for two seconds at a time: without memory each return is someone new."""

    def identities_given(seconds):
        tracker = Tracker(dataclasses.replace(params, lost_seconds=0.5, refind_seconds=seconds), 30)
        reported = set()
        for frame, (boxes, _, looks) in enumerate(crowd(12, 6, 600, miss=0, false=0, size=(1500, 800))):
            away = (frame // 60 + np.arange(6)) % 3 == 0
            boxes, looks = boxes[~away], looks[~away]
            reported |= set(tracker.update(boxes, np.full(len(boxes), 0.9), looks).identities.tolist())
        return len(reported)

    assert identities_given(0.0) > 20
    assert identities_given(10.0) == 6
