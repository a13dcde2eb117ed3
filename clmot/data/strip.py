"""The identity wall: ground truth with identities goes in, boxes without identities come out.

What comes out depends on no identity: rows are chosen by frame, flag, class, size and visibility, ordered by
frame and box, and their identity column says -1. Nothing behind this wall can learn who is who.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clmot.data.training_folder import REASONS, StrippedSequence, write_training_folder
from clmot.errors import InputError
from clmot.files import staged_directory, write_json, write_text
from clmot.motchallenge.annotations import (
    UNKNOWN_IDENTITY,
    AnnotationTable,
    read_detections,
    read_ground_truth,
)
from clmot.motchallenge.classes import PEDESTRIANS, TrackedKind
from clmot.motchallenge.detection_files import file_of, usable_scores
from clmot.motchallenge.sequence import ManifestEntry, read_manifest, write_manifest
from clmot.motchallenge.splits import FrameRange, Split, check_split
from clmot.params import StripParams
from clmot.tables import plain_table

IDENTITIES_FILE = "identities.json"
HELD_OUT_FILE = "held_out.json"
TRUTH, PUBLIC = "truth", "public"
"""Words of `strip.boxes`; anything else names a folder."""


@dataclass(frozen=True)
class DetectorBoxes:
    """A detector's boxes that train in place of the true ones; no ground truth is read for them."""

    source: str
    """`public`, or a folder of <sequence>.txt, as in `strip.boxes`."""
    min_score: float
    """Boxes scored below do not train."""
    public_dir: Path
    """`data/detections/B`."""

    def read(self, entry: ManifestEntry) -> AnnotationTable:
        """The boxes of a sequence as visible pedestrians, those below `min_score` with flag 0.

        Raises:
            InputError: there is no such file, or it has a faulty row or frames that the film does not have.
        """
        path, size = self.public_dir / f"{entry.name}.txt", None
        if self.source != PUBLIC:
            path, size = file_of(self.source, entry.name, "strip.boxes"), (entry.width, entry.height)
        elif not path.is_file():
            raise InputError(
                f"{path} does not exist, as the archive has no det/det.txt for {entry.name}: 'strip.boxes: public' "
                "needs one; choose other boxes."
            )
        table = read_detections(path, size)
        last = int(table.frame.max(initial=0))
        if last > entry.frames:
            raise InputError(f"{path} has boxes of frame {last}, but {entry.name} has {entry.frames} frames.")
        enough = usable_scores(table.confidence) >= self.min_score
        return dataclasses.replace(table, confidence=enough.astype(np.float64))


@dataclass
class _Stripped:
    """What is known of the sequences so far, by name."""

    report: dict[str, StrippedSequence] = field(default_factory=dict)
    boxes: dict[str, str] = field(default_factory=dict)
    forgiven: dict[str, str] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    held_out: dict[str, tuple[FrameRange, AnnotationTable]] = field(default_factory=dict)
    considered: Counter[int] = field(default_factory=Counter)
    """Class -> true boxes with a flag that is not 0."""
    excluded: Counter[int] = field(default_factory=Counter)
    """Class -> the others."""


