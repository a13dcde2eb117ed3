"""What a check found: a row of the table for each sequence or set, and the problems."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from clmot.errors import InputError
from clmot.problems import Problem
from clmot.tables import plain_table
from clmot.wording import one_line


@dataclass(frozen=True)
class Summary:
    """One sequence or set."""

    name: str
    frames: int
    """Frames or images."""
    boxes: int
    identities: int | None
    """How many; None where they are not read."""
    classes: Counter[str] = field(default_factory=Counter)
    """Class -> boxes."""
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(Width, height) -> images."""
    frame_rate: float | None = None
    """Frames per second."""


@dataclass
class Findings:
    """Collects what a check finds."""

    classes: Sequence[int | str] = ()
    """Names or numbers of the classes that are asked for; empty: those of people."""
    summaries: list[Summary] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    entries: list[dict[str, object]] = field(default_factory=list)
    """Entries for `data.extra` in params.yaml."""
    use: str = ""
    """As what the data can be used, where it is not for training."""
    _told: set[Problem] = field(default_factory=set)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: `usable`, `sequences` (or sets of images), `problems`, and `extra`, entries for params.yaml."""
        return {
            "usable": not self.errors,
            "sequences": [
                {
                    "name": one.name,
                    "frames": one.frames,
                    "boxes": one.boxes,
                    "identities": one.identities,
                    "classes": dict(one.classes),
                    "sizes": [[*size, count] for size, count in one.sizes.items()],
                    "frame_rate": one.frame_rate,
                }
                for one in self.summaries
            ],
            "problems": [dataclasses.asdict(problem) for problem in self.problems],
            "extra": self.entries,
        }

    def report(self, problem: Problem) -> None:
        """Note a problem; what several images share is told once."""
        if problem not in self._told:
            self._told.add(problem)
            self.problems.append(problem)

    @contextlib.contextmanager
    def going_on(self, several: bool = True) -> Iterator[None]:
        """Note why one of `several` things is refused, for the others may be better; where it is the only one, raise.

        Raises:
            InputError: it is refused, and there are no others.
        """
        try:
            yield
        except InputError as error:
            if not several:
                raise
            self.report(Problem("unusable", "", str(error)))

    @property
    def errors(self) -> int:
        """How many problems are fatal."""
        return sum(problem.fatal for problem in self.problems)


def format_table(summaries: Sequence[Summary]) -> str:
    """The summaries as aligned text, one line each."""
    lines = [("name", "frames", "boxes", "ids", "size", "frames/s", "classes")]
    lines += [
        (
            one_line(found.name),
            str(found.frames),
            str(found.boxes),
            "not read" if found.identities is None else str(found.identities),
            _sizes(found.sizes),
            "-" if found.frame_rate is None else f"{found.frame_rate:g}",
            ", ".join(f"{name}: {count}" for name, count in found.classes.most_common()) or "-",
        )
        for found in summaries
    ]
    return plain_table(lines, left=(0, 6))


def format_problems(problems: Iterable[Problem], most: int | None) -> str:
    """Errors, then warnings, a line each; of each kind at most `most` (None: all), and how many more there are."""
    lines = []
    for word, fatal in (("error", True), ("warning", False)):
        kinds: dict[str, list[Problem]] = {}
        for problem in problems:
            if problem.fatal == fatal:
                kinds.setdefault(problem.kind, []).append(problem)
        for kind, found in kinds.items():
            lines += [f"{word}: {problem}" for problem in found[:most]]
            if most is not None and len(found) > most:
                lines.append(f"{word}: {len(found) - most} more of this kind ({kind}); --all shows them")
    return "\n".join(lines)


def _sizes(sizes: Counter[tuple[int, int]]) -> str:
    if not sizes:
        return "-"
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    smallest, largest = (f"{width}x{height}" for width, height in (by_area[0], by_area[-1]))
    return smallest if len(sizes) == 1 else f"{smallest} to {largest} ({len(sizes)})"
