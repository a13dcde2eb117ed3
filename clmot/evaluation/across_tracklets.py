"""What an embedding knows of a person beyond the moment, the place and the size at which it was read.

Two readings of a person a frame apart are alike whatever an embedding learnt: place, background and size are too. So
readings are compared across *tracklets*: runs of one person's boxes that overlap from frame to frame so clearly that
they can be linked by boxes alone (each other's best IoU, at least 0.5, and 0.1 above the second best). What an
embedding taught on such runs, or a tracker that only looks at overlap, gets for nothing is thus no answer.

- Link: across a break of some seconds, is the person the most similar one of all who are there then?
- AUC_place: is a person who has moved elsewhere more similar than someone else who is later at the same place?
- Rho_distance, Rho_height: Spearman's correlation of the similarity of different people with how far apart they
  stand and with how different their heights are; an embedding of people alone has none (0).

Everything is counted on an even sample of the film and in exact arithmetic (see embedding.py): nothing is random, and
the memory does not grow with the film.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clmot.data.tracklets import link_boxes, pairwise_iou
from clmot.evaluation.embedding import similarity_counts, unit_vectors

TRACKLET_IOU, TRACKLET_MARGIN = 0.5, 0.1
"""From which a box continues a tracklet, and by how much it must exceed any other that could."""

BREAKS = (1, 3, 10)
"""Seconds over which people are found again."""

MAX_FRAMES = 300
"""Of a sequence, evenly spread, from which people are looked for again."""

MAX_READINGS = 2_000
"""Of a sequence that are compared for place and size: 2 million pairs."""

LATER_SECONDS = 2.0
"""How much later a person is elsewhere, or another at the same place."""

SAME_PLACE = 0.5
"""IoU from which two boxes are at the same place; without any overlap they are elsewhere."""


@dataclass(frozen=True, eq=False)
class AcrossTracklets:
    """Counts of one sequence, or of several: pairs are formed within a sequence only."""

    linked: tuple[int, ...]
    """For each of `BREAKS`, how often the right person came first."""
    looked_for: tuple[int, ...]
    """For each of `BREAKS`, how often someone was looked for."""
    moved: np.ndarray
    """(bins,) int64: pairs of one person, elsewhere later, by similarity from -1 to 1."""
    replaced: np.ndarray
    """(bins,) int64: pairs of two people, the other at the same place later."""
    correlations: tuple[float, float]
    """With distance and with height: summed over sequences, each weighted by its pairs."""
    pairs: int
    """Pairs of different people behind the correlations."""

    def metrics(self) -> dict[str, float]:
        """By name, those that there are pairs for."""
        values = {
            f"Link_{seconds}s": right / total
            for seconds, right, total in zip(BREAKS, self.linked, self.looked_for, strict=True)
            if total
        }
        if self.moved.any() and self.replaced.any():
            values["AUC_place"] = area_under_curve(self.moved, self.replaced)
        if self.pairs:
            values["Rho_distance"], values["Rho_height"] = (total / self.pairs for total in self.correlations)
        return values


def combine_across(sequences: Sequence[AcrossTracklets]) -> AcrossTracklets:
    """The counts of several sequences as one."""
    return AcrossTracklets(
        tuple(map(sum, zip(*(s.linked for s in sequences), strict=True))),
        tuple(map(sum, zip(*(s.looked_for for s in sequences), strict=True))),
        np.sum([s.moved for s in sequences], axis=0),
        np.sum([s.replaced for s in sequences], axis=0),
        (sum(s.correlations[0] for s in sequences), sum(s.correlations[1] for s in sequences)),
        sum(s.pairs for s in sequences),
    )


def tracklets_of(identity: np.ndarray, frame: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(N,) int64: the tracklet of each box, numbered from 0; where boxes alone would swap two people, two tracklets.

    Args:
        identity: (N,) of each box; any number that belongs to no one else for boxes on no one.
        frame: (N,) from 1.
        boxes: (N, 4) x1 y1 x2 y2 of all that the tracker uses.
    """
    linked = link_boxes(frame, boxes, TRACKLET_IOU, TRACKLET_MARGIN)
    return np.unique(np.column_stack([identity, linked]), axis=0, return_inverse=True)[1].reshape(-1)


