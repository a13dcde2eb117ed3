"""`clmot check`: find out what kind of data these are, judge them, and print what was found."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from clmot.archives.benchmark_layout import sequence_folders
from clmot.archives.entries import Tree, refuse_stand_in
from clmot.archives.extract import DETECTION_SOURCES_FILE
from clmot.archives.foreign_files import START, foreign_file
from clmot.archives.foreign_layouts import foreign_layout
from clmot.check.box_sets import check_box_set
from clmot.check.find_box_sets import (
    BoxSetPlace,
    box_set_of,
    box_sets_below,
    box_sets_in,
    coco_files,
    images_of,
    names_of,
    set_around,
)
from clmot.check.findings import Findings, Summary, format_problems, format_table
from clmot.check.project import film_classes
from clmot.check.sources import check_folder, check_video, check_zip, check_zips_of, has_recipe
from clmot.data.strip import HELD_OUT_FILE, IDENTITIES_FILE
from clmot.data.training_folder import REPORT_FILE
from clmot.errors import LONGEST, InputError
from clmot.files import is_video, read_bytes, user_path
from clmot.films.find_films import boxes_beside, video_of
from clmot.motchallenge.annotations import DETECTIONS, RESULTS, judge_rows
from clmot.motchallenge.sequence import MANIFEST_FILE
from clmot.params import BENCHMARKS
from clmot.problems import Problem
from clmot.wording import counted, joined, one_line

SHOWN_OF_A_KIND = 10
"""Problems of one kind that are printed, unless all are asked for."""

KNOWN = (
    "a MOTChallenge zip, a folder of such zips, a sequence or a folder of sequences (img1/, gt/gt.txt, seqinfo.ini), "
    "videos beside their boxes, "
    "a set of images (images/ beside labels_with_ids/ or labels/, a list of images, an .odgt or a COCO .json file), "
    "a folder of such sets, or results (.txt)"
)

OF_THE_PIPELINE = {
    "frames": MANIFEST_FILE,
    "gt": MANIFEST_FILE,
    "detections": DETECTION_SOURCES_FILE,
    "training": REPORT_FILE,
    "identities": IDENTITIES_FILE,
    "held_out": HELD_OUT_FILE,
}
"""Folders of the pipeline's `data/`, and the file that each has for every benchmark."""


def check(
    data: str,
    images: str | None = None,
    kind: str | None = None,
    classes: tuple[int | str, ...] | None = None,
    show_all: bool = False,
    as_json: bool = False,
) -> None:
    """Print what `data` hold and every problem they have.

    Args:
        data: a file or folder; see `KNOWN`.
        images: the folder that the names of a set's images start from, where it cannot be found out. With it or `kind`
            the data are a set of images, whatever else they could be.
        kind: the format of a set of images, where it cannot be found out.
        classes: for sets of images and films with classes of their own, those that are tracked.
        show_all: print all problems, not only the first of each kind.
        as_json: print JSON instead, with all problems.

    Raises:
        InputError: the data cannot be used as they are, or are nothing that is known.
    """
    path = _absolute(data)
    if not path.exists():
        raise InputError(f"{path} does not exist: name a file or folder with boxes; the README shows which there are.")
    if path.is_file():
        refuse_stand_in(path)
    if not (images or kind):
        path = set_around(path)
    findings = Findings(film_classes() if classes is None else classes)
    given = {"--images": images, "--format": kind}
    try:
        film = _film_of(path)
        places = _box_sets(path if images or kind else film, _absolute(images) if images else None, kind)
        if places:
            _check_box_sets(places, classes, findings)
        else:
            _examine(film, findings)
            _report_useless([option for option, value in given.items() if value], findings)
    except InputError as error:
        if not findings.summaries and not findings.problems:
            layout = foreign_layout(Tree.of_folder(path).members) if path.is_dir() else None
            if layout is None:
                raise
            raise InputError(f"{path} {layout}.") from None
        findings.report(Problem("unusable", "", str(error)))
    _report_other_boxes(path, findings)
    if as_json:
        print(json.dumps(findings.as_dict(), indent=2))
    else:
        _print(data, findings, show_all)
    if findings.errors:
        raise InputError(f"{data} cannot be used as it is: {counted(findings.errors, 'error')} (above).")


def _report_other_boxes(path: Path, findings: Findings) -> None:
    """Name the boxes of another program, where films lack nothing except boxes."""
    kinds = {problem.kind for problem in findings.problems if problem.fatal}
    layout = foreign_layout(Tree.of_folder(path).members) if kinds == {"no boxes"} and path.is_dir() else None
    if layout is not None:
        findings.report(Problem("other boxes", str(path), layout))


def _print(data: str, findings: Findings, show_all: bool) -> None:
    """The table, the problems, whether `data` can be used, and the entries to train on it."""
    if findings.summaries:
        print(format_table(findings.summaries))
    problems = format_problems(findings.problems, None if show_all else SHOWN_OF_A_KIND)
    if problems:
        print(problems)
    errors, warnings = findings.errors, len(findings.problems) - findings.errors
    if not errors:
        print(
            f"{one_line(data, LONGEST)} can be used{findings.use}"
            + (f", with {counted(warnings, 'warning')}." if warnings else ".")
        )
    if findings.entries:
        which = "what can be used" if errors else "it"
        print(f"To train on {which}, put this below 'extra:' of 'data' in params.yaml:")
    for entry in findings.entries:
        line = yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
        print(f"    - {line.strip()}")


def _film_of(path: Path) -> Path:
    """The sequence or video that a file or folder of boxes belongs to; what belongs to none as it is."""
    if path.name in ("gt.txt", "det.txt") and path.parent.name in ("gt", "det"):
        return path.parent.parent
    return video_of(path) or path


