"""Text files with a row of numbers for every box, where each fault has its line."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clmot.files import stand_in
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
    """Read rows of numbers; blank lines, a byte order mark and any line ends are fine.

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
        text = text_of_rows(data)
    except UnicodeDecodeError as error:
        at = data[: error.start].count(b"\n") + 1
        report(Problem("no text", f"{name}:{at}", f"is not text{_encoding(data)}, expected {expected}"))
        text = ""
    if len(text) >= _LONG:
        values = _parse_at_once(text, delimiter)
        if values is not None and values.shape[1] in columns:
            lines = text.count("\n") + (not text.endswith("\n"))
            # As many lines as rows: none is blank, and the slow look at each would find them all.
            return Rows(values, np.arange(1, lines + 1) if lines == len(values) else lines_of_rows(text))
    why = _other_rows(text, columns, delimiter)
    if why is not None:
        report(Problem("other rows", f"{name}:1", f"{why}; expected {expected}"))
        return Rows(np.zeros((0, columns[0])), np.zeros(0, np.int64))
    return _parse_lines(text, name, columns, expected, report, delimiter)


def text_of_rows(data: bytes) -> str:
    """The text of such a file, with one kind of line ends. Raises a UnicodeDecodeError where it is none."""
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def _encoding(data: bytes) -> str:
    """What to do about bytes that are not UTF-8, where they say what they are."""
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    return " in UTF-8 but in UTF-16: save it as UTF-8" if wide else " in UTF-8"


def _other_rows(text: str, columns: tuple[int, ...], delimiter: str | None) -> str | None:
    """What the file as a whole is instead of rows of numbers, and what to do; None: at most some rows are at fault.

    Its first two lines with something in them must both be so, or a single fault would be taken for the file's kind.
    """
    lines = [line for line in text[:_LONG].split("\n") if not _is_blank(line, delimiter)][:3]
    if not lines:
        return None
    kind = stand_in(text[:512].encode())
    if kind:
        return f"is {kind}: get the file itself"
    titles = f"begins with a line of titles ({lines[0].strip()[:60]})" if _are_titles(lines, columns, delimiter) else ""
    rows = lines[1:] if titles else lines[:2]
    if any(_are_numbers(line, delimiter) for line in rows):
        return f"{titles}: remove it" if titles else None
    for reads, why in _DIALECTS:
        if all(reads(line, delimiter) for line in rows):
            return f"{titles}, to be removed, and {why}" if titles else why
    return None


def _is_blank(line: str, delimiter: str | None) -> bool:
    """Whether there is nothing on a line; spreadsheets write the delimiters of rows that have nothing in them."""
    return not line.replace(delimiter or " ", " ").strip()


def _are_titles(lines: list[str], columns: tuple[int, ...], delimiter: str | None) -> bool:
    """Whether the first of these lines has words alone, as many as a row has numbers, and others are behind it."""
    ours = [cell.strip() for cell in lines[0].split(delimiter)]
    cells = ours if len(ours) in columns else re.split(r"[,;\t]", lines[0].strip())
    plenty = len(cells) in columns or len(cells) >= _FEWEST_COLUMNS
    return len(lines) > 1 and plenty and all(_number(cell.strip()) is None for cell in cells)


def _are_numbers(line: str, delimiter: str | None) -> bool:
    return all(_number(cell.strip()) is not None for cell in line.split(delimiter))


def _separated(by: str | None) -> Callable[[str, str | None], bool]:
    """Whether a line is numbers separated by `by` (None: blanks), with or without commas for decimal points."""

    def reads(line: str, delimiter: str | None) -> bool:
        cells = line.strip().split(by)
        if by == delimiter or len(cells) < _FEWEST_COLUMNS:
            return False
        return all(_number(cell.strip() if by == "," else cell.strip().replace(",", ".")) is not None for cell in cells)

    return reads


def _with_decimal_commas(line: str, delimiter: str | None) -> bool:
    return delimiter is None and "," in line and _are_numbers(line.replace(",", "."), None)


def _in_quotes(line: str, delimiter: str | None) -> bool:
    return '"' in line and _are_numbers(line.replace('"', ""), delimiter)


def _ends_with_delimiter(line: str, delimiter: str | None) -> bool:
    if delimiter is None or not line.strip().endswith(delimiter):
        return False
    return _are_numbers(line.rstrip(f"{delimiter} \t"), delimiter)


