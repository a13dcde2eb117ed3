"""MOTChallenge tables, judged row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clmot.labels.box_set import as_corners, outside, without_extent
from clmot.labels.rows import parse_rows
from clmot.motchallenge.classes import ObjectClass
from clmot.problems import Problem, Report

GROUND_TRUTH_COLUMNS = (9, 10)
GROUND_TRUTH = "9 columns `frame,id,x,y,w,h,flag,class,visibility`, or 10 as in MOT15 `...,flag,X,Y,Z`"
SCORED_COLUMNS = (7, 8, 9, 10)
SCORED = "7 to 10 columns `frame,id,x,y,w,h,confidence,-1,-1,-1`"

_KIND_OF_WHOLE = ((0, "frame"), (1, "id"), (7, "class"))
_NOBODY = -1  # an unknown identity


@dataclass(frozen=True, eq=False)
class Table:
    """The usable rows of a table."""

    frame: NDArray[np.int64]
    """(N,)"""
    identity: NDArray[np.int64]
    """(N,)"""
    category: NDArray[np.int64]
    """(N,) 1 where the table has no classes."""
    considered: NDArray[np.bool_]
    """(N,) rows whose flag or confidence is not 0."""

    def people(self) -> NDArray[np.bool_]:
        """(N,) the rows that train and are scored: of class 1, and considered."""
        return self.considered & (self.category == ObjectClass.PEDESTRIAN)

    def identities(self) -> int:
        """Number of known identities."""
        return len(np.unique(self.identity[self.identity != _NOBODY]))


def check_table(
    data: bytes,
    name: str,
    report: Report,
    *,
    ground_truth: bool,
    length: int | None = None,
    size: tuple[int, int] | None = None,
) -> Table:
    """Judge every row of a table, as training, tracking and scoring would.

    Args:
        data: content of the file.
        name: of the file, for the report.
        report: told of every fault.
        ground_truth: whether it is a gt.txt; otherwise detections or results.
        length: frames of the sequence, where known.
        size: (width, height) of its images, where known.
    """
    columns, expected = (GROUND_TRUTH_COLUMNS, GROUND_TRUTH) if ground_truth else (SCORED_COLUMNS, SCORED)
    values, lines = parse_rows(data, name, columns, expected, report, delimiter=",")
    with_class = ground_truth and values.shape[1] == GROUND_TRUTH_COLUMNS[0]
    usable = np.ones(len(values), bool)

    def refuse(kind: str, wrong: NDArray[np.bool_], text: str, fatal: bool = True) -> None:
        for row in np.flatnonzero(wrong & usable).tolist():
            what = text.format(*(f"{value:g}" for value in values[row]))
            report(Problem(kind, f"{name}:{lines[row]}", what, fatal))

    whole = [(column, word) for column, word in _KIND_OF_WHOLE if column < 7 or with_class]
    for column, word in whole:
        wrong = (values[:, column] != np.floor(values[:, column])) | (np.abs(values[:, column]) > 2**53)
        refuse("faulty row", wrong, f"{word} {{{column}}} is not a whole number")
        usable &= ~wrong
    refuse("faulty row", values[:, 0] < 1, "frame {0} is below 1, the first frame")
    usable &= values[:, 0] >= 1
    if length is not None:
        refuse(
            "frame beyond length",
            values[:, 0] > length,
            f"frame {{0}} is beyond the sequence's {length} frames",
        )
    category = values[:, 7] if with_class else np.ones(len(values))
    if with_class:
        known = np.array([int(c) for c in ObjectClass])
        refuse("unknown class", ~np.isin(category, known), "class {7} is none of MOTChallenge's classes 1 to 13")
        usable &= np.isin(category, known)
    _check_repeats(values, lines, usable, name, report)
    considered = (values[:, 6] != 0) | (not ground_truth)
    boxes = values[:, 2:6].copy()
    boxes[:, :2] -= 1  # files count pixels from 1
    corners = as_corners(boxes)
    flat = without_extent(corners)
    shown = "the box x, y, w, h = {2}, {3}, {4}, {5}"
    refuse("box of no size", flat, f"{shown} has no width or no height", fatal=False)
    if size is not None:
        gone = outside(corners, size) & ~flat & considered & (category == ObjectClass.PEDESTRIAN)
        refuse("box outside", gone, f"{shown} has no part in the image of {size[0]}x{size[1]}", fatal=False)
    kept = values[usable]
    return Table(
        kept[:, 0].astype(np.int64),
        kept[:, 1].astype(np.int64),
        category[usable].astype(np.int64),
        considered[usable],
    )


def report_nobody(table: Table, name: str, report: Report) -> None:
    """Tell `report` (mildly: other sequences may have some) where no row of a ground truth is a person."""
    if not table.people().any():
        text = "no row is a person (class 1, flag not 0): there is nothing to train on or to score"
        report(Problem("no people", name, text, fatal=False))


def _check_repeats(
    values: NDArray[np.float64],
    lines: NDArray[np.int64],
    usable: NDArray[np.bool_],
    name: str,
    report: Report,
) -> None:
    """An identity can be in one place of a frame only."""
    rows = np.flatnonzero(usable & (values[:, 1] != _NOBODY))
    order = rows[np.lexsort((values[rows, 1], values[rows, 0]))]  # stable: equal keys keep the file's order
    again = (values[order[1:], :2] == values[order[:-1], :2]).all(axis=1)
    for at in np.flatnonzero(again).tolist():
        frame, identity = values[order[at + 1], :2]
        text = f"id {identity:g} stands twice in frame {frame:g}, before on line {lines[order[at]]}"
        report(Problem("id twice in a frame", f"{name}:{lines[order[at + 1]]}", text))
