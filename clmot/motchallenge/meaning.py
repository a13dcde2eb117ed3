"""What numbers of boxes say of themselves: columns that hold something else than their place says, sizes in another
unit, corners in the place of sizes, classes that a file numbers its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clmot.motchallenge.classes import PEOPLE, ObjectClass, is_person
from clmot.problems import Problem, Report
from clmot.wording import listed

LABELS_FILE = "labels.txt"
"""Beside a gt.txt, as CVAT writes it: the names of its classes, a line each, the first line is class 1."""

OTHER_CLASS = 0
"""Of a box whose class has a name that MOTChallenge does not know: it is left out."""

_MOST_CATEGORIES = 20  # no format of film boxes has more; world coordinates go on in fractions
_BEYOND = 0.05  # of the image's side: boxes at its border are often drawn a little too large
_SHARE_BEYOND = (
    0.25  # of the boxes; where corners are read as sizes, whatever is right of or below the centre is beyond
)

_FEWEST_BOXES = 10  # of percentages; fewer may lie in one corner of the image
_SMALLEST_FOR_PERCENT = 400  # pixels of a side: there, 100 pixels are a corner of the image
_FEWEST_JUDGED = 3  # boxes at fault; fewer are slips
_SHARE_OUTSIDE = 0.1  # of the boxes; ground truth of real films has next to none that is wholly outside

_SMALLER = 0.8  # of the frames' sides; a size that is stated a little wrong says nothing of the boxes
_DENSE = 0.9  # of the frames up to the last label; fewer are no run of frames
_FEWEST_LABELLED = 4  # frames; fewer may lie that evenly by chance

_WAYS = ((0, 1), (1, 0))  # by frame, then identity; by identity, then frame
_FEWEST_STEPS = 10  # from box to box, each way; fewer tell little

_SYNONYMS = {"motorcycle": ObjectClass.MOTORBIKE, "bike": ObjectClass.BICYCLE}


def foreign_columns(values: NDArray[np.float64]) -> str | None:
    """Why the rows (N, 8, 9 or 10) of a table cannot be MOTChallenge's, or None."""
    if not len(values):
        return None
    if values.shape[1] == 8:
        whole = (values == np.floor(values)).all() and values[:, 5].min() >= 0
        if whole and values[:, 5].max() <= _MOST_CATEGORIES and np.isin(values[:, 6:], (0, 1, 2)).all():
            return (
                "8 columns of whole numbers look like VisDrone's boxes of images (x,y,w,h,score,category,truncation,"
                "occlusion): write YOLO's labels"
            )
        return None
    if values.shape[1] == 9:
        for column, word, end in ((6, "flag", "0 or 1"), (8, "visibility", "0 to 1")):
            largest = values[:, column].max()
            if largest > 1:
                return (
                    f"column {column + 1} goes up to {largest:g}, but it should be the {word}, {end}: these are the "
                    "columns of other data (UAVDT's, for instance); write them as frame,id,x,y,w,h,1,class,visibility"
                )
        return None
    tail = values[:, 7:]
    categories = bool(
        ((tail[:, 0] == np.floor(tail[:, 0])) & (tail[:, 0] >= 0) & (tail[:, 0] <= _MOST_CATEGORIES)).all()
    )
    if categories and (tail[0, 0] > 1 or (tail != tail[0]).any()):
        numbers = listed([f"{number:g}" for number in np.unique(tail[:, 0])])
        return (
            f"column 8 holds whole numbers ({numbers}) where MOT15 has coordinates or -1: these look like categories, "
            "with truncation and occlusion behind them as in VisDrone; write the rows of people (there 1 and 2) as "
            "frame,id,x,y,w,h,1,1,1"
        )
    return None


def swapped_columns(values: NDArray[np.float64]) -> str | None:
    """Why the rows (N, 6 or more) of a table have the identity before the frame, or None: whoever is followed moves
    little from row to row, and the others of a frame are elsewhere."""
    values = values[values[:, 1] >= 0]  # the unknown may be a detector's, several of one person
    if len(np.unique(values[:, 1])) < _FEWEST_LABELLED:
        return None
    within, along = (
        _steps(values[np.lexsort((values[:, second], values[:, first]))], first) for first, second in _WAYS
    )
    if min(len(within), len(along)) < _FEWEST_STEPS or np.median(within) < 0.5 or np.median(along) > 0.1:
        return None
    return (
        "the boxes of one frame (column 1) follow each other as those of one person do, and those of one identity "
        "(column 2) are apart: are the two columns exchanged? Write frame,id,x,y,w,h"
    )


def _steps(rows: NDArray[np.float64], column: int) -> NDArray[np.float64]:
    """IoU of every row with the next, where both have the same in this column."""
    same = rows[1:, column] == rows[:-1, column]
    first, second = rows[:-1][same, 2:6], rows[1:][same, 2:6]
    end = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    shared = np.maximum(end - np.maximum(first[:, :2], second[:, :2]), 0).prod(axis=1)
    areas = first[:, 2:].prod(axis=1) + second[:, 2:].prod(axis=1)
    return np.asarray(shared / np.maximum(areas - shared, 1e-9))


