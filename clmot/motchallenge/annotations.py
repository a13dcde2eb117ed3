"""Tables of boxes: ground truth, detections and tracking results in MOTChallenge text files.

A file has one row a box, comma-separated, in any order:

    ground truth, MOT16/17/20   frame, id, x, y, w, h, flag, class, visibility           (9 columns)
    ground truth, MOT15         frame, id, x, y, w, h, flag, X, Y, Z                     (10 columns)
    detections, results         frame, id, x, y, w, h, confidence[, -1, -1, -1]          (7 to 10 columns)

Coordinates are pixels counted from 1; x, y is the upper left corner.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clmot.files import read_bytes, staged_file
from clmot.motchallenge.classes import PEDESTRIANS, ObjectClass, TrackedKind
from clmot.motchallenge.meaning import (
    ALL_ALIKE,
    LABELS_FILE,
    OTHER_CLASS,
    class_numbers,
    foreign_columns,
    no_identities,
    not_in_pixels,
    swapped_columns,
    wrong_units,
)
from clmot.motchallenge.rows import parse_rows
from clmot.motchallenge.sequence import MOST_FRAMES
from clmot.problems import Problem, Report, refuse
from clmot.wording import listed

_EXPECTED = "expected a MOTChallenge text file there"
UNKNOWN_IDENTITY = -1
"""The value in the identity column of a box whose identity is unknown (or must not be known)."""

_LARGEST_WHOLE = 2**53  # beyond it a float64 no longer tells neighbouring whole numbers apart


@dataclass(frozen=True)
class RowKind:
    """One of the three kinds of rows."""

    columns: tuple[int, ...]
    """The numbers of columns that they may have; with 9 of ground truth the eighth is a class."""
    expected: str
    """The columns in words."""
    unique: bool
    """Whether an identity may appear once only in a frame."""
    truth: bool
    """Ground truth: there is at least one row, classes are known, and -1 (unknown) is no identity."""


GROUND_TRUTH = RowKind(
    (9, 10),
    "9 columns (frame,id,x,y,w,h,flag,class,visibility; 1,1,1 where unknown), or 10 as in MOT15 (...,flag,X,Y,Z)",
    True,
    True,
)
DETECTIONS = RowKind((7, 8, 9, 10), "7 to 10 columns (frame,id,x,y,w,h,confidence,-1,-1,-1)", False, False)
RESULTS = dataclasses.replace(DETECTIONS, unique=True)


@dataclass(frozen=True, eq=False)
class AnnotationTable:
    """N boxes of one sequence, a column an array."""

    frame: npt.NDArray[np.int64]
    """(N,) counted from 1."""
    identity: npt.NDArray[np.int64]
    """(N,) -1 where unknown."""
    box: npt.NDArray[np.float64]
    """(N, 4) x, y, w, h in pixels; x = y = 1 is the corner of the image."""
    confidence: npt.NDArray[np.float64]
    """(N,) score of a detection or result; in ground truth the flag (0: not to be considered)."""
    category: npt.NDArray[np.int64]
    """(N,) `ObjectClass` number; 1 where the file has no such column (MOT15, detections, results)."""
    visibility: npt.NDArray[np.float64]
    """(N,) visible fraction; 1.0 where the file has no such column."""

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def empty(cls) -> AnnotationTable:
        """A table without rows."""
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        return cls(whole, whole, np.zeros((0, 4)), real, whole, real)

    def select(self, rows: npt.NDArray[Any] | slice) -> AnnotationTable:
        """The rows of a boolean mask (N,), of indices (M,) in their order, or of a slice."""
        return AnnotationTable(
            self.frame[rows],
            self.identity[rows],
            self.box[rows],
            self.confidence[rows],
            self.category[rows],
            self.visibility[rows],
        )

    def tracked(self, kind: TrackedKind = PEDESTRIANS) -> npt.NDArray[np.bool_]:
        """(N,) rows of ground truth that train and are scored: by default of class 1, and with a flag that is not 0."""
        return ~kind.excluded(self.confidence, self.category) & np.isin(self.category, kind.classes)

    def known_identities(self) -> int:
        """Number of known identities."""
        return len(np.unique(self.identity[self.identity != UNKNOWN_IDENTITY]))

    def corners(self) -> npt.NDArray[np.float64]:
        """(N, 4) x1, y1, x2, y2 in continuous pixels with the image's corner at 0, 0."""
        upper_left = self.box[:, :2] - 1.0
        return np.concatenate([upper_left, upper_left + self.box[:, 2:]], axis=1)

    def sorted(self) -> AnnotationTable:
        """The rows ordered by frame, then identity, then box."""
        x, y, w, h = self.box.T
        return self.select(np.lexsort((h, w, y, x, self.identity, self.frame)))

    def sorted_by_box(self) -> AnnotationTable:
        """The rows ordered by frame, then box, class, visibility and flag: blind to identities."""
        x, y, w, h = self.box.T
        return self.select(np.lexsort((self.confidence, self.visibility, self.category, h, w, y, x, self.frame)))

    def in_frames(self, first: int, last: int, *, renumber: bool = False) -> AnnotationTable:
        """The rows of frames `first` to `last` (inclusive); `renumber` makes `first` frame 1."""
        part = self.select((self.frame >= first) & (self.frame <= last))
        if not renumber:
            return part
        return AnnotationTable(
            part.frame - (first - 1),
            part.identity,
            part.box,
            part.confidence,
            part.category,
            part.visibility,
        )


