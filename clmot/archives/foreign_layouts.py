"""What a folder or an archive without sequences holds instead, told by its files, and what to make of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from clmot.archives.entries import Entry
from clmot.archives.foreign_files import START, foreign_file
from clmot.errors import InputError
from clmot.files import IMAGE_SUFFIXES
from clmot.wording import counted

_ROWS = "and write each sequence as <name>/img1/000001.jpg, ... with <name>/gt/gt.txt of rows frame,id,x,y,w,h,1,1,1"

LAYOUTS = (
    (
        (r"(^|/)label_02/.*\.txt$",),
        "KITTI's tracking set: take the rows of Pedestrian (and Person), count frames, and pixels, from 1, turn "
        f"left, top, right, bottom into x, y, width, height, {_ROWS}",
    ),
    (
        (r"(^|/)annotations/[^/]+\.txt$", r"(^|/)sequences/"),
        f"VisDrone's sequences: take the rows of categories 1 and 2 (pedestrian, people), {_ROWS}",
    ),
    (
        (r"(^|/)(box_track_20|bdd100k|det_20|labels)(/.*)?/[^/]+\.json$",),
        f"BDD100K's: take the boxes of category pedestrian, turn x1, y1, x2, y2 into x, y, width, height, {_ROWS}",
    ),
    (
        (r"(^|/)rgb/[^/]+\.(jpg|png)$",),
        "MOTSynth's: its tables are in mot_annotations/; put the frames of each sequence as img1/ beside its gt/",
    ),
    ((r"(^|/)ann/[^/]+\.json$",), f"Supervisely's: export COCO, YOLO or MOT instead, or convert it {_ROWS}"),
)
"""Paths that such a set has, all of them -> whose it is, and what to do."""

_RECORDS = r"\.(tfrecord|record|parquet|mat)s?$"
_SET_OF_IMAGES = r"(^|/)(labels|labels_with_ids|obj_train_data)/.*\.txt$|\.odgt$"
_TOLD_BY_CONTENT = (".json", ".jsonl", ".ndjson", ".xml", ".csv", ".tsv", ".txt", ".xlsx", ".xls")
_MOST_FILES = 12  # that are looked into, of different folders or endings


def foreign_layout(members: Mapping[str, Entry]) -> str | None:
    """What is there instead of sequences, as the rest of a sentence about it; None: nothing that is known.

    Args:
        members: the files by their paths, with `/`.
    """
    for patterns, text in LAYOUTS:
        if all(any(re.search(pattern, name) for name in members) for pattern in patterns):
            return f"is laid out as {text}"
    for name, entry in _samples(members).items():
        told = _told(entry)
        if told is not None:
            return f"holds {name}, {told}"
    if any(re.search(_RECORDS, name, re.I) for name in members):
        return f"holds records of other programs: convert them {_ROWS}"
    documents = [name for name in members if name.lower().endswith(".xml")]
    if documents:
        return f"holds {documents[0]}, which may be Pascal VOC's or CVAT's: export COCO, YOLO or MOT instead"
    images = [name for name in members if name.lower().endswith(IMAGE_SUFFIXES)]
    if images and len(images) == len(members):
        return (
            f"holds {counted(len(images), 'image')} ({images[0]}, ...) and no boxes: frames of a film belong into "
            "img1/ beside gt/gt.txt; `clmot track` takes them as they are"
        )
    return None


def set_of_images(members: Mapping[str, Entry]) -> str | None:
    """As `foreign_layout`, of images with boxes that `data.extra` could name, and that are no film."""
    names = [name for name in members if re.search(_SET_OF_IMAGES, name) or _is_coco(name, members[name])]
    if not names:
        return None
    return (
        f"holds images with boxes ({names[0]}) and no film: such a set trains beside films; unpack it where it is "
        "packed, and `clmot check` of its folder prints the entry for 'data.extra'"
    )


def _samples(members: Mapping[str, Entry]) -> dict[str, Entry]:
    """The first file of each folder and ending of those that can be told by their content."""
    first: dict[tuple[str, str], str] = {}
    for name in sorted(members):
        path = PurePosixPath(name)
        if path.suffix.lower() in _TOLD_BY_CONTENT:
            first.setdefault((str(path.parent), path.suffix.lower()), name)
    return {name: members[name] for name in list(first.values())[:_MOST_FILES]}


def _told(entry: Entry) -> str | None:
    return foreign_file(_start(entry))


def _start(entry: Entry) -> bytes:
    """What a file begins with; nothing where it cannot be read."""
    try:
        with entry.open() as stream:
            return stream.read(START)
    except InputError:
        return b""


def _is_coco(name: str, entry: Entry) -> bool:
    start = _start(entry) if name.endswith(".json") else b""
    return b'"images"' in start or b'"annotations"' in start
