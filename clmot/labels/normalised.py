"""Label files beside images, one for each, with boxes as fractions of the image: JDE's and YOLO's.

    JDE    images/A/1.jpg  labels_with_ids/A/1.txt  class identity cx cy w h   (Wang et al., ECCV 2020)
    YOLO   images/A/1.jpg  labels/A/1.txt           class cx cy w h

cx, cy is the centre of a box. The sets that JDE is trained on (Caltech, CityPersons, CUHK-SYSU, PRW, ETH) come so. An
image without a label file, or with an empty one, has no people.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from clmot.errors import InputError
from clmot.files import read_bytes, stand_in, walk
from clmot.labels.box_set import (
    BoxSet,
    LabelledImage,
    find_images,
    listed_images,
    missing,
    read_text,
)
from clmot.motchallenge.annotations import UNKNOWN_IDENTITY
from clmot.motchallenge.rows import Rows, parse_rows
from clmot.problems import Problem, Report

LARGEST_FRACTION = 10.0
"""Beyond it, a number was meant as pixels: no labelled person reaches ten images far."""

NAME_FILES = ("data.yaml", "dataset.yaml", "classes.txt", "obj.names", "_darknet.labels")
"""Files that name YOLO's classes."""


@dataclass(frozen=True)
class Layout:
    """One of the two formats."""

    folder: str
    """The folder in a label's path that replaces `images` in its image's path."""
    columns: int
    expected: str
    """The columns in words."""


JDE = Layout("labels_with_ids", 6, "6 columns `class identity cx cy w h`")
YOLO = Layout("labels", 5, "5 columns `class cx cy w h`")


def read_jde(images: Path, labels: Path, report: Report) -> BoxSet:
    """Read a set in JDE's format; its identities are dropped where the line is parsed.

    Args:
        images: the folder that the images' names start from.
        labels: the folder of the label files, laid out as that of the images; or a list of images, one a line, in
            whose paths the last folder `images` becomes `labels_with_ids`.
        report: told of faults; rows at fault are left out.

    Raises:
        InputError: there are no images, no labels, or what is named is neither folder nor list.
    """
    return _read(images, labels, JDE, {}, report)


def read_yolo(images: Path, labels: Path, report: Report) -> BoxSet:
    """Read a set in YOLO's format. As `read_jde`, but in listed paths `images` becomes `labels`, and classes have names
    where a data.yaml, dataset.yaml, classes.txt or obj.names lies with the labels or above them."""
    return _read(images, labels, YOLO, class_names(labels), report)


def class_names(labels: Path) -> dict[str, str]:
    """Names of YOLO's classes by number, from the nearest file that has them; {} where there is none.

    Raises:
        InputError: that file does not hold names.
    """
    start = labels if labels.is_dir() else labels.parent
    # labels/train or train/labels: as far as the folder above that which holds `labels`; obj_train_data/film/ of CVAT.
    below = start.parts[::-1].index("labels") if "labels" in start.parts else 0
    folders = [start, *start.parents][: below + 3]
    for path in (folder / name for folder in folders for name in NAME_FILES):
        if path.is_file():
            names = _names_in(path)
            if names:
                return {str(number): name for number, name in names.items()}
    return {}


def _names_in(path: Path) -> dict[int, str]:
    text = read_text(path)
    instead = stand_in(text[:512].encode())
    if instead:
        raise InputError(f"{path} is {instead}, and names no classes: get the file itself.")
    if path.suffix != ".yaml":
        return {n: line.strip() for n, line in enumerate(text.splitlines()) if line.strip()}
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise InputError(f"{path}{f':{mark.line + 1}' if mark else ''} is not valid YAML: correct that line.") from None
    names: Any = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if names is None:
        return {}
    if not isinstance(names, dict) or not all(isinstance(number, int) for number in names):
        raise InputError(f"{path}: 'names' should be a list of names, or `number: name` lines.")
    return {number: str(name) for number, name in names.items()}


def _read(images: Path, labels: Path, layout: Layout, names: dict[str, str], report: Report) -> BoxSet:
    if labels.is_dir():
        pairs = _pairs_of_folders(images, labels, report)
    elif labels.is_file():
        pairs = _pairs_of_list(images, labels, layout, report)
    else:
        raise InputError(f"{labels} does not exist: 'labels' should be a folder of label files or a list of images.")
    found = []
    for name, path, label in sorted(pairs):
        if label.is_file():
            found.append(_labelled(name, path, label, layout, names, report))
        else:
            found.append(LabelledImage(name, path, label, labelled=False))
    if not any(image.labelled for image in found):
        raise InputError(
            f"none of the {len(found)} images has labels: expected those of {found[0].path} in {found[0].source}."
        )
    return BoxSet(tuple(found), names, normalised=True)


def _pairs_of_folders(images: Path, labels: Path, report: Report) -> list[tuple[str, Path, Path]]:
    """(name, image, label) of every image below `images`."""
    pairs = [(name, images / name, (labels / name).with_suffix(".txt")) for name in find_images(images)]
    owners: dict[Path, Path] = {}
    for _, path, label in pairs:
        if owners.setdefault(label, path) != path:
            text = f"has the labels of {owners[label].name} as well; both are used"
            report(Problem("shared labels", str(path), text, fatal=False))
    for label in walk(labels):
        if label.suffix == ".txt" and label not in owners and label.name not in NAME_FILES:
            text = f"there is no image of this name in {images}; it is not used"
            report(Problem("labels without image", str(label), text, fatal=False))
    return pairs


