"""CLEAR and identity metrics, on arrays in memory: as TrackEval counts them, or as motmetrics does.

CLEAR: Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance", 2008. Identity:
Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", 2016.

TrackEval 1.3.0 is the MOTChallenge's evaluator, so its counts are official. motmetrics 1.4.0 (py-motmetrics) is what
the original project used, and often kinder:

- IDSW: a true identity is matched to another track than at its last match, however long ago that was. Both count
  this, but where TrackEval prefers to carry on a match of the previous frame only, motmetrics carries on an earlier one
  as well: the matchings, and with them IDSW, FP and FN, can differ slightly.
- Frag: TrackEval counts the returns to tracked, also after frames in which the identity was not in the picture, but not
  after frames without any tracker box. motmetrics counts changes from tracked to missed between an identity's first
  and last match.
- MT: matched in more than 80 % of an identity's frames (motmetrics: at least 80 %). ML: in less than 20 %.
- IDF1 is the same number in both; it is computed here in a leaner way (`identity_matches`).

MOTP is the mean IoU of the matched pairs, as the MOTChallenge reports it (higher is better), that is 1 minus
motmetrics' mean distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from clmot.evaluation.official import metric, sequence_data
from clmot.evaluation.preprocessing import ROUNDING, ScoredFrames

Evaluator = Literal["trackeval", "motmetrics"]
EVALUATORS: tuple[Evaluator, ...] = ("trackeval", "motmetrics")
"""The official one, and the original project's."""


@dataclass(frozen=True)
class ClearCounts:
    """What adds up over sequences; the fractions follow from it."""

    frames: int
    """Evaluated frames, with output or without."""
    objects: int
    """True boxes."""
    predictions: int
    """Tracker boxes (after preprocessing)."""
    matches: int
    """Matched pairs, identity switches among them."""
    overlap_sum: float
    """Summed IoU of the matched pairs."""
    FP: int
    """Tracker boxes without a match."""
    FN: int
    """True boxes without a match."""
    IDSW: int
    """Identity switches."""
    Frag: int
    """Fragmentations."""
    MT: int
    """Mostly tracked true identities."""
    ML: int
    """Mostly lost true identities."""
    identity_matches: int
    """IDTP: boxes matched under the best one-to-one pairing of whole tracks with whole identities."""

    @property
    def MOTA(self) -> float:
        """1 - (FN + FP + IDSW) / objects: at most 1, negative when errors outnumber the true boxes; minus the false
        positives where there is no true box, as in TrackEval's combination of sequences."""
        return (self.matches - self.FP - self.IDSW) / max(1, self.objects)

    @property
    def MOTP(self) -> float:
        """Mean IoU of the matched pairs, 0..1; 0 without a match."""
        return self.overlap_sum / self.matches if self.matches else 0.0

    @property
    def IDF1(self) -> float:
        """2 IDTP / (objects + predictions), 0..1."""
        boxes = self.objects + self.predictions
        return 2 * self.identity_matches / boxes if self.objects else 0.0


def score_clear(frames: ScoredFrames, iou_threshold: float = 0.5, evaluator: Evaluator = "trackeval") -> ClearCounts:
    """Count one sequence.

    Args:
        frames: the preprocessed sequence.
        iou_threshold: IoU from which a tracker box and a true box can match.
        evaluator: whose definitions of IDSW, Frag, MT and ML apply.
    """
    if evaluator == "motmetrics":
        return _by_motmetrics(frames, iou_threshold)
    found = metric("CLEAR", iou_threshold).eval_sequence(sequence_data(frames))
    return ClearCounts(
        frames=frames.length,
        objects=frames.truth_boxes,
        predictions=frames.tracked_boxes,
        matches=int(found["CLR_TP"]),
        overlap_sum=float(found["MOTP_sum"]),
        FP=int(found["CLR_FP"]),
        FN=int(found["CLR_FN"]),
        IDSW=int(found["IDSW"]),
        Frag=int(found["Frag"]),
        MT=int(found["MT"]),
        ML=int(found["ML"]),
        identity_matches=identity_matches(frames, iou_threshold),
    )


def _by_motmetrics(frames: ScoredFrames, iou_threshold: float) -> ClearCounts:
    import motmetrics

    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    # Its solver would otherwise be whatever is installed, and ties would be broken accordingly.
    with motmetrics.lap.set_default_solver("scipy"):
        for frame in frames.frames:
            similarity = frame.similarity()
            distance = np.where(similarity >= iou_threshold - ROUNDING, 1 - similarity, np.nan)
            accumulator.update(frame.truth, frame.tracked, distance)
    found = motmetrics.metrics.create().compute(
        accumulator,
        metrics=[
            "num_objects",
            "num_predictions",
            "num_detections",
            "motp",
            "num_false_positives",
            "num_misses",
            "num_switches",
            "num_fragmentations",
            "mostly_tracked",
            "mostly_lost",
        ],
        return_dataframe=False,
    )
    detections = int(found["num_detections"])
    return ClearCounts(
        frames=frames.length,
        objects=int(found["num_objects"]),
        predictions=int(found["num_predictions"]),
        matches=detections,
        overlap_sum=detections * (1 - float(found["motp"])) if detections else 0.0,
        FP=int(found["num_false_positives"]),
        FN=int(found["num_misses"]),
        IDSW=int(found["num_switches"]),
        Frag=int(found["num_fragmentations"]),
        MT=int(found["mostly_tracked"]),
        ML=int(found["mostly_lost"]),
        identity_matches=identity_matches(frames, iou_threshold),
    )


def identity_matches(frames: ScoredFrames, iou_threshold: float = 0.5) -> int:
    """IDTP: frames matched under the one-to-one pairing of tracks with true identities that matches most.

    Minimal IDFP + IDFN (the definition) is maximal IDTP, since IDFP + IDFN = boxes on both sides - 2 IDTP.
    motmetrics and trackeval solve the former in a square matrix of identities and tracks together, which
    takes 28 s and 2.8 GB at 7,000 tracks; the latter needs no padding and gives the same number. The IoU has
    to reach the threshold exactly here, without rounding, as in trackeval.
    """
    together = np.zeros((frames.truth_identities, frames.tracked_identities))  # frames a pair overlaps in
    for frame in frames.frames:
        enough = frame.overlaps >= iou_threshold
        together[frame.truth[frame.rows[enough]], frame.tracked[frame.columns[enough]]] += 1
    together = together[:, together.any(axis=0)]
    rows, columns = linear_sum_assignment(together, maximize=True)
    return int(together[rows, columns].sum())


def combine_clear(sequences: Sequence[ClearCounts]) -> ClearCounts:
    """The counts of several sequences as one: identities of different sequences are different."""
    return ClearCounts(**{f.name: sum(getattr(s, f.name) for s in sequences) for f in fields(ClearCounts)})
