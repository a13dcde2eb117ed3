"""The batched Kalman filter against the original's numbers and against the full matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from full_covariances import from_covariance
from hypothesis import given, settings
from hypothesis import strategies as st

from clmot.tracking import kalman
from clmot.tracking.boxes import to_corners, to_xyah
from clmot.tracking.costs import gate_threshold

EXACT = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).parents[1] / "reference" / "kalman.npz") as arrays:
        return dict(arrays)


def test_initiate_predict_update_reference(reference):
    measured = reference["measurements_xyah"]
    motion = kalman.initiate(measured[:1])
    np.testing.assert_allclose(motion.mean[0], reference["init_mean"], **EXACT)
    np.testing.assert_allclose(motion.covariance()[0], reference["init_cov"], **EXACT)
    for step in range(4):
        motion = kalman.predict(motion)
        np.testing.assert_allclose(motion.mean[0], reference["pred_mean"][step], **EXACT)
        np.testing.assert_allclose(motion.covariance()[0], reference["pred_cov"][step], **EXACT)
        motion = kalman.update(motion, measured[step + 1][None])
        np.testing.assert_allclose(motion.mean[0], reference["upd_mean"][step], **EXACT)
        np.testing.assert_allclose(motion.covariance()[0], reference["upd_cov"][step], **EXACT)


def test_projection_and_gating_reference(reference):
    motion = from_covariance(reference["upd_mean"][-1:], reference["upd_cov"][-1:])
    mean, variance = kalman.project(motion)
    np.testing.assert_allclose(mean[0], reference["project_mean"], **EXACT)
    np.testing.assert_allclose(np.diag(variance[0]), reference["project_cov"], **EXACT)
    distance = kalman.squared_mahalanobis(mean, variance, reference["gate_candidates"])
    np.testing.assert_allclose(distance, reference["gate_maha4"], **EXACT)


def test_gating_by_position_alone_and_without_variances_reference(reference):
    """The original's other two distances, which its tracker never asks for, are this function of other arguments."""
    motion = from_covariance(reference["upd_mean"][-1:], reference["upd_cov"][-1:])
    mean, variance = kalman.project(motion)
    seen = reference["gate_candidates"]
    by_position = kalman.squared_mahalanobis(mean[:, :2], variance[:, :2], seen[:, :2])
    np.testing.assert_allclose(by_position, reference["gate_maha2"], **EXACT)
    euclidean = kalman.squared_mahalanobis(mean, np.ones_like(variance), seen)
    np.testing.assert_allclose(euclidean, reference["gate_gauss4"], **EXACT)


def test_predict_many_at_once_reference(reference):
    motion = from_covariance(reference["multi_in_mean"], reference["multi_in_cov"])
    predicted = kalman.predict(motion)
    np.testing.assert_allclose(predicted.mean, reference["multi_out_mean"], **EXACT)
    np.testing.assert_allclose(predicted.covariance(), reference["multi_out_cov"], **EXACT)


def test_gate_threshold_reference(reference):
    """The original's table has five digits."""
    computed = [gate_threshold(0.95, coordinates) for coordinates in range(1, 10)]
    np.testing.assert_allclose(computed, reference["chi2inv95"], rtol=1e-4)
    assert gate_threshold(0.95) == computed[3]


def test_four_small_filters_equal_the_full_matrix_filter():
    """The textbook's 8x8 equations, over a walk with irregular measurements."""
    rng = np.random.default_rng(0)
    step = np.eye(8) + np.eye(8, k=4)
    observe = np.eye(4, 8)

    def noise(height, aspect, weight):
        return np.array([weight * height, weight * height, aspect, weight * height]) ** 2

    motion = kalman.initiate(np.array([[100.0, 50, 0.4, 80]]))
    mean, covariance = motion.mean[0], motion.covariance()[0]
    for _ in range(30):
        q = np.concatenate((noise(mean[3], 1e-2, 1 / 20), noise(mean[3], 1e-5, 1 / 160)))
        mean, covariance = step @ mean, step @ covariance @ step.T + np.diag(q)
        motion = kalman.predict(motion)
        if rng.random() < 0.7:
            measured = mean[:4] + rng.normal(0, [5, 5, 0.02, 4])
            inverse = np.linalg.inv(observe @ covariance @ observe.T + np.diag(noise(mean[3], 1e-1, 1 / 20)))
            gain = covariance @ observe.T @ inverse
            mean = mean + gain @ (measured - mean[:4])
            covariance = covariance - gain @ observe @ covariance
            motion = kalman.update(motion, measured[None])
        np.testing.assert_allclose(motion.mean[0], mean, **EXACT)
        np.testing.assert_allclose(motion.covariance()[0], covariance, **EXACT)


