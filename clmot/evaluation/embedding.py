"""How well embeddings tell people apart, whatever a tracker makes of them: verification and retrieval.

Verification (as JDE and FairMOT report it): of two readings, are they the same person? The true-positive rate at the
similarity which accepts only a small share of different people. Retrieval (as in person re-identification: Zheng et
al., "Scalable Person Re-identification: A Benchmark", ICCV 2015): how high do a person's readings in other frames rank
by similarity?

Both look at all pairs of a sequence, a block at a time, so memory is bounded; `sample_readings` bounds the work.

The same readings give the same numbers on every machine: components of the unit vectors are rounded to multiples of
2^-20, so that a product of two vectors is a whole multiple of 2^-40 below 2^53 of them and float64 holds every partial
sum exactly, in whatever order a linear algebra library adds. (The rounding moves a cosine by less than 1e-5.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FALSE_ACCEPT_RATES = (0.1, 0.01, 0.001)
"""Of verification, as in JDE."""

MAX_READINGS = 12_000
"""Of a sequence that are compared: 72 million pairs. Sequences with more boxes are sampled, see `sample_readings`."""

SIMILARITY_BINS = 20_000
"""Similarities -1..1 are counted in steps of 1e-4, finer than what float16 embeddings can tell."""

_GRID = 2.0**20  # steps of a unit vector's components

_BLOCK = 256  # readings that are compared with all others at once


@dataclass(frozen=True, eq=False)
class EmbeddingComparisons:
    """Pairs of readings of one sequence, or of several; pairs are formed within a sequence only."""

    same: np.ndarray
    """(SIMILARITY_BINS,) int64: pairs of the same person by cosine similarity, from -1 to 1."""
    different: np.ndarray
    """(SIMILARITY_BINS,) int64: pairs of different people."""
    precision_sum: float
    """Summed average precision of all queries."""
    queries: int
    """Readings whose person was read in another frame as well."""
    cross_precision_sum: float = 0.0
    """The same, where a query's own tracklet is no answer."""
    cross_queries: int = 0
    """Readings whose person was read in another tracklet as well."""

    def true_positive_rate(self, false_accept_rate: float) -> float | None:
        """Share of the same-person pairs accepted by the lowest threshold that accepts at most `false_accept_rate` of
        the others; None when there are no pairs of either kind."""
        same, different = (np.cumsum(counts[::-1]) for counts in (self.same, self.different))
        if not same[-1] or not different[-1]:
            return None
        allowed = false_accept_rate * different[-1] * (1 + 1e-12)  # a whole number that came out too small is one
        accepted = np.searchsorted(different, allowed, side="right")  # bins from the top
        return float(same[accepted - 1] / same[-1]) if accepted else 0.0

    @property
    def retrieval_precision(self) -> float | None:
        """Mean average precision of retrieval, 0..1; None when no person was read twice."""
        return self.precision_sum / self.queries if self.queries else None

    @property
    def cross_precision(self) -> float | None:
        """The same among other tracklets; None when no person has two."""
        return self.cross_precision_sum / self.cross_queries if self.cross_queries else None


def sample_readings(identity: np.ndarray, frame: np.ndarray, limit: int = MAX_READINGS) -> np.ndarray:
    """Which readings to compare: all, or as many of each identity as keep their number within `limit`.

    Identities with more readings than the others may keep give up some, the rest spread evenly over time; every
    identity keeps at least two (so very many identities can exceed the limit). Nothing is random.

    Args:
        identity, frame: (N,) of each reading.

    Returns:
        (M,) indices of readings, ordered by identity and frame.
    """
    order = np.lexsort((frame, identity))
    _, starts, counts = np.unique(identity[order], return_index=True, return_counts=True)
    each = _largest_share(counts, limit)
    kept = [
        start + np.round(np.linspace(0, count - 1, min(count, each))).astype(np.int64)
        for start, count in zip(starts.tolist(), counts.tolist(), strict=True)
    ]
    return order[np.concatenate([np.zeros(0, np.int64), *kept])]


