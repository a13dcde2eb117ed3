"""Data sets for tracking that are laid out otherwise, told by their folders, and what to make of them."""

from __future__ import annotations

import re
from collections.abc import Collection

_ROWS = "and write each sequence as <name>/img1/000001.jpg, ... with <name>/gt/gt.txt of rows frame,id,x,y,w,h,1,1,1"

LAYOUTS = (
    (
        r"(^|/)label_02/.*\.txt$",
        "KITTI's tracking set: take the rows of Pedestrian (and Person), count frames, and pixels, from 1, turn "
        f"left, top, right, bottom into x, y, width, height, {_ROWS}",
    ),
    (
        r"(^|/)annotations/[^/]+\.txt$",
        f"VisDrone's sequences: take the rows of categories 1 and 2 (pedestrian, people), {_ROWS}",
    ),
    (
        r"(^|/)(box_track_20|bdd100k|det_20|labels)(/.*)?/[^/]+\.json$",
        f"BDD100K's: take the boxes of category pedestrian, turn x1, y1, x2, y2 into x, y, width, height, {_ROWS}",
    ),
    (
        r"(^|/)rgb/[^/]+\.(jpg|png)$",
        "MOTSynth's: its tables are in mot_annotations/; put the frames of each sequence as img1/ beside its gt/",
    ),
    (r"(^|/)ann/[^/]+\.json$", f"Supervisely's: export COCO, YOLO or MOT instead, or convert it {_ROWS}"),
    (r"\.(tfrecord|record|parquet|mat)s?$", f"records of other programs: convert them {_ROWS}"),
    (r"(^|/)[^/]+\.xml$", f"Pascal VOC's or CVAT's XML: export COCO, YOLO or MOT instead, or convert it {_ROWS}"),
)
"""A path that such a set has -> whose it is, and what to do."""


def foreign_layout(names: Collection[str]) -> str | None:
    """Whose layout the files of a folder have, and what to convert; None: no one's that is known.

    Args:
        names: their paths, with `/`.
    """
    return next((text for pattern, text in LAYOUTS if any(re.search(pattern, name, re.I) for name in names)), None)
