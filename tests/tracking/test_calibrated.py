"""Association by calibrated looks: held to true identities, and equal to no embedding where looks say nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_people import AXES, crowd, fixed_params, names_in_another_order, person
from scipy.optimize import linear_sum_assignment

from clmot.tracking.calibrated import CalibratedTracker, covered_share, start_tracker
from clmot.tracking.gallery import LOOKS, Gallery
from clmot.tracking.tracker import Tracker, TrackState

RECORDED = Path(__file__).parents[1] / "recorded" / "calibrated_streets.npz"
"""Who was which detection in `streets`, one row a track and frame; `np.savez_compressed(RECORDED, **streets())`."""


def calibrated_params(**others):
    loose = {"iou_threshold_alone": 0.8, "unconfirmed_threshold": 0.9, "lost_seconds": 1.0, "refind_seconds": 9.0}
    return fixed_params(**{"association": "calibrated", **loose, **others})


def street(seed, people=12, frames=400, noise=0.0, dimension=32):
    """People who walk to and fro in a street; whoever is half covered by another in front is not found.

    Per frame: boxes, scores, embeddings, who they are.
    """
    rng = np.random.default_rng(seed)
    x, speed = rng.uniform(0, 900, people), rng.choice([-1, 1], people) * rng.uniform(1, 4, people)
    height = np.sort(rng.uniform(70, 130, people))
    looks = np.eye(people, dimension)
    for _ in range(frames):
        x = x + speed
        speed = np.where((x < 0) | (x > 900), -speed, speed)
        foot = 100 + 2 * height
        boxes = np.stack((x - 0.2 * height, foot - height, x + 0.2 * height, foot), axis=1)
        boxes = boxes + rng.normal(0, 1, boxes.shape)
        seen = (covered_share(boxes) < 0.5) & (rng.random(people) > 0.03)
        who = np.nonzero(seen)[0]
        yield boxes[who], np.full(len(who), 0.9), looks[who] + rng.normal(0, noise, (len(who), dimension)), who


def judged(tracker, film):
    """IDF1 and purity of the tracks, over the boxes that were given."""
    pairs, given_boxes = [], 0
    for boxes, scores, embeddings, who in film:
        tracks = tracker.update(boxes, scores, embeddings)
        pairs.append(np.stack((who[tracks.detections], tracks.identities), axis=1))
        given_boxes += len(who)
    pairs = np.concatenate(pairs)
    together = np.zeros(pairs.max(axis=0) + 1)
    np.add.at(together, tuple(pairs.T), 1)
    best = together[linear_sum_assignment(-together)].sum()
    return 2 * best / (given_boxes + len(pairs)), together.max(axis=0).sum() / len(pairs)


def streets():
    """Per name, frame, identity and detection (R, 3) of the tracks of people hard and easy to tell apart."""
    cases = {"easy": (3, 0.1, {}), "hard": (4, 0.5, {"second_pass": True}), "away": (5, 0.2, {"lost_seconds": 0.3})}
    found = {}
    for name, (seed, noise, params) in cases.items():
        tracker, rows = start_tracker(calibrated_params(**params), 10), []
        for boxes, scores, embeddings, _ in street(seed, people=20, frames=200, noise=noise):
            tracks = tracker.update(boxes, scores, embeddings)
            frame = np.full(len(tracks), tracker.frame)
            rows.append(np.stack((frame, tracks.identities, tracks.detections), axis=1))
        found[name] = np.concatenate(rows)
    return found


def bytes_of(tracker, frames):
    return b"".join(column.tobytes() for frame in frames for column in vars(tracker.update(*frame)).values())


def test_association_chooses_the_tracker():
    assert type(start_tracker(fixed_params(), 30)) is Tracker
    assert type(start_tracker(calibrated_params(), 30)) is CalibratedTracker


def test_tracks_are_those_that_were_recorded():
    """Association that is made faster, or tidier, is the same association."""
    found = streets()
    with np.load(RECORDED) as recorded:
        assert sorted(recorded) == sorted(found)
        for name in found:
            np.testing.assert_array_equal(found[name], recorded[name])


# Held to the oracle.


@pytest.mark.parametrize(("seed", "frame_rate"), [(0, 10), (1, 30), (2, 30)])
def test_with_true_identities_tracks_are_those_of_perfect_assignment(seed, frame_rate):
    idf1, purity = judged(start_tracker(calibrated_params(), frame_rate), street(seed))
    assert purity > 0.98
    assert idf1 > 0.95
    without, _ = judged(start_tracker(calibrated_params(), frame_rate), [(*f[:2], None, f[3]) for f in street(seed)])
    assert idf1 > without + 0.15


@pytest.mark.parametrize("noise", [0.1, 0.2])
def test_noisy_looks_beat_none_too(noise):
    ours = [judged(start_tracker(calibrated_params(), 30), street(seed, noise=noise))[0] for seed in range(3)]
    bare = [(*frame[:2], None, frame[3]) for seed in range(3) for frame in street(seed)]
    none = [judged(start_tracker(calibrated_params(), 30), bare[400 * s : 400 * s + 400])[0] for s in range(3)]
    assert np.mean(ours) > np.mean(none) + 0.1


# No worse than no embedding.


def wolf(boxes, looks, rng):
    """One look in twenty is nobody's."""
    return np.where(rng.random((len(looks), 1)) < 0.05, rng.normal(0, 0.2, looks.shape), looks)


