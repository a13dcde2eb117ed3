"""Sets of images for `data.extra`, judged as `index` would, but to the end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from clmot.check.findings import Findings, Summary
from clmot.data.index import READERS, select_boxes
from clmot.files import dvc_root
from clmot.labels.box_set import BoxSet, image_problems, unreadable, wrong_units_of_set
from clmot.motchallenge.classes import PEOPLE, is_person
from clmot.pictures import UnreadablePicture, check_picture, picture_size
from clmot.problems import Problem
from clmot.progress import progress
from clmot.wording import listed

SAMPLES = 20
"""Images of a set that are decoded; of the others the header and the end are looked at, as `index` does."""


def check_box_set(
    name: str,
    kind: str,
    images: Path,
    labels: Path,
    classes: tuple[int | str, ...] | None,
    findings: Findings,
) -> None:
    """Judge one set, and where it can be used add the entry for params.yaml that names it.

    Args:
        name: what to call it there.
        kind: `jde`, `crowdhuman`, `coco` or `yolo`.
        images, labels: as in `data.extra`.
        classes: the classes that are people; None: those whose name says so, and where none does, a question.
        findings: gets the problems, the row of the table and the entry.

    Raises:
        InputError: there are no images or no labels at all, or a class is asked for that does not exist.
    """
    known = findings.errors
    box_set = READERS[kind](images, labels, findings.report)
    counts: Counter[str] = Counter()
    for image in box_set.images:
        counts.update(np.array(image.categories, object)[~image.ignored].tolist())
    chosen = classes if classes is not None else _people(box_set, counts, labels, findings)
    people = box_set.people(chosen, labels)
    _check_unlabelled(box_set, labels, findings)
    sizes: list[tuple[int, int] | None] = []
    kept = dropped = 0
    samples = sampled(len(box_set.images))
    shown = progress(box_set.images, f"check {labels.name}", total=len(box_set.images), unit="image")
    for position, image in enumerate(shown):
        size = _look_at(image.path, position in samples, findings)
        sizes.append(size)
        if size is None:
            continue
        for problem in image_problems(box_set, image, size):
            findings.report(problem)
        boxes, _, reasons = select_boxes(box_set, image, size, people)
        kept, dropped = kept + len(boxes), dropped + sum(reasons.values())
    units = wrong_units_of_set(box_set, sizes)
    if units is not None:
        findings.report(Problem("units", str(labels), units))
    if not kept:
        why = f"none of the {dropped} boxes can train" if dropped else "there is no box"
        text = f"{why}: no image shows people (classes: {list(chosen) or 'all'})"
        findings.report(Problem("no people", str(labels), text, fatal=bool(dropped)))
    classes_by_name = Counter({box_set.names.get(key, key): count for key, count in counts.items()})
    measured = Counter(size for size in sizes if size is not None)
    findings.summaries.append(Summary(name, len(box_set.images), sum(counts.values()), None, classes_by_name, measured))
    if findings.errors > known:
        return
    entry = {
        "name": name,
        "format": kind,
        "images": _from_project(images),
        "labels": _from_project(labels),
        "weight": 1,
        "classes": list(chosen),
    }
    findings.entries.append(entry)


def sampled(count: int) -> set[int]:
    """Positions of at most `SAMPLES` of `count` things, evenly spaced, the first and the last among them."""
    return set(np.linspace(0, count - 1, min(count, SAMPLES)).round().astype(int).tolist()) if count else set()


def _look_at(path: Path, decode: bool, findings: Findings) -> tuple[int, int] | None:
    """(Width, height) of an image; None, with a problem, if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return check_picture(stream.read()) if decode else picture_size(stream)
    except UnreadablePicture as error:
        reason = str(error)
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    findings.report(unreadable(str(path), reason))
    return None


def _check_unlabelled(box_set: BoxSet, labels: Path, findings: Findings) -> None:
    """Images and classes that the labels know nothing of."""
    unlabelled = [image for image in box_set.images if not image.labelled]
    if unlabelled:
        text = (
            f"{len(unlabelled)} of {len(box_set.images)} images have no labels and count as images without people, "
            f"the first being {unlabelled[0].path} (expected {unlabelled[0].source})"
        )
        findings.report(Problem("images without labels", str(labels), text, fatal=False))
    used = {category for image in box_set.images for category in image.categories}
    unused = [f"'{name}'" for key, name in box_set.names.items() if key not in used]
    if unused:
        text = f"no box is of class {listed(unused, 12)}"
        findings.report(Problem("unused class", str(labels), text, fatal=False))


def _people(box_set: BoxSet, counts: Counter[str], labels: Path, findings: Findings) -> tuple[int | str, ...]:
    """The classes that are people by their name; where classes have no names, the only one.

    Where neither tells, that is a question (a fatal problem), for an empty answer would mean every class.
    """
    named = tuple(dict.fromkeys(name for name in box_set.names.values() if is_person(name)))
    if named:
        return named
    if not box_set.names and len(counts) <= 1:
        return tuple(int(key) if key.isdigit() else key for key in counts) or (0,)
    known = box_set.names or {key: key for key in counts}
    there = Counter({known.get(key, key): count for key, count in counts.items()})
    shown = ", ".join(f"{name}: {there[name]} boxes" for name in sorted(set(known.values())))
    called = f"is called {' or '.join(PEOPLE)}" if box_set.names else "has a name"
    text = f"which classes are people? None {called} ({shown}); name those that are with --classes"
    findings.report(Problem("classes", str(labels), text))
    return ()


def _from_project(path: Path) -> str:
    """As params.yaml would have it: relative to the project's folder if it is in there."""
    return path.relative_to(dvc_root()).as_posix() if path.is_relative_to(dvc_root()) else path.as_posix()
