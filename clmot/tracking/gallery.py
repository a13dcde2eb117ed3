"""Several remembered looks of each track, and the time of each: what a track is recognised by after it was away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clmot.tracking.costs import Indices

LOOKS = 8
"""Of a track; a new one takes the place of the oldest. With one each .4 s they show a person of the last 3 s."""
EVERY_SECONDS = 0.4
"""Between two remembered looks: those of neighbouring frames are one look."""


class Gallery:
    """The looks of the tracks that are followed.

    They lie in buffers that grow, a track's always at the same place: a frame touches only what changes in it.
    """

    def __init__(self, dimension: int) -> None:
        """No track, embeddings of `dimension`."""
        self.identity: Indices = np.zeros(0, np.int64)
        """(N,) who is followed, ascending; and"""
        self.place: Indices = np.zeros(0, np.int64)
        """(N,) where in the buffers."""
        self.mean: NDArray[np.float32] = np.zeros((0, dimension), np.float32)
        """(C, D) buffer: the mean of all looks, see `mean_until`; zeros where there is none."""
        self._look: NDArray[np.float32] = np.zeros((0, LOOKS, dimension), np.float32)
        """(C, LOOKS, D) buffer: embeddings of length 1."""
        self._seen: Indices = np.zeros((0, LOOKS), np.int64)
        """(C, LOOKS) buffer: the frame of each; 0: no look yet."""

    @property
    def frame(self) -> Indices:
        """(N, LOOKS) when each look of each track was seen; 0: no look yet."""
        return self._seen[self.place]

    def follow(self, identity: Indices, feature: NDArray[np.float32], frame: int) -> None:
        """Forget all but the tracks `identity` (M,), ascending; `feature` (M, D), seen at `frame`, is the first look of
        those who are new."""
        capacity, dimension = len(self._seen), feature.shape[1]
        if self.mean.shape[1] != dimension:  # the first embeddings of this video
            self.mean = np.zeros((capacity, dimension), np.float32)
            self._look = np.zeros((capacity, LOOKS, dimension), np.float32)
            self._seen[:] = 0
        if np.array_equal(identity, self.identity):
            return
        at = np.searchsorted(self.identity, identity)
        known = at < len(self.identity)
        known[known] = self.identity[at[known]] == identity[known]
        place = np.empty(len(identity), np.int64)
        place[known] = self.place[at[known]]
        new = np.nonzero(~known)[0]
        free = self._free(place[known], len(new))
        place[new] = free
        self.identity, self.place = identity, place
        looks = feature[new]
        self._seen[free] = 0
        self._seen[free, 0] = np.where(looks.any(axis=1), frame, 0)
        self._look[free, 0] = self.mean[free] = looks

    def _free(self, taken: Indices, count: int) -> Indices:
        """`count` places of the buffers except those `taken`; the buffers grow where there are too few."""
        missing = len(taken) + count - len(self._seen)
        if missing > 0:
            more = max(missing, len(self._seen))
            self.mean, self._look, self._seen = (
                np.concatenate((buffer, np.zeros((more, *buffer.shape[1:]), buffer.dtype)))
                for buffer in (self.mean, self._look, self._seen)
            )
        free = np.ones(len(self._seen), bool)
        free[taken] = False
        return np.nonzero(free)[0][:count]

    def remember(self, rows: Indices, embedding: NDArray[np.float32], frame: int, every: int) -> None:
        """Keep embeddings (n, D) of `rows` (n,) at `frame`, where the last is `every` frames old or older."""
        place = self.place[rows]
        due = np.nonzero(frame - self._seen[place].max(axis=1, initial=-every) >= every)[0]
        due = due[embedding[due].any(axis=1)]
        place = place[due]
        oldest = self._seen[place].argmin(axis=1)
        self._look[place, oldest], self._seen[place, oldest] = embedding[due], frame
        self.mean[place], _ = self._mean_until(place, frame)

    def known(self, place: Indices) -> NDArray[np.bool_]:
        """Which of those at `place` (n,) have a look at all."""
        return np.asarray(self._seen[place].any(axis=1))

    def mean_until(self, rows: Indices, until: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Means (n, D) of the looks of `rows` (n,) seen at frame `until` or before, and (n,) which have one at all.

        1 minus the product with an embedding is the mean of the looks' cosine distances to it (average linkage): the
        mean is not of length 1, and is shorter the more a person's looks differ.
        """
        return self._mean_until(self.place[rows], until)

    def _mean_until(self, place: Indices, until: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """`mean_until` of those at `place` (n,)."""
        seen = self._seen[place]
        usable = (seen > 0) & (seen <= until)
        count = usable.sum(axis=1)
        share = usable / np.maximum(count, 1)[:, None]
        return np.einsum("nk,nkd->nd", share.astype(np.float32), self._look[place]), count > 0
