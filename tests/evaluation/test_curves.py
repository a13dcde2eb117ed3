"""Curves: each goes through the points that the table has."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clmot.evaluation.curves import bars, curves, precision_recall, roc, similarities
from clmot.evaluation.detection import JudgedDetections
from clmot.evaluation.embedding import compare_embeddings


@pytest.fixture
def compared():
    random = np.random.default_rng(0)
    identity = np.repeat(np.arange(12), 10)
    looks = random.normal(size=(12, 8))[identity] + 0.8 * random.normal(size=(120, 8))
    return compare_embeddings(looks, identity, np.tile(np.arange(10), 12))


def test_precision_over_recall_has_the_area_that_the_table_has() -> None:
    random = np.random.default_rng(0)
    scores = random.random(2000)
    found = JudgedDetections(scores, random.random(2000) < scores, 1500)
    curve = precision_recall(found)
    assert curve.precision.is_monotonic_decreasing
    assert curve.recall.iloc[-1] == pytest.approx(found.recall(0), abs=1e-6)
    area = np.trapezoid(curve.precision, curve.recall)
    assert area == pytest.approx(found.average_precision, abs=0.01)


def test_roc_goes_through_the_rates_of_the_table(compared) -> None:
    curve = roc(compared)
    assert curve.true_positive_rate.is_monotonic_increasing
    for rate in (0.1, 0.01, 0.001):
        row = curve[np.isclose(curve.log10_false_accept_rate, np.log10(rate), atol=1e-6)]
        assert row.true_positive_rate.iloc[0] == pytest.approx(compared.true_positive_rate(rate), abs=1e-6)


def test_histograms_hold_all_pairs_and_lie_where_they_are(compared) -> None:
    drawn = similarities(compared)
    assert drawn.same.sum() == pytest.approx(1, abs=1e-4)
    assert drawn.different.sum() == pytest.approx(1, abs=1e-4)
    assert (drawn.similarity * drawn.same).sum() > (drawn.similarity * drawn.different).sum() + 0.3


def test_nothing_scored_and_no_embeddings() -> None:
    for table in curves([], {}).values():
        assert len(table) == 0
        assert len(table.columns) >= 2
    none = JudgedDetections(np.zeros(0), np.zeros(0, bool), 5)
    assert len(precision_recall(none)) == 0
    alone = compare_embeddings(np.ones((3, 2)), np.zeros(3, np.int64), np.arange(3))
    assert len(roc(alone)) == 0


def test_bars_are_the_summary() -> None:
    found = bars({"mean": {"IDF1": 0.5}, "MOT17": {"IDF1": 0.5, "FP": 3, "ReID_mAP": 0.25}})
    expected = pd.DataFrame([("mean IDF1", 0.5), ("MOT17 IDF1", 0.5), ("MOT17 ReID mAP", 0.25)], columns=found.columns)
    pd.testing.assert_frame_equal(found, expected)
