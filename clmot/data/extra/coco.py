"""COCO's annotations (Lin et al., 2014): one JSON file with `images`, `annotations` and `categories`.

`bbox` is x, y of the upper left corner, width and height in pixels. `iscrowd` marks regions that hold more people than
anybody drew; they are not learnt.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clmot.data.extra.boxset import BoxSet, LabelledImage, missing, plain_name, read_text
from clmot.data.extra.problems import Problem, Report
from clmot.data.extra.rows import finite_number, pixel_box
from clmot.errors import InputError

_TABLES = ("images", "annotations", "categories")
_UNUSED = ("segmentation", "keypoints", "caption")  # most of the file, and nothing here needs it


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
    names = {}
    for _, where, entry in _entries(content, "categories", labels, report):
        key, name = _key(entry.get("id")), entry.get("name")
        if key is None or not isinstance(name, str):
            report(Problem("faulty category", where, 'expected a whole "id" and a "name"'))
        else:
            names[key] = name
    rows = _annotations(content, names, labels, report)
    found: dict[str, LabelledImage] = {}
    seen: set[str] = set()
    for _, where, entry in _entries(content, "images", labels, report):
        key, file_name = _key(entry.get("id")), entry.get("file_name")
        if key is None or not isinstance(file_name, str) or not plain_name(file_name):
            report(Problem("faulty image", where, 'expected a whole "id" and a "file_name"'))
            continue
        path = Path(os.path.normpath(images / plain_name(file_name)))
        name = (path.relative_to(images) if path.is_relative_to(images) else path).as_posix()
        if key in seen or name in found:
            text = f"id {key} or the file {file_name} stands in an earlier entry already"
            report(Problem("image twice", where, text))
            continue
        seen.add(key)
        if not path.is_file():
            report(missing(path, where))
            continue
        found[name] = _image(name, path, labels, entry, rows.get(key, []))
    if not found:
        raise InputError(
            f"{labels} has no image that is there: 'images' should be the folder its file names start from."
        )
    for key in sorted(rows.keys() - seen):
        text = f"image_id {key} is none of the file's images ({len(rows[key])} annotations say so)"
        report(Problem("unknown image", f"{labels}: annotations[{rows[key][0][0]}]", text))
    return BoxSet(tuple(found[name] for name in sorted(found)), names, place="{source}: annotations[{place}]")


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
        raise InputError(
            f"{labels}:{error.lineno} is not valid JSON ({error.msg}): mend or fetch it again."
        ) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, a nest of thousands of brackets
        raise InputError(f"{labels} holds no annotations of COCO's kind: check 'labels'.") from None
    for table in _TABLES:
        if not isinstance(content, dict) or not isinstance(content.get(table), list):
            raise InputError(
                f"{labels} has no list '{table}': expected COCO's images, annotations and categories."
            )
    return content


# An annotation's position in the file, its box, its class, and whether it is to be ignored.
_Row = tuple[int, list[float], str, bool]


def _annotations(
    content: dict[str, Any], names: dict[str, str], labels: Path, report: Report
) -> dict[str, list[_Row]]:
    """Image id -> its annotations."""
    rows: dict[str, list[_Row]] = {}
    for index, where, entry in _entries(content, "annotations", labels, report):
        image, category, box = (
            _key(entry.get("image_id")),
            _key(entry.get("category_id")),
            pixel_box(entry.get("bbox")),
        )
        if image is None or category is None:
            report(Problem("faulty annotation", where, 'expected a whole "image_id" and "category_id"'))
        elif category not in names:
            report(
                Problem("unknown category", where, f"category_id {category} is none of the file's categories")
            )
        elif box is None:
            text = (
                f'"bbox" should be four finite numbers of pixels, got {json.dumps(entry.get("bbox"))[:120]}'
            )
            report(Problem("faulty annotation", where, text))
        else:
            ignored = entry.get("iscrowd") == 1 or entry.get("ignore") == 1
            rows.setdefault(image, []).append((index, box, category, ignored))
    return rows


def _entries(
    content: dict[str, Any], table: str, labels: Path, report: Report
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(position, where it stands, entry) of every object of a table."""
    for index, entry in enumerate(content[table]):
        where = f"{labels}: {table}[{index}]"
        if isinstance(entry, dict):
            yield index, where, entry
        else:
            report(Problem("no object", where, "expected a JSON object"))


def _key(value: object) -> str | None:
    """An id as text, or None: ids are whole numbers, or texts in the files of some tools."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        return None
    return str(value)


def _image(name: str, path: Path, labels: Path, entry: dict[str, Any], rows: list[_Row]) -> LabelledImage:
    width, height = finite_number(entry.get("width")), finite_number(entry.get("height"))
    return LabelledImage(
        name,
        path,
        labels,
        boxes=np.array([box for _, box, _, _ in rows], np.float64).reshape(-1, 4),
        categories=tuple(category for _, _, category, _ in rows),
        ignored=np.array([ignored for _, _, _, ignored in rows], bool),
        places=np.array([place for place, _, _, _ in rows], np.int64),
        size=(int(width), int(height)) if width and height else None,
    )
