"""Which file of results belongs to which ground truth, whatever the layout of either."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clmot.errors import InputError
from clmot.motchallenge.annotations import AnnotationTable, read_ground_truth, read_results
from clmot.motchallenge.classes import DISTRACTORS, PEDESTRIANS, TrackedKind
from clmot.motchallenge.sequence import MANIFEST_FILE, SEQINFO_FILE, read_manifest, read_seqinfo
from clmot.motchallenge.splits import home_benchmark, without_detector
from clmot.wording import listed

_SAME_RULES = {"MOT16": "MOT17"}
RULES = tuple(sorted((*DISTRACTORS, *_SAME_RULES)))
"""Benchmarks whose rules are known; MOT16's are MOT17's."""

_FAR_FRAMES = 1000  # some films go on for minutes after the last person; no official one does for longer
_LAYOUTS = "<sequence>/gt/gt.txt (as in the official archives) or <sequence>/gt.txt (as in data/gt)"


@dataclass(frozen=True)
class TruthFile:
    """The ground truth of one sequence."""

    name: str
    path: Path
    length: int | None
    """Frames of the film; None: nothing states it."""
    frame_rate: float | None = None
    """Frames per second; None: nothing states it."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Results and ground truth of one sequence."""

    name: str
    """That the results have."""
    path: Path
    """Of the results."""
    truth: TruthFile
    true: AnnotationTable
    tracked: AnnotationTable


@dataclass(frozen=True, eq=False)
class Pairs:
    """What is to be scored."""

    found: tuple[Pair, ...]
    """In the order of the files' names; at least one."""
    left_out: tuple[str, ...]
    """Names of files of results that have no ground truth."""
    rules: str
    """The benchmark whose rules apply."""
    kind: TrackedKind = PEDESTRIANS
    """Which true boxes are to be found."""


def read_pairs(
    results: str | os.PathLike[str],
    ground_truth: str | os.PathLike[str],
    benchmark: str | None = None,
    only: Sequence[str] = (),
    kind: TrackedKind = PEDESTRIANS,
) -> Pairs:
    """Read a folder (or file) of results and their ground truth.

    MOT17's sequences may have a detector's suffix on either side: results of several detectors are scored each, and of
    the ground truth, which is the same in all copies, any serves.

    Args:
        results: the folder of `<sequence>.txt`, or one file of results.
        ground_truth: a folder of `<sequence>/gt/gt.txt` or `<sequence>/gt.txt`, or one file. Lengths come from a
            manifest or a seqinfo.ini beside it; where neither is there, a film ends with the last row of either file.
        benchmark: whose rules apply; None: the names of the sequences tell.
        only: names of the sequences to score, with or without a detector; empty: all that have ground truth. For
            folders alone.
        kind: which true boxes are to be found.

    Raises:
        InputError: files are absent, do not belong together, or are not as they should be; the rules are not clear.
    """
    results, ground_truth = Path(results), Path(ground_truth)
    for path in (results, ground_truth):
        if not path.exists():
            raise InputError(f"{path} does not exist: expected a folder or a file there.")
    if results.is_dir() != ground_truth.is_dir():
        kinds = ("folder", "file") if results.is_dir() else ("file", "folder")
        raise InputError(
            f"{results} is a {kinds[0]} and {ground_truth} a {kinds[1]}: compare two folders or two files."
        )
    if results.is_file():
        if only:
            raise InputError(
                f"--only names sequences of folders, but {results} is one file: leave it away, or name the folders."
            )
        truth = _single_truth(ground_truth, results.stem)
        pairs = [(truth.name, results, truth)]
        left_out: list[str] = []
    else:
        pairs, left_out = _paired(results, ground_truth, only)
    rules = _rules([name for name, _, _ in pairs], benchmark, ground_truth)
    found = []
    for name, path, truth in pairs:
        true, tracked = read_ground_truth(truth.path, length=truth.length), read_results(path)
        _refuse_far_frames(path, truth, true, tracked)
        found.append(Pair(name, path, truth, true, tracked))
    return Pairs(tuple(found), tuple(left_out), rules, kind)


def find_truths(directory: Path) -> dict[str, TruthFile]:
    """The ground truth in a folder, by sequence.

    Raises:
        InputError: there is none, or a sequence's seqinfo.ini is faulty.
    """
    known = {}
    if (directory / MANIFEST_FILE).is_file():
        known = {entry.name: (entry.frames, entry.frame_rate) for entry in read_manifest(directory)}
    if (directory / "gt" / "gt.txt").is_file():  # a sequence itself
        name = directory.resolve().name
        return {name: TruthFile(name, directory / "gt" / "gt.txt", *_stated(directory))}
    found = {}
    for folder in sorted(path for path in directory.iterdir() if path.is_dir()):
        for path in (folder / "gt" / "gt.txt", folder / "gt.txt"):
            if path.is_file():
                found[folder.name] = TruthFile(folder.name, path, *(known.get(folder.name) or _stated(folder)))
                break
    if not found:
        inside = (path for path in sorted(directory.iterdir()) if _has_truths(path))
        hint = next((f" (but {path} does)" for path in inside), "")
        raise InputError(f"{directory} holds no ground truth{hint}: expected {_LAYOUTS}.")
    return found


