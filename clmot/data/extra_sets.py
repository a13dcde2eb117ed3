"""`data/extra`: what `index` found in sets of images, and what training may know of them. There is no identity.

    extra.json          the sets, their weights, and what was kept and dropped
    NAME.images.txt     an image a line: width height bytes digest boxes forgiven name
    NAME.boxes.npy      (N, 4) float32 corners x1, y1, x2, y2 in pixels, in the order of the images, and in each image
                        in the order of their coordinates, so that not even the order of the labels is left
    NAME.forgiven.npy   (M, 4) likewise: regions that the labels say to ignore

The images stay where they are. Their digests are here, so a changed image changes this folder, and with it what DVC
runs again, as soon as `index` has looked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clmot.errors import InputError
from clmot.files import dvc_root, staged_directory, user_path, write_json, write_text

MANIFEST_FILE = "extra.json"
_KINDS = ("boxes", "forgiven")


@dataclass(frozen=True, eq=False)
class ExtraImage:
    """One image of a set."""

    name: str
    """Below the set's folder of images, with `/`; or an absolute path."""
    width: int
    """Pixels."""
    height: int
    bytes: int
    """Size of the file."""
    digest: str
    """Of the file's content."""
    boxes: NDArray[np.float32]
    """(N, 4) corners in pixels; N may be 0."""
    forgiven: NDArray[np.float32]
    """(M, 4) corners in pixels: where finding something is no mistake."""


@dataclass(frozen=True, eq=False)
class ExtraSet:
    """One set of images."""

    name: str
    format: str
    folder: str
    """The folder that the images' names start from, absolute or from the project's."""
    weight: float
    """How often an image is drawn in an epoch, on average."""
    images: tuple[ExtraImage, ...]
    """Sorted by name."""
    unlabelled: int
    """Images that the labels do not mention."""
    dropped: dict[str, int]
    """Reason -> boxes that are left out."""

    def path(self, image: ExtraImage) -> Path:
        """Where an image is."""
        return in_project(self.folder) / image.name

    @property
    def kept(self) -> int:
        """Number of boxes."""
        return sum(len(image.boxes) for image in self.images)

    @property
    def empty(self) -> int:
        """Number of images without people."""
        return sum(not len(image.boxes) for image in self.images)


def in_project(path: str) -> Path:
    """A path from params.yaml: absolute, from a home folder (`~`), or from the project's folder.

    Raises:
        InputError: it names the home folder of a user who is unknown here.
    """
    return Path(os.path.abspath(user_path(path, dvc_root())))


def write_extra_sets(directory: str | os.PathLike[str], sets: Sequence[ExtraSet]) -> None:
    """Write `data/extra`, whole or not at all; the same sets give the same bytes.

    Raises:
        InputError: an image's name cannot be written on a line.
    """
    with staged_directory(directory) as out:
        for found in sets:
            lines = [
                f"{i.width} {i.height} {i.bytes} {i.digest} {len(i.boxes)} {len(i.forgiven)} {i.name}\n"
                for i in found.images
            ]
            try:
                write_text(out / f"{found.name}.images.txt", "".join(lines))
            except UnicodeEncodeError:
                raise InputError(f"an image of '{found.name}' has a name that is no text: rename it.") from None
            for kind in _KINDS:
                boxes = [getattr(image, kind) for image in found.images]
                np.save(out / f"{found.name}.{kind}.npy", np.concatenate([np.zeros((0, 4), np.float32), *boxes]))
        write_json(out / MANIFEST_FILE, {"sets": [_summary(found) for found in sets]})


def read_extra_sets(directory: str | os.PathLike[str]) -> list[ExtraSet]:
    """Read `data/extra`.

    Raises:
        InputError: the folder is absent or damaged.
    """
    path = Path(directory) / MANIFEST_FILE
    try:
        content = json.loads(path.read_bytes())
        return [_read(Path(directory), summary) for summary in content["sets"]]
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} does not exist: run the index stage (`dvc repro`) first.") from None
    except (OSError, LookupError, TypeError, ValueError):
        raise InputError(f"{path} or a file beside it is damaged: run `dvc repro -s -f index`.") from None


def _summary(found: ExtraSet) -> dict[str, Any]:
    return {
        "name": found.name,
        "format": found.format,
        "folder": found.folder,
        "weight": found.weight,
        "images": len(found.images),
        "without_people": found.empty,
        "unlabelled": found.unlabelled,
        "kept": found.kept,
        "dropped": found.dropped,
    }


def _read(directory: Path, summary: dict[str, Any]) -> ExtraSet:
    name = str(summary["name"])
    lines = (directory / f"{name}.images.txt").read_text(encoding="utf-8").split("\n")[:-1]
    rows = [line.split(" ", 6) for line in lines]
    if len(rows) != summary["images"]:
        raise ValueError(name)
    parts = []
    for column, kind in enumerate(_KINDS, start=4):
        ends = np.cumsum([int(row[column]) for row in rows], dtype=np.int64)
        boxes = np.load(directory / f"{name}.{kind}.npy", allow_pickle=False)
        if boxes.shape != (ends[-1], 4) or boxes.dtype != np.float32:
            raise ValueError(name)
        parts.append(np.split(boxes, ends[:-1]))
    images = (
        ExtraImage(row[6], int(row[0]), int(row[1]), int(row[2]), row[3], boxes, forgiven)
        for row, boxes, forgiven in zip(rows, *parts, strict=True)
    )
    return ExtraSet(
        name,
        str(summary["format"]),
        str(summary["folder"]),
        float(summary["weight"]),
        tuple(images),
        int(summary["unlabelled"]),
        dict(summary["dropped"]),
    )