def judge_rows(
    data: bytes,
    name: str,
    kind: RowKind,
    report: Report,
    *,
    length: int | None = None,
    size: tuple[int, int] | None = None,
    classes: Mapping[int, int] | None = None,
) -> AnnotationTable:
    """The usable rows of a file. Every reader of such files calls this; with `refuse` the first fault is raised.

    Args:
        data: content of the file.
        name: of the file, for the report.
        kind: `GROUND_TRUTH`, `DETECTIONS` or `RESULTS`.
        report: told of every fault, mildly of boxes that are of no use.
        length: frames of the sequence, where known: rows beyond it are faults.
        size: (width, height) of its images in pixels, where boxes outside them are to be told of.
        classes: of ground truth that numbers its classes its own way: number -> `ObjectClass`, or `OTHER_CLASS` for
            those that are left out.
    """
    values, lines = parse_rows(data, name, kind.columns, kind.expected, report, delimiter=",")
    if kind.truth and not data.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n,"):
        report(Problem("no rows", name, "has no rows: expected one row for every box of the sequence"))
    _report_meaning(values, kind, name, size, report)
    with_class = kind.truth and values.shape[1] == 9
    usable = np.ones(len(values), bool)

    def tell(fault: str, wrong: npt.NDArray[np.bool_], text: str, fatal: bool = True) -> None:
        """Report the usable rows (N,) that are wrong; fatal faults are usable no longer."""
        for row in np.flatnonzero(wrong & usable).tolist():
            cells = [f"{value:.10g}" for value in values[row].tolist()]
            report(Problem(fault, f"{name}:{lines[row]}", text.format(*cells), fatal))
        if fatal:
            usable[wrong] = False

    for column, word in ((0, "frame"), (1, "identity"), (7, "class"))[: 2 + with_class]:
        numbers = values[:, column]
        fraction = (numbers != np.floor(numbers)) | (np.abs(numbers) > _LARGEST_WHOLE)
        tell("faulty row", fraction, f"{word} {{{column}}} is not a whole number")
    frames = values[:, 0]
    below = "frame {0} is below 1, the first frame"
    tell("faulty row", frames == 0, f"{below}: if the file counts frames from 0, add 1 to its first column")
    tell("faulty row", frames < 0, below)
    # Scoring lays out all frames up to the last: a typing error there would take all memory.
    tell("faulty row", frames > MOST_FRAMES, f"frame {{0}} is beyond {MOST_FRAMES}, the last that a film can have")
    if length is not None:
        tell("frame beyond length", frames > length, f"frame {{0}} is beyond the sequence's {length} frames")
    category = _categories(values, classes, tell) if with_class else np.ones(len(values), np.int64)
    values = _without_false_identities(values, usable, name, kind, report)
    if kind.unique:
        _report_repeats(values, lines, usable, name, kind, report)
    considered = ((values[:, 6] != 0) | (not kind.truth)) & (category == ObjectClass.PEDESTRIAN)
    _report_useless(values, considered, size, tell)
    other = usable & (category == OTHER_CLASS)
    if other.any():
        found = listed([f"{number:g}" for number in np.unique(values[other, 7])])
        left_out = f"holds boxes of other classes, which are left out ({other.sum()}, of number {found})"
        report(Problem("other classes", name, left_out, fatal=False))
    usable &= ~other
    kept = values[usable]
    return AnnotationTable(
        frame=kept[:, 0].astype(np.int64),
        identity=kept[:, 1].astype(np.int64),
        box=np.ascontiguousarray(kept[:, 2:6]),
        confidence=kept[:, 6].copy(),
        category=category[usable],
        visibility=kept[:, 8].copy() if with_class else np.ones(len(kept)),
    )


