"""HOTA, field by field that of TrackEval, in the memory of a film's overlapping pairs.

HOTA = sqrt(DetA * AssA), averaged over the IoU thresholds 0.05, 0.10, ..., 0.95 (Luiten et al., "HOTA: A
Higher Order Metric for Evaluating Multi-Object Tracking", IJCV 2021). TrackEval's class keeps a matrix of
identities x tracks for each threshold and visits every frame once a threshold: for MOT20-05's size that is 600 MB and
17 s. Here the frames are matched once, and what a threshold keeps of the matches is counted afterwards; how scores
follow from the counts, and sequences combine, is still TrackEval's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from clmot.evaluation.official import metric
from clmot.evaluation.preprocessing import ROUNDING, ScoredFrames


@dataclass(frozen=True, eq=False)
class HotaScores:
    """What HOTA says of one sequence, or of several combined."""

    HOTA: float
    """Mean over the thresholds, 0..1."""
    DetA: float
    """Detection accuracy, mean over the thresholds, 0..1."""
    AssA: float
    """Association accuracy, mean over the thresholds, 0..1."""
    fields: dict[str, np.ndarray]
    """TrackEval's fields, each value of shape (19,): a threshold each. Needed to combine sequences."""


def score_hota(frames: ScoredFrames) -> HotaScores:
    """HOTA, DetA and AssA of one sequence. Without true boxes, or without tracker boxes, all are 0."""
    of_truth, of_tracks = (
        np.bincount(np.concatenate([np.zeros(0, np.int64), *identities]), minlength=count)
        for identities, count in (
            ([frame.truth for frame in frames.frames], frames.truth_identities),
            ([frame.tracked for frame in frames.frames], frames.tracked_identities),
        )
    )
    truth, track, overlap = _match(frames, _alignment(frames, of_truth, of_tracks))
    tracks = max(1, frames.tracked_identities)
    pairs, pair = np.unique(truth * tracks + track, return_inverse=True)
    appearances, length = of_truth[pairs // tracks], of_tracks[pairs % tracks]

    thresholds = metric("HOTA").array_labels
    parts = np.zeros((7, len(thresholds)))
    for at, threshold in enumerate(thresholds):
        kept = overlap >= threshold - ROUNDING
        matches = np.bincount(pair[kept], minlength=len(pairs))
        found = int(kept.sum())
        # Of each match: in how far its person and its track are one, over the whole film.
        shares = (matches / (appearances + length - matches), matches / appearances, matches / length)
        associated = [np.sum(matches * share) / max(1, found) for share in shares]
        located = max(1e-10, overlap[kept].sum()) / max(1e-10, found)
        parts[:, at] = (found, of_truth.sum() - found, of_tracks.sum() - found, *associated, located)
    names = ("HOTA_TP", "HOTA_FN", "HOTA_FP", "AssA", "AssRe", "AssPr", "LocA")
    return _combined([dict(zip(names, parts, strict=True))])


def _alignment(
    frames: ScoredFrames, of_truth: NDArray[np.integer], of_tracks: NDArray[np.integer]
) -> NDArray[np.float64]:
    """(identities, tracks): how well a track follows a person through the film, as a share of both; decides matches."""
    together = np.zeros((len(of_truth), len(of_tracks)))
    for frame in frames.frames:
        overlaps = frame.similarity()
        either = overlaps.sum(axis=0)[frame.columns] + overlaps.sum(axis=1)[frame.rows] - frame.overlaps
        sure = either > ROUNDING
        where = frame.truth[frame.rows[sure]], frame.tracked[frame.columns[sure]]
        together[where] += frame.overlaps[sure] / either[sure]
    return together / (of_truth[:, None] + of_tracks - together)


def _match(
    frames: ScoredFrames, alignment: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Match the boxes of each frame so that aligned identities and high overlaps win: identity, track and IoU (M,)."""
    matched = []
    for frame in frames.frames:
        scores = np.zeros((len(frame.truth), len(frame.tracked)))
        where = frame.rows, frame.columns
        scores[where] = -alignment[frame.truth[frame.rows], frame.tracked[frame.columns]] * frame.overlaps
        rows, columns = linear_sum_assignment(scores)
        matched.append((frame.truth[rows], frame.tracked[columns], frame.similarity()[rows, columns]))
    empty = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    truth, track, overlap = (np.concatenate(parts) for parts in zip(empty, *matched, strict=True))
    return truth, track, overlap


def combine_hota(sequences: Sequence[HotaScores]) -> HotaScores:
    """The scores of several sequences as one, by TrackEval: sums for DetA, AssA weighted by matches."""
    return _combined([s.fields for s in sequences])


def _combined(sequences: Sequence[dict[str, np.ndarray]]) -> HotaScores:
    hota = metric("HOTA")
    combined = hota.combine_sequences({str(n): fields for n, fields in enumerate(sequences)})
    fields = {name: combined[name] for name in hota.integer_array_fields + hota.float_array_fields}
    return HotaScores(
        HOTA=float(np.mean(fields["HOTA"])),
        DetA=float(np.mean(fields["DetA"])),
        AssA=float(np.mean(fields["AssA"])),
        fields=fields,
    )