def _has_truths(directory: Path) -> bool:
    return any(directory.glob("*/gt/gt.txt")) or any(directory.glob("*/gt.txt"))


def _single_truth(path: Path, results_name: str) -> TruthFile:
    """One file of ground truth; a `gt.txt` is its folder's, any other file is called as the results are."""
    if path.name != "gt.txt":
        return TruthFile(results_name, path, None)
    folder = path.absolute().parent
    folder = folder.parent if folder.name == "gt" else folder
    return TruthFile(folder.name, path, *_stated(folder))


def _stated(folder: Path) -> tuple[int | None, float | None]:
    """Length and frame rate that a seqinfo.ini states."""
    if not (folder / SEQINFO_FILE).is_file():
        return None, None
    info = read_seqinfo(folder / SEQINFO_FILE)
    return info.length, info.frame_rate


def _paired(
    results: Path, ground_truth: Path, only: Sequence[str]
) -> tuple[list[tuple[str, Path, TruthFile]], list[str]]:
    """Name, results and ground truth of every sequence to score, and the names of results without ground truth."""
    truths = find_truths(ground_truth)
    by_film: dict[str, TruthFile] = {}
    for truth in truths.values():
        by_film.setdefault(without_detector(truth.name), truth)
    for name in only:
        if without_detector(name) not in by_film:
            raise InputError(f"{ground_truth} has no ground truth of '{name}': it has {listed(truths)}.")
    wanted = set(only) or set(by_film)
    files = {path.stem: path for path in sorted(results.glob("*.txt"))}
    if not files:
        below = ("*/*.txt", "*/*/*.txt", "*/*/*/*.txt")
        inside = sorted({path.parent for pattern in below for path in results.glob(pattern)})
        hint = f" (but {inside[0]} has files like these)" if inside else ""  # TrackEval's layout: <tracker>/data
        held = f" (it has {listed(sorted(path.name for path in results.iterdir()))})"
        raise InputError(
            f"{results} has no <sequence>.txt{hint or held}: expected one for every sequence that is scored."
        )
    pairs, left_out = [], []
    for name, path in files.items():
        found = truths.get(name) or by_film.get(without_detector(name))
        if found is None:
            left_out.append(name)
        elif any(_answers(name, one) for one in wanted):
            pairs.append((name, path, found))
    missing = sorted(one for one in wanted if not any(_answers(name, one) for name, _, _ in pairs))
    if missing:
        more = f" (nor of {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(
            f"{results} has no {missing[0]}.txt{more}, though {ground_truth} has its ground truth: frames without "
            "output count as missed, so add the file (an empty one where no one was found), or name the others after "
            f"--only; there is {listed([path.name for path in files.values()])}."
        )
    return pairs, left_out


def _answers(name: str, wanted: str) -> bool:
    """Whether the results called `name` are those of the sequence `wanted`, which either may name a detector of."""
    return name in (wanted, without_detector(wanted)) or without_detector(name) == wanted


def _rules(names: Sequence[str], benchmark: str | None, ground_truth: Path) -> str:
    """The benchmark whose rules apply."""
    if benchmark is None:
        homes = {home_benchmark(name) for name in names}
        if len(homes) != 1 or not homes <= set(RULES):
            raise InputError(
                f"the names in {ground_truth} do not tell whose rules apply ({listed(names)}): add --benchmark "
                f"{', '.join(RULES[:-1])} or {RULES[-1]}."
            )
        (benchmark,) = homes
    assert benchmark is not None
    return _SAME_RULES.get(benchmark, benchmark)


def _refuse_far_frames(path: Path, truth: TruthFile, true: AnnotationTable, tracked: AnnotationTable) -> None:
    """Refuse results that go far beyond a film whose length nothing states: a typing error would decide how many
    frames are scored."""
    last, end = last_frame(tracked), last_frame(true)
    if truth.length is None and last > _FAR_FRAMES + 2 * end:
        raise InputError(
            f"{path} has a row of frame {last}, but the ground truth {truth.path} ends with frame {end}: correct the "
            f"row, or put the film's {SEQINFO_FILE} beside the ground truth."
        )


def last_frame(table: AnnotationTable) -> int:
    """The last frame that has a row; 0 where none has."""
    return int(table.frame.max(initial=0))
