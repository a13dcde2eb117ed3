"""Faults of data as values, so that the same reader serves callers that stop at the first fault and callers that
collect all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from clmot.errors import LONGEST, InputError
from clmot.wording import one_line


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
    """True: the data cannot be used like this. False: they can be used, and the text says how they are read."""

    def __str__(self) -> str:
        return one_line(f"{self.where}: {self.text}" if self.where else self.text, LONGEST)


Report = Callable[[Problem], None]
"""Called with every fault. If it returns, reading continues after the fault; it may raise to stop instead."""


def refuse(problem: Problem) -> None:
    """A `Report` that stops at the first fatal fault and ignores the others.

    Raises:
        InputError: the fault is fatal.
    """
    if problem.fatal:
        raise InputError(str(problem))


def warn_or_refuse(problem: Problem) -> None:
    """The `Report` of a stage: print a warning of what is left out, and refuse what is faulty.

    Raises:
        InputError: the fault is fatal.
    """
    if problem.fatal:
        raise InputError(f"{problem}.")
    print(f"warning: {problem}.", file=sys.stderr)