def places(boxes, looks, rng):
    """What is seen is the place, not the person."""
    at = np.stack(((boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]), axis=1)
    grid = np.stack(np.meshgrid(np.arange(0, 1000, 60), np.arange(200, 400, 60)), axis=-1).reshape(-1, 2)
    return np.exp(-((at[:, None] - grid) ** 2).sum(2) / (2 * 40**2)) + rng.normal(0, 0.02, (len(at), len(grid)))


def background(boxes, looks, rng):
    """The person, and more of the place."""
    return np.concatenate((0.3 * looks, places(boxes, looks, rng)), axis=1)


@pytest.mark.parametrize("seen", [wolf, places, background])
def test_looks_that_deceive_cost_little(seen):
    found = []
    for seed in range(3):
        film, rng = list(street(seed)), np.random.default_rng(seed)
        bare = [(boxes, scores, None, who) for boxes, scores, _, who in film]
        seen_so = [(boxes, scores, seen(boxes, looks, rng), who) for boxes, scores, looks, who in film]
        found.append([judged(start_tracker(calibrated_params(), 30), one)[0] for one in (bare, seen_so)])
    none, ours = np.mean(found, axis=0)
    assert ours > none - 0.03


# Equal to no embedding.


@pytest.mark.parametrize("second_pass", [False, True])
@pytest.mark.parametrize("kind", ["none", "constant", "zero", "switched off"])
def test_looks_that_say_nothing_leave_association_by_overlap(kind, second_pass):
    fairmot = fixed_params(iou_threshold_alone=0.8, embedding="none", second_pass=second_pass)
    ours = dataclasses.replace(
        fairmot, association="calibrated", embedding="none" if kind == "switched off" else "network", refind_seconds=9.0
    )
    frames = list(crowd(3, 25, 80, miss=0.2))
    given_to_us = {
        "none": [(boxes, scores, None) for boxes, scores, _ in frames],
        "constant": [(boxes, scores, np.full((len(boxes), 16), 0.3)) for boxes, scores, _ in frames],
        "zero": [(boxes, scores, np.zeros((len(boxes), 16))) for boxes, scores, _ in frames],
        "switched off": frames,
    }[kind]
    assert bytes_of(start_tracker(ours, 30), given_to_us) == bytes_of(start_tracker(fairmot, 30), frames)


# Step by step.


def taught(params=None, frames=60):
    """A tracker that has learnt from three people far apart that looks are to be believed; they are 1, 2 and 3."""
    tracker = start_tracker(params or calibrated_params(), 30)
    for _ in range(frames):
        tracker.update([person(0), person(400), person(800)], [0.9] * 3, AXES[:3])
    assert tracker.recent.ready
    assert tracker.away.ready
    return tracker


def test_a_person_who_was_away_is_found_where_nothing_overlaps():
    tracker = taught()
    for _ in range(60):  # 2 s, beyond lost_seconds
        tracker.update([person(0), person(800)], [0.9] * 2, AXES[[0, 2]])
    tracks = tracker.update([person(0), person(470), person(800)], [0.9] * 3, AXES[:3])
    assert tracks.identities.tolist() == [1, 2, 3]
    at_once = tracker.tracks.mean[1]
    assert at_once[0] == pytest.approx(490)
    assert (at_once[4:] == 0).all(), "motion starts anew"


def test_nobody_walks_across_the_image_in_a_moment():
    tracker = taught()
    tracker.update([person(0), person(800)], [0.9] * 2, AXES[[0, 2]])
    for _ in range(3):
        tracks = tracker.update([person(0), person(800), person(1500)], [0.9] * 3, AXES[[0, 2, 1]])
    assert tracks.identities.tolist() == [1, 3, 4]


