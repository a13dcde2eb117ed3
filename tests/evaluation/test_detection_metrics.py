"""Average precision, precision and recall of detections, against definitions spelt out and the benchmarks' rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clmot.evaluation import detection
from clmot.evaluation.detection import (
    FORGIVEN,
    WRONG,
    JudgedDetections,
    combine_judged,
    judge,
)
from clmot.evaluation.preprocessing import iou_matrix, judge_truth
from clmot.motchallenge.annotations import AnnotationTable
from clmot.ranking import average_precision


def match_detections(truth: AnnotationTable, detections: AnnotationTable, length: int, benchmark: str) -> np.ndarray:
    return detection.match_detections(judge_truth(truth, length, benchmark), detections)


def boxes(truth: AnnotationTable, benchmark: str = "MOT17") -> int:
    return judge_truth(truth, 1, benchmark).boxes


def table(rows: list[tuple[float, ...]]) -> AnnotationTable:
    """Rows of frame, x, y, w, h, score or flag[, class]; the identity is the row's number from 1."""
    columns = np.array([[*row, 1][:7] for row in rows], float).reshape(-1, 7)
    count = len(columns)
    whole = columns[:, [0, 6]].astype(np.int64)
    return AnnotationTable(
        whole[:, 0], np.arange(1, count + 1), columns[:, 1:5], columns[:, 5], whole[:, 1], np.ones(count)
    )


scores_and_hits = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=20)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(scores_and_hits, st.integers(0, 5))
def test_average_precision_is_the_area_under_the_interpolated_curve(drawn: list[tuple[int, bool]], missed: int) -> None:
    """Spelt out: at every true box's share of recall, the best precision at any threshold that reaches it."""
    scores = np.array([score for score, _ in drawn], float)
    right = np.array([hit for _, hit in drawn], bool)
    total = int(right.sum()) + missed
    points = [(right[scores >= threshold].sum(), right[scores >= threshold].mean()) for threshold in np.unique(scores)]
    area = sum(max((p for found, p in points if found >= n), default=0.0) for n in range(1, total + 1))
    assert average_precision(scores, right, total) == pytest.approx(area / total if total else 0.0, abs=1e-12)


def test_order_and_monotone_scores_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    scores, right = rng.integers(0, 9, 60) / 10, rng.random(60) < 0.6
    value = average_precision(scores, right, 50)
    order = rng.permutation(60)
    assert average_precision(scores[order], right[order], 50) == value
    assert average_precision(np.exp(scores), right, 50) == value
    assert 0 < value < 1


def test_precision_and_recall_are_those_of_the_used_detections() -> None:
    judged = JudgedDetections(np.array([0.9, 0.8, 0.5, 0.2]), np.array([True, False, True, True]), 5)
    assert (judged.precision(0.5), judged.recall(0.5)) == (2 / 3, 2 / 5)
    assert (judged.precision(0.95), judged.recall(0.95)) == (0.0, 0.0)
    nobody = JudgedDetections(np.zeros(0), np.zeros(0, bool), 0)
    assert (nobody.average_precision, nobody.precision(0), nobody.recall(0)) == (0.0, 0.0, 0.0)


def test_the_best_score_chooses_first_and_takes_what_it_overlaps_most() -> None:
    truth = table([(1, 10, 10, 20, 40, 1), (1, 20, 10, 20, 40, 1)])
    detections = table([(1, 11, 10, 20, 40, 0.3), (1, 13, 10, 20, 40, 0.9), (1, 10, 10, 20, 40, 0.2)])
    # 0.9 takes the first box; the others cannot have it again, and overlap the second too little.
    assert match_detections(truth, detections, 1, "MOT17").tolist() == [WRONG, 0, WRONG]
    judged = judge(detections.confidence, match_detections(truth, detections, 1, "MOT17"), boxes(truth))
    assert judged.average_precision == 0.5


