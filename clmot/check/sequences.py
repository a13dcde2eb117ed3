"""Sequences in MOTChallenge's layout, in a folder or a zip."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import BinaryIO

from clmot.archives.benchmark_layout import CLASSES_FILE, GROUND_TRUTH_FILE
from clmot.archives.entries import Entry, Tree
from clmot.archives.extract import DETECTIONS_FILE, frames_instead
from clmot.check.findings import Summary
from clmot.check.project import project_kind
from clmot.errors import InputError
from clmot.labels.box_set import unreadable
from clmot.motchallenge.annotations import DETECTIONS, GROUND_TRUTH, AnnotationTable, judge_rows
from clmot.motchallenge.classes import ObjectClass
from clmot.motchallenge.frame_names import FrameFiles, frame_files
from clmot.motchallenge.meaning import class_numbers, ends_early, of_stated_size, unlabelled_between
from clmot.motchallenge.sequence import IMAGE_DIR, SEQINFO_FILE, SequenceInfo, parse_seqinfo
from clmot.pictures import UnreadablePicture, check_picture, other_size
from clmot.problems import Problem, Report
from clmot.progress import progress
from clmot.wording import runs


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


def check_sequence(
    tree: Tree, folder: str, report: Report, copies: Copies | None = None, classes: Sequence[int | str] = ()
) -> Summary:
    """Judge one sequence: seqinfo.ini, frames, ground truth, detections.

    Args:
        tree: where it is.
        folder: its folder in there; "" is the root itself.
        report: told of every fault.
        copies: what is beside it; None: nothing.
        classes: of a labels.txt, those that are tracked; empty: that of people.
    """
    copies = copies or Copies()
    sequence = _Sequence(tree, folder, tree.below(folder), report, classes)
    info = _info(sequence)
    files = _frames(sequence, info)
    sizes = _look_at_frames(sequence, info, files)
    size = max(sizes, key=lambda s: sizes[s]) if sizes else (info.width, info.height) if info else None
    length = info.length if info else files.last
    table = None if copies.frames_only else _check_truth(sequence, length or None, size, copies.truth)
    if table is not None and info is not None and size is not None:
        fault = of_stated_size(table.box - [1, 1, 0, 0], (info.width, info.height), size)
        if fault is not None:
            report(Problem("units", sequence.where(GROUND_TRUTH_FILE), fault))
    detections = None if copies.frames_only else sequence.read(DETECTIONS_FILE)
    if detections is not None:
        _check_detections(detections, sequence.where(DETECTIONS_FILE), length or None, report)
    if files.names or not copies.frames:
        last_row = None if table is None else int(table.frame.max(initial=0))
        if files.names:
            _check_numbers(files, length, last_row, _place_of_frames(sequence, info), report)
        else:
            instead = frames_instead(sequence.members, info.image_dir if info else IMAGE_DIR)
            text = f"holds no frame: {instead or f'expected {files.called(1)} and so on'}"
            report(Problem("no frames", _place_of_frames(sequence, info), text))
    counts = Counter([] if table is None else table.category.tolist())
    return Summary(
        folder.rpartition("/")[2] or tree.root.name,
        length,
        0 if table is None else len(table),
        0 if table is None else table.known_identities(),
        Counter({ObjectClass(number).name.lower(): counts[number] for number in counts}),
        sizes,
        info.frame_rate if info else None,
    )


@dataclasses.dataclass(frozen=True)
class _Sequence:
    """What is judged, and who is told."""

    tree: Tree
    folder: str
    members: dict[str, Entry]
    """Path below the folder -> file."""
    report: Report
    classes: Sequence[int | str]

    def where(self, file: str) -> str:
        """How to call a file of it in messages."""
        return self.tree.where(f"{self.folder}/{file}" if self.folder else file)

    def open(self, file: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """A file of it for reading."""
        return self.tree.open(f"{self.folder}/{file}" if self.folder else file)

    def read(self, file: str) -> bytes | None:
        """The content of a file; None where there is none, or, with a problem, it cannot be read."""
        if file not in self.members:
            return None
        try:
            return self.members[file].read()
        except InputError as error:
            self.report(Problem("damaged", "", str(error)))
            return None


def _check_truth(
    sequence: _Sequence, length: int | None, size: tuple[int, int] | None, not_needed: bool
) -> AnnotationTable | None:
    """The usable rows of the ground truth; None where there is none."""
    truth, name = sequence.read(GROUND_TRUTH_FILE), sequence.where(GROUND_TRUTH_FILE)
    if truth is None:
        if GROUND_TRUTH_FILE not in sequence.members and not not_needed:
            text = (
                f"there is no {GROUND_TRUTH_FILE}, which train sequences need: add it, or put the sequence into test/"
            )
            sequence.report(Problem("no ground truth", sequence.tree.where(sequence.folder), text))
        return None
    labels, file = sequence.read(CLASSES_FILE), sequence.where(CLASSES_FILE)
    classes = None if labels is None else class_numbers(labels, file, sequence.report, sequence.classes)
    table = judge_rows(truth, name, GROUND_TRUTH, sequence.report, length=length, size=size, classes=classes)
    if len(table):
        report_no_people(table, name, sequence.report)
        early = ends_early(table.frame, length or 0)
        if early is not None:
            sequence.report(Problem("labels end early", name, early, fatal=False))
        gaps = unlabelled_between(table.frame, length or 0)
        if gaps is not None:
            sequence.report(Problem("frames without labels", name, gaps))
    return table


def _info(sequence: _Sequence) -> SequenceInfo | None:
    data, where = sequence.read(SEQINFO_FILE), sequence.where(SEQINFO_FILE)
    if data is None:
        text = "does not exist: the frame rate is unknown, and the length is taken from the frames"
        sequence.report(Problem("no seqinfo.ini", where, text, fatal=False))
        return None
    try:
        return parse_seqinfo(data, where)
    except InputError as error:
        sequence.report(Problem("faulty seqinfo.ini", "", str(error)))
        return None


def _place_of_frames(sequence: _Sequence, info: SequenceInfo | None) -> str:
    return f"{sequence.tree.where(sequence.folder)}: {info.image_dir if info else IMAGE_DIR}"


def _frames(sequence: _Sequence, info: SequenceInfo | None) -> FrameFiles:
    prefix = f"{info.image_dir if info else IMAGE_DIR}/"
    inside = [name[len(prefix) :] for name in sequence.members if name.startswith(prefix)]
    where = _place_of_frames(sequence, info)
    extension, length = (info.extension, info.length) if info else (None, None)
    return frame_files(inside, where, sequence.report, extension, length)


def _look_at_frames(sequence: _Sequence, info: SequenceInfo | None, files: FrameFiles) -> Counter[tuple[int, int]]:
    """(Width, height) -> frames."""
    sizes: Counter[tuple[int, int]] = Counter()
    report, total = sequence.report, len(files.names)
    title = f"check {sequence.folder or sequence.tree.root.name}"
    for name in progress(files.names.values(), title, total=total, unit="frame"):
        file = f"{info.image_dir if info else IMAGE_DIR}/{name}"
        try:
            with sequence.open(file) as stream:
                size = check_picture(stream.read())
        except UnreadablePicture as error:
            report(unreadable(sequence.where(file), error))
            continue
        except InputError as error:
            report(Problem("damaged", "", str(error)))
            continue
        first = next(iter(sizes), size)
        if size != first:
            report(Problem("image size", sequence.where(file), other_size(size, first)))
        elif not sizes and info and size != (info.width, info.height):
            text = f"is {size[0]}x{size[1]} but {SEQINFO_FILE} says {info.width}x{info.height}; the image is believed"
            report(Problem("image size", sequence.where(file), text, fatal=False))
        sizes[size] += 1
    return sizes


def _check_numbers(files: FrameFiles, length: int, last_row: int | None, where: str, report: Report) -> None:
    """Frames that are missing, or that no one expects. `last_row`: the last labelled frame; None: nothing is
    labelled."""
    for first, last in runs(files.missing(length)):
        names, do = _names(first, last, files), "does" if first == last else "do"
        if last == length and last_row is not None and last_row < first:
            text = f"{names} of {length} announced frames {do} not exist, nor are any boxes there; taken as the end"
            report(Problem("missing end", where, text, fatal=False))
        else:
            text = f"{names} {do} not exist, but the sequence has {length} frames"
            report(Problem("missing frames", where, text))
    for first, last in runs(number for number in files.names if number > length):
        names, are = _names(first, last, files), "is" if first == last else "are"
        text = f"{names} {are} beyond the {length} frames that {SEQINFO_FILE} announces; left out"
        report(Problem("frames beyond length", where, text, fatal=False))


def _names(first: int, last: int, files: FrameFiles) -> str:
    """How to call the files of a run of frames."""
    return files.called(first) + (f" to {files.called(last)}" if last > first else "")


def report_no_people(table: AnnotationTable, name: str, report: Report) -> None:
    """Report (mildly: other sequences may have some) that no row of a ground truth is what is tracked."""
    kind = project_kind()
    if not table.tracked(kind).any():
        which = "a person (class 1, flag not 0)" if kind.official else f"of class {kind} and to be considered"
        text = f"no row is {which}: there is nothing to train on or to score"
        report(Problem("no people", name, text, fatal=False))


def _check_detections(data: bytes, name: str, length: int | None, report: Report) -> None:
    """Nothing but `track.detections: public` reads them, so no fault of theirs is fatal."""

    def mild(problem: Problem) -> None:
        text = problem.text + " (only 'track.detections: public' reads this file)"
        report(dataclasses.replace(problem, kind=f"detections: {problem.kind}", text=text, fatal=False))

    judge_rows(data, name, DETECTIONS, mild, length=length)
