"""CrowdHuman's annotations (Shao et al., 2018): a text file with a JSON object for every image.

    {"ID": "273271,c9db0", "gtboxes": [{"tag": "person", "fbox": [x, y, w, h], "extra": {"ignore": 0}}, ...]}

The image is `<ID>.jpg`. `fbox` is the whole body, also where it is hidden or beyond the image's edge, in pixels.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from clmot.errors import InputError
from clmot.labels.box_set import BoxSet, LabelledImage, missing, read_text
from clmot.labels.rows import pixel_box
from clmot.problems import Problem, Report

MASK = "mask"
"""Tag of regions, like posters and reflections, that are not to be learnt."""


def read_crowdhuman(images: Path, labels: Path, report: Report) -> BoxSet:
    """Read an .odgt file. Boxes with tag `mask` or `extra.ignore` 1 are marked as ignored.

    Args:
        images: the folder that holds `<ID>.jpg`.
        labels: the .odgt file.
        report: told of faults; lines and boxes at fault are left out.

    Raises:
        InputError: the file cannot be read or is empty.
    """
    found: dict[str, LabelledImage] = {}
    for number, line in enumerate(io.StringIO(read_text(labels)), 1):
        if not line.strip():
            continue
        where = f"{labels}:{number}"
        try:
            content: Any = json.loads(line)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict) or not isinstance(content.get("ID"), str) or not content["ID"]:
            report(Problem("faulty line", where, 'expected a JSON object with "ID" and "gtboxes"'))
            continue
        name = f"{content['ID']}.jpg"
        if name in found:
            report(Problem("image twice", where, f"image {content['ID']} is already on an earlier line"))
            continue
        path = images / name
        if not os.path.isfile(path):  # Path.is_file raises for too long a name
            report(missing(path, where))
            continue
        found[name] = _image(name, path, labels, number, content, report)
    if not found:
        raise InputError(f"{labels} names no image that exists: expected a line of JSON for every image in {images}.")
    return BoxSet(tuple(found[name] for name in sorted(found)))


def _image(name: str, path: Path, labels: Path, number: int, content: dict[str, Any], report: Report) -> LabelledImage:
    where = f"{labels}:{number}"
    entries = content.get("gtboxes")
    if not isinstance(entries, list):
        report(Problem("faulty line", where, 'expected "gtboxes" with a list of boxes'))
        entries = []
    boxes, tags, ignored = [], [], []
    for index, entry in enumerate(entries):
        tag = entry.get("tag") if isinstance(entry, dict) else None
        box = pixel_box(entry.get("fbox")) if isinstance(entry, dict) else None
        if not isinstance(tag, str) or box is None:
            text = (
                f'box {index + 1} should have a "tag" and four finite numbers in "fbox", got {json.dumps(entry)[:120]}'
            )
            report(Problem("faulty box", where, text))
            continue
        extra = entry.get("extra")
        boxes.append(box)
        tags.append(tag)
        ignored.append(tag == MASK or (isinstance(extra, dict) and extra.get("ignore") == 1))
    return LabelledImage(
        name,
        path,
        labels,
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        categories=tuple(tags),
        ignored=np.array(ignored, bool),
        places=np.full(len(boxes), number, np.int64),
    )