def wrong_units(boxes: NDArray[np.float64], size: NDArray[np.float64], *, centred: bool = False) -> str | None:
    """What is wrong with all boxes of a file together, judged against their images: the first of `not_in_pixels`,
    `corners_for_sizes`, `percentages` and `of_another_size`; or None.

    Args:
        boxes: (N, 4) x, y of the upper left corner, w, h in pixels; the image's corner is 0, 0.
        size: (2,) or (N, 2) width and height of the images.
        centred: the file has the centres, as fractions of the image.
    """
    # Corners in the place of centre and size: the corner that was made of them leads back.
    written = boxes + np.array([0.5, 0.5, 0, 0]) * np.tile(boxes[:, 2:], 2) if centred else boxes
    return (
        not_in_pixels(boxes)
        or corners_for_sizes(written, size, centred)
        or (None if centred else percentages(boxes, size))
        or of_another_size(boxes, size)
    )


def not_in_pixels(boxes: NDArray[np.float64]) -> str | None:
    """Why boxes (N, 4) x, y, w, h, counted from 0 or from 1, are not in pixels, or None."""
    corner, extent = boxes[:, :2], boxes[:, 2:]
    if len(boxes) and 0 < extent.max() <= 1 and corner.min() >= -1 and corner.max() < 1:
        return "all boxes are smaller than a pixel: are they fractions of the image? Multiply them by its sides"
    return None


def corners_for_sizes(boxes: NDArray[np.float64], size: NDArray[np.float64], centred: bool = False) -> str | None:
    """Why the widths and heights of boxes are the corners x2, y2 instead, or None.

    Corners are told by two things together: the third and fourth number are never below the first two and never beyond
    the image, and read as sizes they take many boxes far out of it.

    Args:
        boxes: (N, 4) x, y of the upper left corner, w, h; the image's corner is 0, 0.
        size: (2,) or (N, 2) width and height of the images, in the boxes' unit.
        centred: x, y are of the centre.
    """
    first, second = boxes[:, :2], boxes[:, 2:]
    if len(boxes) < _FEWEST_JUDGED or (second <= first).any() or (second > (1 + _BEYOND) * size).any():
        return None
    far = (first + second > (1 + _BEYOND) * size) if not centred else (first - second / 2 < -_BEYOND * size)
    beyond = far.any(axis=1) | (centred & (first + second / 2 > (1 + _BEYOND) * size).any(axis=1))
    if beyond.mean() < _SHARE_BEYOND:
        return None
    return (
        f"{beyond.sum()} of {len(boxes)} boxes reach out of the image, and width and height are never below x and y: "
        "are they the corners x2, y2? Write x, y, width and height as the format has them"
    )


