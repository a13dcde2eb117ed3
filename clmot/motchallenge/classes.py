"""What the class numbers of MOT16, MOT17 and MOT20 ground truth mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from clmot.errors import InputError
from clmot.wording import joined

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


@dataclass(frozen=True)
class TrackedKind:
    """Which boxes of ground truth show an object that is to be found. All classes are one kind of object: a detector
    and its score tell none of them from the others."""

    classes: tuple[int, ...] = (int(ObjectClass.PEDESTRIAN),)
    """`ObjectClass` numbers."""
    flagged: tuple[int, ...] = (int(ObjectClass.PEDESTRIAN),)
    """Those in which the flag 0 (column 7) leaves a box out. MOT16, MOT17 and MOT20 flag pedestrians alone: it is 0 in
    every row of another class, and says nothing of these boxes."""

    @classmethod
    def named(cls, names: Iterable[str]) -> TrackedKind:
        """The kind made of these classes: names of `ObjectClass`, in any case, or their numbers.

        Raises:
            InputError: a name is none of them.
        """
        known = {one.name.lower(): int(one) for one in ObjectClass}
        numbers = set()
        for name in names:
            number = known.get(re.sub("[ -]", "_", name.lower()), int(name) if name.isdecimal() else 0)
            if number not in known.values():
                classes = ", ".join(f"{one} ({at})" for one, at in known.items())
                raise InputError(f"'{name}' is no class of the MOTChallenge: name some of {classes}.")
            numbers.add(number)
        return cls(tuple(sorted(numbers)))

    @property
    def official(self) -> bool:
        """Whether the benchmarks' own rules apply, which count pedestrians alone."""
        return set(self.classes) == set(self.flagged) == {int(ObjectClass.PEDESTRIAN)}

    def excluded(self, flag: npt.NDArray[np.float64], category: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """(N,) bool: the rows, of whatever class, that their flag (N,) leaves out."""
        # Classes that do not train are left out for their class; what their flag says is the file's own business.
        decides = np.isin(category, self.flagged) | ~np.isin(category, self.classes)
        return np.asarray((flag == 0) & decides, bool)

    def counted(
        self, flag: npt.NDArray[np.float64], category: npt.NDArray[np.int64], benchmark: str
    ) -> npt.NDArray[np.bool_]:
        """(N,) bool: the rows that evaluation counts: flagged pedestrians by the official rules (as in TrackEval).

        Args:
            flag: (N,) column 7 of the file; 0: not to be considered.
            category: (N,) `ObjectClass` numbers.
            benchmark: `MOT15`, `MOT17`, `MOT20`.
        """
        considered = ~self.excluded(flag, category)
        if self.official and benchmark in UNCLASSED:
            return considered
        return considered & np.isin(category, self.classes)

    def forgiven(self, category: npt.NDArray[np.int64], benchmark: str) -> npt.NDArray[np.bool_]:
        """(N,) bool: the rows on which finding something is no mistake: distractors and, where people are tracked,
        crowds in which no one was drawn apart. On an object that its flag leaves out it is one, by the official rules.

        Args:
            category: (N,) `ObjectClass` numbers.
            benchmark: `MOT15`, `MOT17`, `MOT20`.
        """
        people = int(ObjectClass.PEDESTRIAN) in self.classes
        crowds = (ObjectClass.CROWD,) if people and ObjectClass.CROWD not in self.classes else ()
        return np.isin(category, (*self.distractors(benchmark), *crowds))

    def distractors(self, benchmark: str) -> tuple[ObjectClass, ...]:
        """The classes on which a tracker's box is neither right nor wrong: what looks like a person and is none, where
        people are tracked, except for classes that are tracked themselves."""
        if ObjectClass.PEDESTRIAN not in self.classes:
            return ()
        return tuple(one for one in DISTRACTORS[benchmark] if one not in self.classes)

    def __str__(self) -> str:
        return joined(f"{ObjectClass(number).name.lower().replace('_', ' ')} ({number})" for number in self.classes)


PEDESTRIANS = TrackedKind()
"""What the benchmarks' own rules count."""


def is_person(name: str) -> bool:
    """Whether a class of this name is people."""
    return name.strip().lower() in PEOPLE
