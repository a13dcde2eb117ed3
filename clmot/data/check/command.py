"""`clmot check`: find out what somebody's data are, judge them, and print what was found."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import NamedTuple

import yaml

from clmot.data.check.boxsets import check_box_set
from clmot.data.check.films import check_sequence, find_sequences
from clmot.data.check.findings import Findings, Summary, format_problems, format_table
from clmot.data.check.tables import check_table
from clmot.data.check.tree import Folder, Tree, Zip
from clmot.data.check.videos import check_film
from clmot.data.extra.boxset import IMAGE_SUFFIXES, plain_name, read_text
from clmot.data.extra.coco import load_coco
from clmot.data.extra.normalised import JDE, YOLO
from clmot.data.extra.problems import Problem
from clmot.data.films.layout import boxes_beside, film_of, find_films, is_video, video_of
from clmot.data.official import ARCHIVES
from clmot.errors import InputError
from clmot.motchallenge.archive import inspect_benchmark
from clmot.motchallenge.contents import open_contents
from clmot.motchallenge.sequence import SUBSETS
from clmot.params import BENCHMARKS

SHOWN_OF_A_KIND = 10
"""Problems of one kind that are printed, unless all are asked for."""

KNOWN = (
    "a MOTChallenge zip, a folder of such zips, a sequence or a folder of sequences (img1/, gt/gt.txt, seqinfo.ini), "
    "videos beside their boxes, "
    "a set of images (images/ beside labels_with_ids/ or labels/, a list of images, an .odgt or a COCO .json file), "
    "or results (.txt)"
)


class BoxSetPlace(NamedTuple):
    """Where a set of images is, as in `data.extra`."""

    format: str
    images: Path
    labels: Path


def check(
    data: str,
    images: str | None = None,
    kind: str | None = None,
    classes: tuple[int | str, ...] | None = None,
    show_all: bool = False,
) -> None:
    """Print what `data` hold and every problem they have.

    Args:
        data: a file or folder; see `KNOWN`.
        images: for sets of images, the folder that their names start from, where it cannot be found out.
        kind: for sets of images, their format, where it cannot be found out.
        classes: for sets of images, the classes that are people.
        show_all: print all problems, not only the first of each kind.

    Raises:
        InputError: the data cannot be used as they are, or are nothing that is known.
    """
    path = _absolute(data)
    if not path.exists():
        raise InputError(
            f"{path} does not exist: name a file or folder with boxes; the README shows which there are."
        )
    findings = Findings()
    try:
        _examine(path, _absolute(images) if images else None, kind, classes, findings)
    except InputError as error:
        if not findings.summaries and not findings.problems:
            raise
        findings.report(Problem("unusable", "", str(error)))
    if findings.summaries:
        print(format_table(findings.summaries))
    problems = format_problems(findings.problems, None if show_all else SHOWN_OF_A_KIND)
    if problems:
        print(problems)
    errors, warnings = findings.errors, len(findings.problems) - findings.errors
    if errors:
        raise InputError(f"{data} cannot be used as it is: {_counted(errors, 'error')} (above).")
    print(f"{data} can be used" + (f", with {_counted(warnings, 'warning')}." if warnings else "."))
    for entry in findings.entries:
        line = yaml.safe_dump(
            entry, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6
        )
        print(f"To train on it, put this below 'extra:' of 'data' in params.yaml:\n    - {line.strip()}")


def _examine(
    path: Path,
    images: Path | None,
    kind: str | None,
    classes: tuple[int | str, ...] | None,
    findings: Findings,
) -> None:
    """Find out what a file or folder is, and judge it."""
    if path.name in ("gt.txt", "det.txt") and path.parent.name in ("gt", "det"):
        path = path.parent.parent
    path = video_of(path) or path
    if not path.is_dir():
        if path.suffix.lower() == ".zip":
            _check_zip(path, findings)
        elif is_video(path):
            film = film_of(path, findings.report)
            if film is not None:
                findings.summaries.append(check_film(film, findings.report))
        elif _is_table(path):
            _check_results(path, findings)
        elif (place := _box_set_of(path, images, kind)) is not None:
            check_box_set(*place, classes, findings)
        else:
            raise InputError(f"{path} is nothing that is known here: expected {KNOWN}.")
        return
    place = _box_set_in(path, images, kind)
    if place is not None:
        check_box_set(*place, classes, findings)
        return
    zips = sorted(file for file in path.iterdir() if file.suffix.lower() == ".zip")
    tree = Folder(path)
    videos = tree.videos()
    films = find_sequences(tree) or any(map(boxes_beside, videos))
    # Beside films only a zip that the download stage would take in their place counts.
    if zips and (not films or any(file.name in ARCHIVES for file in zips)):
        for file in zips:
            _check_one_zip(file, findings)
    elif films:
        _check_sequences(tree, findings)
        _check_films(tree, findings)
    elif labels := _only(path, "*.json"):
        check_box_set("coco", images or _folder_of_coco(labels), labels, classes, findings)
    elif videos:
        _check_films(tree, findings)
    elif tables := sorted(path.glob("*.txt")):
        for file in tables:
            _check_results(file, findings)
    else:
        raise InputError(f"{path} holds nothing that is known here: expected {KNOWN}.")


def _box_set_in(folder: Path, images: Path | None, kind: str | None) -> BoxSetPlace | None:
    """The set of images that a folder holds, if it is laid out as one."""
    for name, layout in (("jde", JDE), ("yolo", YOLO)):
        if (folder / layout.folder).is_dir() and kind in (None, name):
            return BoxSetPlace(name, images or folder / "images", folder / layout.folder)
        if images and (kind == name or (kind is None and layout.folder in folder.parts)):
            return BoxSetPlace(name, images, folder)
    labels = _only(folder, "*.odgt") or _only(folder, "annotations/*.json")
    return _box_set_of(labels, images, kind) if labels else None


def _only(folder: Path, pattern: str) -> Path | None:
    """The one file of a folder that fits a pattern; None if there is none."""
    files = [file for file in sorted(folder.glob(pattern)) if _is_labels(file)]
    if len(files) > 1:
        names = ", ".join(str(file.relative_to(folder)) for file in files[:5])
        raise InputError(f"{folder} holds {len(files)} files of labels ({names}): name the one to check.")
    return files[0] if files else None


def _is_labels(path: Path) -> bool:
    """Whether a JSON file can be COCO's; other files are believed."""
    return path.suffix != ".json" or b'"annotations"' in path.read_bytes()