def _categories(
    values: npt.NDArray[np.float64], classes: Mapping[int, int] | None, tell: Callable[..., None]
) -> npt.NDArray[np.int64]:
    """(N,) `ObjectClass` of every row, or `OTHER_CLASS`; unknown ones are told of."""
    of = {int(number): int(number) for number in ObjectClass} if classes is None else dict(classes)
    expected = (
        "none of MOTChallenge's classes 1 to 13 (1: pedestrian; a labels.txt beside it would name others)"
        if classes is None
        else f"none of the {len(of)} classes named"
    )
    known = np.isin(values[:, 7], list(of))
    tell("unknown class", ~known, f"class {{7}} is {expected}")
    numbers = np.where(known, values[:, 7], 0).astype(np.int64).tolist()
    return np.array([of.get(number, OTHER_CLASS) for number in numbers], np.int64)


def _report_meaning(
    values: npt.NDArray[np.float64], kind: RowKind, name: str, size: tuple[int, int] | None, report: Report
) -> None:
    """Columns that mean something else, for the file as a whole."""
    boxes = values[:, 2:6] - [1, 1, 0, 0]  # files count pixels from 1
    faults = [foreign_columns(values)] if kind.truth or values.shape[1] == 8 else []
    faults += [swapped_columns(values)] if kind.truth or kind.unique else []
    if size is not None:
        faults.append(wrong_units(boxes, np.array(size, np.float64)))
    elif kind.truth or not kind.unique:  # a tracker may report anything
        faults.append(not_in_pixels(boxes))
    for fault in filter(None, faults):
        report(Problem("columns", name, fault))


def _without_false_identities(
    values: npt.NDArray[np.float64], usable: npt.NDArray[np.bool_], name: str, kind: RowKind, report: Report
) -> npt.NDArray[np.float64]:
    """The rows, with unknown identities where those of a ground truth are all 0 or all 1 and so say nothing."""
    if not kind.truth or not no_identities(values[usable, 0], values[usable, 1]):
        return values
    report(Problem("no identities", name, ALL_ALIKE.format(f"{values[usable, 1][0]:g}"), fatal=False))
    return np.concatenate([values[:, :1], np.full_like(values[:, :1], UNKNOWN_IDENTITY), values[:, 2:]], axis=1)


def _report_repeats(
    values: npt.NDArray[np.float64],
    lines: npt.NDArray[np.int64],
    usable: npt.NDArray[np.bool_],
    name: str,
    kind: RowKind,
    report: Report,
) -> None:
    """One object cannot be in two places of a frame."""
    rows = np.flatnonzero(usable & (values[:, 1] != UNKNOWN_IDENTITY) if kind.truth else usable)
    order = rows[np.lexsort((values[rows, 1], values[rows, 0]))]  # stable: equal keys keep the file's order
    again = (values[order[1:], :2] == values[order[:-1], :2]).all(axis=1)
    for at in np.flatnonzero(again).tolist():
        frame, identity = values[order[at + 1], :2]
        unknown = f", or give {UNKNOWN_IDENTITY} to all whose identity is not known" if kind.truth else ""
        text = (
            f"identity {identity:.0f} appears twice in frame {frame:.0f}, first on line {lines[order[at]]}; "
            f"keep one of the rows{unknown}"
        )
        report(Problem("id twice in a frame", f"{name}:{lines[order[at + 1]]}", text))


def _report_useless(
    values: npt.NDArray[np.float64],
    considered: npt.NDArray[np.bool_],
    size: tuple[int, int] | None,
    tell: Callable[[str, npt.NDArray[np.bool_], str, bool], None],
) -> None:
    """Boxes that nothing is learnt from: mild faults."""
    shown = "the box x, y, w, h = {2}, {3}, {4}, {5}"
    flat = np.asarray((values[:, 4:6] <= 0).any(axis=1), bool)
    tell("box of no size", flat, f"{shown} has no width or no height", False)
    if size is not None:
        upper_left = values[:, 2:4] - 1.0  # files count pixels from 1
        beyond = (upper_left + values[:, 4:6] <= 0) | (upper_left >= np.array(size))
        gone = np.asarray(beyond.any(axis=1), bool)
        image = f"the image of {size[0]}x{size[1]}"
        tell("box outside", gone & ~flat & considered, f"{shown} has no part in {image}", False)


def read_ground_truth(
    path: str | os.PathLike[str], *, length: int | None = None, unique_identities: bool = True
) -> AnnotationTable:
    """Read a `gt.txt` of MOT15 (10 columns) or of MOT16, MOT17, MOT20 (9 columns); a `labels.txt` beside it names its
    classes.

    Args:
        length: number of frames of the sequence, where known: rows beyond it are refused.
        unique_identities: refuse an identity that appears twice in one frame (-1, unknown, may).

    Raises:
        InputError: the file is absent or empty, or a row is not as it should be (the message names its line).
    """
    classes = classes_beside(Path(path), refuse)
    data = read_bytes(path, _EXPECTED)
    return parse_ground_truth(data, str(path), length=length, unique_identities=unique_identities, classes=classes)


