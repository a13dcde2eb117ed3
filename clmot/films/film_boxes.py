"""The boxes of a film as its files have them, and how frames are numbered in names."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class FilmBoxes:
    """N boxes of one film."""

    frame: NDArray[np.int64]
    """(N,) counted from 1."""
    identity: NDArray[np.int64]
    """(N,) -1 where unknown."""
    box: NDArray[np.float64]
    """(N, 4) x, y of the upper left corner, w, h in pixels; the image's corner is 0, 0."""
    ignored: NDArray[np.bool_]
    """(N,) regions that the labels say are not to be learnt."""
    categories: Sequence[str]
    """(N,) class of each box, as the labels have it."""
    places: Sequence[str]
    """(N,) place of each box in its file, for messages."""
    names: dict[str, str] = field(default_factory=dict)
    """Class -> its name, where classes have names."""
    listed: int | None = None
    """How many frames the labels list, with boxes or without; None where the format does not say."""
    last: int = 0
    """The last frame that the labels list, with boxes or without."""
    score: NDArray[np.float64] | None = None
    """(N,) how sure a detector was of each, in 0..1; None: unknown."""

    def select(self, rows: NDArray[np.bool_]) -> FilmBoxes:
        """The boxes of a boolean mask (N,)."""
        kept = np.flatnonzero(rows).tolist()
        return dataclasses.replace(
            self,
            frame=self.frame[rows],
            identity=self.identity[rows],
            box=self.box[rows],
            ignored=self.ignored[rows],
            categories=[self.categories[row] for row in kept],
            places=[self.places[row] for row in kept],
            score=None if self.score is None else self.score[rows],
        )