def _box_set_of(labels: Path, images: Path | None, kind: str | None) -> BoxSetPlace | None:
    """The set of images whose labels are one file: annotations, or a list."""
    suffix = labels.suffix.lower()
    if suffix == ".odgt" or kind == "crowdhuman":
        return BoxSetPlace("crowdhuman", images or labels.parent / "Images", labels)
    if suffix == ".json" or kind == "coco":
        return BoxSetPlace("coco", images or _folder_of_coco(labels), labels)
    first = next(filter(None, map(plain_name, read_text(labels).splitlines())), "")
    if not first.lower().endswith(IMAGE_SUFFIXES):
        return None
    # The paths of a list start from its folder or from one above it.
    roots = [images] if images else [labels.parent, *labels.parent.parents]
    root = next((folder for folder in roots if (folder / first).is_file()), None)
    if root is None:
        raise InputError(
            f"{labels}:1: {first} is neither in {roots[0]} nor in a folder above it: name the one its paths start "
            "from with --images."
        )
    if kind is None:
        named = {layout.folder: name for name, layout in (("yolo", YOLO), ("jde", JDE))}
        beside = [folder.parent for folder in (root / first).parents if folder.name == "images"]
        kind = next((named[f] for f in named if beside and (beside[0] / f).is_dir()), "jde")
    return BoxSetPlace(kind, root, labels)


def _folder_of_coco(labels: Path) -> Path:
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
    found = next((folder for folder in folders if name and (folder / name).is_file()), None)
    if found is None:
        raise InputError(
            f"{labels}: its image {name!r} is in no folder nearby: name that folder with --images."
        )
    return found


def _is_table(path: Path) -> bool:
    """Whether the first row of a text file is numbers with commas between them, or the file is empty."""
    if path.suffix.lower() != ".txt":
        return False
    with path.open("rb") as stream:
        start = stream.read(4096).decode("utf-8-sig", errors="replace")
    first = next((line for line in start.splitlines() if line.strip()), None)
    return first is None or ("," in first and first.split(",")[0].strip().lstrip("-").isdigit())


def _check_one_zip(path: Path, findings: Findings) -> None:
    """Judge one of several zips: the others may be better."""
    try:
        _check_zip(path, findings)
    except InputError as error:
        findings.report(Problem("unusable", "", str(error)))


def _check_zip(path: Path, findings: Findings) -> None:
    known = findings.errors
    with open_contents(path) as members:
        tree = Zip(path, members)
        if not find_sequences(tree):
            raise InputError(
                f"{path} holds no sequence: expected train/<sequence>/img1/000001.jpg and so on."
            )
        _check_sequences(tree, findings)
    if path.stem not in BENCHMARKS:
        text = f"the pipeline looks for {', '.join(f'{name}.zip' for name in BENCHMARKS)}: rename it"
        findings.report(Problem("name of the zip", str(path), text, fatal=False))
    elif findings.errors == known:
        # The last word is that of the stage itself; what it warns of was found above.
        with contextlib.redirect_stderr(io.StringIO()):
            inspect_benchmark(path, path.stem, "half")


def _check_sequences(tree: Tree, findings: Findings) -> None:
    for folder in find_sequences(tree):
        findings.summaries.append(check_sequence(tree, folder, findings.report))


def _check_films(tree: Folder, findings: Findings) -> None:
    for film in find_films(tree.root, tree.names, SUBSETS, findings.report):
        findings.summaries.append(check_film(film, findings.report))


def _check_results(path: Path, findings: Findings) -> None:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the file.") from None
    table = check_table(data, str(path), findings.report, ground_truth=False)
    if not len(table.frame):
        findings.report(Problem("no rows", str(path), "holds no box", fatal=False))
    findings.summaries.append(
        Summary(path.stem, int(table.frame.max(initial=0)), len(table.frame), table.identities())
    )


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(Path(path).expanduser()))


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"
