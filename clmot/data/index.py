"""From other people's files to `data/extra`: every image looked at, every box judged, identities left behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clmot.data.extra_sets import ExtraImage, ExtraSet, in_project, write_extra_sets
from clmot.errors import InputError
from clmot.labels.box_set import (
    BoxSet,
    LabelledImage,
    corners,
    image_problems,
    outside,
    unreadable,
    without_extent,
    wrong_units_of_set,
)
from clmot.labels.coco import read_coco
from clmot.labels.crowdhuman import MASK, read_crowdhuman
from clmot.labels.normalised import read_jde, read_yolo
from clmot.motchallenge.splits import film
from clmot.params import ExtraSetParams
from clmot.pictures import Picture, UnreadablePicture, read_picture
from clmot.problems import Problem, Report, refuse
from clmot.progress import progress
from clmot.tables import plain_table

REASONS = ("ignored", "class", "degenerate", "outside")
"""Why a box is dropped; a box with several reasons counts under the first of them. `ignored`: the labels mark it (a
crowd, a poster); `degenerate`: it has no width or no height; `outside`: no part of it is in the image."""

READERS: dict[str, Callable[[Path, Path, Report], BoxSet]] = {
    "jde": read_jde,
    "crowdhuman": read_crowdhuman,
    "coco": read_coco,
    "yolo": read_yolo,
}
"""`data.extra[].format` -> its reader of (folder of images, labels, report of faults)."""

_READERS_AT_ONCE = 8  # threads: hashing releases Python's lock, and disks like several requests


def index_sets(
    entries: Sequence[ExtraSetParams], out_dir: str | os.PathLike[str], tracked: Mapping[str, str] = {}
) -> list[ExtraSet]:
    """Read the sets of `data.extra` and write them, without identities, to `out_dir` (see `clmot.data.extra_sets`).

    No image is copied. The same images and labels give the same bytes, whatever identities the labels state.

    Args:
        entries: the sets.
        out_dir: `data/extra`.
        tracked: the films that are tracked, see `clmot.motchallenge.splits.tracked_films`.

    Raises:
        InputError: a file is absent or faulty, an image is missing or unreadable, a set has no box left, or an image
            is of a film that is tracked; nothing is written then.
    """
    found = [index_set(entry) for entry in entries]
    check_sets(found, tracked)
    write_extra_sets(out_dir, found)
    return found


def check_sets(sets: Sequence[ExtraSet], tracked: Mapping[str, str]) -> None:
    """Refuse to train on images of a film that is tracked, which the name of their folder tells.

    Raises:
        InputError: an image lies in a folder with the name of a tracked sequence, or of one with the same film.
    """
    for extra in sets:
        for path in map(extra.path, extra.images):
            seen = {film(part) for part in path.parts} & tracked.keys()
            if seen:
                raise InputError(
                    f"'data.extra' would train on a film that is tracked: {path} of '{extra.name}' looks like a "
                    f"frame of {tracked[min(seen)]}: take that film out of the set, or do not track it."
                )


def index_set(entry: ExtraSetParams) -> ExtraSet:
    """Read one set. Raises as `index_sets`."""
    labels = in_project(entry.labels)
    box_set = READERS[entry.format](in_project(entry.images), labels, refuse)
    people = box_set.people(entry.classes, labels)
    pictures = _pictures(box_set.images, f"index {entry.name}")
    images = []
    dropped = dict.fromkeys(REASONS, 0)
    for image, picture in zip(box_set.images, pictures, strict=True):
        size = (picture.width, picture.height)
        for problem in image_problems(box_set, image, size):
            refuse(problem)
        boxes, forgiven, reasons = select_boxes(box_set, image, size, people)
        for reason in REASONS:
            dropped[reason] += reasons[reason]
        images.append(ExtraImage(image.name, *size, picture.bytes, picture.digest, boxes, forgiven))
    units = wrong_units_of_set(box_set, [(picture.width, picture.height) for picture in pictures])
    if units is not None:
        refuse(Problem("units", str(labels), units))
    total = sum(dropped.values())
    if total and not any(len(image.boxes) for image in images):
        counts = ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count)
        raise InputError(
            f"none of the {total} boxes of data.extra '{entry.name}' is left ({counts}): check its 'classes' "
            "and `clmot check`."
        )
    return ExtraSet(
        name=entry.name,
        format=entry.format,
        folder=entry.images,
        weight=entry.weight,
        images=tuple(images),
        unlabelled=sum(not image.labelled for image in box_set.images),
        dropped=dropped,
    )


def format_report(sets: Sequence[ExtraSet]) -> str:
    """What became of the sets as a table for people, one line a set."""
    if not sets:
        return "'data.extra' is empty: the benchmarks' films alone train."
    lines: list[tuple[str, ...]] = [("extra set", "images", "no people", "no labels", "kept", *REASONS, "images/epoch")]
    for found in sets:
        drawn = f"{found.weight * len(found.images):.0f}"
        counts = (len(found.images), found.empty, found.unlabelled, found.kept, *found.dropped.values())
        lines.append((found.name, *map(str, counts), drawn))
    return plain_table(lines)


def select_boxes(
    box_set: BoxSet, image: LabelledImage, size: tuple[int, int], people: set[str] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, int]]:
    """The boxes of an image that train, and the regions of people that are to be ignored, both in the order of their
    coordinates; and for every reason how many boxes it dropped.

    Args:
        box_set, image: the set and one of its images.
        size: the image's true (width, height).
        people: the classes that are people; None: every class.
    """
    boxes = corners(image, size, box_set.normalised)
    tests = {
        "ignored": image.ignored,
        "class": np.array([people is not None and c not in people for c in image.categories], bool),
        "degenerate": without_extent(boxes),
        "outside": outside(boxes, size),
    }
    left = np.ones(len(boxes), bool)
    dropped = {}
    for reason in REASONS:
        dropped[reason] = int((left & tests[reason]).sum())
        left &= ~tests[reason]
    other = tests["class"] & np.array([category != MASK for category in image.categories], bool)
    forgiven = image.ignored & ~(other | tests["degenerate"] | tests["outside"])
    return _sorted(boxes[left]), _sorted(boxes[forgiven]), dropped


def _sorted(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 4) corners in the order of their coordinates."""
    x1, y1, x2, y2 = boxes.T
    return boxes[np.lexsort((y2, x2, y1, x1))]


def _pictures(images: Iterable[LabelledImage], description: str) -> list[Picture]:
    """Look at every image, several at a time."""
    images = list(images)
    with ThreadPoolExecutor(_READERS_AT_ONCE) as pool:
        try:
            looked = pool.map(_picture, images)
            return list(progress(looked, description, total=len(images), unit="image"))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _picture(image: LabelledImage) -> Picture:
    try:
        return read_picture(image.path)
    except UnreadablePicture as error:
        raise InputError(str(unreadable(str(image.path), error))) from None
