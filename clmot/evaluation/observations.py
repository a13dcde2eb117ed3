"""What a sequence looked like before association: the scores of its detections and of their embeddings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clmot.evaluation.across_tracklets import (
    BREAKS,
    MAX_READINGS,
    AcrossTracklets,
    combine_across,
    compare_places,
    count_links,
    tracklets_of,
)
from clmot.evaluation.detection import JudgedDetections, combine_judged, judge, match_detections
from clmot.evaluation.embedding import (
    FALSE_ACCEPT_RATES,
    EmbeddingComparisons,
    combine_comparisons,
    compare_embeddings,
    sample_readings,
)
from clmot.evaluation.preprocessing import JudgedTruth
from clmot.inference.recording import read_embeddings, read_recording
from clmot.motchallenge.annotations import AnnotationTable

DETECTION_METRICS = ("AP", "Precision", "Recall")
EMBEDDING_METRICS = (*(f"TPR_{rate:.0e}".replace("e-0", "e-") for rate in FALSE_ACCEPT_RATES), "ReID_mAP")
ACROSS_METRICS = (
    "ReID_mAP_cross",
    *(f"Link_{seconds}s" for seconds in BREAKS),
    "AUC_place",
    "Rho_distance",
    "Rho_height",
)
"""What an embedding knows beyond the moment: see across_tracklets.py. `ReID_mAP_cross` is retrieval from other
tracklets of the person alone."""
OBSERVATION_METRICS = (*DETECTION_METRICS, *EMBEDDING_METRICS, *ACROSS_METRICS)
"""In the order in which they are reported. `TPR_1e-2` is the true-positive rate at a false-accept rate of 0.01."""


@dataclass(frozen=True, eq=False)
class ObservationScores:
    """The metrics of the detections of a sequence or of a benchmark, and of their embeddings."""

    detections: JudgedDetections
    embeddings: EmbeddingComparisons | None
    """None: the network gave none, or the true boxes have no identities."""
    confidence: float
    """The score from which the tracker uses a detection: precision and recall are those of what it uses."""
    across: AcrossTracklets | None = None
    """None as `embeddings`."""

    def metrics(self) -> dict[str, float]:
        """The metrics (0..1) by name, in the order of `OBSERVATION_METRICS`; those of embeddings only where there are
        pairs to compare."""
        values: dict[str, float | None] = {
            "AP": self.detections.average_precision,
            "Precision": self.detections.precision(self.confidence),
            "Recall": self.detections.recall(self.confidence),
        }
        if self.embeddings is not None:
            rates = [self.embeddings.true_positive_rate(rate) for rate in FALSE_ACCEPT_RATES]
            values |= zip(EMBEDDING_METRICS, [*rates, self.embeddings.retrieval_precision], strict=True)
            values["ReID_mAP_cross"] = self.embeddings.cross_precision
        if self.across is not None:
            values |= self.across.metrics()
        return {name: value for name, value in values.items() if value is not None}


def score_observations(
    truth: JudgedTruth, path: str | os.PathLike[str], confidence: float, iou_threshold: float = 0.5
) -> ObservationScores:
    """Score the recorded detections of one sequence.

    Embeddings are judged where they were read at a true box and where the tracker would use them: at detections that
    found one and score `confidence` or more. Without identities they cannot be judged.

    Args:
        truth: the ground truth of the evaluated range.
        path: file of the recorded detections.
        confidence: score from which the tracker uses a detection.
        iou_threshold: IoU from which a detection can be a true box's.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    recorded = read_recording(path)
    corners, count = recorded.boxes.astype(np.float64), len(recorded)
    detections = AnnotationTable(
        frame=recorded.frame.astype(np.int64),
        identity=np.full(count, -1),
        box=np.concatenate([corners[:, :2] + 1, corners[:, 2:] - corners[:, :2]], axis=1),
        confidence=recorded.scores.astype(np.float64),
        category=np.ones(count, np.int64),
        visibility=np.ones(count),
    )
    found = match_detections(truth, detections, iou_threshold)
    judged = judge(recorded.scores, found, truth.boxes)
    confidence = float(np.float32(confidence))  # rounded as the stored scores are: equal stays equal
    if not truth.identified:
        return ObservationScores(judged, None, confidence)
    read = np.nonzero((found >= 0) & (recorded.scores >= confidence))[0]
    identity, frame = truth.table.identity[found[read]], recorded.frame[read].astype(np.int64)
    sample = sample_readings(identity, frame)
    vectors = read_embeddings(path, read[sample])
    if vectors is None:
        return ObservationScores(judged, None, confidence)
    used = np.nonzero(recorded.scores >= confidence)[0]
    whose = np.where(found[used] >= 0, truth.table.identity[found[used]], -1 - used)  # no one else's
    linked = tracklets_of(whose, recorded.frame[used].astype(np.int64), recorded.boxes[used].astype(np.float64))
    tracklet = linked[np.searchsorted(used, read)]
    compared = compare_embeddings(vectors, identity[sample], frame[sample], tracklet[sample])

    def vectors_of(rows: np.ndarray) -> np.ndarray:
        some = read_embeddings(path, read[rows])
        assert some is not None
        return some

    links = [
        count_links(identity, frame, tracklet, round(seconds * truth.frame_rate), vectors_of) for seconds in BREAKS
    ]
    few = sample_readings(identity, frame, MAX_READINGS)
    boxes = recorded.boxes[read[few]].astype(np.float64)
    moved, replaced, rho, pairs = compare_places(identity[few], frame[few], boxes, vectors_of(few), truth.frame_rate)
    weighted = (rho[0] * pairs, rho[1] * pairs)
    right, asked = zip(*links, strict=True)
    return ObservationScores(
        judged, compared, confidence, AcrossTracklets(right, asked, moved, replaced, weighted, pairs)
    )


def combine_observations(sequences: Sequence[ObservationScores]) -> ObservationScores:
    """The scores of a benchmark: detections pooled, pairs of embeddings summed, of one tracker's sequences.

    Raises:
        ValueError: there is no sequence.
    """
    if not sequences:
        raise ValueError("there is no sequence to combine")
    compared = [s.embeddings for s in sequences if s.embeddings is not None]
    across = [s.across for s in sequences if s.across is not None]
    return ObservationScores(
        combine_judged([s.detections for s in sequences]),
        combine_comparisons(compared) if compared else None,
        sequences[0].confidence,
        combine_across(across) if across else None,
    )
