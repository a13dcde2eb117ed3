"""COCO's annotations of a film: every entry of `images` is a frame.

Identities are `track_id` or `instance_id`, of the annotation or of its `attributes` (CVAT writes them there).
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from clmot.files import is_video
from clmot.films.film_boxes import FilmBoxes
from clmot.labels.box_set import plain_name
from clmot.labels.coco import (
    Annotation,
    annotations_by_image,
    category_names,
    entries,
    entry_key,
    load_coco,
    report_unknown_images,
)
from clmot.labels.rows import finite_number
from clmot.motchallenge.annotations import UNKNOWN_IDENTITY
from clmot.motchallenge.frame_names import first_number, numbered
from clmot.problems import Problem, Report

_FRAME_KEYS = ("frame_id", "frame_index", "frame_number", "frame")
_IDENTITY_KEYS = ("track_id", "instance_id")
_LARGEST_IDENTITY = 2**53  # beyond it the tables' floats no longer tell whole numbers apart


def read_coco_boxes(labels: Path, size: tuple[int, int], report: Report) -> FilmBoxes:
    """Read the annotations of a film.

    Args:
        labels: the .json file.
        size: (width, height) of the video, which its `images` must agree with where they say theirs.
        report: told of every fault; entries at fault are left out.

    Raises:
        InputError: the file cannot be read or is not COCO's.
    """
    content = load_coco(labels)
    names = category_names(content, labels, report)
    rows = annotations_by_image(content, names, labels, report)
    frames, known_images = _frames(content, labels, size, report)
    report_unknown_images(rows, known_images, labels, report)
    known = [(frames[key], row) for key in frames for row in rows.get(key, [])]
    return FilmBoxes(
        np.array([frame for frame, _ in known], np.int64),
        _identities(content, labels, [row for _, row in known], report),
        np.array([row.box for _, row in known], np.float64).reshape(-1, 4),
        np.array([row.ignored for _, row in known], bool),
        [row.category for _, row in known],
        [f"{labels}: annotations[{row.number}]" for _, row in known],
        names,
        len(frames),
        max(frames.values(), default=0),
        _scores(content, [row for _, row in known]),
    )


def _scores(content: dict[str, Any], rows: list[Annotation]) -> np.ndarray | None:
    """(N,) `score` of annotations that a detector made; None where none has one."""
    stated = [finite_number(content["annotations"][row.number].get("score")) for row in rows]
    if all(score is None for score in stated):
        return None
    return np.array([1.0 if score is None else score for score in stated])


def _frames(
    content: dict[str, Any], labels: Path, size: tuple[int, int], report: Report
) -> tuple[dict[str, int], set[str]]:
    """Image id -> frame, counted from 1; and the ids of all images, those at fault too."""
    numbers: dict[str, int] = {}
    owners: dict[int, str] = {}
    known: set[str] = set()
    one: tuple[object, ...] | None = None
    for _, where, entry in entries(content, "images", labels, report):
        key = entry_key(entry.get("id"))
        if key is None:
            report(Problem("faulty image", where, 'expected a whole "id"'))
            continue
        if key in known:
            report(Problem("image twice", where, f"id {key} is already in an earlier entry"))
            continue
        known.add(key)
        film, number = _film_and_number(entry)
        if number is None:
            text = 'should have a "file_name" that ends with the number of its frame (door_000001.jpg), or a "frame_id"'
            report(Problem("faulty image", where, text))
            continue
        one = one or film
        if film != one:
            text = f"is of another film than {next(iter(owners.values()))}: expected a file for each film"
            report(Problem("several films", where, text))
        elif number in owners:
            text = f"is frame {number}, as {owners[number]} is already: expected a file for each film"
            report(Problem("image twice", where, text))
        else:
            numbers[key], owners[number] = number, where
            stated = finite_number(entry.get("width")), finite_number(entry.get("height"))
            if all(stated) and stated != size:
                text = (
                    f"is {stated[0]:g}x{stated[1]:g}, but the video is {size[0]}x{size[1]} as it is shown, so its "
                    "boxes lie elsewhere: get the video that was labelled"
                )
                report(Problem("image size", where, text))
    first = first_number(owners)
    return {key: number - first + 1 for key, number in numbers.items()}, known


def _film_and_number(entry: dict[str, Any]) -> tuple[tuple[object, ...], int | None]:
    """What all images of a film share in their names, and the frame's number as the file counts; None without one."""
    name = entry.get("file_name")
    path = PurePosixPath(plain_name(name) if isinstance(name, str) else "")
    film: tuple[object, ...] = (entry.get("video_id"), str(path.parent))
    if is_video(path.name):  # a number in there is not the frame's
        film = *film, path.name
    elif (found := numbered(path.stem)) is not None:
        begins, number = found
        return (*film, begins), number
    stated = next((entry[key] for key in _FRAME_KEYS if key in entry), None)
    fits = isinstance(stated, int) and not isinstance(stated, bool) and stated >= 0
    return film, stated if fits else None


def _identities(content: dict[str, Any], labels: Path, rows: list[Annotation], report: Report) -> np.ndarray:
    """(N,) int64: whole numbers are kept; texts, which some tools write, are numbered from 1 in their order."""
    found: list[int | str | None] = []
    for row in rows:
        identity = _identity(content["annotations"][row.number])
        if isinstance(identity, float) or (isinstance(identity, int) and identity > _LARGEST_IDENTITY):
            text = f"{str(identity)[:40]} is no identity: expected a whole number up to {_LARGEST_IDENTITY}, or a text"
            report(Problem("faulty annotation", f"{labels}: annotations[{row.number}]", text))
            identity = None
        found.append(identity)
    if any(isinstance(identity, str) for identity in found):
        known = sorted({str(identity) for identity in found if identity is not None})
        numbers = {identity: number for number, identity in enumerate(known, 1)}
        found = [None if identity is None else numbers[str(identity)] for identity in found]
    return np.array([UNKNOWN_IDENTITY if identity is None else identity for identity in found], np.int64)


def _identity(annotation: dict[str, Any]) -> int | float | str | None:
    """The identity that an annotation states; a float where it is no whole number, None where it states none or -1."""
    attributes = annotation.get("attributes")
    for holder in (annotation, attributes if isinstance(attributes, dict) else {}):
        for key in _IDENTITY_KEYS:
            value = holder.get(key)
            if isinstance(value, bool) or not isinstance(value, int | float | str) or value in ("", "-1"):
                continue
            if isinstance(value, str):
                return value
            if value >= 0:  # NaN means none
                return int(value) if isinstance(value, float) and value.is_integer() else value
    return None
