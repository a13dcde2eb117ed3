"""The life of tracks: what each situation does, the original's faults, and a plain second implementation."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from clmot.errors import InputError
from clmot.params import load_params
from clmot.tracking import costs, kalman
from clmot.tracking.boxes import to_corners, to_xyah
from clmot.tracking.tracker import Tracker, TrackState

PROFILE = Path(__file__).parents[1] / "params.yaml"
AXES = np.eye(8)  # embeddings that nobody confuses


@pytest.fixture(scope="module")
def params():
    """Fixed thresholds: what is tested must not move with the default profile."""
    return dataclasses.replace(
        load_params(PROFILE).track,
        confidence=0.4,
        new_track_confidence=0.5,
        use_embedding=True,
        embedding_momentum=0.9,
        motion_weight=0.98,
        gating_probability=0.95,
        match_threshold=0.4,
        iou_threshold=0.5,
        unconfirmed_threshold=0.7,
        duplicate_threshold=0.15,
        lost_seconds=1.0,
        min_box_area=50,
        max_aspect=1.6,
    )


def person(x, y=100.0, height=100.0):
    return [x, y, x + 0.4 * height, y + height]


def run(tracker, frames):
    """Feed (boxes, embeddings) or None per frame, all with score 0.9; identities per frame."""
    found = []
    for frame in frames:
        boxes, embeddings = frame if frame is not None else ([], None)
        found.append(tracker.update(boxes, [0.9] * len(boxes), embeddings).identities.tolist())
    return found


def crowd(seed, people, frames, dimension=16, miss=0.1, false=2.0, noise=0.3, size=(800, 500)):
    """Walking people with appearances: lists of boxes, scores, embeddings per frame; distinct numbers."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0, size, (people, 2))
    speed = rng.normal(0, 2.5, (people, 2))
    height = rng.uniform(60, 140, people)
    looks = rng.normal(size=(people, dimension))
    for _ in range(frames):
        centre = centre + speed
        outside = (centre < 0) | (centre > size)
        speed = np.where(outside, -speed, speed)
        half = np.stack((0.2 * height, 0.5 * height), axis=1)
        boxes = np.concatenate((centre - half, centre + half), axis=1) + rng.normal(0, 1, (people, 4))
        seen = rng.random(people) >= miss
        extra = rng.poisson(false)
        corner = rng.uniform(0, size, (extra, 2))
        ghosts = np.concatenate((corner, corner + rng.uniform([20, 50], [50, 120], (extra, 2))), axis=1)
        embeddings = np.concatenate(
            ((looks + rng.normal(0, noise, looks.shape))[seen], rng.normal(size=(extra, dimension)))
        )
        boxes = np.concatenate((boxes[seen], ghosts))
        yield boxes, rng.uniform(0.3, 1, len(boxes)), embeddings


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
    # Somebody else at the same place starts anew; the older, lost track is the one that stays as a duplicate.
    far = dataclasses.replace(params, duplicate_threshold=0.0)
    assert run(Tracker(far, 30), [shown, None, other, other]) == [[1], [], [], [2]]


def test_a_tracked_person_that_looks_different_is_held_by_overlap(params):
    assert run(Tracker(params, 30), [([person(100)], AXES[:1]), ([person(102)], AXES[1:2])]) == [[1], [1]]


def test_looks_do_not_carry_beyond_the_motion_gate(params):
    frames = [([person(100)], AXES[:1])] * 3 + [([person(600)], AXES[:1])] * 2
    assert run(Tracker(params, 30), frames) == [[1], [1], [1], [], [2]]


def test_looks_keep_crossing_people_apart(params):
    """Two people swap places between two frames, less than a gate apart: only embeddings can tell."""
    apart = dataclasses.replace(params, use_embedding=False)
    frames = [([person(100), person(108)], AXES[:2])] * 3 + [([person(108), person(100)], AXES[:2])]
    by_looks, by_overlap = Tracker(params, 30), Tracker(apart, 30)
    run(by_looks, frames[:-1])
    run(by_overlap, frames[:-1])
    looks = by_looks.update(frames[-1][0], [0.9, 0.9], frames[-1][1])
    overlap = by_overlap.update(frames[-1][0], [0.9, 0.9], frames[-1][1])
    assert looks.detections.tolist() == [0, 1]
    assert overlap.detections.tolist() == [1, 0]