def _begins_with_a_name(line: str, delimiter: str | None) -> bool:
    first, *others = line.split(delimiter)
    return len(others) >= _FEWEST_COLUMNS - 1 and first.strip().isidentifier() and _are_numbers(" ".join(others), None)


def _ends_with_a_mask(line: str, delimiter: str | None) -> bool:
    cells = line.split()
    return len(cells) == 6 and _are_numbers(" ".join(cells[:5]), None) and _number(cells[5]) is None


_FEWEST_COLUMNS = 5  # of any format; a line of fewer numbers says nothing of what separates them
_DIALECTS: tuple[tuple[Callable[[str, str | None], bool], str], ...] = (
    (_separated(";"), "separates columns with semicolons: write it as CSV with commas, and decimals with a point"),
    (_separated("\t"), "separates columns with tabs: write commas between them, and decimals with a point"),
    (_separated(None), "separates columns with blanks: write commas between them, and decimals with a point"),
    (_separated(","), "separates columns with commas: write blanks between them"),
    (_with_decimal_commas, "writes decimals with a comma: write a point"),
    (_in_quotes, "has its numbers in quotes: write them without"),
    (_ends_with_delimiter, "has a comma at the end of its rows, or several: remove them"),
    (_ends_with_a_mask, "has masks in place of boxes, as MOTS writes them: write the boxes around them"),
    (_begins_with_a_name, "has names in its first column: write their numbers"),
)
"""Ways in which other programs write rows: whether a line that is not as it should be reads so, and what to do."""


def _parse_at_once(text: str, delimiter: str | None) -> NDArray[np.float64] | None:
    """(N, columns) finite numbers; None where there is any fault."""
    if not text.strip():
        return None
    try:
        values = np.loadtxt(io.StringIO(text), delimiter=delimiter, comments=None, ndmin=2)
    except (ValueError, OverflowError):
        return None
    return values if np.isfinite(values).all() else None


def lines_of_rows(text: str) -> NDArray[np.int64]:
    """(N,) the lines that are not blank, counted from 1: those of the rows, where none is at fault."""
    return np.array([number for number, line in enumerate(io.StringIO(text), 1) if not _is_blank(line, ",")], np.int64)


def _parse_lines(
    text: str, name: str, columns: tuple[int, ...], expected: str, report: Report, delimiter: str | None
) -> Rows:
    """As `parse_rows`, in Python, with every faulty line in the report; a fault that all lines have is told once."""
    rows: list[list[float]] = []
    lines: list[int] = []
    faults: list[tuple[int, str, str]] = []  # line, what is wrong, and what goes on behind it
    for number, line in enumerate(io.StringIO(text), 1):
        if _is_blank(line, delimiter):
            continue
        cells = [cell.strip() for cell in line.split(delimiter)]
        if len(cells) not in columns:
            faults.append((number, f"has {counted(len(cells), 'column')}", f", expected {expected}"))
        elif rows and len(cells) != len(rows[0]):
            same = f" but line {lines[0]} has {len(rows[0])}: all rows of a file have the same"
            faults.append((number, f"has {counted(len(cells), 'column')}", same))
        else:
            values = [_number(cell) for cell in cells]
            if None not in values:
                rows.append([value for value in values if value is not None])
                lines.append(number)
                continue
            at = values.index(None)
            shown = f"'{cells[at][:40]}'" if cells[at] else "empty"
            faults.append((number, f"column {at + 1} is {shown}", ", expected a finite number"))
    _report_faults(faults, bool(rows), name, report)
    width = len(rows[0]) if rows else columns[0]
    return Rows(np.array(rows, np.float64).reshape(-1, width), np.array(lines, np.int64))


def _report_faults(faults: list[tuple[int, str, str]], some_are_right: bool, name: str, report: Report) -> None:
    """Report the faults (line, what is wrong, what goes on behind it) of a file's rows."""
    if len(faults) > 1 and not some_are_right and len({fault.split("'")[0] for _, fault, _ in faults}) == 1:
        number, fault, more = faults[0]
        alike = len({fault for _, fault, _ in faults}) == 1
        where = f"in all {len(faults)} rows" if alike else f"and no number in any of the {len(faults)} rows"
        faults = [(number, f"{fault} {where}", more)]
    for number, fault, more in faults:
        report(Problem("faulty row", f"{name}:{number}", fault + more))


def _number(cell: str) -> float | None:
    """A finite number; None for anything else (`1_0` too, which Python alone would read as 10)."""
    try:
        value = float(cell) if "_" not in cell else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
