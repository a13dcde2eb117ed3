"""Whether people swap inside tracks, and into how many tracks a person falls: what IDF1 mixes into one number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from clmot.evaluation.preprocessing import ROUNDING, ScoredFrames

PURITY_METRICS = ("Purity", "TracksPerPerson")


@dataclass(frozen=True)
class TrackPurity:
    """Counts of one sequence, or of several."""

    boxes: int
    """Tracker boxes on a true box."""
    majority: int
    """Those on the person whom their track is on most often."""
    people: int
    """True identities that any track was on."""
    pairs: int
    """Pairs of such an identity and a track that was on it."""

    def metrics(self) -> dict[str, float]:
        """`Purity`: share of the boxes on people that are on their track's main person. `TracksPerPerson`: on how many
        tracks a person who was found is. Nothing where no one was found."""
        if not self.boxes:
            return {}
        return {"Purity": self.majority / self.boxes, "TracksPerPerson": self.pairs / self.people}


def count_purity(frames: ScoredFrames, iou_threshold: float = 0.5) -> TrackPurity:
    """Match boxes frame by frame so that the summed IoU is largest, whatever was matched before, and count."""
    together = np.zeros((frames.truth_identities, frames.tracked_identities), np.int64)
    for frame in frames.frames:
        similarity = frame.similarity()
        similarity[similarity < iou_threshold - ROUNDING] = 0
        rows, columns = linear_sum_assignment(similarity, maximize=True)
        matched = similarity[rows, columns] > 0
        together[frame.truth[rows[matched]], frame.tracked[columns[matched]]] += 1
    return TrackPurity(
        boxes=int(together.sum()),
        majority=int(together.max(axis=0, initial=0).sum()),
        people=int(together.any(axis=1).sum()),
        pairs=int((together > 0).sum()),
    )


def combine_purity(sequences: Sequence[TrackPurity]) -> TrackPurity:
    """The counts of several sequences as one."""
    return TrackPurity(
        sum(s.boxes for s in sequences),
        sum(s.majority for s in sequences),
        sum(s.people for s in sequences),
        sum(s.pairs for s in sequences),
    )
