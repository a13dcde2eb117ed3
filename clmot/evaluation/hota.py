"""HOTA by trackeval, on arrays in memory.

HOTA = sqrt(DetA * AssA), averaged over the IoU thresholds 0.05, 0.10, ..., 0.95 (Luiten et al., "HOTA: A
Higher Order Metric for Evaluating Multi-Object Tracking", IJCV 2021). The metric class is trackeval's own;
this module hands it the frames and keeps its memory bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clmot.evaluation.official import metric, sequence_data
from clmot.evaluation.preprocessing import ScoredFrames

MATRIX_BYTES = 512 * 2**20
"""trackeval keeps a matrix of identities x tracks for each threshold; as many as fit here run at once."""


@dataclass(frozen=True, eq=False)
class HotaScores:
    """What trackeval's HOTA says of one sequence, or of several combined."""

    HOTA: float
    """Mean over the thresholds, 0..1."""
    DetA: float
    """Detection accuracy, mean over the thresholds, 0..1."""
    AssA: float
    """Association accuracy, mean over the thresholds, 0..1."""
    fields: dict[str, np.ndarray]
    """trackeval's own result, each value of shape (19,): a threshold each. Needed to combine sequences."""


def score_hota(frames: ScoredFrames) -> HotaScores:
    """HOTA, DetA and AssA of one sequence. Without true boxes, or without tracker boxes, all are 0."""
    hota = metric("HOTA")
    data = sequence_data(frames)
    matrix_bytes = 8 * max(1, frames.truth_identities * frames.tracked_identities)
    at_once = max(1, MATRIX_BYTES // matrix_bytes)
    thresholds = hota.array_labels
    parts = []
    for first in range(0, len(thresholds), at_once):
        hota.array_labels = thresholds[first : first + at_once]
        parts.append(hota.eval_sequence(data))
    array_fields = hota.integer_array_fields + hota.float_array_fields
    return _scores({name: np.concatenate([part[name] for part in parts]) for name in array_fields})


def combine_hota(sequences: Sequence[HotaScores]) -> HotaScores:
    """The scores of several sequences as one, by trackeval: sums for DetA, AssA weighted by matches."""
    hota = metric("HOTA")
    combined = hota.combine_sequences({str(n): dict(s.fields) for n, s in enumerate(sequences)})
    return _scores({name: combined[name] for name in hota.integer_array_fields + hota.float_array_fields})


def _scores(fields: dict[str, np.ndarray]) -> HotaScores:
    return HotaScores(
        HOTA=float(np.mean(fields["HOTA"])),
        DetA=float(np.mean(fields["DetA"])),
        AssA=float(np.mean(fields["AssA"])),
        fields=fields,
    )