def strip_benchmark(
    data_dir: str | os.PathLike[str],
    benchmark: str,
    split: Split,
    params: StripParams,
    benchmarks: Iterable[str] | None = None,
) -> dict[str, StrippedSequence]:
    """Write what training may see of a benchmark, and what the split holds out, without identities.

    Reads `gt/B`, `frames/B` and, where a detector's boxes train, `detections/B`. Writes three folders, all of them
    whole or none:

    - `training/B`, see `clmot.data.training_folder`;
    - `identities/B`: identities.json, which says whether identities were kept, and only if they were, `<seq>.txt` with
      the identity of every training box. They are apart from the boxes so that boxes never change with them;
    - `held_out/B`, for tracking from true boxes: `<seq>.txt` for every sequence with ground truth and tracked frames,
      rows as in `training/B`, of the boxes that evaluation counts in those frames (numbered within the film; they keep
      their identities only with `strip.held_out_identities`, for a bound that looks at them); held_out.json, which says
      which frames and how many boxes; and the manifest of all sequences, from which `index` sees that no film both
      trains and is tracked.

    No identity changes a byte of the first, nor of the last unless it keeps them; no held-out frame changes a byte of
    the first.

    Args:
        data_dir: `data`.
        benchmark: `MOT15`, `MOT17` or `MOT20`.
        split: which frames train, and which are held out.
        params: which boxes train; whether the wall is open.
        benchmarks: all benchmarks that take part, if there are more; only used to tell a held-out name of
            another benchmark from a misspelt one.

    Returns:
        Sequence name -> what became of its rows, sorted by name.

    Raises:
        InputError: the ground truth is absent or has a faulty row, a frame is missing, the split is impossible, no box
            is left, or identities are to be kept where there are none.
    """
    data_dir = Path(data_dir)
    given = DetectorBoxes(params.boxes, params.min_score, data_dir / "detections" / benchmark)
    detector = given if params.boxes != TRUTH else None
    known, everything = (read_manifest(data_dir / kind / benchmark) for kind in ("gt", "frames"))
    entries = known if detector is None else everything
    check_split({benchmark: entries}, split, benchmarks=benchmarks)
    found = _Stripped()
    for entry in entries:
        table = AnnotationTable.empty()
        if entry in known:
            path = data_dir / "gt" / benchmark / entry.name / "gt.txt"
            # Whether identities are unique is the business of those who use them.
            table = read_ground_truth(path, length=entry.frames, unique_identities=params.keep_identities)
        _strip_sequence(entry, table, benchmark, split, params, detector, found)
        tracked = split.tracking_range(entry)
        if tracked is not None and entry in known:
            scored = table.select(tracked_kind(params).counted(table.confidence, table.category, benchmark))
            found.held_out[entry.name] = (tracked, scored.in_frames(tracked.first, tracked.last).sorted_by_box())
    _refuse_useless(benchmark, found, params)
    _tell_of_flags(benchmark, found, params)
    # All are finished before the first takes its place, so that a stage that dies leaves none.
    with contextlib.ExitStack() as outs:
        training, identities, held_out = (
            outs.enter_context(staged_directory(data_dir / kind / benchmark))
            for kind in ("training", "identities", "held_out")
        )
        write_training_folder(
            training, data_dir / "frames" / benchmark, benchmark, found.report, found.boxes, found.forgiven
        )
        write_json(identities / IDENTITIES_FILE, {"benchmark": benchmark, "kept": params.keep_identities})
        for name, text in found.identities.items() if params.keep_identities else ():
            write_text(identities / f"{name}.txt", text)
        _write_held_out(held_out, benchmark, found.held_out, params.held_out_identities)
        write_manifest(held_out, benchmark, everything)
    return found.report


def judge_training_boxes(
    sequences: Iterable[tuple[ManifestEntry, AnnotationTable]], benchmark: str, split: Split, params: StripParams
) -> None:
    """Raise the InputError with which `strip_benchmark` would refuse these sequences' boxes."""
    found = _Stripped()
    for entry, table in sequences:
        _strip_sequence(entry, table, benchmark, split, params, None, found)
    _refuse_useless(benchmark, found, params)


def tracked_kind(params: StripParams) -> TrackedKind:
    """The boxes that train and are scored."""
    return TrackedKind(tuple(sorted(params.classes)), tuple(sorted(params.flagged)))


def _refuse_useless(benchmark: str, found: _Stripped, params: StripParams) -> None:
    """Raise an InputError if `strip.classes` asks for what is not there, or no box is left."""
    for number in sorted({*params.classes} & {*params.flagged}) if params.boxes == TRUTH else ():
        if found.excluded[number] and not found.considered[number]:
            raise InputError(
                f"'strip.classes' names {number}, but all {found.excluded[number]} boxes of that class in {benchmark} "
                f"have the flag 0 (not to be considered) in their gt.txt, so none of them would train: take {number} "
                "out of 'strip.flagged', where it says that this flag counts, or out of 'strip.classes'."
            )
    if found.boxes and not any(sequence.kept for sequence in found.report.values()):
        total = sum(sum(sequence.dropped.values()) for sequence in found.report.values())
        raise InputError(
            f"none of the {total} boxes of {benchmark} is left by 'strip.classes: {sorted(params.classes)}' and "
            f"'strip.min_visibility: {params.min_visibility:g}': loosen them, or take {benchmark} out of "
            "'data.benchmarks'."
        )