def test_tracks_of_a_batch_do_not_influence_each_other():
    rng = np.random.default_rng(1)
    boxes = rng.uniform([0, 0, 0.2, 20], [1000, 500, 0.9, 200], (7, 4))
    seen = boxes + rng.normal(0, [4, 4, 0.01, 3], boxes.shape)
    together = kalman.update(kalman.predict(kalman.initiate(boxes)), seen)
    for i in range(len(boxes)):
        alone = kalman.update(kalman.predict(kalman.initiate(boxes[i : i + 1])), seen[i : i + 1])
        np.testing.assert_array_equal(together.mean[i], alone.mean[0])
        np.testing.assert_array_equal(together.spread[i], alone.spread[0])


def test_no_tracks():
    motion = kalman.update(kalman.predict(kalman.initiate(np.zeros((0, 4)))), np.zeros((0, 4)))
    assert motion.mean.shape == (0, 8)
    assert motion.covariance().shape == (0, 8, 8)


def test_inputs_are_left_alone():
    boxes = np.array([[10.0, 20, 0.5, 60]])
    motion = kalman.initiate(boxes)
    mean, spread = motion.mean.copy(), motion.spread.copy()
    kalman.update(kalman.predict(motion), boxes + 1)
    np.testing.assert_array_equal(motion.mean, mean)
    np.testing.assert_array_equal(motion.spread, spread)
    np.testing.assert_array_equal(boxes, [[10, 20, 0.5, 60]])


def test_variances_stay_positive_through_years_of_sightings():
    motion = kalman.initiate(np.array([[10.0, 20, 0.5, 60]]))
    for _ in range(2000):
        motion = kalman.update(kalman.predict(motion), motion.mean[:, :4])
    assert (np.linalg.eigvalsh(motion.covariance()) > 0).all()


def test_box_forms_are_inverse():
    corners = np.array([[10.0, 20, 50, 120], [-5, -8, 3, 30]])
    np.testing.assert_allclose(to_corners(to_xyah(corners)), corners)
    np.testing.assert_allclose(to_xyah(corners)[0], [30, 70, 0.4, 100])


# A camera that moves.


def lived(seed, people=5, frames=8):
    """Beliefs about people who were seen in some frames and missed in others."""
    rng = np.random.default_rng(seed)
    boxes = rng.uniform([0, 0, 0.2, 20], [1000, 500, 0.9, 200], (people, 4))
    motion = kalman.initiate(boxes)
    for _ in range(frames):
        motion = kalman.predict(motion)
        seen = rng.random(people) < 0.6
        measured = motion.mean[:, :4] + rng.normal(0, [4, 4, 0.01, 3], boxes.shape)
        after = kalman.update(motion, measured)
        motion = kalman.Motion(
            np.where(seen[:, None], after.mean, motion.mean),
            np.where(seen[:, None, None], after.spread, motion.spread),
        )
    return motion


def similarity(zoom, turn, shift):
    along, across = zoom * np.cos(turn), zoom * np.sin(turn)
    return np.array([[along, -across, shift[0]], [across, along, shift[1]]])


similarities = st.builds(
    similarity, st.floats(0.5, 2), st.floats(-3, 3), st.tuples(st.floats(-500, 500), st.floats(-500, 500))
)
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(seeds, similarities)
def test_a_similarity_transforms_beliefs_as_the_full_matrices_would(seed, camera):
    motion = lived(seed)
    full = np.zeros((8, 8))
    zoom = np.sqrt(np.linalg.det(camera[:, :2]))
    for first in (0, 4):  # positions, and velocities
        full[first : first + 2, first : first + 2] = camera[:, :2]
        full[first + 2, first + 2], full[first + 3, first + 3] = 1, zoom
    moved = kalman.transformed(motion, camera)
    mean = motion.mean @ full.T
    mean[:, :2] += camera[:, 2]
    np.testing.assert_allclose(moved.mean, mean, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(moved.covariance(), full @ motion.covariance() @ full.T, rtol=1e-9, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(seeds, similarities)
def test_whether_the_camera_or_the_frame_moves_first_is_the_same(seed, camera):
    motion = lived(seed)
    one = kalman.predict(kalman.transformed(motion, camera))
    other = kalman.transformed(kalman.predict(motion), camera)
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(one.spread, other.spread, rtol=1e-9)


@settings(max_examples=30, deadline=None)
@given(seeds, similarities)
def test_a_camera_that_comes_back_changes_nothing(seed, camera):
    motion = lived(seed)
    back = np.linalg.inv(np.vstack((camera, [0, 0, 1])))[:2]
    again = kalman.transformed(kalman.transformed(motion, camera), back)
    np.testing.assert_allclose(again.mean, motion.mean, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(again.spread, motion.spread, rtol=1e-6)


def test_a_camera_that_stands_still_changes_no_bit():
    motion = lived(3)
    same = kalman.transformed(motion, np.eye(2, 3))
    np.testing.assert_array_equal(same.mean, motion.mean)
    np.testing.assert_array_equal(same.spread, motion.spread)


def test_x_and_y_are_equally_uncertain_in_every_belief():
    """Why a turn couples nothing."""
    for seed in range(10):
        spread = lived(seed).spread
        np.testing.assert_array_equal(spread[:, :, 0], spread[:, :, 1])
