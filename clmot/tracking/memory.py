"""What is left of tracks that were given up: who they were and what they looked like.

Memory is bounded twice: a track is forgotten after a time, and there are never more than `MOST_REMEMBERED`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clmot.tracking.costs import Indices, cosine_distance

MOST_REMEMBERED = 1000
"""Tracks; of more, those unseen for longest are forgotten first. 2 MB of 512-d features, and less than the time of
one frame's association to compare a newcomer with, however busy the place and long the time."""


@dataclass(frozen=True, eq=False)
class Memory:
    """Tracks that were given up, ordered by when they were seen last and by identity."""

    identity: Indices
    """(G,)"""
    first_frame: Indices
    """(G,) when it was seen first."""
    last_frame: Indices
    """(G,) when it was seen last."""
    feature: NDArray[np.float32]
    """(G, D) smoothed embedding of length 1."""

    def __len__(self) -> int:
        return len(self.identity)

    @classmethod
    def empty(cls) -> Memory:
        """Nothing remembered yet."""
        whole = np.zeros(0, np.int64)
        return cls(whole, whole, whole, np.zeros((0, 0), np.float32))

    def select(self, keep: NDArray[np.bool_]) -> Memory:
        """The rows where `keep` (G,) holds."""
        return Memory(**{name: column[keep] for name, column in vars(self).items()})

    def remembering(self, more: Memory) -> Memory:
        """These and `more`, at most `MOST_REMEMBERED` of them. Tracks without an embedding are not remembered."""
        more = more.select(np.asarray(more.feature.any(axis=1)))
        if not len(more):
            return self
        if not len(self):
            together = more
        else:
            columns = vars(self)
            together = Memory(**{name: np.concatenate((columns[name], column)) for name, column in vars(more).items()})
        order = np.lexsort((together.identity, together.last_frame))[-MOST_REMEMBERED:]
        return Memory(**{name: column[order] for name, column in vars(together).items()})

    def recognised(self, features: NDArray[np.float32], limit: float) -> tuple[Indices, Indices]:
        """Match new tracks to remembered ones.

        Each takes part in at most one pair, and the most similar pair is taken first. That is not the least total cost
        (`assignment.assign`), which may give up the surest pair for two doubtful ones: here leaving a track unmatched
        costs nothing.

        Args:
            features: (N, D) of length 1, or 0 for "no embedding".
            limit: cosine distance below which two may be the same.

        Returns:
            Rows of `features`, and the rows of this memory that they are.
        """
        if not len(self) or not len(features):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        distance = cosine_distance(features, self.feature)
        distance[~features.any(axis=1)] = np.inf
        rows, cols = np.nonzero(distance < limit)
        best_first = np.argsort(distance[rows, cols], kind="stable")
        partner = np.full(len(features), -1, np.int64)
        taken = np.zeros(len(self), bool)
        for row, col in zip(rows[best_first].tolist(), cols[best_first].tolist(), strict=True):
            if partner[row] < 0 and not taken[col]:
                partner[row], taken[col] = col, True
        newcomers = np.nonzero(partner >= 0)[0]
        return newcomers, partner[newcomers]