def test_who_stays_away_for_too_long_is_forgotten():
    tracker = taught(calibrated_params(lost_seconds=0.5, refind_seconds=1.0))
    for _ in range(46):
        tracker.update([person(0), person(800)], [0.9] * 2, AXES[[0, 2]])
    assert tracker.tracks.identity.tolist() == [1, 3]
    assert len(tracker.memory) == 0


def test_a_stranger_in_a_persons_place_is_somebody_else():
    tracker = taught()
    for _ in range(3):
        tracks = tracker.update([person(0), person(400), person(800)], [0.9] * 3, AXES[[0, 5, 2]])
    assert tracks.identities.tolist() == [1, 3, 4]
    assert tracker.tracks.state[tracker.tracks.identity == 2] == TrackState.LOST


def test_a_weak_detection_of_somebody_else_is_not_taken():
    for looks, expected in ((AXES[1], [1, 2, 3]), (AXES[5], [1, 3])):
        tracker = taught(calibrated_params(second_pass=True))
        embeddings = np.stack((AXES[0], looks, AXES[2]))
        tracks = tracker.update([person(0), person(400), person(800)], [0.9, 0.2, 0.9], embeddings)
        assert tracks.identities.tolist() == expected


def test_what_hides_a_person_is_not_learnt():
    tracker = taught()
    for shift in range(0, 30, 3):
        # Someone of unlike looks steps before 2, lower in the image, and 2's box shows both.
        boxes = [person(0), person(400), person(415 - shift / 2, 110), person(800)]
        tracker.update(boxes, [0.9] * 4, np.stack((AXES[0], AXES[1] + 0.3 * AXES[6], AXES[6], AXES[2])))
    row = tracker.tracks.identity == 2
    np.testing.assert_array_equal(tracker.tracks.feature[row], AXES[[1]])


@pytest.mark.parametrize("distance", [0.45, 0.6, 0.75])
@pytest.mark.parametrize("often", [0.0, 0.04, 0.08])
def test_a_look_that_often_deceives_is_not_held_against_a_person(distance, often):
    """What half of the others look like speaks against a person, unless the person is known to look so at times."""
    tracker, rng = taught(), np.random.default_rng(0)
    for _ in range(100):
        same = np.where(rng.random(20) < often, distance + rng.uniform(-0.02, 0.02, 20), rng.uniform(0, 0.05, 20))
        for evidence in (tracker.recent, tracker.away):
            evidence.learn(same, rng.uniform(distance - 0.1, 1.2, 80))
    looks = np.stack((AXES[0], (1 - distance) * AXES[1] + np.sqrt(1 - (1 - distance) ** 2) * AXES[5], AXES[2]))
    tracks = tracker.update([person(0), person(400), person(800)], [0.9] * 3, looks)
    assert (2 in tracks.identities.tolist()) == (often > 0)


def test_a_stranger_in_the_place_of_one_who_is_covered_teaches_nothing():
    """The box there is another person's, and unrivalled."""
    tracker = passed_before(covered_is_found=False)
    assert tracker.recent.innocent < tracker.params.look_veto
    assert tracker.away.innocent < tracker.params.look_veto


def passed_before(covered_is_found, frames=120):
    """A tracker that has seen someone stand before one of three people, who was found all the same or missed."""
    tracker = taught()
    for number in range(frames):
        # It comes and goes, or the missed person would be lost and no longer counted.
        shift, there = 15, number % 2 == 0
        boxes = [person(0), person(800), *([person(400)] if covered_is_found or not there else [])]
        looks = [AXES[0], AXES[2], *([AXES[1]] if covered_is_found or not there else [])]
        if there or covered_is_found:
            boxes.append(person(400 + shift, 110))
            looks.append(AXES[6])
        tracker.update(boxes, [0.9] * len(boxes), np.stack(looks))
    return tracker


def test_where_covered_people_are_found_a_box_tells_more_than_looks():
    tracker = passed_before(covered_is_found=True)
    assert tracker.covered.missed < tracker.params.covered_missed
    before = tracker.tracks.identity[tracker.tracks.state == TrackState.TRACKED].tolist()
    boxes = [person(0), person(400), person(415, 110), person(800)]
    tracks = tracker.update(boxes, [0.9] * 4, AXES[[0, 6, 6, 2]])
    assert tracks.identities.tolist() == before


