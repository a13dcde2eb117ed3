"""Curves for `dvc plots`, of all benchmarks together: how detections and embeddings do at every threshold.

A number of the table is one point of a curve; what differs between two runs may lie elsewhere on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clmot.evaluation.benchmark import BenchmarkScores
from clmot.evaluation.detection import JudgedDetections
from clmot.evaluation.embedding import SIMILARITY_BINS, EmbeddingComparisons
from clmot.evaluation.observations import combine_observations

BARS = ("HOTA", "IDF1", "MOTA", "AssA", "ReID_mAP", "AP")
"""Metrics of a benchmark that are drawn as bars."""
POINTS = 50
"""Of a curve over recall, and bars of a histogram."""
RATES = np.logspace(-4, 0, 2 * POINTS + 1)
"""False-accept rates: trackers compare with hundreds of others, so small ones matter."""


def curves(
    benchmarks: Sequence[BenchmarkScores], summary: Mapping[str, Mapping[str, float]]
) -> dict[str, pd.DataFrame]:
    """The tables by name; without embeddings `roc` and `similarities` have no rows.

    Args:
        benchmarks: what was scored.
        summary: of `clmot.evaluation.table.summary`.
    """
    known = [benchmark.observations for benchmark in benchmarks]
    pooled = [one for one in known if one is not None]
    together = combine_observations(pooled) if pooled else None
    return {
        "benchmarks": bars(summary),
        "precision_recall": precision_recall(None if together is None else together.detections),
        "roc": roc(None if together is None else together.embeddings),
        "similarities": similarities(None if together is None else together.embeddings),
    }


def bars(summary: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """A row for a benchmark and metric: `score` (MOT17 IDF1) and `value` (0..1, MOTA also below)."""
    rows = [
        (f"{name} {metric}".replace("_", " "), metrics[metric])
        for name, metrics in summary.items()
        for metric in BARS
        if metric in metrics
    ]
    return pd.DataFrame(rows, columns=["score", "value"])


def precision_recall(found: JudgedDetections | None) -> pd.DataFrame:
    """`recall` from 0 to what is reached, and the highest `precision` at this recall or above."""
    recall, precision = np.zeros(0), np.zeros(0)
    if found is not None and found.truth_boxes and len(found.scores):
        order = np.argsort(-found.scores, kind="stable")
        last_of_equal = np.nonzero(np.append(np.diff(found.scores[order]) != 0, True))[0]
        hits = np.cumsum(found.right[order])[last_of_equal]
        best = np.maximum.accumulate((hits / (last_of_equal + 1))[::-1])[::-1]
        reached = hits / found.truth_boxes
        recall = np.linspace(0, reached[-1], POINTS + 1)
        precision = best[np.searchsorted(reached, recall).clip(0, len(best) - 1)]
    return _rounded(recall=recall, precision=precision)


def roc(compared: EmbeddingComparisons | None) -> pd.DataFrame:
    """Pairs of readings taken for one person at a threshold: `false_accept_rate` of different people's, as its power of
    ten (-4..0), and `true_positive_rate` of one person's."""
    rates = [] if compared is None else [compared.true_positive_rate(rate) for rate in RATES.tolist()]
    drawn = [(np.log10(at), rate) for at, rate in zip(RATES.tolist(), rates, strict=bool(rates)) if rate is not None]
    at, rate = np.array(drawn).reshape(-1, 2).T
    return _rounded(log10_false_accept_rate=at, true_positive_rate=rate)


def similarities(compared: EmbeddingComparisons | None) -> pd.DataFrame:
    """Middles of steps of cosine `similarity`, and the share in each of the `same` person's and of `different` people's
    pairs; steps that no pair is in are left out at both ends."""
    middles = np.linspace(-1, 1, 2 * POINTS + 1)
    middles = (middles[:-1] + middles[1:]) / 2
    shares = [np.zeros(2 * POINTS)] * 2
    if compared is not None:
        shares = [
            counts.reshape(2 * POINTS, SIMILARITY_BINS // (2 * POINTS)).sum(axis=1) / max(1, counts.sum())
            for counts in (compared.same, compared.different)
        ]
    there = np.nonzero(shares[0] + shares[1])[0]
    rows = slice(there[0], there[-1] + 1) if len(there) else slice(0)
    return _rounded(similarity=middles[rows], same=shares[0][rows], different=shares[1][rows])


def _rounded(**columns: NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame({name: np.round(values, 6) for name, values in columns.items()})
