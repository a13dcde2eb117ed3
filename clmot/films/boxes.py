"""The boxes of one's own films, whatever their format, as a gt.txt of MOTChallenge.

Frames are told by the number that a name ends with: `door_000012.txt`, `frame_12.PNG`. They count from 1, as
Ultralytics and FFmpeg write them; where one is numbered 0 they count from 0, as CVAT writes them. Identities are kept
where a format has them (only evaluation reads them), and are -1 where it has none.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clmot.files import read_bytes
from clmot.films.coco import read_coco_boxes
from clmot.films.film_boxes import FilmBoxes
from clmot.films.find_films import Film
from clmot.films.video import Measured
from clmot.films.yolo import read_yolo_boxes
from clmot.labels.box_set import as_corners, outside, without_extent
from clmot.motchallenge.annotations import (
    UNKNOWN_IDENTITY,
    AnnotationTable,
    classes_beside,
    format_ground_truth,
    parse_ground_truth,
)
from clmot.motchallenge.classes import PEOPLE, is_person
from clmot.motchallenge.meaning import (
    ALL_ALIKE,
    classes_asked_for,
    no_identities,
    unlabelled_between,
    wrong_units,
)
from clmot.motchallenge.rows import lines_of_rows, text_of_rows
from clmot.problems import Problem, Report
from clmot.wording import listed

_DECIMALS = 4  # of coordinates in pixels: fractions of the image come out as 99.99999999999999 otherwise


@dataclass(frozen=True, eq=False)
class FilmTruth:
    """The ground truth of a film."""

    table: AnnotationTable
    """Its boxes."""
    text: bytes
    """The same as the content of a gt.txt."""


def read_truth(film: Film, measured: Measured, report: Report, classes: Sequence[int | str] = ()) -> FilmTruth | None:
    """The boxes of a film, checked against its frames; None where `report` was told of faults and returned.

    Rows of MOTChallenge are kept as they are.

    Args:
        film: with boxes.
        measured: its video.
        report: told of every fault, and of boxes that are left out.
        classes: names or numbers of those that are tracked, together as one; empty: that of people.

    Raises:
        InputError: a file cannot be read, or (MOTChallenge) has a faulty row.
    """
    assert film.boxes is not None
    if is_mot(film.boxes):
        data = read_bytes(film.boxes)
        numbers = classes_beside(film.boxes, report, classes)
        table = parse_ground_truth(data, str(film.boxes), classes=numbers)
        late = np.flatnonzero(table.frame > measured.frames).tolist()
        lines = lines_of_rows(text_of_rows(data)).tolist() if late else []
        _report_end(
            film,
            measured,
            [(f"{film.boxes}:{lines[row]}", int(table.frame[row])) for row in late],
            report,
        )
        return (
            None if late else FilmTruth(table, data if numbers is None else format_ground_truth(table).encode("ascii"))
        )
    faults = 0

    def counting(problem: Problem) -> None:
        nonlocal faults
        faults += problem.fatal
        report(problem)

    read = read_coco_boxes if film.boxes.is_file() else read_yolo_boxes
    found = read(film.boxes, (measured.width, measured.height), counting)
    if found.listed is not None and found.listed < measured.frames and not faults:
        text = (
            f"lists {found.listed} of the {measured.frames} frames of {film.video.name}; the others are taken as "
            "frames without people"
        )
        report(Problem("frames without labels", str(film.boxes), text, fatal=False))
    if found.last > measured.frames and not faults:
        text = (
            f"has frame {found.last}, but {film.video.name} has {measured.frames} frames (decoded and counted): "
            "if frames were lost or are counted differently, boxes are in wrong frames: look at `clmot show views`"
        )
        report(Problem("labels beyond the end", str(film.boxes), text, fatal=False))
    found = found.select(tracked_rows(found, film.boxes, classes, counting))
    late = found.frame > measured.frames
    _report_end(
        film,
        measured,
        [(found.places[row], int(found.frame[row])) for row in np.flatnonzero(late).tolist()],
        counting,
    )
    found = _with_identities(found, film.boxes, report)
    _check_identities(found, counting)
    size = np.array([measured.width, measured.height], np.float64)
    units = wrong_units(found.box, size, centred=film.boxes.is_dir())
    if units is not None and not faults:
        counting(Problem("units", str(film.boxes), units))
    gaps = unlabelled_between(found.frame, measured.frames)
    if gaps is not None and not faults:
        counting(Problem("frames without labels", str(film.boxes), gaps))
    _report_useless(found, film.boxes, (measured.width, measured.height), report)
    if not faults and not len(found.frame):
        counting(
            Problem(
                "no people",
                str(film.boxes),
                "has no box of what is tracked: add boxes, name their classes in 'data.classes', or remove the file",
            )
        )
    if faults:
        return None
    table = _table(found)
    return FilmTruth(table, format_ground_truth(table).encode("ascii"))


def is_mot(boxes: Path) -> bool:
    """Whether a file beside a video holds rows of MOTChallenge."""
    return boxes.suffix == ".txt" and boxes.is_file()


def tracked_rows(found: FilmBoxes, source: Path, classes: Sequence[int | str], report: Report) -> np.ndarray:
    """(N,) bool: the boxes of the `classes` that are tracked.

    Where none is named, that is of several classes the one of people (`is_person`); a single one may have any name.
    """
    used = sorted(set(found.categories))
    named = {key: found.names.get(key, f"number {key}") for key in used}
    wanted = {key for key, name in found.names.items() if is_person(name)}
    if classes:
        wanted, unknown = classes_asked_for(classes, named | found.names)
        for one in unknown:
            there = listed(sorted({*named.values(), *found.names.values()}), 12)
            report(Problem("classes", str(source), f"has no class '{one}': name some of {there} in 'data.classes'"))
        if unknown:
            return np.zeros(len(found.categories), bool)
    if not wanted and len(used) > 1:
        text = (
            f"has boxes of several classes ({', '.join(named.values())}), and none is called {' or '.join(PEOPLE)}: "
            "name those that are to be tracked in 'data.classes'"
        )
        report(Problem("classes", str(source), text))
        return np.zeros(len(found.categories), bool)
    kept = np.array([not wanted or category in wanted for category in found.categories], bool)
    dropped = Counter(named[category] for category in found.categories if wanted and category not in wanted)
    if dropped:
        counts = ", ".join(f"{name}: {count}" for name, count in dropped.most_common())
        text = f"holds boxes of other classes, which are left out ({counts})"
        report(Problem("other classes", str(source), text, fatal=False))
    return kept


def _report_end(film: Film, measured: Measured, late: Sequence[tuple[str, int]], report: Report) -> None:
    """Report boxes after the last frame."""
    for place, frame in late:
        text = (
            f"has boxes in frame {frame}, but {film.video.name} has {measured.frames} frames (decoded and counted): "
            "get the whole video, or the boxes of this one"
        )
        report(Problem("boxes beyond the end", place, text))


def _report_useless(found: FilmBoxes, source: Path, size: tuple[int, int], report: Report) -> None:
    """Report boxes that show no part of an image of (width, height), in one line for each kind."""
    corners = as_corners(found.box)
    flat = without_extent(corners)
    gone = outside(corners, size) & ~flat
    for kind, rows, what in (
        ("boxes of no size", flat, "no width or no height"),
        ("boxes outside", gone, f"no part in the image of {size[0]}x{size[1]}"),
    ):
        rows = rows & ~found.ignored
        if rows.any():
            first = found.places[int(np.argmax(rows))]
            text = f"holds boxes that have {what} ({rows.sum()}, the first at {first}); nothing is learnt from them"
            report(Problem(kind, str(source), text, fatal=False))


def _with_identities(found: FilmBoxes, source: Path, report: Report) -> FilmBoxes:
    """The boxes, with unknown identities where all have the same one and so it says nothing."""
    if not no_identities(found.frame, found.identity):
        return found
    report(Problem("no identities", str(source), ALL_ALIKE.format(found.identity[0]), fatal=False))
    return dataclasses.replace(found, identity=np.full_like(found.identity, UNKNOWN_IDENTITY))


def _check_identities(found: FilmBoxes, report: Report) -> None:
    """Report identities that appear twice in one frame."""
    seen: dict[tuple[int, int], int] = {}
    for row, key in enumerate(zip(found.frame.tolist(), found.identity.tolist(), strict=True)):
        if key[1] != UNKNOWN_IDENTITY and seen.setdefault(key, row) != row:
            earlier = found.places[seen[key]]
            text = f"identity {key[1]} appears twice in frame {key[0]}, before at {earlier}; keep one of them"
            report(Problem("id twice in a frame", found.places[row], text))


def _table(found: FilmBoxes) -> AnnotationTable:
    box = np.round(found.box, _DECIMALS) + 0.0  # never -0.0
    box[:, :2] = np.round(box[:, :2] + 1.0, _DECIMALS)  # MOTChallenge counts pixels from 1
    count = len(box)
    return AnnotationTable(
        found.frame,
        found.identity,
        box,
        np.where(found.ignored, 0.0, 1.0),
        np.ones(count, np.int64),
        np.ones(count),
    ).sorted()