def count_links(
    identity: np.ndarray,
    frame: np.ndarray,
    tracklet: np.ndarray,
    break_frames: int,
    read: Callable[[np.ndarray], np.ndarray],
) -> tuple[int, int]:
    """How often a person is the most similar of all readings some frames later, and how often one was looked for.

    Looked for are people who are there at both moments, in different tracklets. Anyone at least as similar as they
    are makes it wrong.

    Args:
        identity, frame, tracklet: (N,) of all readings of a sequence.
        break_frames: how much later.
        read: rows (M,) -> their embeddings (M, D), of any length.
    """
    order = np.argsort(frame, kind="stable")
    ordered = frame[order]
    times = np.unique(frame)
    times = times[np.isin(times + break_frames, times)]
    times = times[np.unique(np.linspace(0, len(times) - 1, min(len(times), MAX_FRAMES)).round().astype(int))]
    right = total = 0
    for time in times.tolist():
        now, then = (order[slice(*np.searchsorted(ordered, (t, t + 1)))] for t in (time, time + break_frames))
        same = identity[now, None] == identity[then]
        wanted = same & (tracklet[now, None] != tracklet[then])
        asked = wanted.any(axis=1)
        if not asked.any():
            continue
        similarity = unit_vectors(read(now[asked])) @ unit_vectors(read(then)).T  # (asked, then)
        own = similarity[wanted[asked]]  # each is there once
        others = np.where(same[asked], -np.inf, similarity).max(axis=1)
        right += int((own > others).sum())
        total += len(own)
    return right, total


def compare_places(
    identity: np.ndarray, frame: np.ndarray, boxes: np.ndarray, embeddings: np.ndarray, frame_rate: float
) -> tuple[np.ndarray, np.ndarray, tuple[float, float], int]:
    """Similarities of people elsewhere and of others at the same place, and correlations with distance and height.

    Args:
        identity, frame: (N,) of a sample of readings.
        boxes: (N, 4) x1 y1 x2 y2.
        embeddings: (N, D), of any length.
        frame_rate: frames per second.

    Returns:
        `moved`, `replaced`, the two correlations, and the pairs behind them.
    """
    vectors = unit_vectors(embeddings)
    first, second = np.triu_indices(len(vectors), 1)
    similarity = (vectors @ vectors.T)[first, second]
    same = identity[first] == identity[second]
    later = np.abs(frame[first] - frame[second]) >= LATER_SECONDS * frame_rate
    overlap = pairwise_iou(boxes, boxes)[first, second]
    moved = similarity_counts(similarity[same & later & (overlap == 0)])
    replaced = similarity_counts(similarity[~same & later & (overlap >= SAME_PLACE)])
    # Distances in heights: two people three metres apart are near each other far away and far apart up close.
    height = np.maximum(boxes[:, 3] - boxes[:, 1], 1e-6)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    far = np.hypot(*(centre[first] - centre[second]).T) / np.sqrt(height[first] * height[second])
    ratio = np.abs(np.log(height[first] / height[second]))
    apart = ~same
    ranks = ranks_of(similarity[apart])
    rho = (_correlation(ranks, ranks_of(far[apart])), _correlation(ranks, ranks_of(ratio[apart])))
    return moved, replaced, rho, int(apart.sum())


def ranks_of(values: np.ndarray) -> np.ndarray:
    """Ranks (N,) from 1, equal values at the mean of theirs: `scipy.stats.rankdata`, which takes longer and to load."""
    order = np.argsort(values)
    ordered = values[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(values)])
    counts = np.diff(first, append=len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)
    return ranks


def area_under_curve(higher: np.ndarray, lower: np.ndarray) -> float:
    """How often a value of `higher` exceeds one of `lower`, equal ones counting half; both (bins,) counts."""
    below = np.cumsum(lower) - lower
    return float((higher * (below + lower / 2)).sum() / (higher.sum() * lower.sum()))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's; 0 where either does not vary."""
    if len(one) < 2:
        return 0.0
    one, other = one - one.mean(), other - other.mean()
    lengths = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / lengths) if lengths > 0 else 0.0