def test_without_embeddings_lost_tracks_are_found_by_overlap(params):
    frames = [([person(100)], None), None, None, ([person(101)], None)]
    assert run(Tracker(params, 30), frames) == [[1], [], [], [1]]


def test_the_embedding_switch_makes_embeddings_irrelevant(params):
    off = dataclasses.replace(params, use_embedding=False)
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


# Faults of the original, each of which fails one of these.


def test_memory_does_not_grow_with_the_number_of_detections_seen(params):
    """The original keeps a vector per detection and every removed track for ever."""

    def held(tracker):
        columns = [*vars(tracker.tracks).values()]
        # A view would keep what it was cut from alive.
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


def test_every_tracker_counts_from_one(params):
    """The original's counter is shared: identities of one video go on in the next."""
    frame = ([person(0), person(300)], AXES[:2])
    assert run(Tracker(params, 30), [frame]) == run(Tracker(params, 30), [frame]) == [[1, 2]]


@pytest.mark.parametrize(
    ("frame_rate", "seconds", "limit"), [(30, 1.0, 30), (14, 1.0, 14), (30, 0.1, 3), (7, 0, 0)]
)
def test_a_lost_track_waits_exactly_as_long_as_it_should(params, frame_rate, seconds, limit):
    """The original drops it one frame late, in which it can still be found."""
    params = dataclasses.replace(params, lost_seconds=seconds)
    shown = ([person(100)], AXES[:1])
    in_time = run(Tracker(params, frame_rate), [shown] * 5 + [None] * limit + [shown])
    assert in_time[-1] == [1]
    tracker = Tracker(params, frame_rate)
    run(tracker, [shown] * 5 + [None] * (limit + 1))
    assert len(tracker.tracks) == 0
    assert run(tracker, [shown, shown]) == [[], [2]]


def test_a_track_that_was_found_again_is_trusted_again(params):
    """The original forgets such a track for good the next time it is lost."""
    tracker = Tracker(dataclasses.replace(params, lost_seconds=0.1), 30)
    shown = ([person(100)], AXES[:1])
    frames = [shown] + ([None] * 3 + [shown]) * 5
    found = run(tracker, frames)
    assert [ids for ids in found if ids] == [[1]] * 6


def test_inputs_are_not_changed(params):
    """The original normalises the caller's embeddings in place."""
    boxes, scores, embeddings = np.array([person(0)]), np.array([0.9]), 5 * AXES[:1].astype(np.float32)
    given = [boxes, scores, embeddings]
    before = [a.copy() for a in given]
    tracker = Tracker(params, 30)
    for _ in range(3):
        tracks = tracker.update(*given)
    for a, b in zip(given, before, strict=True):
        np.testing.assert_array_equal(a, b)
    tracks.boxes[:] = 0
    boxes[:] = 0
    embeddings[:] = 0
    assert tracker.tracks.mean[0, 3] == pytest.approx(100)
    assert tracker.tracks.feature[0].max() == pytest.approx(1)


def test_zero_vectors_are_no_embedding(params):
    """The original divides by their length, and nan spreads from there."""
    tracker = Tracker(params, 30)
    nothing = np.zeros((2, 8))
    boxes = [person(0), person(300)]
    assert (
        run(tracker, [(boxes, nothing), (boxes, nothing), (boxes, AXES[:2]), (boxes, nothing)])
        == [[1, 2]] * 4
    )
    np.testing.assert_allclose(tracker.tracks.feature, AXES[:2], atol=1e-6)


