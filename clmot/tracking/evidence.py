"""What a cosine distance says about two sightings being one person, in nats, learnt from the film so far.

A distance of .3 is nothing by itself: OSNet gives it to one person seen twice, a colour histogram to two people. So a
film calibrates its own embedding. Wherever boxes alone leave no doubt, the distance of a person to their own earlier
looks is counted as one of the same person, that to everyone else in the frame as one of others. Two histograms give the
logarithm of the likelihood ratio, made monotone: what is less alike never speaks more for the same person (isotonic
regression; Barlow et al., Statistical Inference under Order Restrictions, 1972). An embedding that tells no one apart
says 0 of every pair, and association by it is association without.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from clmot.tracking.costs import Floats

BINS = 1000
"""Of cosine distances from 0 to 2. Two thousandths are below what any embedding repeats of a person."""
FEWEST = 10
"""Pairs of one person before anything is said: about a second of two people."""
MOST = 2000
"""Pairs of one person that are kept; beyond, all counts are halved, so that old looks of a film fade."""
NEUTRAL = 5.0
"""Pairs without opinion that are mixed in: from 2,000 pairs the evidence is at most 6 nats or so, from 10 hardly 1."""
SELDOM = 0.01
"""Share of one person's pairs that lie further apart than any that a tracker should hold against them."""
COMPARED = 0.1
"""Share of two people's pairs that a tail must hold to tell how many of one person's are two's; less is chance."""
LARGEST = 6.0
"""Nats, either way; what is rarer than one in 400 cannot be read off a film."""


class LookEvidence:
    """Learns from distances of the same and of different people, and weighs others by them."""

    def __init__(self) -> None:
        """Before the first pair."""
        self._same = np.zeros(BINS + 1)
        self._other = np.zeros(BINS + 1)
        self._unfitted = 0.0
        self._distance: Floats = np.zeros(0)
        self._nats: Floats = np.zeros(0)
        self.innocent = 0.0
        """Nats against one person that all but `SELDOM` of a person's own pairs stay below, 0..`against`."""

    @property
    def ready(self) -> bool:
        """Whether enough pairs were seen to say something."""
        return len(self._distance) > 0

    @property
    def against(self) -> float:
        """Nats with which a distance can at most speak against one person; 0 while not `ready`."""
        return float(-self._nats.min(initial=0))

    def learn(self, same: Floats, other: Floats) -> None:
        """Count cosine distances of one person's sightings (S,), and of two people's (T,); their order is nothing."""
        self._same += np.bincount(_bin(same), minlength=BINS + 1)
        self._other += np.bincount(_bin(other), minlength=BINS + 1)
        self._unfitted += len(same)
        known = float(self._same.sum())
        if self._unfitted < max(2 * FEWEST, known / 10) and self.ready:
            return
        if min(known, float(self._other.sum())) >= FEWEST:
            self._fit()
        while self._same.sum() > MOST:
            self._same /= 2
            self._other /= 2

    def __call__(self, distance: Floats) -> Floats:
        """log p(distance | one person) - log p(distance | two), (P,) of distances (P,); 0 while not `ready`."""
        if not self.ready:
            return np.zeros(len(distance))
        return np.clip(np.interp(distance, self._distance, self._nats), -LARGEST, LARGEST)

    def _fit(self) -> None:
        """The monotone share of one person's pairs among all, both kinds weighted alike, as a curve of log odds."""
        self._unfitted = 0.0
        seen = np.nonzero(self._same + self._other)[0]
        same = self._same[seen] / self._same.sum()
        other = self._other[seen] / self._other.sum()
        weight = same + other
        neutral = NEUTRAL / min(self._same.sum(), self._other.sum())
        mixed = weight * (1 + neutral / 2)
        share = (same + weight * neutral / 4) / mixed
        found = isotonic_regression(share, weights=mixed, increasing=False)
        starts = found.blocks[:-1]
        block = np.add.reduceat(mixed, starts)
        # Every block is drawn to "no opinion" by its own size: a few pairs at the edge are no certainty.
        share = (found.x[starts] * block + neutral / (2 * len(starts))) / (block + neutral / len(starts))
        self._distance = np.add.reduceat(seen * (2 / BINS) * mixed, starts) / block
        nats = np.log(share / (1 - share))
        # Which may leave the edges saying less than what is further in: they say as much.
        self._nats = np.where(nats > 0, np.maximum.accumulate(nats[::-1])[::-1], np.minimum.accumulate(nats))
        usual = np.float64(2 / BINS) * seen[[_usual(same, other)]]
        self.innocent = max(0.0, -float(self(usual)[0]))


def _usual(same: Floats, other: Floats) -> int:
    """The last place of the shares `same` and `other` (N,), by distance, that is no more than usual for one person.

    Boxes that leave no doubt are wrong now and then: some pairs of one person are of two, and lie where those lie.
    Their share is what the tails allow at most; with it left out, all but `SELDOM` of a person's pairs lie no further.
    """
    further, others_further = (share[::-1].cumsum()[::-1] for share in (same, other))  # as far apart or further
    compared = others_further >= COMPARED
    mistaken = (further[compared] / others_further[compared]).min()
    own = further - mistaken * others_further
    return int(np.nonzero(own >= SELDOM * own[0])[0][-1])


def _bin(distance: Floats) -> NDArray[np.int64]:
    return np.rint(np.clip(distance, 0, 2) * (BINS / 2)).astype(np.int64)