def classes_beside(path: Path, report: Report, asked: Sequence[int | str] = ()) -> dict[int, int] | None:
    """How the `labels.txt` beside a table, if there is one, numbers its classes (see `class_numbers`)."""
    labels = path.with_name(LABELS_FILE)
    return class_numbers(read_bytes(labels), str(labels), report, asked) if labels.is_file() else None


def parse_ground_truth(
    data: bytes,
    name: str,
    *,
    length: int | None = None,
    unique_identities: bool = True,
    classes: Mapping[int, int] | None = None,
) -> AnnotationTable:
    """Read the content of a `gt.txt`; `name` is used in error messages, `classes` as in `judge_rows`. Else as
    `read_ground_truth`."""
    kind = GROUND_TRUTH if unique_identities else dataclasses.replace(GROUND_TRUTH, unique=False)
    return judge_rows(data, name, kind, refuse, length=length, classes=classes)


def format_ground_truth(table: AnnotationTable) -> str:
    """The rows of a gt.txt with 9 columns."""
    rows = zip(
        table.frame, table.identity, table.box.tolist(), table.confidence, table.category, table.visibility, strict=True
    )
    return "".join(
        f"{frame},{identity},{','.join(f'{value:.10g}' for value in box)},{flag:g},{category},{visibility:.10g}\n"
        for frame, identity, box, flag, category, visibility in rows
    )


def read_detections(path: str | os.PathLike[str], size: tuple[int, int] | None = None) -> AnnotationTable:
    """Read a `det.txt` (7 to 10 columns). An empty file is an empty table.

    Args:
        path: of the file.
        size: (width, height) of the film's images in pixels, where boxes in another unit are to be told of.

    Raises:
        InputError: the file is absent, or a row is not as it should be (the message names its line).
    """
    return judge_rows(read_bytes(path, _EXPECTED), str(path), DETECTIONS, refuse, size=size)


def read_results(path: str | os.PathLike[str]) -> AnnotationTable:
    """Read tracking results (7 to 10 columns). An empty file is an empty table.

    Raises:
        InputError: the file is absent, a row is not as it should be, or an identity appears twice in one frame
            (the message names the lines).
    """
    return parse_results(read_bytes(path, _EXPECTED), str(path))


def parse_results(data: bytes, name: str) -> AnnotationTable:
    """Read the content of tracking results; `name` is used in error messages. Else as `read_results`."""
    return judge_rows(data, name, RESULTS, refuse)


def write_results(
    path: str | os.PathLike[str],
    frame: npt.ArrayLike,
    identity: npt.ArrayLike,
    corners: npt.ArrayLike,
    score: npt.ArrayLike,
) -> None:
    """Write tracking results (see `format_results`), whole or not at all; equal input gives equal bytes."""
    text = format_results(frame, identity, corners, score)
    with staged_file(path) as aside, aside.open("w", encoding="ascii", newline="\n") as stream:
        stream.write(text)


def format_results(frame: npt.ArrayLike, identity: npt.ArrayLike, corners: npt.ArrayLike, score: npt.ArrayLike) -> str:
    """Tracking results as rows `frame,id,x,y,w,h,confidence,-1,-1,-1`, ordered by frame and identity.

    Boxes get 2 decimals, scores 4.

    Args:
        frame: (N,) counted from 1.
        identity: (N,) whole numbers.
        corners: (N, 4) x1, y1, x2, y2 in continuous pixels with the image's corner at 0, 0.
        score: (N,) confidence.
    """
    frames = np.asarray(frame, np.int64).reshape(-1)
    identities = np.asarray(identity, np.int64).reshape(-1)
    boxes = np.asarray(corners, np.float64).reshape(-1, 4)
    scores = np.asarray(score, np.float64).reshape(-1)
    if not len(frames) == len(identities) == len(boxes) == len(scores):
        raise ValueError("frame, identity, corners and score should have the same number of rows")
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ValueError("boxes and scores should be finite")
    order = np.lexsort((identities, frames))
    # Adding 0.0 turns -0.0 into 0.0, which would otherwise print with its sign.
    upper_left = np.round(boxes[:, :2] + 1.0, 2) + 0.0
    size = np.round(boxes[:, 2:] - boxes[:, :2], 2) + 0.0
    rows = []
    for row in order:
        x, y = upper_left[row]
        w, h = size[row]
        rows.append(f"{frames[row]},{identities[row]},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{scores[row]:.4f},-1,-1,-1\n")
    return "".join(rows)
