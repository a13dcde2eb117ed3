"""All metrics of a sequence, and of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clmot.evaluation.clear import ClearCounts, Evaluator, combine_clear, score_clear
from clmot.evaluation.hota import HotaScores, combine_hota, score_hota
from clmot.evaluation.observations import ObservationScores
from clmot.evaluation.preprocessing import JudgedTruth, preprocess
from clmot.evaluation.purity import TrackPurity, combine_purity, count_purity
from clmot.motchallenge.annotations import AnnotationTable

METRICS = ("MOTA", "MOTP", "IDF1", "IDSW", "MT", "ML", "HOTA", "DetA", "AssA", "FP", "FN", "Frag")
"""In the order in which they are reported: the columns of the original project's table come first."""

COUNTS = ("IDSW", "MT", "ML", "FP", "FN", "Frag")
"""The metrics that are whole numbers; the others are fractions."""


@dataclass(frozen=True, eq=False)
class Scores:
    """The metrics of a sequence or of a benchmark.

    Fractions (0..1; MOTA may be negative) and counts, as the evaluator counts them (see clear.py). Never nan: without a
    true box, or without a match to average over, a fraction is 0, as in TrackEval; except the MOTA of several sequences
    that have no true box together, which is minus their false positives, as there.
    """

    MOTA: float
    """Multi-object tracking accuracy."""
    MOTP: float
    """Mean IoU of the matched pairs."""
    IDF1: float
    """F1 of boxes that carry the right identity."""
    IDSW: int
    """Identity switches."""
    MT: int
    """Mostly tracked true identities."""
    ML: int
    """Mostly lost true identities."""
    HOTA: float
    """Higher order tracking accuracy (trackeval)."""
    DetA: float
    """Detection accuracy (trackeval)."""
    AssA: float
    """Association accuracy (trackeval)."""
    FP: int
    """False positives."""
    FN: int
    """False negatives."""
    Frag: int
    """Fragmentations."""
    clear: ClearCounts
    """The counts behind the metrics, for combining."""
    hota: HotaScores
    """trackeval's fields behind the metrics, for combining."""
    purity: TrackPurity
    """Whether people swap inside tracks, and into how many they fall."""

    @property
    def frames(self) -> int:
        """Evaluated frames, with output or without."""
        return self.clear.frames

    def metrics(self) -> dict[str, float | int]:
        """The metrics by name, in the order of `METRICS`."""
        return {name: getattr(self, name) for name in METRICS}


@dataclass(frozen=True, eq=False)
class SequenceScores(Scores):
    """The metrics of one sequence."""

    sequence: str
    """Its name."""
    observations: ObservationScores | None = None
    """What its detections and their embeddings were worth before association; None: not asked for."""


def score_sequence(
    truth: JudgedTruth,
    results: AnnotationTable,
    iou_threshold: float = 0.5,
    evaluator: Evaluator = "trackeval",
    results_source: str = "the results",
) -> SequenceScores:
    """Score the tracks of one sequence after the official preprocessing.

    Args:
        truth: the ground truth of the evaluated range, identified.
        results: the tracker's boxes, frames numbered from 1.
        iou_threshold: for CLEAR and identity; HOTA has its own 19, and preprocessing the official 0.5.
        evaluator: whose CLEAR metrics.
        results_source: the file of the results, for messages.

    Raises:
        InputError: an identity appears twice in a frame, or a frame is outside 1..length.
    """
    frames = preprocess(truth, results, results_source)
    clear, hota = score_clear(frames, iou_threshold, evaluator), score_hota(frames)
    values = _metrics(clear, hota)
    if not clear.objects:
        values["MOTA"] = 0.0
    purity = count_purity(frames, iou_threshold)
    return SequenceScores(**values, clear=clear, hota=hota, purity=purity, sequence=truth.sequence)


def combine(sequences: Sequence[Scores]) -> Scores:
    """The scores of a benchmark: fractions of summed counts, HOTA as trackeval combines it.

    Raises:
        ValueError: there is no sequence.
    """
    if not sequences:
        raise ValueError("there is no sequence to combine")
    clear = combine_clear([s.clear for s in sequences])
    hota = combine_hota([s.hota for s in sequences])
    purity = combine_purity([s.purity for s in sequences])
    return Scores(**_metrics(clear, hota), clear=clear, hota=hota, purity=purity)


def _metrics(clear: ClearCounts, hota: HotaScores) -> dict[str, Any]:
    from_hota = ("HOTA", "DetA", "AssA")
    return {name: getattr(hota if name in from_hota else clear, name) for name in METRICS}
