"""The camera's motion: found in images, and taken out of the tracks."""

from __future__ import annotations

import zipfile

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_people import AXES, crowd, fixed_params, person

from clmot.inference import session
from clmot.inference.pipeline import Detections
from clmot.inference.track_frames import track_frames
from clmot.tracking import camera as camera_module
from clmot.tracking.boxes import to_corners, to_xyah
from clmot.tracking.camera import FEWEST_POINTS, CameraMotion, background, similarity
from clmot.tracking.tracker import Tracker

NOBODY = np.zeros((0, 4))
SIZE = (480, 320)


def matrix(zoom=1.0, turn=0.0, shift=(0.0, 0.0), about=(240.0, 160.0)):
    """A similarity that zooms and turns about a point, then shifts."""
    linear = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.column_stack((linear, about + np.asarray(shift) - linear @ about))


def texture(seed=0, size=SIZE):
    """A scene with something to see everywhere."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1] // 4, size[0] // 4, 3), np.uint8)
    return cv2.GaussianBlur(cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC), (0, 0), 1.5)


def filmed(scene, motion):
    """What the camera sees once it has moved."""
    linear, shift = motion[:, :2], motion[:, 2]
    # Boxes count from the corner of the first pixel, warpAffine from its centre.
    by_centres = np.column_stack((linear, linear @ [0.5, 0.5] + shift - 0.5))
    size = scene.shape[1], scene.shape[0]
    return cv2.warpAffine(scene, by_centres, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def furthest(one, other, size=SIZE):
    """How far two motions take a corner or the centre of the image apart, in pixels."""
    points = np.array([[x * size[0], y * size[1], 1] for x, y in ((0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5))])
    return np.linalg.norm(points @ (one - other).T, axis=1).max()


# From images.


@pytest.mark.parametrize(
    "motion",
    [
        matrix(),
        matrix(shift=(7.3, -4.6)),
        matrix(shift=(-31.0, 18.0)),
        matrix(turn=0.03),
        matrix(zoom=1.04),
        matrix(0.97, -0.02, (5, 3)),
    ],
)
def test_a_known_motion_is_found(motion):
    scene = texture()
    camera = CameraMotion()
    np.testing.assert_array_equal(camera.update(scene, NOBODY), np.eye(2, 3))
    assert furthest(camera.update(filmed(scene, motion), NOBODY), motion) < 0.3


def test_large_images_are_compared_small_and_answered_in_their_own_pixels():
    size = (1920, 1080)
    scene = cv2.resize(texture(), size, interpolation=cv2.INTER_CUBIC)
    motion = matrix(1.01, 0.005, (24, -9), about=(960, 540))
    camera = CameraMotion()
    camera.update(scene, NOBODY)
    assert furthest(camera.update(filmed(scene, motion), NOBODY), motion, size) < 1.0
    assert max(camera._image.shape) == camera_module.LONGER_SIDE


def test_people_are_not_taken_for_the_scene():
    """Three quarters of the image walk one way; only their boxes tell that the camera goes the other."""
    behind, front = texture(1), texture(2)
    crowd_box = np.array([[0.0, 80, 480, 320]])

    def frame(step):
        image = filmed(behind, matrix(shift=(-4.0 * step, 0)))
        image[80:] = filmed(front, matrix(shift=(6.0 * step, 0)))[80:]
        return image

    for boxes, expected in ((crowd_box, -4.0), (NOBODY, 6.0)):
        camera = CameraMotion()
        camera.update(frame(0), boxes)
        for step in (1, 2):
            assert furthest(camera.update(frame(step), boxes), matrix(shift=(expected, 0))) < 0.5


def test_background_is_what_no_box_touches():
    mask = background(np.array([[1.5, 0.5, 3.2, 2.0], [-5, 3, 1, 99], [90, 90, 99, 99], [3, 3, 2, 2]]), (5, 4))
    assert (mask > 0).astype(int).tolist() == [
        [1, 0, 0, 0, 1],
        [1, 0, 0, 0, 1],
        [1, 1, 1, 1, 1],
        [0, 1, 1, 1, 1],
    ]


def test_where_nothing_can_be_seen_the_camera_stands_still():
    scene = texture()
    blank, everywhere = np.full_like(scene, 90), np.array([[-10.0, -10, 999, 999]])
    camera = CameraMotion()
    moved = filmed(scene, matrix(shift=(9, 0)))
    for image, people in ((blank, NOBODY), (blank, NOBODY), (scene, everywhere), (moved, everywhere)):
        np.testing.assert_array_equal(camera.update(image, people), np.eye(2, 3))


def test_a_cut_to_another_scene_or_size_is_no_motion():
    camera = CameraMotion()
    for image in (texture(1), texture(2), texture(2, (320, 240))):
        np.testing.assert_array_equal(camera.update(image, NOBODY), np.eye(2, 3))


@pytest.mark.parametrize("size", [(1, 1), (6, 4), (900, 1)])
def test_images_smaller_than_a_corners_surroundings(size):
    camera, image = CameraMotion(), np.ascontiguousarray(texture()[: size[1], : min(size[0], 480)])
    for _ in range(3):
        np.testing.assert_array_equal(camera.update(image, NOBODY), np.eye(2, 3))


def test_the_same_images_give_the_same_bytes_whatever_was_drawn_before():
    scenes = [filmed(texture(), matrix(shift=(3 * k, 2 * k), turn=0.01 * k)) for k in range(4)]

    def motions(seed):
        cv2.setRNGSeed(seed)
        cv2.randu(np.zeros((seed, 1)), 0, 1)
        camera = CameraMotion()
        return b"".join(camera.update(image, NOBODY).tobytes() for image in scenes)

    assert motions(1) == motions(5)


# From points.


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0.8, 1.2),
    st.floats(-0.2, 0.2),
    st.tuples(st.floats(-80, 80), st.floats(-80, 80)),
    st.integers(0, 2**16),
)
def test_a_similarity_is_found_among_wrong_points(zoom, turn, shift, seed):
    rng = np.random.default_rng(seed)
    before = rng.uniform(0, SIZE, (90, 2))
    motion = matrix(zoom, turn, shift)
    after = before @ motion[:, :2].T + motion[:, 2]
    after[:35] += rng.normal(0, 60, (35, 2))
    assert furthest(similarity(before, after, 1.5), motion) < 0.5


def test_too_few_points_are_no_evidence():
    rng = np.random.default_rng(0)
    before = rng.uniform(0, SIZE, (FEWEST_POINTS, 2))
    assert furthest(similarity(before, before + 5, 1.0), matrix(shift=(5, 5))) < 0.01
    for count in range(FEWEST_POINTS):
        np.testing.assert_array_equal(similarity(before[:count], before[:count] + 5, 1.0), np.eye(2, 3))


def test_points_that_do_not_agree_and_motions_that_cannot_be_give_no_motion():
    rng = np.random.default_rng(0)
    before, after = rng.uniform(0, SIZE, (2, 100, 2))
    np.testing.assert_array_equal(similarity(before, after, 1.0), np.eye(2, 3))
    np.testing.assert_array_equal(similarity(before, before * 1.6, 1.0), np.eye(2, 3))
    same = np.full((100, 2), 7.0)
    np.testing.assert_array_equal(similarity(same, same + 3, 1.0), np.eye(2, 3))


# In the tracker.


def seen_by(motion, boxes):
    """Upright boxes after a similarity: the centre moves, the size zooms."""
    form = to_xyah(np.asarray(boxes, float).reshape(-1, 4))
    form[:, :2] = form[:, :2] @ motion[:, :2].T + motion[:, 2]
    form[:, 3] *= np.sqrt(np.linalg.det(motion[:, :2]))
    return to_corners(form)


def after(second, first):
    """Two motions in a row as one."""
    return np.vstack((second, [0, 0, 1]))[:2] @ np.vstack((first, [0, 0, 1]))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**16), st.booleans(), st.booleans())
def test_tracks_are_those_of_a_camera_that_stands_still(seed, use_embedding, second_pass):
    """Whatever shifts and zooms it goes through, as long as it is told; rotated boxes would have another IoU."""
    params = fixed_params(embedding="network" if use_embedding else "none", second_pass=second_pass, min_box_area=0.0)
    rng = np.random.default_rng(seed)
    still, moving = Tracker(params, 30), Tracker(params, 30)
    path = np.eye(2, 3)
    for boxes, scores, looks in crowd(seed, 12, 20, miss=0.2, size=(500, 300)):
        step = matrix(rng.uniform(0.9, 1.1), 0, rng.uniform(-60, 60, 2))
        path = after(step, path)
        a = still.update(boxes, scores, looks)
        b = moving.update(seen_by(path, boxes), scores, looks, camera=step)
        np.testing.assert_array_equal(a.identities, b.identities)
        np.testing.assert_array_equal(a.detections, b.detections)
        np.testing.assert_allclose(b.boxes, seen_by(path, a.boxes), rtol=1e-7, atol=1e-6)


@pytest.mark.parametrize("use_embedding", [True, False])
def test_a_jolt_keeps_identities_when_told_and_loses_them_when_not(use_embedding):
    params = fixed_params(embedding="network" if use_embedding else "none")
    steps = [matrix(turn=0.02 * (-1) ** k, shift=(70 * (-1) ** k, 0)) if k % 4 == 3 else matrix() for k in range(40)]

    def identities_given(told):
        tracker, path = Tracker(params, 30), np.eye(2, 3)
        scenes = crowd(3, 8, 40, miss=0, false=0, size=(1500, 800))
        for (boxes, _, looks), step in zip(scenes, steps, strict=True):
            path = after(step, path)
            tracks = tracker.update(seen_by(path, boxes), np.full(8, 0.9), looks, step if told else None)
        return tracks.identities.tolist()

    assert identities_given(True) == list(range(1, 9))
    assert len(set(identities_given(False)) & set(range(1, 9))) < 4


def test_lost_and_tentative_tracks_move_along():
    tracker = Tracker(fixed_params(), 30)
    tracker.update([person(100)], [0.9], AXES[:1])
    tracker.update([person(400)], [0.9], AXES[1:2])
    step = matrix(shift=(50, 0))
    tracks = tracker.update([person(150), person(450)], [0.9, 0.9], AXES[:2], camera=step)
    assert tracks.identities.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.eye(3), r"should be a \(2, 3\) matrix A\|t, got \(3, 3\)"),
        (np.full((2, 3), np.nan), "nan or inf"),
        (np.array([[1, 0, np.inf], [0, 1, 0]]), "nan or inf"),
        (np.zeros((2, 3)), "mirrors or flattens"),
        (np.array([[-1.0, 0, 0], [0, 1, 0]]), "mirrors or flattens"),
    ],
)
def test_a_motion_no_camera_makes_is_refused_and_changes_nothing(bad, words):
    tracker = Tracker(fixed_params(), 30)
    tracker.update([person(0)], [0.9], AXES[:1])
    with pytest.raises(ValueError, match=words):
        tracker.update([person(0)], [0.9], AXES[:1], camera=bad)
    assert tracker.frame == 1
    assert tracker.update([person(1)], [0.9], AXES[:1]).identities.tolist() == [1]


# In the pipeline.


@pytest.fixture
def shaken_film(tmp_path):
    """Three people who stand in a scene, filmed from a car on a bad road; the images, and the true boxes."""
    scene, people = texture(4), np.array([person(60, 40, 60), person(200, 100, 80), person(360, 60, 70)])
    frames, boxes, path = [], [], np.eye(2, 3)
    for k in range(12):
        if k % 3 == 2:
            path = after(matrix(shift=(26 * (-1) ** (k // 3), 9)), path)
        frames.append(tmp_path / f"{k:03}.png")
        cv2.imwrite(str(frames[-1]), filmed(scene, path))
        boxes.append(seen_by(path, people))
    return frames, boxes


def tracked(film, params):
    frames, boxes = film
    return track_frames(lambda number, image: Detections(boxes[number - 1], np.full(3, 0.9), None), frames, params, 25)


def test_the_pipeline_follows_the_camera(shaken_film):
    with_it = tracked(shaken_film, fixed_params(camera_motion=True))
    assert with_it.identity.tolist() == [1, 2, 3] * 12
    assert with_it.camera_seconds > 0
    without = tracked(shaken_film, fixed_params())
    assert without.identity.max() > 3
    assert without.camera_seconds == 0


def test_nobody_looks_for_the_camera_when_not_asked(shaken_film, monkeypatch):
    def refused(*_):
        raise AssertionError("the camera's motion was computed")

    monkeypatch.setattr(session.CameraMotion, "update", refused)
    tracked(shaken_film, fixed_params())
    with pytest.raises(AssertionError, match="was computed"):
        tracked(shaken_film, fixed_params(camera_motion=True))


def test_two_runs_with_a_moving_camera_give_the_same_bytes(shaken_film):
    runs = [tracked(shaken_film, fixed_params(camera_motion=True)) for _ in range(2)]
    assert runs[0].boxes.tobytes() == runs[1].boxes.tobytes()


# On real frames.


@pytest.mark.shared_data
def test_known_motions_of_a_real_film_are_found(shared):
    """MOT17-02's camera stands on a tripod: what a known matrix does to its frames is all the motion there is."""
    camera, path, errors = CameraMotion(), np.eye(2, 3), []
    with zipfile.ZipFile(shared / "data" / "MOT17.zip") as archive:
        folder = "MOT17/train/MOT17-02-FRCNN"
        truth = np.loadtxt(archive.read(f"{folder}/gt/gt.txt").decode().splitlines(), delimiter=",")
        for number in range(1, 16):
            image = cv2.imdecode(
                np.frombuffer(archive.read(f"{folder}/img1/{number:06}.jpg"), np.uint8), cv2.IMREAD_COLOR
            )
            size = image.shape[1], image.shape[0]
            step = matrix(1 + 0.01 * np.sin(number), 0.01 * np.cos(number), (9 * np.sin(number), 5), about=(544, 306))
            path = after(step, path)
            rows = truth[(truth[:, 0] == number) & (truth[:, 7] == 1)]
            people = np.concatenate((rows[:, 2:4] - 1, rows[:, 2:4] - 1 + rows[:, 4:6]), axis=1)
            found = camera.update(filmed(image, path), seen_by(path, people))
            if number > 1:
                errors.append(furthest(found, step, size))
    assert np.median(errors) < 0.3
    assert max(errors) < 1.0
