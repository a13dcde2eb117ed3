"""Costs and assignment: the original's numbers, sparse routes against dense ones, and hostile input."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from fairmot_profile import fairmot_params, paper_profile
from full_covariances import from_covariance
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from clmot.tracking import assignment, costs, kalman
from clmot.tracking.assignment import assign, assign_pairs
from clmot.tracking.boxes import to_xyah
from clmot.tracking.costs import Pairs
from clmot.tracking.tracker import Tracker, duplicates

REFERENCE = Path(__file__).parents[1] / "reference"
FLOAT64 = {"rtol": 1e-9, "atol": 1e-9}
FLOAT32 = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE / "matching.npz") as arrays:
        found = dict(arrays)
    for name in ("track", "det", "dup_in_a", "dup_in_b"):
        box = found[f"{name}_tlwh"]
        found[f"{name}_corners"] = np.concatenate((box[:, :2], box[:, :2] + box[:, 2:]), axis=1)
    return found


@pytest.fixture(scope="module")
def gated(reference):
    """The reference's tracks and detections, as the pairs within the motion gate."""
    motion = from_covariance(reference["track_mean_after_predict"], reference["track_cov_after_predict"])
    mean, variance = kalman.project(motion)
    measured = to_xyah(reference["det_corners"])
    return costs.gated_pairs(mean, variance, measured, costs.gate_threshold(0.95))


def test_activation_and_prediction_reference(reference):
    motion = kalman.predict(kalman.initiate(to_xyah(reference["track_corners"])))
    np.testing.assert_allclose(motion.mean, reference["track_mean_after_predict"], **FLOAT64)
    np.testing.assert_allclose(motion.covariance(), reference["track_cov_after_predict"], **FLOAT64)


def test_iou_distance_with_the_originals_extra_pixel_reference(reference):
    distance = costs.iou_distance(reference["track_corners"], reference["det_corners"], offset=1)
    np.testing.assert_allclose(distance, reference["iou_distance"], **FLOAT64)
    convention = json.loads((REFERENCE / "iou_convention.json").read_text())
    boxes = (np.array(convention[name]) for name in "AB")
    distance = costs.iou_distance(*boxes, offset=1)
    np.testing.assert_allclose(1 - distance, convention["cython_bbox_iou_A_vs_B"], **FLOAT64)


@pytest.mark.parametrize("limit", [0.4, 0.5, 0.7, 1.0])
def test_overlapping_pairs_with_the_originals_extra_pixel_reference(reference, limit):
    """The route that the tracker takes (`inclusive_pixels`)."""
    whole = reference["iou_distance"]
    pairs = costs.overlapping_pairs(reference["track_corners"], reference["det_corners"], limit, offset=1)
    np.testing.assert_allclose(pairs.dense(whole.shape), np.where(whole < limit, whole, np.inf), **FLOAT64)
    convention = json.loads((REFERENCE / "iou_convention.json").read_text())
    boxes = [np.array(convention[name], float) for name in "AB"]
    found = costs.overlapping_pairs(*boxes, 1.0, offset=1).dense((1, 4))
    theirs = 1 - np.array(convention["cython_bbox_iou_A_vs_B"])
    np.testing.assert_allclose(found, np.where(theirs < 1, theirs, np.inf), **FLOAT64)


def test_iou_distance_departs_from_the_reference_by_no_extra_pixel(reference):
    """A departure: boxes are continuous here; the original adds 1 to every side, which inflates overlaps.

    Boxes that touch have IoU 0 (0.004 there), half-covering squares exactly a third.
    """
    a = np.array([[0.0, 0, 10, 10]])
    b = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [10, 10, 20, 20]])
    np.testing.assert_allclose(costs.iou_distance(a, b), [[0, 2 / 3, 1]], **FLOAT64)
    ours = costs.iou_distance(reference["track_corners"], reference["det_corners"])
    assert 1e-4 < np.abs(ours - reference["iou_distance"]).max() < 0.05


def test_embedding_distance_reference(reference):
    tracks, detections = costs.normalised(reference["track_feat"]), costs.normalised(reference["det_feat"])
    distance = costs.cosine_distance(tracks, detections)
    np.testing.assert_allclose(distance, reference["embedding_distance"], **FLOAT32)


def test_gate_reference(reference, gated):
    gate = reference["gate_cost_matrix"]
    np.testing.assert_array_equal(np.isfinite(gated.dense(gate.shape)), np.isfinite(gate))


