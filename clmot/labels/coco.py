"""COCO's annotations (Lin et al., 2014): one JSON file with `images`, `annotations` and `categories`.

`bbox` is x, y of the upper left corner, width and height in pixels. `iscrowd` marks regions that hold more people than
someone drew; they are not learnt.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clmot.archives.foreign_files import START, foreign_file
from clmot.errors import InputError
from clmot.files import read_bytes
from clmot.labels.box_set import BoxSet, LabelledImage, missing, plain_name, read_text
from clmot.labels.rows import finite_number, pixel_box
from clmot.problems import Problem, Report
from clmot.wording import listed

_TABLES = ("images", "annotations", "categories")
_UNUSED = ("segmentation", "keypoints", "caption")  # most of the file, and nothing here needs it


class Annotation(NamedTuple):
    """One faultless entry of `annotations`."""

    number: int
    """Its position there."""
    box: list[float]
    """x, y of the upper left corner, width, height in pixels from 0."""
    category: str
    """Its category's id."""
    ignored: bool
    """Whether the file says that it is not to be learnt."""


def read_coco(images: Path, labels: Path, report: Report) -> BoxSet:
    """Read an instances file. Annotations with `iscrowd`, or `ignore` as some converters write, are marked as ignored.

    Args:
        images: the folder that `file_name` starts from.
        labels: the .json file.
        report: told of faults; entries at fault are left out.

    Raises:
        InputError: the file cannot be read or is not COCO's.
    """
    content = load_coco(labels)
    names = category_names(content, labels, report)
    rows = annotations_by_image(content, names, labels, report)
    found: dict[str, LabelledImage] = {}
    seen: set[str] = set()
    for _, where, entry in entries(content, "images", labels, report):
        key, file_name = entry_key(entry.get("id")), entry.get("file_name")
        if key is None or not isinstance(file_name, str) or not plain_name(file_name):
            report(Problem("faulty image", where, 'expected a whole "id" and a "file_name"'))
            continue
        path = Path(os.path.normpath(images / plain_name(file_name)))
        name = (path.relative_to(images) if path.is_relative_to(images) else path).as_posix()
        if key in seen or name in found:
            text = f"id {key} or the file {file_name} is already in an earlier entry"
            report(Problem("image twice", where, text))
            continue
        seen.add(key)
        if not os.path.isfile(path):  # Path.is_file raises for too long a name
            report(missing(path, where))
            continue
        found[name] = _image(name, path, labels, entry, rows.get(key, []))
    if not found:
        raise InputError(
            f"{labels} names no image that exists: 'images' should be the folder its file names start from."
        )
    report_unknown_images(rows, seen, labels, report)
    return BoxSet(tuple(found[name] for name in sorted(found)), names, place="{source}: annotations[{place}]")


def _instead(content: object, labels: Path) -> str:
    """What a file holds that is not COCO's, as the middle of a sentence."""
    told = foreign_file(read_bytes(labels)[:START])
    if told is not None:
        return f"it looks like {told}"
    if isinstance(content, dict):
        return f"it has {listed([str(key) for key in content])}"
    return "it is a list" if isinstance(content, list) else "it is neither an object nor a list"


def load_coco(labels: Path) -> dict[str, Any]:
    """The tables of a COCO file, without outlines and the like.

    Raises:
        InputError: the file cannot be read, is not JSON, or lacks a table.
    """

    def slim(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in pairs if key not in _UNUSED}

    try:
        content = json.loads(read_text(labels), object_pairs_hook=slim)
    except json.JSONDecodeError as error:
        raise InputError(f"{labels}:{error.lineno} is not valid JSON ({error.msg}): correct or replace it.") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, a nest of thousands of brackets
        raise InputError(f"{labels} holds no annotations of COCO: check the labels.") from None
    for table in _TABLES:
        if not isinstance(content, dict) or not isinstance(content.get(table), list):
            raise InputError(
                f"{labels} has no list '{table}' ({_instead(content, labels)}): expected COCO's images, "
                "annotations and categories."
            )
    return content


def category_names(content: dict[str, Any], labels: Path, report: Report) -> dict[str, str]:
    """Category id -> its name; `report` is told of entries at fault, which are left out."""
    names = {}
    for _, where, entry in entries(content, "categories", labels, report):
        key, name = entry_key(entry.get("id")), entry.get("name")
        if key is None or not isinstance(name, str):
            report(Problem("faulty category", where, 'expected a whole "id" and a "name"'))
        else:
            names[key] = name
    return names


def annotations_by_image(
    content: dict[str, Any], names: dict[str, str], labels: Path, report: Report
) -> dict[str, list[Annotation]]:
    """Image id -> its annotations, in the file's order; `report` is told of entries at fault, which are left out.

    Args:
        content: of the file, as `load_coco` gives it.
        names: category id -> its name.
        labels: the file, for the report.
    """
    rows: dict[str, list[Annotation]] = {}
    for index, where, entry in entries(content, "annotations", labels, report):
        image, category, box = (
            entry_key(entry.get("image_id")),
            entry_key(entry.get("category_id")),
            pixel_box(entry.get("bbox")),
        )
        if image is None or category is None:
            report(Problem("faulty annotation", where, 'expected a whole "image_id" and "category_id"'))
        elif category not in names:
            report(Problem("unknown category", where, f"category_id {category} is none of the file's categories"))
        elif box is None:
            text = f'"bbox" should be four finite numbers of pixels, got {json.dumps(entry.get("bbox"))[:120]}'
            report(Problem("faulty annotation", where, text))
        else:
            ignored = entry.get("iscrowd") == 1 or entry.get("ignore") == 1
            rows.setdefault(image, []).append(Annotation(index, box, category, ignored))
    return rows


def report_unknown_images(
    rows: dict[str, list[Annotation]], known: AbstractSet[str], labels: Path, report: Report
) -> None:
    """Tell `report` of the annotations (by image id) of images that are not among those `known`."""
    for key in sorted(rows.keys() - known):
        text = f"image_id {key} is none of the file's images ({len(rows[key])} annotations say so)"
        report(Problem("unknown image", f"{labels}: annotations[{rows[key][0].number}]", text))


def entries(
    content: dict[str, Any], table: str, labels: Path, report: Report
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(position, place for messages, entry) of every object of a table."""
    for index, entry in enumerate(content[table]):
        where = f"{labels}: {table}[{index}]"
        if isinstance(entry, dict):
            yield index, where, entry
        else:
            report(Problem("no object", where, "expected a JSON object"))


def entry_key(value: object) -> str | None:
    """An id as text, or None: ids are whole numbers (`1.0` too, as numpy and pandas write them), or texts."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        return None
    return str(value)


def _image(name: str, path: Path, labels: Path, entry: dict[str, Any], rows: list[Annotation]) -> LabelledImage:
    width, height = finite_number(entry.get("width")), finite_number(entry.get("height"))
    return LabelledImage(
        name,
        path,
        labels,
        boxes=np.array([row.box for row in rows], np.float64).reshape(-1, 4),
        categories=tuple(row.category for row in rows),
        ignored=np.array([row.ignored for row in rows], bool),
        places=np.array([row.number for row in rows], np.int64),
        size=(int(width), int(height)) if width and height else None,
    )
