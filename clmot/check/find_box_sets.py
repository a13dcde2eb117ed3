"""Where sets of images and their labels are in a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from clmot.archives.foreign_files import START, foreign_file
from clmot.errors import InputError
from clmot.files import IMAGE_SUFFIXES
from clmot.labels.box_set import plain_name
from clmot.labels.coco import load_coco
from clmot.labels.normalised import JDE, NAME_FILES, YOLO

FORMAT_OF_SUFFIX = {".odgt": "crowdhuman", ".json": "coco"}
"""Formats whose labels are one file, by how it ends."""


class BoxSetPlace(NamedTuple):
    """Where a set of images is, as in `data.extra`."""

    format: str
    images: Path | None
    """The folder that the images' names start from; None: `images_of` finds it."""
    labels: Path


def box_sets_in(folder: Path, images: Path | None, kind: str | None) -> list[BoxSetPlace]:
    """The sets that a folder is, if it is laid out as one: label files beside images, or files of labels.

    Args:
        folder: the folder.
        images: where the images are, if that was said.
        kind: the format, if that was said.
    """
    for name, layout in (("jde", JDE), ("yolo", YOLO)):
        if (folder / layout.folder).is_dir() and kind in (None, name):
            return [BoxSetPlace(name, images or folder / "images", folder / layout.folder)]
        if images and (kind == name or (kind is None and layout.folder in folder.parts)):
            return [BoxSetPlace(name, images, folder)]
    if kind in (None, "yolo") and _labels_beside_images(folder):
        return [BoxSetPlace("yolo", images or folder, folder)]
    found = []
    if kind in (None, "crowdhuman"):
        found += [BoxSetPlace("crowdhuman", images, file) for file in sorted(folder.glob("*.odgt"))]
    if kind in (None, "coco"):
        found += coco_files(folder / "annotations", images)
    return found or (coco_files(folder, images) if kind == "coco" else [])


def _labels_beside_images(folder: Path) -> bool:
    """Whether a folder holds images and YOLO's labels of the same names, as labelImg and CVAT write them."""
    stems = {path.stem for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES}
    labels = (path for path in sorted(folder.glob("*.txt")) if path.stem in stems and path.is_file())
    rows = (line.split() for path in labels for line in path.read_bytes().decode("utf-8", "replace").splitlines())
    first = next((row for row in rows if row), [])
    return len(first) in (5, 6, 7) and not any("," in cell for cell in first)


def coco_files(folder: Path, images: Path | None) -> list[BoxSetPlace]:
    """The COCO files right in a folder, sorted. Beside films they are theirs, so that this is asked for apart."""
    files = [file for file in sorted(folder.glob("*.json")) if file.is_file() and _is_coco(file)]
    return [BoxSetPlace("coco", images, file) for file in files]


def box_sets_below(folder: Path, kind: str | None) -> list[BoxSetPlace]:
    """The sets one or two levels down: JDE's ETH has one in each of its folders, Roboflow's exports have one a
    split."""
    found: list[BoxSetPlace] = []
    for below in _folders(folder):
        here = _whole_sets(below, kind)
        found += here or [place for deeper in _folders(below) for place in _whole_sets(deeper, kind)]
    return found


def set_around(path: Path) -> Path:
    """The folder of a set of which one part was named: its file of names, its folder of images or of labels."""
    if path.is_file():
        return path.parent if path.name in NAME_FILES else path
    around = path.parent
    parts = path.name in ("images", JDE.folder, YOLO.folder) and (around / "images").is_dir()
    return around if parts and any((around / layout.folder).is_dir() for layout in (JDE, YOLO)) else path