def _box_sets(path: Path, images: Path | None, kind: str | None) -> list[BoxSetPlace]:
    """The sets of images that a file or folder is; none where it is something else.

    Where nothing says that it is a set, whatever `data.source` can name is that rather than a set.
    """
    if not path.is_dir():
        known = is_video(path) or path.suffix.lower() == ".zip"
        if known or (not (images or kind) and _is_table(path)):
            return []
        place = box_set_of(path, images, kind)
        return [place] if place else []
    if not (images or kind) and _part_of_pipeline(path):
        return []
    here = box_sets_in(path, images, kind)
    if here or images:
        return here
    if kind is None and (has_recipe(path) or _holds_films(Tree.of_folder(path))):
        return []
    found = (coco_files(path, None) if kind is None else []) or box_sets_below(path, kind)
    if not found and kind in ("jde", "yolo") and next(path.glob("*.txt"), None):
        raise InputError(f"{path} holds labels without images: name the folder of those with --images.")
    return found


def _check_box_sets(places: Sequence[BoxSetPlace], classes: tuple[int | str, ...] | None, findings: Findings) -> None:
    """Judge every set; of several, each for itself, for the others may be better."""
    found: list[tuple[str, Path, Path]] = []
    for place in places:
        with findings.going_on(len(places) > 1):
            found.append((place.format, images_of(place), place.labels))
    names = names_of([(images, labels) for _, images, labels in found])
    for name, (kind, images, labels) in zip(names, found, strict=True):
        with findings.going_on(len(places) > 1):
            check_box_set(name, kind, images, labels, classes, findings)


def _examine(path: Path, findings: Findings) -> None:
    """Find out what a file or folder that is no set of images is, and judge it."""
    if not path.is_dir():
        if path.suffix.lower() == ".zip":
            check_zip(path, findings)
        elif is_video(path):
            check_video(path, findings)
        elif _is_table(path):
            _check_results(path, findings)
        else:
            with path.open("rb") as stream:
                told = foreign_file(stream.read(START))
            raise InputError(f"{path} is {told or f'nothing that is known here: expected {KNOWN}'}.")
        return
    if _part_of_pipeline(path):
        raise InputError(
            f"{path} is the pipeline's own: `dvc repro` writes there what it makes of 'data.source'; check that source "
            "instead."
        )
    zips = sorted(file for file in path.iterdir() if file.suffix.lower() == ".zip")
    tree = Tree.of_folder(path)
    films = _holds_films(tree)
    # Beside films only zips that the download stage would take in their place count.
    if has_recipe(path) or (zips and not films):
        check_zips_of(path, zips, findings)
    elif films or any(map(is_video, tree.members)):
        check_folder(tree, findings)
    elif tables := [file for file in sorted(path.glob("*.txt")) if _is_table(file)]:
        for file in tables:
            _check_results(file, findings)
    else:
        raise InputError(f"{path} holds nothing that is known here: expected {KNOWN}.")


def _holds_films(tree: Tree) -> bool:
    """Whether there are sequences, or videos with boxes; videos alone may be beside anything."""
    videos = (tree.root / name for name in tree.members if is_video(name))
    return bool(sequence_folders(tree.members)) or any(map(boxes_beside, videos))


def _part_of_pipeline(folder: Path) -> bool:
    """Whether a folder is `data/`, or one of those in there that the stages write, or of one benchmark in these."""

    def has(data: Path, kinds: Sequence[str], benchmarks: Sequence[str]) -> bool:
        return any((data / k / b / OF_THE_PIPELINE[k]).is_file() for k in kinds for b in benchmarks)

    return (
        has(folder, [*OF_THE_PIPELINE], BENCHMARKS)
        or (folder.name in OF_THE_PIPELINE and has(folder.parent, [folder.name], BENCHMARKS))
        or (
            folder.parent.name in OF_THE_PIPELINE
            and folder.name in BENCHMARKS
            and has(folder.parents[1], [folder.parent.name], [folder.name])
        )
    )


def _report_useless(options: Sequence[str], findings: Findings) -> None:
    """Tell of options that were given and mean nothing for these data."""
    if options:
        have = "has" if len(options) == 1 else "have"
        text = f"{joined(options)} {have} no effect: this is no set of images"
        findings.report(Problem("options", "", text, fatal=False))


def _is_table(path: Path) -> bool:
    """Whether the first row of a text file is numbers with commas between them, or the file is empty."""
    if path.suffix.lower() != ".txt":
        return False
    with path.open("rb") as stream:
        start = stream.read(4096).decode("utf-8-sig", errors="replace")
    first = next((line for line in start.splitlines() if line.strip()), None)
    return first is None or ("," in first and first.split(",")[0].strip().lstrip("-").isdigit())


def _check_results(path: Path, findings: Findings) -> None:
    data = read_bytes(path)
    # Rows that are all without an identity are a detector's: tracking takes them, and no one scores them.
    detections = judge_rows(data, str(path), DETECTIONS, lambda problem: None).known_identities() == 0
    table = judge_rows(data, str(path), DETECTIONS if detections else RESULTS, findings.report)
    if detections and len(table):
        text = "every identity is -1: these are detections, which can be tracked but not scored"
        findings.report(Problem("no identities", str(path), text, fatal=False))
    if not len(table.frame):
        findings.report(Problem("no rows", str(path), "holds no box", fatal=False))
    findings.use = " as results or detections"
    findings.summaries.append(
        Summary(path.stem, int(table.frame.max(initial=0)), len(table.frame), table.known_identities())
    )


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(user_path(path, Path.cwd())))
