"""The boxes of a film as its files have them, and how frames are numbered in names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# Digits at the end of a name, behind nothing, a separator or a word; not those at the end of a checksum.
_NUMBER = re.compile(r"(?:^|[\W_]|(?<![^\W_])[^\W\d_]+)([0-9]{1,9})$")

_UPLOAD = re.compile(r"^[0-9a-f]{8}-")  # before the name of every file that Label Studio was given, each time another


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
        )


def numbered(stem: str) -> tuple[str, int] | None:
    """What the name of a frame (without its ending) begins with, which all frames of a film share, and the number that
    it ends with; None where it ends with none.

    >>> numbered("door_000012"), numbered("frame7"), numbered("door"), numbered("3f9a12")
    (('door_', 12), ('frame', 7), None, None)
    >>> numbered("9c1e0a77-door_000012")
    ('door_', 12)
    """
    match = _NUMBER.search(stem)
    return (_UPLOAD.sub("", stem[: match.start(1)]), int(match.group(1))) if match else None


def first_number(numbers: Sequence[int]) -> int:
    """What the first frame is called: 0 where a frame of this number is there, else 1."""
    return 0 if 0 in numbers else 1