def test_scores_are_those_of_the_detections(params):
    """The original writes 1."""
    tracker = Tracker(params, 30)
    assert tracker.update([person(0), person(300)], [0.9, 0.7], AXES[:2]).scores.tolist() == [0.9, 0.7]
    assert tracker.update([person(300), person(0)], [0.6, 0.45], AXES[[1, 0]]).scores.tolist() == [0.45, 0.6]


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
    tracker = Tracker(dataclasses.replace(params, use_embedding=use_embedding), 30)
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
    """Permuted detections give the same tracks but for the numbers of people who appear in the same frame."""
    params = dataclasses.replace(params, use_embedding=use_embedding)
    rng = np.random.default_rng(0)
    straight, shuffled = Tracker(params, 30), Tracker(params, 30)
    names: dict[int, int] = {}
    for boxes, scores, embeddings in crowd(5, 40, 60, size=(400, 300)):
        order = rng.permutation(len(boxes))
        a = straight.update(boxes, scores, embeddings)
        b = shuffled.update(boxes[order], scores[order], embeddings[order])
        by_detection_a = dict(zip(a.detections.tolist(), a.identities.tolist(), strict=True))
        by_detection_b = dict(zip(order[b.detections].tolist(), b.identities.tolist(), strict=True))
        assert by_detection_a.keys() == by_detection_b.keys()
        for detection, identity in by_detection_a.items():
            assert names.setdefault(identity, by_detection_b[detection]) == by_detection_b[detection]
    assert len(set(names.values())) == len(names) > 40


def test_the_same_detections_give_the_same_bytes(params):
    def tracked():
        tracker = Tracker(params, 30)
        return b"".join(
            column.tobytes() for frame in crowd(6, 40, 30) for column in vars(tracker.update(*frame)).values()
        )

    assert tracked() == tracked()


class PlainTracker:
    """The same association one track at a time on whole matrices: slow, and simple enough to be believed."""

    def __init__(self, params, frame_rate):
        self.p, self.lost_frames = params, round(params.lost_seconds * frame_rate)
        self.frame, self.count, self.tracks = 0, 0, []

    def assign(self, cost, limit):
        gains = np.minimum(cost - limit, 0)
        pairs = [(r, c) for r, c in zip(*linear_sum_assignment(gains), strict=True) if gains[r, c] < 0]
        return pairs, {r for r, _ in pairs}, {c for _, c in pairs}

    def iou(self, tracks, detections):
        a = np.array([to_corners(t["motion"].mean[0, :4]) for t in tracks]).reshape(-1, 4)
        return costs.iou_distance(a, np.array([d[1] for d in detections]).reshape(-1, 4))

    def fused(self, tracks, detections):
        cost = np.full((len(tracks), len(detections)), np.inf)
        for i, track in enumerate(tracks):
            mean, variance = kalman.project(track["motion"])
            for j, (_, box, _, embedding) in enumerate(detections):
                gap = kalman.squared_mahalanobis(mean[0], variance[0], to_xyah(box))
                if gap <= 9.487729036781154:
                    cosine = max(0.0, 1 - float(track["feature"] @ embedding))
                    cost[i, j] = self.p.motion_weight * cosine + (1 - self.p.motion_weight) * gap
        return cost

    def update(self, boxes, scores, embeddings):
        self.frame += 1
        unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        free = [
            (j, boxes[j], scores[j], unit[j]) for j in range(len(boxes)) if scores[j] >= self.p.confidence
        ]
        for t in self.tracks:
            if t["state"] == "lost":
                t["motion"].mean[0, 7] = 0
            t["motion"] = kalman.predict(t["motion"])

        def step(tracks, cost, limit):
            nonlocal free
            pairs, rows, cols = self.assign(cost, limit)
            for r, c in pairs:
                _, box, _, embedding = free[c]
                track = tracks[r]
                mixed = self.p.embedding_momentum * track["feature"]
                mixed = mixed + (1 - self.p.embedding_momentum) * embedding
                track["feature"] = mixed / np.linalg.norm(mixed)
                track["motion"] = kalman.update(track["motion"], to_xyah(box)[None])
                track.update(last=self.frame, state="tracked", detection=free[c][0])
            free = [d for c, d in enumerate(free) if c not in cols]
            return [t for r, t in enumerate(tracks) if r not in rows]

        tentative = [t for t in self.tracks if t["state"] == "tentative"]
        confirmed = [t for t in self.tracks if t["state"] != "tentative"]
        left = step(confirmed, self.fused(confirmed, free), self.p.match_threshold)
        left = [t for t in left if t["state"] == "tracked"]
        for track in step(left, self.iou(left, free), self.p.iou_threshold):
            track["state"] = "lost"
        for track in step(tentative, self.iou(tentative, free), self.p.unconfirmed_threshold):
            self.tracks.remove(track)
        self.tracks = [t for t in self.tracks if self.frame - t["last"] <= self.lost_frames]
        for j, box, score, embedding in free:
            if score >= self.p.new_track_confidence:
                self.count += 1
                motion = kalman.initiate(to_xyah(box)[None])
                state = "tracked" if self.frame == 1 else "tentative"
                self.tracks.append(
                    {"id": self.count, "state": state, "motion": motion, "feature": embedding}
                    | {"first": self.frame, "last": self.frame, "detection": j}
                )
        self.drop_duplicates()
        return {t["id"]: t["detection"] for t in self.tracks if t["state"] == "tracked"}

    def drop_duplicates(self):
        here = [t for t in self.tracks if t["state"] != "lost"]
        lost = [t for t in self.tracks if t["state"] == "lost"]
        distance = self.iou(here, [(0, to_corners(t["motion"].mean[0, :4])) for t in lost])
        dropped = []
        for i, j in zip(*np.nonzero(distance < self.p.duplicate_threshold), strict=True):
            age_here, age_lost = (t["last"] - t["first"] for t in (here[i], lost[j]))
            dropped.append(lost[j]["id"] if age_here > age_lost else here[i]["id"])
        self.tracks = [t for t in self.tracks if t["id"] not in dropped]


