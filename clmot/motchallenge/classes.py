"""What the class numbers of MOT16, MOT17 and MOT20 ground truth mean."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

PEOPLE = ("person", "pedestrian")
"""What a class of people is called."""


class ObjectClass(IntEnum):
    """Column 8 of a 9-column `gt.txt`. MOT15 has no such column: its rows are all pedestrians."""

    PEDESTRIAN = 1
    PERSON_ON_VEHICLE = 2
    CAR = 3
    BICYCLE = 4
    MOTORBIKE = 5
    NON_MOTORISED_VEHICLE = 6
    STATIC_PERSON = 7
    DISTRACTOR = 8
    OCCLUDER = 9
    OCCLUDER_ON_GROUND = 10
    OCCLUDER_FULL = 11
    REFLECTION = 12
    CROWD = 13


_PERSON_LIKE = (
    ObjectClass.PERSON_ON_VEHICLE,
    ObjectClass.STATIC_PERSON,
    ObjectClass.DISTRACTOR,
    ObjectClass.REFLECTION,
)

DISTRACTORS: Mapping[str, tuple[ObjectClass, ...]] = MappingProxyType(
    {
        "MOT15": (),
        "MOT17": _PERSON_LIKE,
        "MOT20": (*_PERSON_LIKE, ObjectClass.NON_MOTORISED_VEHICLE),
    }
)
"""Per benchmark: a tracker box that matches an object of these classes counts neither for nor against it
(official preprocessing, as in TrackEval)."""

UNCLASSED = ("MOT15",)
"""Benchmarks whose ground truth states no class: every flagged box is a pedestrian."""


def counted(flag: npt.NDArray[np.float64], category: npt.NDArray[np.int64], benchmark: str) -> npt.NDArray[np.bool_]:
    """(N,) bool: the rows of ground truth that evaluation counts: flagged pedestrians (as in TrackEval).

    Args:
        flag: (N,) column 7 of the file; 0: not to be considered.
        category: (N,) `ObjectClass` numbers.
        benchmark: `MOT15`, `MOT17`, `MOT20`.
    """
    flagged = flag != 0
    return flagged if benchmark in UNCLASSED else flagged & (category == int(ObjectClass.PEDESTRIAN))


def is_person(name: str) -> bool:
    """Whether a class of this name is people."""
    return name.strip().lower() in PEOPLE