def box_set_of(labels: Path, images: Path | None, kind: str | None) -> BoxSetPlace | None:
    """The set whose labels are one file: annotations, or a list of images; None for other files.

    Args:
        labels: the file.
        images: where the images are, if that was said.
        kind: the format, if that was said.

    Raises:
        InputError: it is a list, and its first image is nowhere near; or it is none, though `kind` says so.
    """
    form = kind or FORMAT_OF_SUFFIX.get(labels.suffix.lower())
    if form in ("crowdhuman", "coco"):
        return BoxSetPlace(form, images, labels)
    data = labels.read_bytes()
    if kind is None and foreign_file(data[:START]) is not None:
        return None
    first = next(filter(None, map(plain_name, data.decode("utf-8-sig", "replace").splitlines())), "")
    if not first.lower().endswith(IMAGE_SUFFIXES):
        if kind is None:
            return None
        raise InputError(
            f"{labels}: expected an image's path on every line, or name the folder of the labels, for format {kind}."
        )
    # The paths of a list start from its folder or from one above it.
    roots = [images] if images else [labels.parent, *labels.parent.parents]
    root = next((folder for folder in roots if os.path.isfile(folder / first)), None)
    if root is None:
        raise InputError(
            f"{labels}:1: {first} is neither in {roots[0]} nor in a folder above it: name the one its paths start "
            "from with --images, or the folder of the set in place of the list."
        )
    if form is None:
        named = {layout.folder: name for name, layout in (("yolo", YOLO), ("jde", JDE))}
        beside = [folder.parent for folder in (root / first).parents if folder.name == "images"]
        form = next((named[f] for f in named if beside and (beside[0] / f).is_dir()), "jde")
    return BoxSetPlace(form, root, labels)


def images_of(place: BoxSetPlace) -> Path:
    """The folder of a set's images.

    Raises:
        InputError: it is not found.
    """
    if place.images is not None:
        return place.images
    return place.labels.parent / "Images" if place.format == "crowdhuman" else _images_of_coco(place.labels)


def names_of(places: Sequence[tuple[Path, Path]]) -> list[str]:
    """Names for sets of these (images, labels), each another, as `data.extra` wants them."""
    forms = [
        lambda images, labels, number: _told(images),
        lambda images, labels, number: f"{_told(images)}-{_part(labels).rpartition('_')[2]}",
        lambda images, labels, number: f"{_told(images)}-{_part(labels)}",
        lambda images, labels, number: f"{_told(images)}-{number}",
    ]
    for form in forms:
        names = [_plain(form(images, labels, number)) for number, (images, labels) in enumerate(places, 1)]
        if len({name.lower() for name in names}) == len(names):
            break
    return names


def _told(images: Path) -> str:
    """The last folder that tells something of a set."""
    common = ("images", "train", "val", "valid", "test", "data", "/")
    return next((part for part in reversed(images.parts) if part.lower() not in common), "") or "extra"


def _part(labels: Path) -> str:
    """Which part of a set labels are of: the word that tells `annotation_train` or `train/labels` from others."""
    return labels.parent.name if labels.name in (JDE.folder, YOLO.folder) else labels.stem


def _plain(name: str) -> str:
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name)
    return plain.lstrip("._-") or "extra"


def _whole_sets(folder: Path, kind: str | None) -> list[BoxSetPlace]:
    return box_sets_in(folder, None, kind) or (coco_files(folder, None) if kind in (None, "coco") else [])


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _is_coco(path: Path) -> bool:
    """Whether a JSON file can hold COCO's boxes: its sentences about images, which lie beside them, are none."""
    data = path.read_bytes()
    return b'"annotations"' in data and (b'"categories"' in data or b'"caption"' not in data)


def _images_of_coco(labels: Path) -> Path:
    """The folder in which the first image of a COCO file is."""
    content = load_coco(labels)
    entries = (entry for entry in content["images"] if isinstance(entry, dict))
    name = next((plain_name(e["file_name"]) for e in entries if isinstance(e.get("file_name"), str)), "")
    # instances_train2017.json belongs to train2017/; converters have images/ beside the file or above it.
    split = labels.stem.rpartition("_")[2]
    folders = [
        base / below
        for base in (labels.parent, labels.parent.parent)
        for below in ("", "images", split, f"images/{split}")
    ]
    found = next((folder for folder in folders if name and os.path.isfile(folder / name)), None)
    if found is None:
        raise InputError(f"{labels}: its image {name!r} is in no folder nearby: name that folder with --images.")
    return found