def test_fused_cost_reference(reference, gated):
    cosine = reference["embedding_distance"][gated.rows, gated.cols]
    fused = Pairs(gated.rows, gated.cols, costs.fuse(cosine, gated.costs, 0.98)).dense((9, 11))
    np.testing.assert_allclose(fused, reference["fuse_motion_lambda0.98"], **FLOAT64)


def test_fused_cost_from_raw_features_reference(reference, gated):
    tracks, detections = costs.normalised(reference["track_feat"]), costs.normalised(reference["det_feat"])
    cosine = costs.aligned_cosine_distance(tracks, detections, gated.rows, gated.cols)
    fused = Pairs(gated.rows, gated.cols, costs.fuse(cosine, gated.costs, 0.98)).dense((9, 11))
    np.testing.assert_allclose(fused, reference["fuse_motion_lambda0.98"], **FLOAT32)


@pytest.mark.parametrize("limit", ["0.4", "0.5", "0.7"])
@pytest.mark.parametrize(
    ("name", "matrix"),
    [("iou", "iou_distance"), ("emb", "embedding_distance"), ("fused", "fuse_motion_lambda0.98")],
)
def test_assignment_reference(reference, name, matrix, limit):
    matches, rows, cols = assign(reference[matrix], float(limit))
    np.testing.assert_array_equal(matches, reference[f"assign_{name}_{limit}/matches"])
    np.testing.assert_array_equal(rows, reference[f"assign_{name}_{limit}/u_tracks"])
    np.testing.assert_array_equal(cols, reference[f"assign_{name}_{limit}/u_dets"])


@pytest.mark.parametrize("limit", [0.4, 0.5, 0.7])
def test_two_frames_through_the_tracker_reference(reference, limit):
    """FairMOT's params (its match_threshold, and two others): the tracker's matches are the original's.

    First by fused cost; the tracks left over then by IoU below .5 with the detections left over.
    """
    tracker = Tracker(fairmot_params(match_threshold=limit), frame_rate=30)
    tracker.update(reference["track_corners"], np.full(9, 0.9), reference["track_feat"])
    tracks = tracker.update(reference["det_corners"], np.full(11, 0.9), reference["det_feat"])
    name = f"assign_fused_{limit}"
    expected = dict(reference[f"{name}/matches"].tolist())
    left, free = reference[f"{name}/u_tracks"], reference[f"{name}/u_dets"]
    for row, col in assign(reference["iou_distance"][np.ix_(left, free)], 0.5)[0].tolist():
        expected[int(left[row])] = int(free[col])
    found = dict(zip((tracks.identities - 1).tolist(), tracks.detections.tolist(), strict=True))
    assert found == expected


def test_the_paper_profile_says_what_fairmots_defaults_are():
    """What is tested is what the profile's comments promise."""
    said = {}
    for line in (REFERENCE.parents[1] / "profiles" / "paper.yaml").read_text().splitlines():
        found = re.match(r"  (\w+): .*\(FairMOT: ([\d.]+)\)", line)
        if found:
            said[found[1]] = float(found[2])
    fairmot = vars(fairmot_params())
    paper = vars(paper_profile().params.track)
    assert said == {name: value for name, value in fairmot.items() if value != paper[name]}
    # What both have in common, as FairMOT published it.
    common = {
        "embedding_momentum": 0.9,
        "motion_weight": 0.98,
        "overlap_weight": 0,
        "gating_probability": 0.95,
        "iou_threshold": 0.5,
        "iou_threshold_alone": 0.5,
        "unconfirmed_threshold": 0.7,
        "duplicate_threshold": 0.15,
        "lost_seconds": 1.0,
        "max_aspect": 1.6,
        "inclusive_pixels": True,
        "embedding": "network",
        "second_pass": False,
        "camera_motion": False,
        "refind_seconds": 0,
    }
    assert {name: fairmot[name] for name in common} == common


def test_smoothed_features_reference(reference):
    feature = costs.normalised(reference["track_feat"][:1])
    np.testing.assert_allclose(feature[0], reference["ema_smooth"][0], **FLOAT32)
    for step in range(4):
        embedding = costs.normalised(reference[f"ema_in_{step}"][None])
        feature = costs.smoothed(feature, embedding, 0.9)
        np.testing.assert_allclose(feature[0], reference["ema_smooth"][step + 1], **FLOAT32)


def test_duplicates_reference(reference):
    drop_a, drop_b = duplicates(
        reference["dup_in_a_corners"],
        reference["dup_in_a_age"],
        reference["dup_in_b_corners"],
        reference["dup_in_b_age"],
        0.15,
        offset=1,
    )
    np.testing.assert_array_equal(np.nonzero(~drop_a)[0], reference["dup_kept_a"])
    np.testing.assert_array_equal(np.nonzero(~drop_b)[0], reference["dup_kept_b"])


