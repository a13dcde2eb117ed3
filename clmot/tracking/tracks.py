"""What is known of tracks: the table of those that live, and what the world sees of them in a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clmot.tracking import kalman
from clmot.tracking.boxes import to_corners
from clmot.tracking.costs import Floats, Indices


class TrackState:
    """Where a track is in its life; there is no state for those that ended, as they are not kept.

    Plain numbers: numpy takes five times as long to compare a column with a member of an enumeration.
    """

    TENTATIVE: Final = 0
    """Seen once, in the last frame; not reported until seen again."""
    TRACKED: Final = 1
    """Confirmed, and seen in the last frame."""
    LOST: Final = 2
    """Confirmed, and missed in the last frame."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """The confirmed tracks seen in a frame, ordered by identity."""

    identities: Indices
    """(M,) from 1, in order of first appearance."""
    boxes: Floats
    """(M, 4) x1 y1 x2 y2: the detection smoothed by the motion model."""
    scores: Floats
    """(M,) of the detections."""
    detections: Indices
    """(M,) index of each track's detection in what was given."""

    def __len__(self) -> int:
        return len(self.identities)


@dataclass(frozen=True, eq=False)
class TrackTable:
    """All living tracks, a row each, ordered by identity."""

    identity: Indices
    """(N,)"""
    state: NDArray[np.int8]
    """(N,) `TrackState`"""
    first_frame: Indices
    """(N,) when it was seen first."""
    last_frame: Indices
    """(N,) when it was seen last."""
    score: Floats
    """(N,) of the detection seen last."""
    detection: Indices
    """(N,) index of that detection in its frame."""
    mean: Floats
    """(N, 8) and"""
    spread: Floats
    """(N, 3, 4): see `kalman.Motion`."""
    feature: NDArray[np.float32]
    """(N, D) smoothed embedding of length 1, or zeros where none was ever given."""

    def __len__(self) -> int:
        return len(self.identity)

    @classmethod
    def empty(cls, dimension: int) -> TrackTable:
        """No tracks, with embeddings of `dimension`."""
        whole = np.zeros(0, np.int64)
        return cls(
            identity=whole,
            state=np.zeros(0, np.int8),
            first_frame=whole,
            last_frame=whole,
            score=np.zeros(0),
            detection=whole,
            mean=np.zeros((0, 8)),
            spread=np.zeros((0, 3, 4)),
            feature=np.zeros((0, dimension), np.float32),
        )

    def replaced(self, **columns: NDArray[Any]) -> TrackTable:
        """This table with other columns in place of those named."""
        return TrackTable(**{**vars(self), **columns})

    def select(self, rows: NDArray[np.bool_] | Indices) -> TrackTable:
        """The rows where a mask (N,) holds, or those of a list."""
        return TrackTable(**{name: column[rows] for name, column in vars(self).items()})

    def joined(self, keep: NDArray[np.bool_], more: TrackTable, keep_more: NDArray[np.bool_]) -> TrackTable:
        """New copies of the rows where `keep` (N,) holds, then of those of `more` where `keep_more` (M,) holds."""
        columns = vars(self)
        if not keep.all():
            kept = np.nonzero(keep)[0]
            columns = {name: column.take(kept, axis=0) for name, column in columns.items()}
        others = vars(more if keep_more.all() else more.select(keep_more))
        return TrackTable(**{name: np.concatenate((column, others[name])) for name, column in columns.items()})

    def motion(self, rows: Indices | slice) -> kalman.Motion:
        """The beliefs about `rows`."""
        return kalman.Motion(self.mean[rows], self.spread[rows])

    def corners(self, rows: Indices | slice = slice(None)) -> Floats:
        """Believed boxes of `rows` (of all), (n, 4) x1 y1 x2 y2."""
        return to_corners(self.mean[rows, :4])
