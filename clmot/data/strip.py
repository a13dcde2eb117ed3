"""The identity wall: ground truth with identities goes in, boxes without identities come out.

What comes out depends on no identity: rows are chosen by frame, flag, class, size and visibility, ordered by
frame and box, and their identity column says -1. Nothing behind this wall can learn who is who.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clmot.errors import InputError
from clmot.files import staged_directory, write_json, write_text
from clmot.motchallenge.annotations import (
    UNKNOWN_IDENTITY,
    AnnotationTable,
    parse_ground_truth,
    read_detections,
    read_ground_truth,
)
from clmot.motchallenge.classes import ObjectClass, counted
from clmot.motchallenge.detection_files import file_of, usable_scores
from clmot.motchallenge.sequence import ManifestEntry, read_manifest
from clmot.motchallenge.splits import FrameRange, check_split, tracking_range, training_range

REPORT_FILE = "strip.json"
IDENTITIES_FILE = "identities.json"
HELD_OUT_FILE = "held_out.json"
REASONS = ("outside_split", "flag", "class", "degenerate", "visibility")
"""Why a row is dropped; a row with several reasons counts under the first of them. A detector's boxes have the flag
where their score is high enough. `degenerate` boxes have no width or no height."""
TRUTH, PUBLIC = "truth", "public"
"""Words of `strip.boxes`; anything else names a folder."""


@dataclass(frozen=True)
class DetectorBoxes:
    """A detector's boxes that train in place of the true ones; no ground truth is read for them."""

    source: str
    """`public`, or a folder of <sequence>.txt, as in `strip.boxes`."""
    min_score: float
    """Boxes scored below do not train."""
    frames_dir: Path
    """`data/frames/B`: its manifest knows the sequences without ground truth, too."""
    public_dir: Path
    """`data/detections/B`."""

    def read(self, entry: ManifestEntry) -> AnnotationTable:
        """The boxes of a sequence as visible pedestrians, those below `min_score` with flag 0.

        Raises:
            InputError: there is no such file, or it has a faulty row or frames that the film does not have.
        """
        path = self.public_dir / f"{entry.name}.txt"
        if self.source != PUBLIC:
            path = file_of(self.source, entry.name, "strip.boxes")
        elif not path.is_file():
            raise InputError(
                f"{path} does not exist, as the archive has no det/det.txt for {entry.name}: 'strip.boxes: public' "
                "needs one; choose other boxes."
            )
        table = read_detections(path)
        last = int(table.frame.max(initial=0))
        if last > entry.frames:
            raise InputError(f"{path} has boxes of frame {last}, but {entry.name} has {entry.frames} frames.")
        enough = usable_scores(table.confidence) >= self.min_score
        return dataclasses.replace(table, confidence=enough.astype(np.float64))


@dataclass(frozen=True)
class StrippedSequence:
    """What became of one sequence's rows."""

    frames: FrameRange | None
    """The frames that may train; None when the whole sequence is held out."""
    kept: int
    dropped: dict[str, int]
    """Reason -> rows, every reason in the order of `REASONS`."""