def compare_embeddings(
    embeddings: np.ndarray, identity: np.ndarray, frame: np.ndarray, tracklet: np.ndarray | None = None
) -> EmbeddingComparisons:
    """Compare every reading with every other one of the sequence.

    Verification counts every pair. A query of retrieval is a reading, its gallery are the readings of all other frames;
    average precision is the mean, over the person's readings there, of the share of that person's among all that rank
    as high or higher. Of equal similarities, other people's come first.

    Args:
        embeddings: (N, D), of any length; zeros are similar to nothing.
        identity, frame: (N,) an identity at most once in a frame.
        tracklet: (N,) which run of a person's readings each belongs to: retrieval is also judged with answers of other
            tracklets alone, which being close in time, place and size does not help to find. None: it is not.
    """
    order = np.lexsort((frame, identity))
    vectors = unit_vectors(embeddings[order])
    identity, frame = identity[order], frame[order]
    same = np.zeros(SIMILARITY_BINS, np.int64)
    different = np.zeros(SIMILARITY_BINS, np.int64)
    tracklet = np.zeros(len(order), np.int64) if tracklet is None else tracklet[order]
    precisions: list[np.ndarray] = []
    across: list[np.ndarray] = []
    _, starts, counts = np.unique(identity, return_index=True, return_counts=True)
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        own = slice(start, start + count)
        for first in range(start, start + count, _BLOCK):
            block = slice(first, min(first + _BLOCK, start + count))
            similarity = vectors[block] @ vectors.T  # (B, N)
            others = np.delete(similarity, own, axis=1)  # (B, N - count)
            itself = np.arange(block.start - start, block.stop - start)[:, None] == np.arange(count)
            partners = similarity[:, own][~itself].reshape(len(similarity), count - 1)
            # Every pair comes up twice, once from each side: shares are not changed by that.
            same += similarity_counts(partners)
            different += similarity_counts(others)
            if count > 1:
                others[frame[block, None] == np.delete(frame, own)] = -np.inf
                others.sort(axis=1)
                foreign = (tracklet[block, None] != tracklet[own])[~itself].reshape(partners.shape)
                precisions.append(_average_precisions(partners, others, np.ones_like(foreign)))
                asked = foreign.any(axis=1)
                across.append(_average_precisions(partners[asked], others[asked], foreign[asked]))
    found, beyond = np.concatenate([np.zeros(0), *precisions]), np.concatenate([np.zeros(0), *across])
    return EmbeddingComparisons(same, different, math.fsum(found), len(found), math.fsum(beyond), len(beyond))


def unit_vectors(embeddings: np.ndarray) -> np.ndarray:
    """(N, D) float64 of length 1, or 0 where they are zeros, whose products are exact (see above).

    Args:
        embeddings: (N, D) of any length.
    """
    vectors = embeddings.astype(np.float64)
    lengths = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))  # exact too, of float16 vectors of length 1
    vectors /= np.where(lengths > 0, lengths, 1)
    return np.round(vectors * _GRID) / _GRID


def combine_comparisons(sequences: Sequence[EmbeddingComparisons]) -> EmbeddingComparisons:
    """The comparisons of several sequences as one."""
    return EmbeddingComparisons(
        np.sum([s.same for s in sequences], axis=0),
        np.sum([s.different for s in sequences], axis=0),
        sum(s.precision_sum for s in sequences),
        sum(s.queries for s in sequences),
        sum(s.cross_precision_sum for s in sequences),
        sum(s.cross_queries for s in sequences),
    )


def _largest_share(counts: np.ndarray, limit: int) -> int:
    """The largest number of readings that every identity may keep, at least 2, without exceeding `limit` together."""
    if counts.sum() <= limit:
        return int(counts.max(initial=2))
    low, high = 2, int(counts.max())  # the answer is in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if np.minimum(counts, middle).sum() <= limit else (low, middle)
    return low


def similarity_counts(similarity: np.ndarray) -> np.ndarray:
    """(SIMILARITY_BINS,) int64: how many similarities, -1..1, lie in each step."""
    bins = ((similarity + 1) * (SIMILARITY_BINS / 2)).astype(np.int32).clip(0, SIMILARITY_BINS - 1)
    return np.bincount(bins.ravel(), minlength=SIMILARITY_BINS)


def _average_precisions(partners: np.ndarray, others: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Average precision (B,) of each query from its similarities with the same person (B, P), of which those count that
    are `answers` (B, P; at least one a row), and with others (B, O), ascending."""
    if not len(partners):
        return np.zeros(0)
    partners = -np.sort(np.where(answers, -partners, np.inf), axis=1)  # descending, what does not count last
    before = np.stack(  # (B, P): other people's readings that rank before a partner
        [len(row) - np.searchsorted(row, own, side="left") for own, row in zip(partners, others, strict=True)]
    )
    place = np.arange(1, partners.shape[1] + 1)
    count = answers.sum(axis=1)
    return np.where(place <= count[:, None], place / (place + before), 0).sum(axis=1) / count
