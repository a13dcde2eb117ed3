"""Tables of boxes: ground truth, detections and tracking results in MOTChallenge text files.

A file has one row a box, comma-separated, in any order:

    ground truth, MOT16/17/20   frame, id, x, y, w, h, flag, class, visibility           (9 columns)
    ground truth, MOT15         frame, id, x, y, w, h, flag, X, Y, Z                     (10 columns)
    detections, results         frame, id, x, y, w, h, confidence[, -1, -1, -1]          (7 to 10 columns)

Coordinates are pixels counted from 1; x, y is the upper left corner.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clmot.errors import InputError
from clmot.files import staged_file
from clmot.motchallenge.classes import ObjectClass
from clmot.motchallenge.sequence import MOST_FRAMES

UNKNOWN_IDENTITY = -1
"""The value in the identity column of a box whose identity is unknown (or must not be known)."""

_LARGEST_WHOLE = 2**53  # beyond it a float64 no longer tells neighbouring whole numbers apart
_WITH_CLASS, _WITH_WORLD_POSITION = 9, 10  # columns of ground truth


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


def read_ground_truth(
    path: str | os.PathLike[str], *, length: int | None = None, unique_identities: bool = True
) -> AnnotationTable:
    """Read a `gt.txt` of MOT15 (10 columns) or of MOT16, MOT17, MOT20 (9 columns).

    Args:
        length: number of frames of the sequence, where known: rows beyond it are refused.
        unique_identities: refuse an identity that appears twice in one frame (-1, unknown, may).

    Raises:
        InputError: the file is absent or empty, or a row is not as it should be (the message names its line).
    """
    return parse_ground_truth(_read_bytes(path), str(path), length=length, unique_identities=unique_identities)


def parse_ground_truth(
    data: bytes, name: str, *, length: int | None = None, unique_identities: bool = True
) -> AnnotationTable:
    """Read the content of a `gt.txt`; `name` is used in error messages. Else as `read_ground_truth`."""
    rows = _Rows.parse(
        data,
        name,
        columns=(_WITH_CLASS, _WITH_WORLD_POSITION),
        expected="9 columns (frame,id,x,y,w,h,flag,class,visibility), or 10 as in MOT15 (...,flag,X,Y,Z)",
    )
    if not len(rows.values):
        raise InputError(f"{name} has no rows: expected one row for every box of the sequence.")
    table = _table(rows, with_class=rows.values.shape[1] == _WITH_CLASS)
    if length is not None:
        rows.refuse(
            table.frame > length,
            lambda row: f"frame {table.frame[row]} is beyond the sequence's {length} frames",
        )
    known = np.array([int(c) for c in ObjectClass])
    rows.refuse(
        ~np.isin(table.category, known),
        lambda row: f"class {table.category[row]} is none of MOTChallenge's classes 1 to 13",
    )
    if unique_identities:
        _refuse_repeated_identities(rows, table, exempt=UNKNOWN_IDENTITY)
    return table


def read_detections(path: str | os.PathLike[str]) -> AnnotationTable:
    """Read a `det.txt` (7 to 10 columns). An empty file is an empty table.

    Raises:
        InputError: the file is absent, or a row is not as it should be (the message names its line).
    """
    return _table(_scored_rows(_read_bytes(path), str(path)), with_class=False)


def read_results(path: str | os.PathLike[str]) -> AnnotationTable:
    """Read tracking results (7 to 10 columns). An empty file is an empty table.

    Raises:
        InputError: the file is absent, a row is not as it should be, or an identity appears twice in one frame
            (the message names the lines).
    """
    return parse_results(_read_bytes(path), str(path))


def parse_results(data: bytes, name: str) -> AnnotationTable:
    """Read the content of tracking results; `name` is used in error messages. Else as `read_results`."""
    rows = _scored_rows(data, name)
    table = _table(rows, with_class=False)
    _refuse_repeated_identities(rows, table, exempt=None)
    return table


def write_results(
    path: str | os.PathLike[str],
    frame: npt.ArrayLike,
    identity: npt.ArrayLike,
    corners: npt.ArrayLike,
    score: npt.ArrayLike,
) -> None:
    """Write tracking results as `frame,id,x,y,w,h,confidence,-1,-1,-1`, ordered by frame and identity.

    Written whole or not at all; equal input gives equal bytes. Boxes get 2 decimals, scores 4.

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
    with staged_file(path) as aside, aside.open("w", encoding="ascii", newline="\n") as stream:
        for row in order:
            x, y = upper_left[row]
            w, h = size[row]
            stream.write(
                f"{frames[row]},{identities[row]},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{scores[row]:.4f},-1,-1,-1\n"
            )


