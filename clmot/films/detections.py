"""Anybody's detections of one film, whatever their format, as a table: what `clmot track --boxes` takes.

MOTChallenge's rows (det.txt), YOLO's label files (one for each frame with people; `class cx cy w h`, with confidences
as Ultralytics' `save_conf` writes them, or with identities, which are not looked at) or COCO's annotations (with
`score`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clmot.errors import InputError
from clmot.films.boxes import tracked_rows
from clmot.films.coco import read_coco_boxes
from clmot.films.film_boxes import FilmBoxes
from clmot.films.find_films import boxes_beside, label_files
from clmot.films.yolo import read_yolo_boxes
from clmot.motchallenge.annotations import UNKNOWN_IDENTITY, AnnotationTable, read_detections
from clmot.motchallenge.meaning import wrong_units
from clmot.problems import warn_or_refuse


def read_film_detections(boxes: Path, name: str, size: tuple[int, int]) -> AnnotationTable:
    """The boxes of a film, frames numbered from 1.

    Args:
        boxes: a file (.txt, .json), a folder of YOLO's label files, or a folder with a file or folder of these called
            as the film.
        name: of the film.
        size: (width, height) of its pictures.

    Raises:
        InputError: there is no such file, it is faulty, or holds no box of a person.
    """
    path = _of_film(boxes, name)
    if path.is_file() and path.suffix.lower() == ".txt":
        table = read_detections(path, size)
    elif path.is_file() and path.suffix.lower() == ".json":
        table = _table(read_coco_boxes(path, size, warn_or_refuse), path)
    elif path.is_dir():
        table = _table(read_yolo_boxes(path, size, warn_or_refuse, detected=True), path)
    else:
        raise InputError(f"{path}: expected rows of MOTChallenge (.txt), COCO's (.json) or a folder of YOLO's labels.")
    if not len(table):
        raise InputError(f"{path} holds no box of a person: nothing can be tracked.")
    units = wrong_units(table.box - [1, 1, 0, 0], np.array(size, np.float64), centred=path.is_dir())
    if units is not None:
        raise InputError(f"{path}: {units}.")
    return table


def _of_film(boxes: Path, name: str) -> Path:
    if not boxes.exists():
        raise InputError(f"{boxes} does not exist: expected boxes (.txt, .json, or a folder of YOLO's labels).")
    if not boxes.is_dir():
        return boxes
    beside = boxes_beside(boxes / f"{name}.mp4")
    if len(beside) > 1:
        raise InputError(f"{boxes} has {beside[0].name} and {beside[1].name} for {name}: leave one of them there.")
    if beside:
        return beside[0]
    labels = boxes / "labels"  # as Ultralytics lays its results
    if not label_files(boxes) and labels.is_dir():
        return labels
    if not label_files(boxes):
        raise InputError(f"{boxes} has no boxes of {name}: expected {name}.txt, {name}.json, or YOLO's label files.")
    return boxes


def _table(found: FilmBoxes, path: Path) -> AnnotationTable:
    found = found.select(tracked_rows(found, path, (), warn_or_refuse) & ~found.ignored)
    box = found.box.copy()
    box[:, :2] += 1.0  # MOTChallenge counts pixels from 1
    score: NDArray[np.float64] = np.ones(len(box)) if found.score is None else found.score
    count = len(box)
    return AnnotationTable(
        found.frame,
        np.full(count, UNKNOWN_IDENTITY),
        box,
        score,
        np.ones(count, np.int64),
        np.ones(count),
    ).sorted()
