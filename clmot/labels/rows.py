"""Text files with a row of numbers for every box, where each fault has its line."""

from __future__ import annotations

import io
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clmot.problems import Problem, Report

LARGEST_PIXEL = 1e6
"""No image is as wide; float32 still tells tenths of a pixel apart there."""


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
    rows: list[list[float]] = []
    lines: list[int] = []
    for number, line in enumerate(io.StringIO(text), 1):
        cells = [cell.strip() for cell in line.split(delimiter)] if line.strip() else []
        if not cells:
            continue
        fault = _fault(cells, columns, len(rows[0]) if rows else 0, expected)
        if fault:
            report(Problem("faulty row", f"{name}:{number}", fault))
            continue
        rows.append([float(cell) for cell in cells])
        lines.append(number)
    width = len(rows[0]) if rows else columns[0]
    return Rows(np.array(rows, np.float64).reshape(-1, width), np.array(lines, np.int64))


def pixel_box(value: object) -> list[float] | None:
    """A box from JSON: a list of four finite numbers, none of them beyond any image; None for anything else."""
    numbers = [finite_number(number) for number in value] if isinstance(value, list) else []
    box = [number for number in numbers if number is not None and abs(number) <= LARGEST_PIXEL]
    return box if len(box) == len(numbers) == 4 else None


def finite_number(value: object) -> float | None:
    """A finite number from JSON, or None; `true` and `"10"` are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _fault(cells: list[str], columns: tuple[int, ...], width: int, expected: str) -> str | None:
    """What is wrong with a row, or None."""
    if len(cells) not in columns:
        return f"has {len(cells)} column{'s' * (len(cells) != 1)}, expected {expected}"
    if width and len(cells) != width:
        return f"has {len(cells)} columns where the rows before have {width}, expected {expected}"
    for column, cell in enumerate(cells, 1):
        try:
            value = finite_number(float(cell)) if "_" not in cell else None
        except ValueError:
            value = None
        if value is None:
            shown = f"'{cell[:40]}'" if cell else "empty"
            return f"column {column} is {shown}, expected a finite number"
    return None