def test_of_equally_old_duplicates_the_first_lists_goes():
    box = np.array([[0.0, 0, 40, 100]])
    drop_a, drop_b = duplicates(box, np.array([3]), box + 1, np.array([3]), 0.15)
    assert (drop_a.tolist(), drop_b.tolist()) == ([True], [False])


# The few pairs that are looked at are the right ones.


def crowd(rng, count, spread=1000.0):
    corner = rng.uniform(0, spread, (count, 2))
    size = rng.uniform([10, 30], [60, 160], (count, 2))
    return np.concatenate((corner, corner + size), axis=1)


@pytest.mark.parametrize("limit", [0.0, 0.15, 0.5, 0.7, 0.999, 1.0])
@pytest.mark.parametrize("spread", [50, 1000])
def test_overlapping_pairs_are_those_of_the_whole_matrix(limit, spread):
    rng = np.random.default_rng(int(limit * 100) + spread)
    a = crowd(rng, 60, spread)
    b = np.concatenate((crowd(rng, 40, spread), a[:30] + rng.normal(0, 3, (30, 4))))
    dense = costs.iou_distance(a, b)
    expected = np.where(dense < limit, dense, np.inf)
    pairs = costs.overlapping_pairs(a, b, limit)
    assert len(set(zip(pairs.rows.tolist(), pairs.cols.tolist(), strict=True))) == len(pairs.rows)
    np.testing.assert_array_equal(pairs.dense(dense.shape), expected)
    dense = costs.iou_distance(a, b, offset=1)
    with_pixel = costs.overlapping_pairs(a, b, limit, offset=1).dense(dense.shape)
    np.testing.assert_allclose(with_pixel, np.where(dense < limit, dense, np.inf), **FLOAT64)


@pytest.mark.parametrize("frames_lost", [0, 3, 30])
def test_gated_pairs_are_those_of_the_whole_matrix(frames_lost):
    rng = np.random.default_rng(frames_lost)
    boxes = to_xyah(crowd(rng, 50))
    motion = kalman.predict(kalman.initiate(boxes))
    for _ in range(frames_lost):
        motion = kalman.predict(motion)
    measured = np.concatenate((to_xyah(crowd(rng, 50)), boxes + rng.normal(0, [3, 3, 0.01, 3], boxes.shape)))
    mean, variance = kalman.project(motion)
    dense = kalman.squared_mahalanobis(mean[:, None], variance[:, None], measured[None])
    threshold = costs.gate_threshold(0.95)
    pairs = costs.gated_pairs(mean, variance, measured, threshold)
    np.testing.assert_array_equal(pairs.dense(dense.shape), np.where(dense <= threshold, dense, np.inf))
    assert len(pairs.rows) >= 50


@pytest.mark.parametrize("count", [3, 500])
def test_cosine_of_pairs_is_that_of_the_whole_matrix(count):
    rng = np.random.default_rng(0)
    a, b = (costs.normalised(rng.normal(size=(n, 16))) for n in (40, 50))
    rows, cols = rng.integers(0, 40, count), rng.integers(0, 50, count)
    some = costs.aligned_cosine_distance(a, b, rows, cols)
    np.testing.assert_allclose(some, costs.cosine_distance(a, b)[rows, cols], **FLOAT32)


# Assignment.


def total(cost, matches, limit):
    """What is minimised: leaving a pair unmatched costs the limit."""
    return (cost[matches[:, 0], matches[:, 1]] - limit).sum()


def whole_matrix_optimum(cost, limit):
    gains = np.minimum(cost - limit, 0)
    rows, cols = linear_sum_assignment(gains)
    return gains[rows, cols].sum()


matrices = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.5, 0.8]))


@settings(max_examples=150, deadline=None)
@given(matrices, st.sampled_from([0.1, 0.4, 0.7, 1.0]))
def test_groups_give_the_optimum_of_the_whole_matrix(matrix, limit):
    rows, cols, seed, forbidden = matrix
    rng = np.random.default_rng(seed)
    cost = rng.random((rows, cols))
    cost[rng.random(cost.shape) < forbidden] = np.inf
    matches, left_rows, left_cols = assign(cost, limit)
    assert sorted([*matches[:, 0], *left_rows]) == list(range(rows))
    assert sorted([*matches[:, 1], *left_cols]) == list(range(cols))
    assert (cost[matches[:, 0], matches[:, 1]] < limit).all()
    assert total(cost, matches, limit) == pytest.approx(whole_matrix_optimum(cost, limit), abs=1e-9)