def strip_benchmark(
    gt_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    benchmark: str,
    split: str,
    validation_sequences: Sequence[str],
    classes: Iterable[int],
    min_visibility: float,
    *,
    benchmarks: Iterable[str] | None = None,
    identities_dir: str | os.PathLike[str] | None = None,
    keep_identities: bool = False,
    held_out_dir: str | os.PathLike[str] | None = None,
    held_out_identities: bool = False,
    detector: DetectorBoxes | None = None,
) -> dict[str, StrippedSequence]:
    """Write the training boxes of a benchmark, without identities, and the report of what was dropped.

    `out_dir/<seq>.txt` has rows `frame,-1,x,y,w,h,1,class,visibility` of the training frames (coordinates as
    in the ground truth), for every sequence with training frames; `out_dir/strip.json` has the report.

    Args:
        gt_dir: `data/gt/B`: `manifest.json` and `<seq>/gt.txt`.
        out_dir: `data/boxes/B`; replaced whole or not at all.
        split, validation_sequences: as in `data.split` and `data.validation_sequences`.
        classes: the MOTChallenge classes that are kept (MOT15's rows are all class 1).
        min_visibility: rows below it are dropped (MOT15 states none: all are visible).
        benchmarks: all benchmarks that take part, if there are more; only used to tell a held-out name of
            another benchmark from a misspelt one.
        identities_dir: `data/identities/B`; replaced whole or not at all. It holds `identities.json`, which says
            whether identities were kept, and only if they were, `<seq>.txt` with the identity of every row of
            `out_dir/<seq>.txt`. They are kept apart from the boxes so that boxes never change with them.
        keep_identities: opens the wall, for the supervised baseline.
        held_out_dir: `data/held_out/B`, for tracking from true boxes; replaced whole or not at all. It holds
            `<seq>.txt` for every sequence with tracked frames: rows as in `out_dir`, ordered by frame
            and box, of the boxes that evaluation counts in those frames (numbered within the film); and
            `held_out.json`, which says which frames and how many boxes. These do not depend on identities either.
        held_out_identities: whether those keep their identities after all, for a bound that looks at them.
        detector: whose boxes train; None: the true ones do.

    Returns:
        Sequence name -> what became of its rows, sorted by name.

    Raises:
        InputError: the ground truth is absent or has a faulty row, the split is impossible, no box is left, or
            identities are to be kept where there are none.
    """
    gt_dir = Path(gt_dir)
    known = read_manifest(gt_dir)
    entries = known if detector is None else read_manifest(detector.frames_dir)
    check_split({benchmark: entries}, split, validation_sequences, benchmarks=benchmarks)
    wanted = np.array(sorted(classes), np.int64)
    report: dict[str, StrippedSequence] = {}
    texts: dict[str, str] = {}
    labels: dict[str, str] = {}
    held_out: dict[str, tuple[FrameRange, AnnotationTable]] = {}
    for entry in entries:
        frames = training_range(entry.name, entry.frames, entry.subset, split, validation_sequences)
        table = AnnotationTable.empty()
        if entry in known:
            # Whether identities are unique is the business of those who use them.
            table = read_ground_truth(
                gt_dir / entry.name / "gt.txt", length=entry.frames, unique_identities=keep_identities
            )
        if detector is None:
            kept, dropped = _select(table, frames, wanted, min_visibility)
        else:
            found = AnnotationTable.empty() if frames is None else detector.read(entry)
            kept, dropped = _select(found, frames, np.array([ObjectClass.PEDESTRIAN]), 0.0)
        report[entry.name] = StrippedSequence(frames, len(kept), dropped)
        if keep_identities and (kept.identity == UNKNOWN_IDENTITY).any():
            raise InputError(
                f"{gt_dir / entry.name / 'gt.txt'} has training boxes without identities (-1), which the supervised "
                "baseline would take for one person: label them, or set 'strip.keep_identities: false'."
            )
        if frames is not None:
            texts[entry.name] = _rows(kept)
            labels[entry.name] = "".join(f"{identity}\n" for identity in kept.identity.tolist())
        tracked = tracking_range(entry.name, entry.frames, entry.subset, split, validation_sequences)
        if tracked is not None and entry in known:
            scored = table.select(counted(table.confidence, table.category, benchmark))
            held_out[entry.name] = (tracked, scored.in_frames(tracked.first, tracked.last).sorted_by_box())
    if texts and not any(sequence.kept for sequence in report.values()):
        total = sum(sum(sequence.dropped.values()) for sequence in report.values())
        raise InputError(
            f"none of the {total} boxes of {benchmark} is left by 'strip.classes: {wanted.tolist()}' and "
            f"'strip.min_visibility: {min_visibility:g}': loosen them, or take {benchmark} out of "
            "'data.benchmarks'."
        )
    # All are finished before the first takes its place, so that a stage that dies leaves none.
    with contextlib.ExitStack() as outs:
        out = outs.enter_context(staged_directory(out_dir))
        for name, text in texts.items():
            write_text(out / f"{name}.txt", text)
        write_json(out / REPORT_FILE, _report_json(benchmark, report))
        if identities_dir is not None:
            beside = outs.enter_context(staged_directory(identities_dir))
            write_json(beside / IDENTITIES_FILE, {"benchmark": benchmark, "kept": keep_identities})
            for name, text in labels.items() if keep_identities else ():
                write_text(beside / f"{name}.txt", text)
        if held_out_dir is not None:
            _write_held_out(
                outs.enter_context(staged_directory(held_out_dir)), benchmark, held_out, held_out_identities
            )
    return report