@pytest.mark.parametrize("people", [8, 30])
def test_batched_equals_one_track_at_a_time(params, people):
    params = dataclasses.replace(params, min_box_area=0, max_aspect=math.inf, lost_seconds=0.3)
    batched, plain = Tracker(params, 30), PlainTracker(params, 30)
    for boxes, scores, embeddings in crowd(7, people, 30, size=(400, 250), miss=0.2, noise=0.6):
        tracks = batched.update(boxes, scores, embeddings)
        expected = plain.update(boxes, scores, embeddings)
        assert dict(zip(tracks.identities.tolist(), tracks.detections.tolist(), strict=True)) == expected
    assert batched.tracks.identity.tolist() == [t["id"] for t in plain.tracks]
    np.testing.assert_allclose(
        batched.tracks.mean, np.concatenate([t["motion"].mean for t in plain.tracks]), rtol=1e-9, atol=1e-9
    )


def test_the_benchmark_measures_crowds_and_files(params, tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("bench", PROFILE.parent / "benchmarks" / "association.py")
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench", bench)  # dataclasses look their module up
    spec.loader.exec_module(bench)
    case = bench.Case(params, people=6, dimension=8, frames=20, seed=0, repeats=1, scores=True)
    crowd_result = bench.measure(case)
    assert crowd_result["frames"] == 20
    assert crowd_result["IDF1"] > 0.6
    assert crowd_result["ms_per_frame"]["fastest"] > 0

    frames = list(bench.generated_crowd(6, 8, 20, 0))
    np.savez(
        tmp_path / "crowd.npz",
        frame=np.repeat(np.arange(1, 21), [len(f.boxes) for f in frames]),
        boxes=np.concatenate([f.boxes for f in frames]),
        scores=np.concatenate([f.scores for f in frames]),
        embeddings=np.concatenate([f.embeddings for f in frames]),
        gt_frame=np.repeat(np.arange(1, 21), 6),
        gt_identity=np.concatenate([f.true_identities for f in frames]),
        gt_boxes=np.concatenate([f.true_boxes for f in frames]),
    )
    from_file = bench.measure(dataclasses.replace(case, npz=tmp_path / "crowd.npz"))
    for name in ("IDF1", "MOTA", "HOTA", "IDSW", "detections_per_frame"):
        assert from_file[name] == crowd_result[name]
    np.savez(tmp_path / "short.npz", frame=[1, 1], boxes=np.zeros((1, 4)), scores=[0.5, 0.5])
    with pytest.raises(InputError, match="'boxes' has 1 rows, expected 2"):
        bench.read_npz(tmp_path / "short.npz")
