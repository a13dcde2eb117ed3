"""YOLO's label files of a film, one for each frame with people:

    class cx cy w h                        labels
    class cx cy w h identity               as Ultralytics' `track` saves its results
    class cx cy w h confidence identity    the same with confidences

cx, cy is the centre of a box, and all four are fractions of the image's sides.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clmot.films.film_boxes import FilmBoxes
from clmot.films.find_films import label_files
from clmot.labels.normalised import class_names, from_corner, read_label_file
from clmot.motchallenge.annotations import UNKNOWN_IDENTITY
from clmot.motchallenge.frame_names import first_number, numbered
from clmot.problems import Problem, Report

COLUMNS = (5, 6, 7)
EXPECTED = "5 to 7 columns `class cx cy w h`, `... identity` or `... confidence identity`"


def read_yolo_boxes(folder: Path, size: tuple[int, int], report: Report, *, detected: bool = False) -> FilmBoxes:
    """Read the label files of a film; classes have names where a data.yaml or classes.txt (or the like) lies with them
    or beside their folder.

    Args:
        folder: of the label files.
        size: (width, height) of the video.
        report: told of every fault; rows at fault are left out.
        detected: a detector made them: six columns are `class cx cy w h confidence` where the last is no whole number
            in any row, and identities are not looked at.

    Raises:
        InputError: a file cannot be read.
    """
    names = class_names(folder)
    numbers = _numbers(folder, report)
    first = first_number(numbers)
    frames, identities, boxes, categories, places, sixth, seven = [], [], [], [], [], [], False
    for number, path in sorted(numbers.items()):
        values, lines = read_label_file(path, COLUMNS, EXPECTED, slice(1, 5), names, report)
        frames += [number - first + 1] * len(values)
        unknown = np.full(len(values), UNKNOWN_IDENTITY, np.int64)
        identities.append(unknown if detected else _identities(values, lines, path, report))
        sixth.append(values[:, 5] if values.shape[1] > COLUMNS[0] else np.ones(len(values)))
        seven = seven or values.shape[1] == COLUMNS[2]
        boxes.append(from_corner(values[:, 1:5]) * np.array(size * 2, np.float64))
        categories += [str(int(category)) for category in values[:, 0]]
        places += [f"{path}:{line}" for line in lines]
    return FilmBoxes(
        np.array(frames, np.int64),
        np.concatenate([np.zeros(0, np.int64), *identities]),
        np.concatenate([np.zeros((0, 4)), *boxes]),
        np.zeros(len(frames), bool),
        categories,
        places,
        names,
        last=max(numbers, default=0) - first + 1,
        score=_scores(np.concatenate([np.zeros(0), *sixth]), seven) if detected else None,
    )


def _scores(sixth: np.ndarray, seven: bool) -> np.ndarray | None:
    """Column 6 of all rows (N,) as confidences; None where there is none, or it holds identities."""
    confidences = ((sixth >= 0) & (sixth <= 1)).all() and (seven or (sixth != np.floor(sixth)).any())
    return sixth if confidences else None


def _numbers(folder: Path, report: Report) -> dict[int, Path]:
    """Number of a frame, as the files count -> its label file."""
    found: dict[int, Path] = {}
    start: str | None = None
    for path in label_files(folder):
        name = numbered(path.stem)
        if name is None:
            text = "its name should end with the number of its frame, as door_000001.txt: rename or remove it"
            report(Problem("name of a label file", str(path), text))
            continue
        begins, number = name
        if start not in (None, begins):
            text = f"is of another film than the files that begin with '{start}': expected a folder for each film"
            report(Problem("labels of several films", str(path), text))
        elif number in found:
            report(Problem("frame twice", str(path), f"is of the same frame as {found[number].name}: keep one"))
        else:
            start = begins
            found[number] = path
    return found


def _identities(values: np.ndarray, lines: np.ndarray, path: Path, report: Report) -> np.ndarray:
    """(N,) int64: the last of six or seven columns; unknown where there are five, or it is below 0."""
    if values.shape[1] == COLUMNS[0]:
        return np.full(len(values), UNKNOWN_IDENTITY, np.int64)
    identities = values[:, -1]
    wrong = (identities != np.floor(identities)) | (np.abs(identities) > 2**53)
    for row in np.flatnonzero(wrong):
        text = (
            f"column {values.shape[1]} is {identities[row]:g}, expected an identity, a whole number: "
            "write labels without confidences, or with identities behind them"
        )
        report(Problem("faulty row", f"{path}:{lines[row]}", text))
    return np.where(wrong | (identities < 0), UNKNOWN_IDENTITY, identities).astype(np.int64)