def read_training_boxes(path: str | os.PathLike[str]) -> AnnotationTable:
    """Read a file of `data/boxes`: rows ordered by frame and box, every identity -1. It may be empty.

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
    """The identities (rows,) of a box file, from a file of `data/identities` that the opened wall let through.

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
    """The training frames of each sequence of `data/boxes/B`, sorted by name, without the held-out ones.

    Raises:
        InputError: the report is absent or damaged.
    """
    path = Path(directory) / REPORT_FILE
    try:
        sequences = json.loads(path.read_bytes())["sequences"]
        ranges = {
            str(name): FrameRange(*map(int, sequence["frames"]))
            for name, sequence in sorted(sequences.items())
            if sequence["frames"] is not None
        }
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: run the strip stage (`dvc repro`) first.") from None
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        raise InputError(f"{path} is not a report of the strip stage: run the stage again.") from None
    return ranges


def _select(
    table: AnnotationTable, frames: FrameRange | None, classes: np.ndarray, min_visibility: float
) -> tuple[AnnotationTable, dict[str, int]]:
    """The rows that train, and for every reason how many it dropped."""
    if frames is None:
        outside = np.ones(len(table), bool)
    else:
        outside = (table.frame < frames.first) | (table.frame > frames.last)
    tests = {
        "outside_split": outside,
        "flag": table.confidence == 0,
        "class": ~np.isin(table.category, classes),
        "degenerate": (table.box[:, 2:] <= 0).any(axis=1),
        "visibility": table.visibility < min_visibility,
    }
    left = np.ones(len(table), bool)
    dropped = {}
    for reason in REASONS:
        dropped[reason] = int((left & tests[reason]).sum())
        left &= ~tests[reason]
    return table.select(left).sorted_by_box(), dropped


def _rows(table: AnnotationTable, identities: bool = False) -> str:
    """The text of a box file; every number in the shortest form that reads back as the same."""
    columns = zip(
        table.frame.tolist(),
        table.identity.tolist() if identities else [UNKNOWN_IDENTITY] * len(table),
        *(map(_shortest, column) for column in table.box.T.tolist()),
        table.category.tolist(),
        map(_shortest, table.visibility.tolist()),
        strict=True,
    )
    return "".join(
        f"{frame},{identity},{x},{y},{w},{h},1,{category},{visibility}\n"
        for frame, identity, x, y, w, h, category, visibility in columns
    )


def _write_held_out(
    out: Path, benchmark: str, held_out: dict[str, tuple[FrameRange, AnnotationTable]], identities: bool
) -> None:
    """Write the boxes of the tracked frames into an empty folder."""
    for name, (_, table) in held_out.items():
        write_text(out / f"{name}.txt", _rows(table, identities))
    sequences = {
        name: {"frames": [frames.first, frames.last], "boxes": len(table)} for name, (frames, table) in held_out.items()
    }
    write_json(out / HELD_OUT_FILE, {"benchmark": benchmark, "sequences": sequences})


def _shortest(value: float) -> str:
    whole = int(value)
    return str(whole) if whole == value else repr(value)


def _report_json(benchmark: str, report: dict[str, StrippedSequence]) -> dict[str, object]:
    return {
        "benchmark": benchmark,
        "sequences": {
            name: {
                "frames": [sequence.frames.first, sequence.frames.last] if sequence.frames else None,
                "kept": sequence.kept,
                "dropped": sequence.dropped,
            }
            for name, sequence in report.items()
        },
    }