@dataclass(frozen=True, eq=False)
class _Rows:
    """The numbers of a file with what is needed to name the line of a row that is at fault."""

    values: npt.NDArray[np.float64]  # (N, columns), finite
    lines: Callable[[], list[int]]  # number of each row's line; only asked for when a row is refused
    name: str

    @classmethod
    def parse(cls, data: bytes, name: str, columns: tuple[int, ...], expected: str) -> _Rows:
        """Numbers of a comma-separated text; blank lines, a BOM and Windows line ends are fine.

        The whole file goes through numpy's parser; only when that fails, or gave something that is not
        finite, is it read line by line, to say which line is at fault.
        """
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise InputError(f"{name}:{line} is not text: expected {expected}.") from None

        def line_numbers() -> list[int]:
            return [n for n, line in enumerate(io.StringIO(text), 1) if line.strip()]

        if not text.strip():
            return cls(np.zeros((0, columns[0])), list, name)
        try:
            values = np.loadtxt(io.StringIO(text), delimiter=",", comments=None, ndmin=2)
        except (ValueError, OverflowError):
            values = np.full((1, 1), np.nan)
        if values.shape[1] not in columns or not np.isfinite(values).all():
            values = _parse_lines(text, name, columns, expected)
        return cls(values, line_numbers, name)

    def refuse(self, wrong: npt.NDArray[np.bool_], problem: Callable[[int], str]) -> None:
        """Raise an InputError for the first row where `wrong` (N,) holds; `problem` says what is wrong."""
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(f"{self.name}:{self.lines()[row]}: {problem(row)}; mend that row.")


def _parse_lines(text: str, name: str, columns: tuple[int, ...], expected: str) -> npt.NDArray[np.float64]:
    """As `_Rows.parse`, in Python, with the first faulty line in the InputError."""
    rows: list[list[float]] = []
    first = 0
    for number, line in enumerate(io.StringIO(text), 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) not in columns:
            found = f"{len(cells)} column{'s' * (len(cells) != 1)}"
            raise InputError(f"{name}:{number} has {found}, expected {expected}; mend that row.")
        if rows and len(cells) != len(rows[0]):
            raise InputError(
                f"{name}:{number} has {len(cells)} columns but line {first} has {len(rows[0])}: "
                "all rows of a file should have the same; mend that row."
            )
        values = []
        for column, cell in enumerate(cells, 1):
            try:
                value = float(cell) if "_" not in cell else np.nan  # Python alone would read 1_0 as 10
            except ValueError:
                value = np.nan
            if not np.isfinite(value):
                shown = f"'{cell[:40]}'" if cell else "empty"
                raise InputError(
                    f"{name}:{number}: column {column} is {shown}, expected a finite number; mend that row."
                )
            values.append(value)
        first = first or number
        rows.append(values)
    return np.array(rows)


def _read_bytes(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: expected a MOTChallenge text file there.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the file.") from None


def _scored_rows(data: bytes, name: str) -> _Rows:
    return _Rows.parse(
        data,
        name,
        columns=(7, 8, 9, 10),
        expected="7 to 10 columns (frame,id,x,y,w,h,confidence,-1,-1,-1)",
    )


def _table(rows: _Rows, with_class: bool) -> AnnotationTable:
    """Give the columns their types, refusing fractions and frames that no film has."""
    values = rows.values
    whole_columns = [(0, "frame"), (1, "identity")] + [(7, "class")] * with_class
    for column, what in whole_columns:
        numbers = values[:, column]
        rows.refuse(
            (numbers != np.floor(numbers)) | (np.abs(numbers) > _LARGEST_WHOLE),
            lambda row, numbers=numbers, what=what: f"{what} {numbers[row]:.17g} is not a whole number",  # type: ignore[misc]
        )
    rows.refuse(values[:, 0] < 1, lambda row: f"frame {values[row, 0]:.0f} is below 1, the first frame")
    # Scoring lays out all frames up to the last: a typing error there would take all memory.
    rows.refuse(
        values[:, 0] > MOST_FRAMES,
        lambda row: f"frame {values[row, 0]:.0f} is beyond {MOST_FRAMES}, the last that a film can have",
    )
    count = len(values)
    return AnnotationTable(
        frame=values[:, 0].astype(np.int64),
        identity=values[:, 1].astype(np.int64),
        box=np.ascontiguousarray(values[:, 2:6]),
        confidence=values[:, 6].copy(),
        category=values[:, 7].astype(np.int64) if with_class else np.ones(count, np.int64),
        visibility=values[:, 8].copy() if with_class else np.ones(count),
    )


def _refuse_repeated_identities(rows: _Rows, table: AnnotationTable, exempt: int | None) -> None:
    """One object cannot be in two places of a frame."""
    order = np.lexsort((table.identity, table.frame))  # stable: equal keys keep the file's order
    frame, identity = table.frame[order], table.identity[order]
    same = (frame[1:] == frame[:-1]) & (identity[1:] == identity[:-1])
    if exempt is not None:
        same &= identity[1:] != exempt
    if same.any():
        at = int(np.argmax(same))
        earlier, later = sorted((int(order[at]), int(order[at + 1])))
        lines = rows.lines()
        unknown = "" if exempt is None else f", or give {exempt} to all whose identity is not known"
        raise InputError(
            f"{rows.name}:{lines[later]}: identity {identity[at]} appears twice in frame {frame[at]}, "
            f"first on line {lines[earlier]}; keep one of the rows{unknown}."
        )