def _pairs_of_list(images: Path, labels: Path, layout: Layout, report: Report) -> list[tuple[str, Path, Path]]:
    """(name, image, label) of every image of a list."""
    pairs = []
    for listed in listed_images(labels, report):
        path = Path(os.path.normpath(images / listed))
        if not os.path.isfile(path):  # Path.is_file raises for too long a name
            report(missing(path, str(labels)))
            continue
        folders = path.parts[::-1]
        if "images" not in folders[1:]:
            raise InputError(
                f"{labels}: {path} is in no folder 'images', so the place of its labels is unknown: "
                "give the folder of the labels in 'labels' and that of the images in 'images'."
            )
        at = len(folders) - 1 - folders.index("images", 1)
        label = Path(*path.parts[:at], layout.folder, *path.parts[at + 1 :]).with_suffix(".txt")
        name = path.relative_to(images) if path.is_relative_to(images) else path
        pairs.append((name.as_posix(), path, label))
    return pairs


def _labelled(
    name: str, path: Path, label: Path, layout: Layout, names: dict[str, str], report: Report
) -> LabelledImage:
    wanted = (layout.columns,)
    values, lines = read_label_file(label, wanted, layout.expected, slice(-4, None), names, _explained(label, report))
    if layout is JDE and len(values):
        identities = values[:, 1]
        wrong = (identities != np.floor(identities)) | (identities < UNKNOWN_IDENTITY)
        for row in np.flatnonzero(wrong).tolist():
            text = f"column 2 is {identities[row]:g}, expected an identity: a whole number, or -1; {_meant(values)}"
            report(Problem("columns", f"{label}:{lines[row]}", text))
        values, lines = values[~wrong], lines[~wrong]
    return LabelledImage(
        name,
        path,
        label,
        boxes=from_corner(values[:, -4:]),
        categories=tuple(str(int(category)) for category in values[:, 0]),
        ignored=np.zeros(len(values), bool),
        places=lines,
    )


def _explained(label: Path, report: Report) -> Report:
    """`report`, with what the rows look like where their number of columns is wrong."""

    def explained(problem: Problem) -> None:
        if problem.kind == "faulty row" and problem.text.startswith("has "):
            rows = [line.split() for line in read_text(label).splitlines()]
            columns = len(rows[int(problem.where.rpartition(":")[2]) - 1])
            with contextlib.suppress(ValueError):  # cells that are no numbers
                values = np.array([row for row in rows if len(row) == columns], np.float64)
                problem = replace(problem, text=f"{problem.text}; {_meant(values)}")
        report(problem)

    return explained


def _meant(values: NDArray[np.float64]) -> str:
    """What rows of numbers (N, columns) that are not as a layout has them look like, and what to do."""
    columns = values.shape[1]
    last, second = values[:, -1], values[:, min(1, columns - 1)]
    if columns == 5:
        return "these look like `class cx cy w h`, which is format: yolo"
    if columns == 6 and (second == np.floor(second)).all():
        return "these look like `class identity cx cy w h`, which is format: jde"
    if columns == 6 and (last == np.floor(last)).all():
        return "these look like `class cx cy w h identity`: remove the last column"
    if columns == 6:
        return "these look like `class cx cy w h confidence`, a detector's: remove the last column"
    if columns > 6 and (columns - 5) % 3 == 0 and np.isin(values[:, 7::3], (0, 1, 2)).all():
        return "these look like poses, `class cx cy w h` and points behind: keep the first five columns"
    if columns > 6 and columns % 2 == 1:
        return "these look like outlines, `class x1 y1 x2 y2 ...`: export boxes"
    return "expected one box a row"


def read_label_file(
    label: Path,
    columns: tuple[int, ...],
    expected: str,
    boxes: slice,
    names: dict[str, str],
    report: Report,
) -> Rows:
    """The faultless rows of one label file.

    Args:
        label: the file; its first column is the class.
        columns: the numbers of columns that its rows may have.
        expected: the columns in words, for the report.
        boxes: the columns of cx, cy, w, h.
        names: class -> its name, where the classes have names: others are faults.
        report: told of every faulty row, which is left out.

    Raises:
        InputError: the file cannot be read.
    """
    values, lines = parse_rows(read_bytes(label), str(label), columns, expected, report)
    usable = np.ones(len(values), bool)
    for row in range(len(values)):
        fault = _fault(values[row, 0], values[row, boxes], names)
        if fault:
            report(Problem("faulty row", f"{label}:{lines[row]}", fault))
            usable[row] = False
    return Rows(values[usable], lines[usable])


def from_corner(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes (N, 4) cx, cy, w, h as x, y of the upper left corner, w, h, in the same unit."""
    centres, sizes = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([centres - sizes / 2, sizes], axis=1)


def _fault(category: float, box: np.ndarray, names: dict[str, str]) -> str | None:
    """What is wrong with a row of finite numbers, or None."""
    if category != int(category):
        return f"class {category:g} is not a whole number"
    if names and str(int(category)) not in names:
        return f"class {category:g} has no name, there are {len(names)} names from 0 on"
    beyond = np.abs(box) > LARGEST_FRACTION
    if beyond.any():
        value = box[int(np.argmax(beyond))]
        return f"{value:g} is no fraction of the image's side: expected 0 to 1, not pixels"
    return None
