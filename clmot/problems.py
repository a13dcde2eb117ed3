"""What is wrong with somebody's data, as a value, so that one reader serves those who stop at the first fault and those
who want to see all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clmot.errors import InputError


@dataclass(frozen=True)
class Problem:
    """One fault."""

    kind: str
    """A few words that are the same for all faults of this kind: `missing image`."""
    where: str
    """The file, `file:line`, or `file: annotations[7]`; empty where the text says it."""
    text: str
    """What is wrong and what was expected, or what to do."""
    fatal: bool = True
    """True: the data cannot be used like this; False: they can, and what the text says happens."""

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


Report = Callable[[Problem], None]
"""Told of every fault; what it returns from is read on past."""


def refuse(problem: Problem) -> None:
    """The report of those who need faultless data.

    Raises:
        InputError: the fault is fatal.
    """
    if problem.fatal:
        raise InputError(str(problem))