def _tell_of_flags(benchmark: str, found: _Stripped, params: StripParams) -> None:
    """Say so where flags that are not asked after tell boxes of one class apart, as no benchmark's do."""
    for number in sorted({*params.classes} - {*params.flagged}) if params.boxes == TRUTH else ():
        if found.excluded[number] and found.considered[number]:
            print(
                f"warning: {benchmark} has {found.excluded[number]} boxes of class {number} with the flag 0 beside "
                f"{found.considered[number]} with another, and all of them train: if the flag leaves boxes out, add "
                f"{number} to 'strip.flagged'.",
                file=sys.stderr,
            )


def _strip_sequence(
    entry: ManifestEntry,
    table: AnnotationTable,
    benchmark: str,
    split: Split,
    params: StripParams,
    detector: DetectorBoxes | None,
    found: _Stripped,
) -> None:
    """Add what trains of one sequence, given its ground truth, to `found`."""
    frames = split.training_range(entry)
    found.considered.update(table.category[table.confidence != 0].tolist())
    found.excluded.update(table.category[table.confidence == 0].tolist())
    kind, min_visibility = tracked_kind(params), params.min_visibility
    spared = kind.forgiven(table.category, benchmark)
    if detector is not None:
        table = AnnotationTable.empty() if frames is None else detector.read(entry)
        kind, min_visibility = PEDESTRIANS, 0.0
        spared = table.confidence == 0  # doubtful ones
    kept, dropped = _select(table, frames, kind, min_visibility)
    found.report[entry.name] = StrippedSequence(frames, len(kept), dropped)
    if params.keep_identities and (kept.identity == UNKNOWN_IDENTITY).any():
        raise InputError(
            f"{entry.name} has training boxes without identities (-1), which the supervised baseline would take for "
            "one person: label them in its gt.txt, or set 'strip.keep_identities: false'."
        )
    if frames is not None:
        found.boxes[entry.name] = _rows(kept)
        forgiven = table.select(spared & ~_flat(table)).in_frames(frames.first, frames.last)
        found.forgiven[entry.name] = _rows(forgiven.sorted_by_box(), flag=0)
        found.identities[entry.name] = "".join(f"{identity}\n" for identity in kept.identity.tolist())


def format_report(benchmark: str, report: dict[str, StrippedSequence]) -> str:
    """What was kept and dropped as a table for people, one line a sequence and one for all of them."""
    lines = [(benchmark, "frames", "kept", *(reason.replace("_", " ") for reason in REASONS))]
    for name, sequence in report.items():
        span = f"{sequence.frames.first}-{sequence.frames.last}" if sequence.frames else "held out"
        lines.append((name, span, str(sequence.kept), *(str(sequence.dropped[r]) for r in REASONS)))
    kept = sum(sequence.kept for sequence in report.values())
    dropped = (str(sum(sequence.dropped[r] for sequence in report.values())) for r in REASONS)
    lines.append(("all", "", str(kept), *dropped))
    return plain_table(lines)


def _select(
    table: AnnotationTable, frames: FrameRange | None, kind: TrackedKind, min_visibility: float
) -> tuple[AnnotationTable, dict[str, int]]:
    """The rows that train, and for every reason how many it dropped."""
    if frames is None:
        outside = np.ones(len(table), bool)
    else:
        outside = (table.frame < frames.first) | (table.frame > frames.last)
    tests = {
        "outside_split": outside,
        "flag": kind.excluded(table.confidence, table.category),
        "class": ~np.isin(table.category, kind.classes),
        "degenerate": _flat(table),
        "visibility": table.visibility < min_visibility,
    }
    left = np.ones(len(table), bool)
    dropped = {}
    for reason in REASONS:
        dropped[reason] = int((left & tests[reason]).sum())
        left &= ~tests[reason]
    return table.select(left).sorted_by_box(), dropped


def _flat(table: AnnotationTable) -> NDArray[np.bool_]:
    """(N,) bool: the boxes without width or height."""
    return np.asarray((table.box[:, 2:] <= 0).any(axis=1))


def _rows(table: AnnotationTable, identities: bool = False, flag: int = 1) -> str:
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
        f"{frame},{identity},{x},{y},{w},{h},{flag},{category},{visibility}\n"
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