@pytest.mark.parametrize(
    ("benchmark", "forgiven"),
    [("MOT15", []), ("MOT17", [2, 7, 8, 12]), ("MOT20", [2, 6, 7, 8, 12])],
)
def test_distractors_are_forgiven_once(benchmark: str, forgiven: list[int]) -> None:
    """As in the preprocessing of tracks: one detection a distractor, and none on what does not count at all."""
    for category in range(2, 14):
        truth = table([(1, 10, 10, 20, 40, 1, category), (1, 100, 10, 20, 40, 1)])
        detections = table([(1, 10, 10, 20, 40, 0.9), (1, 11, 10, 20, 40, 0.5), (1, 100, 10, 20, 40, 0.4)])
        found = match_detections(truth, detections, 1, benchmark)
        if benchmark == "MOT15":  # it has no classes
            assert found.tolist() == [0, WRONG, 1]
            continue
        assert found.tolist() == [FORGIVEN if category in forgiven else WRONG, WRONG, 1], category
        assert judge(detections.confidence, found, boxes(truth, benchmark)).truth_boxes == 1


def test_unflagged_people_are_neither_missed_nor_forgiven() -> None:
    truth = table([(1, 10, 10, 20, 40, 0)])
    detections = table([(1, 10, 10, 20, 40, 0.9)])
    found = match_detections(truth, detections, 1, "MOT17")
    assert found.tolist() == [WRONG]
    assert judge(detections.confidence, found, boxes(truth)).truth_boxes == 0


def crowd(seed: int) -> tuple[AnnotationTable, AnnotationTable]:
    rng = np.random.default_rng(seed)
    boxes = [(f, *rng.integers(0, 60, 2), *rng.integers(10, 30, 2)) for f in rng.integers(1, 6, 60).tolist()]
    truth = table([(*box, int(rng.random() > 0.1), int(rng.choice([1, 1, 1, 3, 7]))) for box in boxes])
    shifted = [(f, *(np.array(box) + rng.integers(-3, 4, 4)), rng.integers(1, 9) / 9) for f, *box in boxes * 2]
    return truth, table(shifted)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_found_twice_or_from_afar(seed: int) -> None:
    truth, detections = crowd(seed)
    found = match_detections(truth, detections, 5, "MOT17")
    hits = np.nonzero(found >= 0)[0]
    assert len(hits) > 10
    assert len(set(found[hits].tolist())) == len(hits)
    assert (truth.frame[found[hits]] == detections.frame[hits]).all()
    assert (truth.confidence[found[hits]] != 0).all()
    assert (truth.category[found[hits]] == 1).all()
    assert (np.diag(iou_matrix(truth.box[found[hits]], detections.box[hits])) >= 0.5 - 1e-12).all()


@pytest.mark.parametrize("seed", range(6))
def test_low_scores_change_nothing_above_them(seed: int) -> None:
    """So the curve of precision over recall is what a detector with a higher threshold would reach."""
    truth, detections = crowd(seed)
    found = match_detections(truth, detections, 5, "MOT17")
    for threshold in np.unique(detections.confidence):
        rows = detections.confidence >= threshold
        assert match_detections(truth, detections.select(rows), 5, "MOT17").tolist() == found[rows].tolist()


def test_true_boxes_as_detections_are_perfect() -> None:
    truth, _ = crowd(1)
    people = truth.select((truth.category == 1) & (truth.confidence != 0))
    found = match_detections(truth, people, 5, "MOT17")
    judged = judge(people.confidence, found, boxes(truth))
    assert (judged.average_precision, judged.precision(1), judged.recall(1)) == (1, 1, 1)


def test_sequences_are_pooled() -> None:
    good = JudgedDetections(np.array([0.9]), np.array([True]), 1)
    bad = JudgedDetections(np.array([0.95, 0.5]), np.array([False, True]), 2)
    both = combine_judged([good, bad])
    assert both.truth_boxes == 3
    assert both.average_precision == pytest.approx(2 / 3 * 2 / 3)  # precision 1/2, then 2/3 up to recall 2/3
    assert both.recall(0.6) == 1 / 3
