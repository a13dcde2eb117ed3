"""`data/training/B`: all that training sees of a benchmark.

    strip.json           the films that train: which frames, and what became of their boxes
    SEQ/seqinfo.ini      of the frames that train alone
    SEQ/img1/000001.jpg  the frames that train: hard links into data/frames, so that they fill no disk twice
    SEQ/boxes.txt        a box a line, by frame and box: frame,-1,x,y,w,h,1,class,visibility (from 1, as in gt.txt)
    SEQ/forgiven.txt     likewise, with flag 0: where finding someone is no mistake (`TrackedKind.forgiven`)

No identity and no held-out frame changes a byte of it. The identities of the supervised baseline, and of it alone, are
in `data/identities/B/SEQ.txt`, one for every line of boxes.txt.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clmot.errors import InputError
from clmot.files import link_files, write_json, write_text
from clmot.motchallenge.annotations import UNKNOWN_IDENTITY, AnnotationTable, parse_ground_truth
from clmot.motchallenge.sequence import SEQINFO_FILE, image_path, read_seqinfo, write_seqinfo
from clmot.motchallenge.splits import FrameRange

REPORT_FILE = "strip.json"
BOXES_FILE = "boxes.txt"
FORGIVEN_FILE = "forgiven.txt"
REASONS = ("outside_split", "flag", "class", "degenerate", "visibility")
"""Why a row is dropped; a row with several reasons counts under the first of them. A detector's boxes have the flag
where their score is high enough. `degenerate` boxes have no width or no height."""


@dataclass(frozen=True)
class StrippedSequence:
    """What became of one sequence's rows."""

    frames: FrameRange | None
    """The frames that may train; None when the whole sequence is held out."""
    kept: int
    dropped: dict[str, int]
    """Reason -> rows, every reason in the order of `REASONS`."""


def write_training_folder(
    out: Path,
    frames_dir: Path,
    benchmark: str,
    report: Mapping[str, StrippedSequence],
    boxes: Mapping[str, str],
    forgiven: Mapping[str, str],
) -> None:
    """Fill an empty folder.

    Args:
        out: where to write.
        frames_dir: `data/frames/B`.
        benchmark: `MOT15`, `MOT17` or `MOT20`.
        report: what became of every sequence's rows; only what concerns training frames is written.
        boxes, forgiven: the texts of boxes.txt and forgiven.txt of every sequence that trains.

    Raises:
        InputError: a frame is missing, or the disk is too small for frames that have to be copied.
    """
    links = []
    for name in boxes:
        source, target = frames_dir / name, out / name
        frames = report[name].frames
        assert frames is not None
        info = read_seqinfo(source / SEQINFO_FILE)
        (target / info.image_dir).mkdir(parents=True)
        write_seqinfo(target / SEQINFO_FILE, dataclasses.replace(info, length=frames.last))
        write_text(target / BOXES_FILE, boxes[name])
        write_text(target / FORGIVEN_FILE, forgiven[name])
        links += [(image, target / info.image_dir / image.name) for image in existing_images(source, frames)]
    link_files(links, f"frames of {benchmark} that train")
    sequences = {
        name: {
            "frames": [sequence.frames.first, sequence.frames.last],
            "kept": sequence.kept,
            # How many rows lie beyond the training frames is no business of training.
            "dropped": {reason: n for reason, n in sequence.dropped.items() if reason != REASONS[0]},
        }
        for name, sequence in report.items()
        if sequence.frames is not None
    }
    write_json(out / REPORT_FILE, {"benchmark": benchmark, "sequences": sequences})


def existing_images(directory: Path, frames: FrameRange) -> list[Path]:
    """The images of a sequence's frames, in order.

    Raises:
        InputError: one is missing, or there is no seqinfo.ini.
    """
    info = read_seqinfo(directory / SEQINFO_FILE)
    # Asked of the folder once: a frame that is missing shall cost seconds, not the hours until it is drawn.
    try:
        there = set(os.listdir(directory / info.image_dir))
    except (FileNotFoundError, NotADirectoryError):
        there = set()
    images = [image_path(directory, info, number) for number in frames]
    missing = next((image for image in images if image.name not in there), None)
    if missing is not None:
        raise InputError(f"{missing} is missing: delete {directory.parent} and run `dvc repro`.")
    return images


def read_training_boxes(path: str | os.PathLike[str]) -> AnnotationTable:
    """Read a boxes.txt or forgiven.txt: rows ordered by frame and box, every identity -1. It may be empty.

    Raises:
        InputError: the file is absent, a row is faulty, or a row has an identity.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): run the strip stage (`dvc repro`) first."
        ) from None
    if not data.strip():
        return AnnotationTable.empty()
    table = parse_ground_truth(data, str(path))
    if (table.identity != UNKNOWN_IDENTITY).any():
        raise InputError(f"{path} has rows with identities, which training must not see: run the strip stage.")
    return table.sorted_by_box()


def read_identities(path: str | os.PathLike[str], rows: int) -> NDArray[np.int64]:
    """The identities (rows,) of a boxes.txt, from a file of `data/identities` that the opened wall let through.

    Raises:
        InputError: the file is absent, or does not have a whole number for each of `rows` boxes.
    """
    try:
        lines = Path(path).read_text(encoding="ascii").split()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): the supervised baseline needs 'strip.keep_identities: "
            "true', and then the strip stage."
        ) from None
    except UnicodeDecodeError:
        lines = ["?"]
    try:
        identities = np.array(lines, np.int64).reshape(rows)
    except (ValueError, OverflowError):
        raise InputError(
            f"{path} should hold one whole number for each of {rows} boxes: run the strip stage again."
        ) from None
    return identities


def read_strip_report(directory: str | os.PathLike[str]) -> dict[str, FrameRange]:
    """The training frames of each sequence of `data/training/B`, sorted by name.

    Raises:
        InputError: the report is absent or damaged.
    """
    path = Path(directory) / REPORT_FILE
    try:
        sequences = json.loads(path.read_bytes())["sequences"]
        ranges = {str(name): FrameRange(*map(int, sequence["frames"])) for name, sequence in sorted(sequences.items())}
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: run the strip stage (`dvc repro`) first.") from None
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        raise InputError(f"{path} is not a report of the strip stage: run the stage again.") from None
    return ranges