def test_where_covered_people_are_missed_looks_tell_more_than_a_box():
    tracker = passed_before(covered_is_found=False)
    assert tracker.covered.missed > tracker.params.covered_missed
    for _ in range(3):
        tracks = tracker.update([person(0), person(400), person(800)], [0.9] * 3, AXES[[0, 5, 2]])
    assert 2 not in tracks.identities.tolist()


@pytest.mark.parametrize("covered", [True, False])
@pytest.mark.parametrize("told_apart", [True, False])
def test_a_covered_box_is_a_new_person_only_where_looks_cannot_veto_or_boxes_are_sure(covered, told_apart):
    tracker = taught() if told_apart else start_tracker(calibrated_params(), 30)
    looks = AXES if told_apart else np.ones_like(AXES)
    tracker.update([person(0), person(400), person(800)], [0.9] * 3, looks[:3])
    stranger = person(815, 98) if covered else person(600)
    for _ in range(3):
        boxes = [person(0), person(400), person(800, 105), stranger]
        tracks = tracker.update(boxes, [0.9] * 4, looks[[0, 1, 2, 7]])
    assert len(tracks) == (3 if covered and told_apart else 4)


def test_a_film_without_covered_people_keeps_what_is_assumed():
    assert taught().covered.missed == pytest.approx(0.3)
    assert CalibratedTracker(calibrated_params(), 30).covered.missed == pytest.approx(0.3)


def test_a_box_is_covered_by_what_stands_before_it_alone():
    boxes = np.array([[0.0, 0, 40, 100], [20, 10, 60, 110], [200, 0, 240, 100], [500, 0, 540, 100], [490, 0, 550, 101]])
    np.testing.assert_allclose(covered_share(boxes), [0.5 * 0.9, 0, 0, 1, 0])
    assert covered_share(np.zeros((0, 4))).shape == (0,)


def test_a_gallery_keeps_the_last_looks():
    gallery = Gallery(8)
    gallery.follow(np.array([3, 7]), AXES[:2].astype(np.float32), 1)
    for frame in range(2, 40):
        seen = AXES[[frame % 8, 2]].astype(np.float32)
        gallery.remember(np.array([0, 1]), seen, frame, every=2)
    assert sorted(gallery.frame[0].tolist()) == list(range(39 - 2 * (LOOKS - 1), 40, 2))
    mean, known = gallery.mean_until(np.array([0, 1]), until=35)
    assert known.all()
    assert mean[1] @ AXES[2] == pytest.approx(1)
    _, known = gallery.mean_until(np.array([0]), until=20)
    assert not known.any()
    frames = gallery.frame[1]
    gallery.follow(np.array([7, 9]), AXES[4:6].astype(np.float32), 40)
    np.testing.assert_array_equal(gallery.frame[0], frames)
    assert gallery.frame[1].tolist() == [40] + [0] * (LOOKS - 1)
    np.testing.assert_array_equal(gallery.mean[gallery.place[1]], AXES[5])


# Hostile input.


@settings(max_examples=20, deadline=None)
@given(st.booleans(), st.sampled_from([0.0, 5.0]), st.integers(0, 2**16), st.sampled_from([0.1, 1.0]))
def test_the_order_of_detections_changes_no_track(second_pass, refind, seed, noise):
    params = calibrated_params(second_pass=second_pass, refind_seconds=refind, lost_seconds=0.2)
    names_in_another_order(params, crowd(seed, 10, 60, miss=0.3, noise=noise, size=(300, 200)), seed)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["looks", "zeros", "none"])), min_size=1, max_size=40))
def test_frames_of_any_kind_may_come_at_any_time(kinds):
    tracker = start_tracker(calibrated_params(second_pass=True, refind_seconds=1.0), 10)
    for frame, (count, kind) in enumerate(kinds):
        boxes = [person(70 * place + frame) for place in range(count)]
        embeddings = {"looks": AXES[:count], "zeros": np.zeros((count, 8)), "none": None}[kind]
        tracks = tracker.update(boxes, np.linspace(0.2, 1, count), embeddings)
        assert len(np.unique(tracks.identities)) == len(tracks)
        assert (np.diff(tracker.tracks.identity) > 0).all()


def test_300_people_at_once():
    tracker = start_tracker(calibrated_params(), 30)
    for frame in crowd(0, 300, 12, size=(1900, 1000)):
        tracks = tracker.update(*frame)
    assert len(tracks) > 150
    assert np.isfinite(tracks.boxes).all()


def test_same_film_same_tracks():
    frames = list(crowd(5, 20, 60, miss=0.3))
    one, two = (bytes_of(start_tracker(calibrated_params(), 30), frames) for _ in range(2))
    assert one == two
