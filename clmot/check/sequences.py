"""Sequences in MOTChallenge's layout, in a folder or a zip."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np

from clmot.archives.benchmark_layout import GROUND_TRUTH_FILE
from clmot.archives.extract import DETECTIONS_FILE
from clmot.check.findings import Summary
from clmot.check.tree import Folder, Tree
from clmot.errors import InputError
from clmot.files import IMAGE_SUFFIXES
from clmot.labels.box_set import unreadable
from clmot.labels.pictures import UnreadablePicture, picture_size
from clmot.motchallenge.annotations import DETECTIONS, GROUND_TRUTH, AnnotationTable, judge_rows
from clmot.motchallenge.classes import ObjectClass
from clmot.motchallenge.sequence import IMAGE_DIR, SEQINFO_FILE, SequenceInfo, frame_name, parse_seqinfo
from clmot.problems import Problem, Report
from clmot.progress import progress
from clmot.wording import runs

SAMPLES = 20
"""Images of a sequence or set that are decoded; of the others the header and the end are looked at."""


@dataclasses.dataclass(frozen=True)
class Copies:
    """What a sequence need not have itself, as the copies of its film beside it have it (MOT17 has up to three, and the
    frames of MOT16)."""

    frames: bool = False
    """Some copy has frames."""
    truth: bool = False
    """Some copy has the ground truth, or none is needed: it is a test sequence."""
    frames_only: bool = False
    """The tables of this one are not read."""


def check_sequence(tree: Tree, folder: str, report: Report, copies: Copies | None = None) -> Summary:
    """Judge one sequence: seqinfo.ini, frames, ground truth, detections.

    Args:
        tree: where it is.
        folder: its folder in there; "" is the root itself.
        report: told of every fault.
        copies: what is beside it; None: nothing.
    """
    copies = copies or Copies()
    prefix = f"{folder}/" if folder else ""
    members = {name[len(prefix) :] for name in tree.names if name.startswith(prefix)}
    where = tree.where(folder)

    def read(file: str) -> bytes | None:
        if file not in members:
            return None
        try:
            with tree.open(prefix + file) as stream:
                return stream.read()
        except InputError as error:
            report(Problem("damaged", "", str(error)))
            return None

    info = _info(read(SEQINFO_FILE), tree.where(prefix + SEQINFO_FILE), report)
    directory = info.image_dir if info else IMAGE_DIR
    numbers, extension = _numbered(members, directory, info, where, report)
    sizes = _look_at_frames(tree, prefix, directory, extension, numbers, info, report)
    size = max(sizes, key=lambda s: sizes[s]) if sizes else (info.width, info.height) if info else None
    length = info.length if info else max(numbers, default=0)

    if copies.frames_only:
        members = {name for name in members if name not in (GROUND_TRUTH_FILE, DETECTIONS_FILE)}
    truth = read(GROUND_TRUTH_FILE)
    last: int | None = None
    table: AnnotationTable | None = None
    name = tree.where(prefix + GROUND_TRUTH_FILE)
    if truth is None:
        if GROUND_TRUTH_FILE not in members and not copies.truth:
            text = (
                f"there is no {GROUND_TRUTH_FILE}, which train sequences need: add it, or put the sequence into test/"
            )
            report(Problem("no ground truth", where, text))
    elif not truth.strip():
        report(Problem("no ground truth", name, "is empty: expected a row for every box of the sequence"))
    else:
        table = judge_rows(truth, name, GROUND_TRUTH, report, length=length or None, size=size)
        last = int(table.frame.max(initial=0))
        report_no_people(table, name, report)
    detections = read(DETECTIONS_FILE)
    if detections is not None:
        _check_detections(detections, tree.where(prefix + DETECTIONS_FILE), length or None, report)
    if numbers or not copies.frames:
        _check_numbers(numbers, length, last, f"{where}: {directory}", extension, report)
    classes: Counter[str] = Counter()
    if table is not None:
        counts = Counter(table.category.tolist())
        classes.update({ObjectClass(number).name.lower(): counts[number] for number in counts})
    return Summary(
        folder.rpartition("/")[2] or tree.root.name,
        length,
        len(table.frame) if table else 0,
        table.known_identities() if table else 0,
        classes,
        sizes,
        info.frame_rate if info else None,
    )


def sampled(count: int) -> set[int]:
    """Positions of at most `SAMPLES` of `count` things, evenly spaced, the first and the last among them."""
    return set(np.linspace(0, count - 1, min(count, SAMPLES)).round().astype(int).tolist()) if count else set()


def decodes(data: bytes) -> bool:
    """Whether the content of an image file can be turned into pixels."""
    try:
        return bool(data) and cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
    except cv2.error:  # its header announces more pixels than OpenCV opens
        return False


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _info(data: bytes | None, where: str, report: Report) -> SequenceInfo | None:
    if data is None:
        text = "does not exist: the frame rate is unknown, and the length is taken from the frames"
        report(Problem("no seqinfo.ini", where, text, fatal=False))
        return None
    try:
        return parse_seqinfo(data, where)
    except InputError as error:
        report(Problem("faulty seqinfo.ini", "", str(error)))
        return None


def _numbered(
    members: set[str], directory: str, info: SequenceInfo | None, where: str, report: Report
) -> tuple[list[int], str]:
    """Numbers of the frames that are there under their proper names, sorted, and their extension."""
    files = [name[len(directory) + 1 :] for name in members if name.startswith(f"{directory}/")]
    images = sorted(file for file in files if _is_image(file) or (info and file.endswith(info.extension)))
    if info:
        extension = info.extension
    else:
        suffixes = Counter(file[file.rfind(".") :] for file in images)
        extension = max(sorted(suffixes), key=lambda suffix: suffixes[suffix], default=".jpg")
    proper = re.compile(rf"(\d{{6}}){re.escape(extension)}")
    for file in images:
        if not proper.fullmatch(file):
            text = f"is not named like {frame_name(1, extension)}; it is not used"
            report(Problem("name of a frame", f"{where}: {directory}/{file}", text, fatal=False))
    return [int(match.group(1)) for match in map(proper.fullmatch, images) if match], extension


def _look_at_frames(
    tree: Tree,
    prefix: str,
    directory: str,
    extension: str,
    numbers: Sequence[int],
    info: SequenceInfo | None,
    report: Report,
) -> Counter[tuple[int, int]]:
    """(Width, height) -> frames."""
    sizes: Counter[tuple[int, int]] = Counter()
    samples = sampled(len(numbers))
    shown = progress(numbers, f"check {prefix.rstrip('/') or tree.root.name}", total=len(numbers), unit="frame")
    for position, number in enumerate(shown):
        name = f"{prefix}{directory}/{frame_name(number, extension)}"
        try:
            with tree.open(name) as stream:
                size = picture_size(stream, tree.root / name if isinstance(tree, Folder) else None)
                if position in samples:
                    stream.seek(0)
                    if not decodes(stream.read()):
                        raise UnreadablePicture("cannot be decoded")
        except UnreadablePicture as error:
            report(unreadable(tree.where(name), error))
            continue
        except InputError as error:
            report(Problem("damaged", "", str(error)))
            continue
        sizes[size] += 1
        if info and size != (info.width, info.height):
            text = f"is {size[0]}x{size[1]} but {SEQINFO_FILE} says {info.width}x{info.height}; the image is believed"
            report(Problem("image size", tree.where(name), text, fatal=False))
    return sizes


def _check_numbers(
    numbers: Sequence[int], length: int, last_row: int | None, where: str, extension: str, report: Report
) -> None:
    """Frames that are missing, or that nobody expects. `last_row`: the last labelled frame; None: nothing is
    labelled."""
    if not numbers:
        text = f"holds no frame: expected {frame_name(1, extension)} and so on"
        report(Problem("no frames", where, text))
        return
    if numbers[0] == 0:
        text = f"{frame_name(0, extension)} is left out: frames are numbered from 1"
        report(Problem("frame 0", where, text, fatal=False))
    for first, last in runs(sorted(set(range(1, length + 1)) - set(numbers))):
        names, do = _names(first, last, extension), "does" if first == last else "do"
        if last == length and last_row is not None and last_row < first:
            text = f"{names} of {length} announced frames {do} not exist, nor are any boxes there; taken as the end"
            report(Problem("missing end", where, text, fatal=False))
        else:
            text = f"{names} {do} not exist, but the sequence has {length} frames"
            report(Problem("missing frames", where, text))
    for first, last in runs(number for number in numbers if number > length):
        names, are = _names(first, last, extension), "is" if first == last else "are"
        text = f"{names} {are} beyond the {length} frames that {SEQINFO_FILE} announces; left out"
        report(Problem("frames beyond length", where, text, fatal=False))


def _names(first: int, last: int, extension: str) -> str:
    """How to call the files of a run of frames."""
    to = f" to {frame_name(last, extension)}" if last > first else ""
    return frame_name(first, extension) + to


def report_no_people(table: AnnotationTable, name: str, report: Report) -> None:
    """Report (mildly: other sequences may have some) that no row of a ground truth is a person."""
    if not table.people().any():
        text = "no row is a person (class 1, flag not 0): there is nothing to train on or to score"
        report(Problem("no people", name, text, fatal=False))


def _check_detections(data: bytes, name: str, length: int | None, report: Report) -> None:
    """Nothing but `track.detections: public` reads them, so no fault of theirs is fatal."""

    def mild(problem: Problem) -> None:
        text = problem.text + " (only 'track.detections: public' reads this file)"
        report(dataclasses.replace(problem, kind=f"detections: {problem.kind}", text=text, fatal=False))

    judge_rows(data, name, DETECTIONS, mild, length=length)