@pytest.mark.parametrize("size", [(30, 40), (200, 180)])
def test_lap_and_scipy_find_the_same_total(size):
    lap = pytest.importorskip("lap")
    rng = np.random.default_rng(0)
    cost, limit = rng.random(size), 0.4
    cost[rng.random(size) < 0.8] = np.inf
    _, column, _ = lap.lapjv(cost, extend_cost=True, cost_limit=limit)
    rows = np.nonzero(column >= 0)[0]
    theirs = total(cost, np.stack((rows, column[rows]), axis=1), limit)
    edges = np.nonzero(np.isfinite(cost))
    pairs = Pairs(*edges, cost[edges])
    for solver in (assignment.solve_with_lap, linear_sum_assignment, None):
        matches, _, _ = assign_pairs(pairs, size, limit, solver)
        assert total(cost, matches, limit) == pytest.approx(theirs, abs=1e-9)


def test_without_lap_large_groups_are_solved_too(monkeypatch):
    monkeypatch.setattr(assignment, "lapjv", None)
    cost = np.random.default_rng(0).random((150, 150))
    matches, _, _ = assign(cost, 0.5)
    assert total(cost, matches, 0.5) == pytest.approx(whole_matrix_optimum(cost, 0.5), abs=1e-9)


def test_an_optimum_no_greedy_choice_finds():
    cost = np.array([[0.1, 0.2], [0.15, 0.9]])
    matches, rows, cols = assign(cost, 0.5)
    assert matches.tolist() == [[0, 1], [1, 0]]
    assert not len(rows)
    assert not len(cols)


def test_one_good_match_is_better_than_two_poor_ones():
    cost = np.array([[0.0, 0.39], [0.39, np.inf]])
    matches, rows, cols = assign(cost, 0.4)
    assert (matches.tolist(), rows.tolist(), cols.tolist()) == ([[0, 0]], [1], [1])


@pytest.mark.parametrize("shape", list(itertools.product((0, 3), (0, 4))))
def test_nothing_matches_where_all_is_forbidden_or_empty(shape):
    matches, rows, cols = assign(np.full(shape, np.inf), 0.7)
    assert matches.shape == (0, 2)
    assert rows.tolist() == list(range(shape[0]))
    assert cols.tolist() == list(range(shape[1]))


def test_a_pair_at_the_limit_is_no_match():
    assert not len(assign(np.array([[0.5]]), 0.5)[0])


def test_nan_is_refused():
    with pytest.raises(ValueError, match="nan"):
        assign(np.array([[0.1, np.nan]]), 0.5)


# Hostile vectors and boxes.


def test_normalising_copies_and_keeps_zeros():
    given = np.array([[3.0, 4], [0, 0], [1e-30, 0], [1e30, 1e30]])
    before = given.copy()
    unit = costs.normalised(given)
    np.testing.assert_array_equal(given, before)
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0], [1, 0], [0.5**0.5, 0.5**0.5]], rtol=1e-6)
    for kind in (np.float16, np.int64):
        np.testing.assert_allclose(costs.normalised(np.array([[300, 400]], kind)), [[0.6, 0.8]], rtol=1e-3)


def test_a_zero_vector_is_far_from_everything():
    distance = costs.cosine_distance(np.zeros((1, 3), np.float32), np.eye(3, dtype=np.float32))
    assert distance.tolist() == [[1, 1, 1]]


def test_smoothing_without_embedding_or_feature():
    axis = np.eye(2, dtype=np.float32)
    nothing = np.zeros_like(axis)
    np.testing.assert_allclose(costs.smoothed(axis, nothing, 0.0), axis, **FLOAT32)
    np.testing.assert_allclose(costs.smoothed(axis, nothing, 0.9), axis, **FLOAT32)
    np.testing.assert_allclose(costs.smoothed(nothing, axis, 0.9), axis, **FLOAT32)
    np.testing.assert_array_equal(costs.smoothed(nothing, nothing, 0.9), nothing)
    np.testing.assert_array_equal(costs.smoothed(axis, -axis, 0.5), axis)  # they cancel out


def test_boxes_without_area_overlap_nothing():
    boxes = np.array([[5.0, 5, 5, 5], [5, 5, 1, 9], [0, 0, 10, 10]])
    np.testing.assert_array_equal(costs.iou_distance(boxes, boxes), [[1, 1, 1], [1, 1, 1], [1, 1, 0]])
