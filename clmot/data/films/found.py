"""The boxes of a film as its files have them, and how frames are numbered in names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# Digits at the end of a name, behind nothing, a separator or a word; not those at the end of a checksum.
_NUMBER = re.compile(r"(?:^|[\W_]|(?<![^\W_])[^\W\d_]+)([0-9]{1,9})$")


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
    """(N,) where each box stands, for messages."""
    names: dict[str, str] = field(default_factory=dict)
    """Class -> its name, where classes have names."""
    listed: int | None = None
    """How many frames the labels speak of, with boxes or without; None where the format does not tell."""

    def select(self, rows: NDArray[np.bool_]) -> FilmBoxes:
        """The boxes of a boolean mask (N,)."""
        kept = np.flatnonzero(rows).tolist()
        return FilmBoxes(
            self.frame[rows],
            self.identity[rows],
            self.box[rows],
            self.ignored[rows],
            [self.categories[row] for row in kept],
            [self.places[row] for row in kept],
            self.names,
            self.listed,
        )


def number_of(stem: str) -> int | None:
    """The number that the name of a frame (without its ending) ends with; None where it ends with none.

    >>> number_of("door_000012"), number_of("frame7"), number_of("door"), number_of("3f9a12")
    (12, 7, None, None)
    """
    match = _NUMBER.search(stem)
    return int(match.group(1)) if match else None


def first_number(numbers: Sequence[int]) -> int:
    """What the first frame is called: 0 where a frame of this number is there, else 1."""
    return 0 if 0 in numbers else 1
