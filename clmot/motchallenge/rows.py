"""Text files with a row of numbers for every box, where each fault has its line."""

from __future__ import annotations

import io
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clmot.problems import Problem, Report
from clmot.wording import counted

_LONG = 10_000  # characters from which numpy's parser is faster than Python's, though it reads a faulty file twice


class Rows(NamedTuple):
    """The faultless rows of a file."""

    values: NDArray[np.float64]
    """(N, columns), finite."""
    lines: NDArray[np.int64]
    """(N,) counted from 1."""


def parse_rows(
    data: bytes,
    name: str,
    columns: tuple[int, ...],
    expected: str,
    report: Report,
    delimiter: str | None = None,
) -> Rows:
    """Read rows of numbers; blank lines, a byte order mark and Windows line ends are fine.

    A long text goes through numpy's parser; only where that fails, or gives something that is not finite, is it read
    line by line, to say which lines are at fault.

    Args:
        data: the content of the file.
        name: of the file, for the report.
        columns: the numbers of columns that a row may have; every row has as many as the first.
        expected: the columns in words, for the report.
        report: told of every faulty row, which is left out.
        delimiter: between columns; None: any blanks.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = data[: error.start].count(b"\n") + 1
        report(Problem("no text", f"{name}:{at}", f"is not text, expected {expected}"))
        text = ""
    if len(text) >= _LONG:
        values = _parse_at_once(text, delimiter)
        if values is not None and values.shape[1] in columns:
            return Rows(values, _lines_of_rows(text))
    return _parse_lines(text, name, columns, expected, report, delimiter)


def _parse_at_once(text: str, delimiter: str | None) -> NDArray[np.float64] | None:
    """(N, columns) finite numbers; None where there is any fault."""
    if not text.strip():
        return None
    try:
        values = np.loadtxt(io.StringIO(text), delimiter=delimiter, comments=None, ndmin=2)
    except (ValueError, OverflowError):
        return None
    return values if np.isfinite(values).all() else None


def _lines_of_rows(text: str) -> NDArray[np.int64]:
    """(N,) the lines that are not blank, counted from 1."""
    return np.array([number for number, line in enumerate(io.StringIO(text), 1) if line.strip()], np.int64)


def _parse_lines(
    text: str, name: str, columns: tuple[int, ...], expected: str, report: Report, delimiter: str | None
) -> Rows:
    """As `parse_rows`, in Python, with every faulty line in the report."""
    rows: list[list[float]] = []
    lines: list[int] = []
    for number, line in enumerate(io.StringIO(text), 1):
        cells = [cell.strip() for cell in line.split(delimiter)] if line.strip() else []
        if not cells:
            continue
        if len(cells) not in columns:
            fault = f"has {counted(len(cells), 'column')}, expected {expected}"
        elif rows and len(cells) != len(rows[0]):
            fault = f"has {len(cells)} columns but line {lines[0]} has {len(rows[0])}: all rows of a file have the same"
        else:
            values = [_number(cell) for cell in cells]
            if None not in values:
                rows.append([value for value in values if value is not None])
                lines.append(number)
                continue
            at = values.index(None)
            shown = f"'{cells[at][:40]}'" if cells[at] else "empty"
            fault = f"column {at + 1} is {shown}, expected a finite number"
        report(Problem("faulty row", f"{name}:{number}", fault))
    width = len(rows[0]) if rows else columns[0]
    return Rows(np.array(rows, np.float64).reshape(-1, width), np.array(lines, np.int64))


def _number(cell: str) -> float | None:
    """A finite number; None for anything else (`1_0` too, which Python alone would read as 10)."""
    try:
        value = float(cell) if "_" not in cell else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
