"""Several remembered looks of each track, and the time of each: what a track is recognised by after it was away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clmot.tracking.costs import Indices

LOOKS = 8
"""Of a track; a new one takes the place of the oldest. With one each .4 s they show a person of the last 3 s."""
EVERY_SECONDS = 0.4
"""Between two remembered looks: those of neighbouring frames are one look."""


@dataclass(frozen=True, eq=False)
class Gallery:
    """The looks of N tracks, a row each, ordered by identity."""

    identity: Indices
    """(N,)"""
    look: NDArray[np.float32]
    """(N, LOOKS, D) embeddings of length 1"""
    frame: Indices
    """(N, LOOKS) when each was seen; 0: no look yet"""

    @classmethod
    def empty(cls, dimension: int) -> Gallery:
        """No track, embeddings of `dimension`."""
        whole = np.zeros((0, LOOKS), np.int64)
        return cls(whole[:, 0], np.zeros((0, LOOKS, dimension), np.float32), whole)

    def followed(self, identity: Indices, feature: NDArray[np.float32], frame: int) -> Gallery:
        """The gallery of the tracks `identity` (M,), ascending: the looks of those known; `feature` (M, D), seen at
        `frame`, is the first look of those who are new."""
        place = np.searchsorted(self.identity, identity)
        known = place < len(self.identity)
        known[known] = self.identity[place[known]] == identity[known]
        look = np.zeros((len(identity), LOOKS, feature.shape[1]), np.float32)
        seen = np.zeros((len(identity), LOOKS), np.int64)
        if self.look.shape[2] == feature.shape[1]:
            look[known], seen[known] = self.look[place[known]], self.frame[place[known]]
        new = ~known & feature.any(axis=1)
        look[new, 0], seen[new, 0] = feature[new], frame
        return Gallery(identity, look, seen)

    def remember(self, rows: Indices, embedding: NDArray[np.float32], frame: int, every: int) -> None:
        """Keep embeddings (n, D) of `rows` (n,) at `frame`, in place, where the last is `every` frames old or older."""
        due = (frame - self.frame[rows].max(axis=1, initial=-every) >= every) & embedding.any(axis=1)
        rows = rows[due]
        oldest = self.frame[rows].argmin(axis=1)
        self.look[rows, oldest], self.frame[rows, oldest] = embedding[due], frame

    def mean_look(self, rows: Indices, until: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Means (n, D) of the looks of `rows` (n,) seen at frame `until` or before, and (n,) which have one at all.

        1 minus the product with an embedding is the mean of the looks' cosine distances to it (average linkage): the
        mean is not of length 1, and is shorter the more a person's looks differ.
        """
        seen = self.frame[rows]
        usable = (seen > 0) & (seen <= until)
        count = usable.sum(axis=1)
        share = usable / np.maximum(count, 1)[:, None]
        return np.einsum("nk,nkd->nd", share.astype(np.float32), self.look[rows]), count > 0