def percentages(boxes: NDArray[np.float64], size: NDArray[np.float64]) -> str | None:
    """Why boxes (N, 4) x, y, w, h are percentages of the image's sides, as Label Studio writes them, or None.

    Args:
        boxes: as in `wrong_units`.
        size: (2,) or (N, 2) width and height of the images; of small ones one cannot tell.
    """
    if len(boxes) < _FEWEST_BOXES or np.min(size) < _SMALLEST_FOR_PERCENT:
        return None
    end = (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    whole = (boxes == np.floor(boxes)).all()
    if whole or boxes[:, :2].min() < -1 or (end > 101).any() or (end < 50).any():  # off by the pixel that counts from 1
        return None
    return (
        f"all {len(boxes)} boxes lie within {end[0]:.4g}x{end[1]:.4g} pixels of far larger images: are they "
        "percentages? Multiply them by the image's sides and divide them by 100"
    )


def of_another_size(boxes: NDArray[np.float64], size: NDArray[np.float64]) -> str | None:
    """Why boxes (N, 4) x, y, w, h are of images of another size, or None: many have no part in theirs.

    Args:
        boxes: as in `wrong_units`.
        size: (2,) or (N, 2) width and height of the images.
    """
    end = boxes[:, :2] + boxes[:, 2:]
    shown = (boxes[:, 2:] > 0).all(axis=1)
    gone = shown & ((end <= 0) | (boxes[:, :2] >= size)).any(axis=1)
    if gone.sum() < _FEWEST_JUDGED or gone.sum() < _SHARE_OUTSIDE * shown.sum():
        return None
    reach, image = end[shown].max(axis=0), np.atleast_2d(size).max(axis=0)
    return (
        f"{gone.sum()} of {len(boxes)} boxes have no part in their image ({image[0]:g}x{image[1]:g}; boxes reach to "
        f"{reach[0]:.0f}, {reach[1]:.0f}): are they of images of another size? Scale them, or get the images that were "
        "labelled"
    )


def of_stated_size(boxes: NDArray[np.float64], stated: tuple[int, int], true: tuple[int, int]) -> str | None:
    """Why boxes are of images of the size that a seqinfo.ini states, and the frames are of another, or None.

    Args:
        boxes: as in `wrong_units`.
        stated: width and height there; 0: it does not say.
        true: width and height of the frames.
    """
    told, shown = np.array(stated, np.float64), np.array(true, np.float64)
    if len(boxes) < _FEWEST_BOXES or not told.all() or (told == shown).all():
        return None
    reach = (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    if (reach > (1 + _BEYOND) * told).any():
        return None
    enlarged = (told < _SMALLER * shown).all()
    if not enlarged and (reach <= (1 + _BEYOND) * shown).all():
        return None
    return (
        f"all {len(boxes)} boxes lie within {told[0]:g}x{told[1]:g}, which seqinfo.ini states, but the frames are "
        f"{shown[0]:g}x{shown[1]:g}: are the boxes of frames of another size? Scale them, or correct seqinfo.ini"
    )


def ends_early(frame: NDArray[np.int64], length: int) -> str | None:
    """What to think of where the labels (boxes' frames, from 1) of a film of `length` frames are all in its first
    half, one frame after the other; None: nothing."""
    labelled = np.unique(frame)
    last = int(labelled[-1]) if len(labelled) else 0
    if len(labelled) < max(_FEWEST_LABELLED, _DENSE * last) or 2 * last > length:
        return None
    return (
        f"has no box behind frame {last} of {length}, and frames without boxes count as frames without people; if the "
        "labels were made at another frame rate, they are in wrong frames"
    )


def classes_asked_for(asked: Sequence[int | str], known: Mapping[str, str]) -> tuple[set[str], list[str]]:
    """Which classes are meant, and the names that mean none.

    Args:
        asked: names, in any case, or numbers.
        known: number or key of a class, as its file has it -> its name.
    """
    found: set[str] = set()
    unknown = []
    for one in map(str, asked):
        meant = {key for key, name in known.items() if one == key or one.lower() == name.strip().lower()}
        found |= meant
        unknown += [] if meant else [one]
    return found, unknown


def no_identities(frame: NDArray[np.int64], identity: NDArray[np.int64]) -> bool:
    """Whether an identity column says nothing: every box (N,) has 0, or every box 1, though frames have several."""
    one = len(identity) > 0 and identity[0] in (0, 1) and bool((identity == identity[0]).all())
    return one and int((np.unique(frame, return_counts=True)[1] > 1).sum()) > 1  # one alone is a row written twice


ALL_ALIKE = "gives every box the identity {}, several in one frame too: taken as boxes without identities"
"""The message about such a column."""


def unlabelled_between(frame: NDArray[np.int64], length: int) -> str | None:
    """Why boxes (N,) are of every n-th frame alone, so that those between would be learnt as empty; or None.

    Args:
        frame: (N,) of each box, counted from 1.
        length: frames of the film.
    """
    labelled = np.unique(frame)
    steps = np.diff(labelled)
    if len(labelled) < _FEWEST_LABELLED or (steps != steps[0]).any() or steps[0] < 2:
        return None
    step = int(steps[0])
    if labelled[0] > step or labelled[-1] + step <= length:
        return None
    return (
        f"has boxes in every {step}. frame alone ({labelled[0]}, {labelled[1]}, {labelled[2]}, ...), and training "
        "would take those between as empty: label them too, or use the labelled frames as a film "
        f"of {step} times fewer frames per second"
    )


def class_numbers(data: bytes, name: str, report: Report, asked: Sequence[int | str] = ()) -> dict[int, int]:
    """The classes of a file with names: number in the table -> `ObjectClass`, or `OTHER_CLASS`.

    The classes that are tracked become `ObjectClass.PEDESTRIAN`, whatever they are called.

    Args:
        data: content of a `LABELS_FILE`.
        name: of the file, for the report.
        report: told where not exactly one class is called as people are, or one that was asked for is not there.
        asked: names or numbers of the classes that are tracked; empty: the one that is called as people are.
    """
    names = [line.strip() for line in data.decode("utf-8-sig", errors="replace").rstrip().splitlines()]
    if asked:
        known = {str(number): label for number, label in enumerate(names, 1)}
        wanted, unknown = classes_asked_for(asked, known)
        for one in unknown:
            text = f"has no class '{one}': name some of {listed(names, 12)} in 'data.classes'"
            report(Problem("classes", name, text))
        return {int(key): int(ObjectClass.PEDESTRIAN) if key in wanted else OTHER_CLASS for key in known}
    people = [label for label in names if is_person(label)]
    if len(people) != 1:
        found = "several are" if people else "none is"
        text = (
            f"names the classes {listed(names, 12)}, and {found} called {' or '.join(PEOPLE)}: name those that "
            "are to be tracked in 'data.classes'"
        )
        report(Problem("classes", name, text))
    return {number: _object_class(label) for number, label in enumerate(names, 1)}


def _object_class(name: str) -> int:
    plain = name.strip().lower().replace("_", " ").replace("-", " ")
    known = {c.name.lower().replace("_", " "): c for c in ObjectClass} | _SYNONYMS
    return int(ObjectClass.PEDESTRIAN if is_person(name) else known.get(plain, OTHER_CLASS))
