"""A set of labelled images as its files have it, whatever their format."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clmot.errors import InputError
from clmot.files import IMAGE_SUFFIXES, walk
from clmot.motchallenge.meaning import wrong_units
from clmot.problems import Problem, Report
from clmot.wording import listed


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """One image with its N boxes."""

    name: str
    """Its path below the set's folder of images, with `/`; an absolute path where the labels give one."""
    path: Path
    source: Path
    """The file that holds its labels."""
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    """(N, 4) x, y of the upper left corner, width, height; in pixels or, in a `normalised` set, as fractions of the
    image's sides."""
    categories: tuple[str, ...] = ()
    """(N,) class of each box, as the labels have it: a number or a word."""
    ignored: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    """(N,) regions that the labels say are not to be learnt."""
    places: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """(N,) line of each box in `source`, or its annotation's number."""
    size: tuple[int, int] | None = None
    """Width and height as the labels state them, where they do."""
    labelled: bool = True
    """Whether the labels mention the image at all; those that they do not mention show no one."""


@dataclass(frozen=True, eq=False)
class BoxSet:
    """All images of a set, sorted by name."""

    images: tuple[LabelledImage, ...]
    names: dict[str, str] = field(default_factory=dict)
    """Class -> its name, where the format names its classes."""
    normalised: bool = False
    """Whether boxes are fractions of the image's sides."""
    place: str = "{source}:{place}"
    """How to say where a box is: at a line, unless the format has none."""

    def where(self, image: LabelledImage, row: int) -> str:
        """Where box `row` of an image is."""
        return self.place.format(source=image.source, place=image.places[row])

    def people(self, classes: tuple[int | str, ...], labels: Path) -> set[str] | None:
        """The classes that `classes` (names or numbers) means; None: every class.

        Raises:
            InputError: the set does not have one of them.
        """
        if not classes:
            return None
        known = self.names or {c: c for image in self.images for c in image.categories}
        wanted = set()
        for asked in map(str, classes):
            found = {key for key, name in known.items() if asked in (key, name)}
            if not found and known:
                classes_there = listed(sorted(set(known.values())), 12)
                raise InputError(f"{labels} has no class '{asked}': name some of {classes_there} in 'classes'.")
            wanted |= found
        return wanted


def corners(image: LabelledImage, size: tuple[int, int], normalised: bool) -> NDArray[np.float32]:
    """(N, 4) x1, y1, x2, y2 in pixels of an image of (width, height)."""
    return as_corners(image.boxes * np.array(size * 2, np.float64) if normalised else image.boxes)


def as_corners(boxes: NDArray[np.float64]) -> NDArray[np.float32]:
    """Boxes (N, 4) x, y, w, h as corners (N, 4) x1, y1, x2, y2, in the same unit."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).astype(np.float32)


def without_extent(boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(N,) boxes, as corners (N, 4), that have no width or no height."""
    return np.asarray((boxes[:, 2:] <= boxes[:, :2]).any(axis=1), bool)


def outside(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(N,) boxes, as corners (N, 4), of which no part is in an image of (width, height)."""
    beyond = (boxes[:, 2:] <= 0) | (boxes[:, :2] >= np.array(size, np.float32))
    return np.asarray(beyond.any(axis=1), bool)


def wrong_units_of_set(box_set: BoxSet, sizes: Sequence[tuple[int, int] | None]) -> str | None:
    """What the boxes of a set, all together, say against the unit that its format gives them, or None.

    Args:
        box_set: the set.
        sizes: true (width, height) of each image; None where it cannot be read.
    """
    known = [(i, size) for i, size in zip(box_set.images, sizes, strict=True) if size is not None and len(i.boxes)]
    if not known:
        return None
    boxes = np.concatenate([image.boxes * np.array(size * 2 if box_set.normalised else (1,)) for image, size in known])
    per_box = np.repeat(np.array([size for _, size in known], np.float64), [len(i.boxes) for i, _ in known], axis=0)
    return wrong_units(boxes, per_box, centred=box_set.normalised)


def image_problems(box_set: BoxSet, image: LabelledImage, size: tuple[int, int]) -> Iterator[Problem]:
    """What is wrong with an image and its boxes, once its true (width, height) is known."""
    # Surrogates are bytes that are no text.
    if re.search(r"[\x00-\x1f\ud800-\udfff]", image.name):
        text = "has control characters in it, or is not in UTF-8: rename the file"
        yield Problem("image name", ascii(image.name), text)
    if image.size is not None and image.size != size:
        stated = f"{image.size[0]}x{image.size[1]}"
        text = (
            f"is {size[0]}x{size[1]} as training reads it, but {image.source} says {stated}: its boxes lie elsewhere; "
            "get the image that was labelled (a camera's EXIF orientation may turn it)"
        )
        yield Problem("image size", str(image.path), text)
    boxes = corners(image, size, box_set.normalised)
    flat, gone = without_extent(boxes) & ~image.ignored, outside(boxes, size) & ~image.ignored
    for row in np.flatnonzero(flat | gone).tolist():
        x1, y1, x2, y2 = boxes[row].tolist()
        shown = f"the box x, y, w, h = {x1:.1f}, {y1:.1f}, {x2 - x1:.1f}, {y2 - y1:.1f} (pixels) has no"
        fault = "width or no height" if flat[row] else f"part in the image of {size[0]}x{size[1]}"
        kind = "box of no size" if flat[row] else "box outside"
        yield Problem(kind, box_set.where(image, row), f"{shown} {fault}; it is left out", fatal=False)


def find_images(folder: Path) -> list[str]:
    """Names of all images below a folder, with `/`, sorted. Links to folders are followed, hidden files are not images.

    Raises:
        InputError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: 'images' should be the one that the images' names start from.")
    files = (file for file in walk(folder) if file.suffix.lower() in IMAGE_SUFFIXES)
    names = [file.relative_to(folder).as_posix() for file in files]
    if not names:
        raise InputError(f"{folder} holds no image ({', '.join(IMAGE_SUFFIXES)}): check 'images'.")
    return sorted(names)


def listed_images(path: Path, report: Report) -> list[str]:
    """The names in a list, one a line, in its order; each once."""
    text = read_text(path)
    names: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name = plain_name(line)
        if not name:
            continue
        if name in names:
            report(
                Problem(
                    "listed twice",
                    f"{path}:{number}",
                    f"{name} is on line {names[name]} already and counts once",
                    fatal=False,
                )
            )
        names.setdefault(name, number)
    if not names:
        raise InputError(f"{path} lists no image: expected the path of one on every line.")
    return list(names)


def plain_name(text: str) -> str:
    """A path as the user wrote it, with `/` for Windows' separators and in its one plain spelling.

    >>> plain_name("./a//b.png"), plain_name("a\\\\b.png"), plain_name("../a/./b.png"), plain_name(" ")
    ('a/b.png', 'a/b.png', '../a/b.png', '')
    """
    name = text.strip().replace("\\", "/")
    if not name:
        return ""
    plain = re.sub(r"^//", "/", posixpath.normpath(name))  # which keeps two slashes at the start
    return "" if plain == "." else plain


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without a byte order mark.

    Raises:
        InputError: it cannot be read, or is no text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: check the labels.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the labels.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8 (byte {error.start}): check the labels.") from None


def missing(path: Path, where: str) -> Problem:
    """The problem of an image that the labels mention and that is not there."""
    return Problem("missing image", where, f"{path} does not exist: get the image, or take it out of the labels")


def unreadable(where: str, reason: object) -> Problem:
    """The problem of an image that is there and cannot be used."""
    return Problem("unreadable image", where, f"{reason}; get the image again, or take it out of the set")
