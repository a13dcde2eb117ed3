"""COCO's annotations of a film: every entry of `images` is a frame.

Identities are `track_id` or `instance_id`, of the annotation or of its `attributes` (CVAT writes them there).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from clmot.data.extra.boxset import plain_name
from clmot.data.extra.coco import (
    Annotation,
    annotations_by_image,
    category_names,
    entries,
    entry_key,
    load_coco,
    report_unknown_images,
)
from clmot.data.extra.problems import Problem, Report
from clmot.data.extra.rows import finite_number
from clmot.data.films.found import FilmBoxes, first_number, number_of
from clmot.motchallenge.annotations import UNKNOWN_IDENTITY

_FRAME_KEYS = ("frame_id", "frame_index", "frame_number", "frame")
_IDENTITY_KEYS = ("track_id", "instance_id")


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
    frames = _frames(content, labels, size, report)
    report_unknown_images(rows, frames.keys(), labels, report)
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
    )


def _frames(
    content: dict[str, Any], labels: Path, size: tuple[int, int], report: Report
) -> Mapping[str, int]:
    """Image id -> frame, counted from 1."""
    numbers: dict[str, int] = {}
    owners: dict[int, str] = {}
    for _, where, entry in entries(content, "images", labels, report):
        key, number = entry_key(entry.get("id")), _number(entry)
        if key is None:
            report(Problem("faulty image", where, 'expected a whole "id"'))
        elif number is None:
            text = 'should have a "file_name" that ends with the number of its frame (door_000001.jpg), or a "frame_id"'
            report(Problem("faulty image", where, text))
        elif key in numbers or number in owners:
            text = (
                f"id {key} stands in an earlier entry already"
                if key in numbers
                else f"is frame {number}, as {owners[number]} is already: expected a file for each video"
            )
            report(Problem("image twice", where, text))
        else:
            numbers[key], owners[number] = number, where
            stated = finite_number(entry.get("width")), finite_number(entry.get("height"))
            if all(stated) and stated != size:
                text = (
                    f"is {stated[0]:g}x{stated[1]:g}, but the video is {size[0]}x{size[1]} as it is shown, so its boxes "
                    "lie elsewhere: get the video that was labelled"
                )
                report(Problem("image size", where, text))
    first = first_number(list(owners))
    return {key: number - first + 1 for key, number in numbers.items()}


def _number(entry: dict[str, Any]) -> int | None:
    """The number of a frame, as the file counts."""
    name = entry.get("file_name")
    number = number_of(PurePosixPath(plain_name(name)).stem) if isinstance(name, str) else None
    stated = [entry[key] for key in _FRAME_KEYS if key in entry] if number is None else [number]
    fits = stated and isinstance(stated[0], int) and not isinstance(stated[0], bool) and stated[0] >= 0
    return stated[0] if fits else None


def _identities(content: dict[str, Any], labels: Path, rows: list[Annotation], report: Report) -> np.ndarray:
    """(N,) int64: whole numbers as they stand; texts, which some tools write, are numbered from 1 in their order."""
    found = [_identity(content["annotations"][row.number]) for row in rows]
    for row, identity in zip(rows, found, strict=True):
        if isinstance(identity, int) and identity > 2**53:
            text = f"identity {identity} is no number that an identity can be: expected at most {2**53}"
            report(Problem("faulty annotation", f"{labels}: annotations[{row.number}]", text))
    texts = any(isinstance(identity, str) for identity in found)
    if texts:
        known = sorted({str(identity) for identity in found if identity is not None})
        numbers = {identity: number for number, identity in enumerate(known, 1)}
        found = [None if identity is None else numbers[str(identity)] for identity in found]
    whole = [
        identity if isinstance(identity, int) and 0 <= identity <= 2**53 else UNKNOWN_IDENTITY
        for identity in found
    ]
    return np.array(whole, np.int64)


def _identity(annotation: dict[str, Any]) -> int | str | None:
    """The identity that an annotation states; None where it states none (or a number below 0)."""
    attributes = annotation.get("attributes")
    for holder in (annotation, attributes if isinstance(attributes, dict) else {}):
        for key in _IDENTITY_KEYS:
            value = holder.get(key)
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
                continue
            if isinstance(value, str) or value >= 0:
                return value
    return None
