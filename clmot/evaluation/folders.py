"""Scoring anybody's results: which file of results belongs to which ground truth, whatever the layout of either."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clmot.errors import InputError
from clmot.evaluation.clear import Evaluator
from clmot.evaluation.preprocessing import JudgedTruth, judge_truth
from clmot.evaluation.repeats import Repeats, score_again, spread
from clmot.evaluation.score import Scores, SequenceScores, combine, score_sequence
from clmot.evaluation.table import rounded, scores_table
from clmot.motchallenge.annotations import AnnotationTable, read_ground_truth, read_results
from clmot.motchallenge.classes import DISTRACTORS
from clmot.motchallenge.sequence import MANIFEST_FILE, SEQINFO_FILE, read_manifest, read_seqinfo
from clmot.motchallenge.splits import home_benchmark, second_half, without_detector
from clmot.progress import progress
from clmot.wording import listed

SCORED_SPLITS = ("all", "half")
"""Which frames of a film are scored: all, or those that the half split tracks, renumbered from 1 in the results."""

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
class FolderScores:
    """The scores of a folder of results."""

    rules: str
    """The benchmark whose rules applied."""
    sequences: tuple[SequenceScores, ...]
    """In the order of the files' names; at least one."""
    left_out: tuple[str, ...]
    """Names of files of results that have no ground truth."""
    iou_threshold: float
    evaluator: Evaluator
    """Whose CLEAR metrics."""
    seem_halves: bool = False
    """Whether all films were scored whole though no result reaches a second half where truth does: results of
    `data.split: half`, whose frames count from 1, look like this, and score near nothing."""

    without_truth: tuple[str, ...] = ()
    """Names of sequences whose ground truth has no box that counts: every tracked box is wrong there, and MOTA says
    nothing."""

    @property
    def combined(self) -> Scores:
        """The scores of all sequences together."""
        return combine(self.sequences)

    def table(self) -> str:
        """A row per sequence, and the last for all of them, as Markdown."""
        rows: dict[str, Scores | None] = {scores.sequence: scores for scores in self.sequences}
        return scores_table(
            rows | {"COMBINED": self.combined}, self.iou_threshold, self.evaluator, f"{self.rules} rules"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON: fractions 0..1."""
        return {
            "rules": self.rules,
            "iou_threshold": self.iou_threshold,
            "evaluator": self.evaluator,
            "sequences": {s.sequence: {"frames": s.frames} | rounded(s) for s in self.sequences},
            "combined": {"frames": self.combined.frames} | rounded(self.combined),
        }


def score_folder(
    results: str | os.PathLike[str],
    ground_truth: str | os.PathLike[str],
    benchmark: str | None = None,
    split: str = "all",
    iou_threshold: float = 0.5,
    only: Sequence[str] = (),
    evaluator: Evaluator = "trackeval",
) -> FolderScores:
    """Score a folder of `<sequence>.txt` against a folder of ground truth, or one file against one file.

    MOT17's sequences may have a detector's suffix on either side: results of several detectors are scored each, and of
    the ground truth, which is the same in all copies, any serves.

    Args:
        results: the folder, or one file of results.
        ground_truth: a folder of `<sequence>/gt/gt.txt` or `<sequence>/gt.txt`, or one file. Lengths come from a
            manifest or a seqinfo.ini beside it; where neither is there, a film ends with the last row of either file.
        benchmark: whose rules apply; None: the names of the sequences tell.
        split: one of `SCORED_SPLITS`.
        iou_threshold: IoU from which a tracker box and a true box can match (CLEAR, identity).
        only: names of the sequences to score, with or without a detector; empty: all that have ground truth. For
            folders alone.
        evaluator: whose CLEAR metrics: the official ones, or `motmetrics`'.

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
    sequences, ends, without_truth = [], [], []
    for name, path, truth in progress(pairs, "evaluate", unit="sequence"):
        true, tracked = read_ground_truth(truth.path, length=truth.length), read_results(path)
        _refuse_far_frames(path, truth, true, tracked)
        judged = _judged(name, truth, true, split, rules, max(1, _last_frame(true), _last_frame(tracked)))
        if not judged.boxes:
            without_truth.append(name)
        sequences.append(score_sequence(judged, tracked, iou_threshold, evaluator, str(path)))
        ends.append(_Ends(truth.length, _last_frame(true), _last_frame(tracked)))
    seem_halves = split == "all" and _seem_halves(ends)
    found = (tuple(sequences), tuple(left_out), iou_threshold, evaluator, seem_halves)
    return FolderScores(rules, *found, tuple(without_truth))


def repeat_folder(
    results: str | os.PathLike[str],
    ground_truth: str | os.PathLike[str],
    repeats: Repeats,
    benchmark: str | None = None,
    split: str = "all",
    only: Sequence[str] = (),
    evaluator: Evaluator = "trackeval",
) -> dict[str, float]:
    """Track again from the detections that the pipeline recorded beside its tracks, without some of them.

    Args:
        results: a folder of the pipeline's tracks, `tracks/B`; `tracks/B.detections` holds what the tracker was given.
        repeats: how often, without how many.
        ground_truth, benchmark, split, only, evaluator: as `score_folder`.

    Returns:
        Mean and standard deviation of the runs, see `repeats.spread`.

    Raises:
        InputError: there are no such recordings, or a film's frame rate is not known; or as `score_folder`.
    """
    results, recorded = Path(results), Path(f"{Path(results)}.detections")
    if not recorded.is_dir():
        raise InputError(
            f"{recorded} does not exist: runs without some boxes need the detections that the stage track records "
            "beside its tracks."
        )
    pairs, _ = _paired(results, Path(ground_truth), only)
    rules = _rules([name for name, _, _ in pairs], benchmark, Path(ground_truth))
    again = []
    for name, path, truth in progress(pairs, "track again", unit="sequence"):
        if truth.frame_rate is None:
            raise InputError(f"{truth.path}: nothing states the frame rate: put the film's {SEQINFO_FILE} beside it.")
        true, tracked = read_ground_truth(truth.path, length=truth.length), read_results(path)
        judged = _judged(name, truth, true, split, rules, max(1, _last_frame(true), _last_frame(tracked)))
        judged = dataclasses.replace(judged, frame_rate=truth.frame_rate)
        again.append(score_again(judged, recorded / f"{name}.safetensors", repeats, evaluator=evaluator))
    return spread(again)


def _judged(name: str, truth: TruthFile, true: AnnotationTable, split: str, rules: str, last_row: int) -> JudgedTruth:
    """The rows of `truth` in the frames that are scored."""
    first, last = _scored_frames(name, truth, split, last_row)
    judged = judge_truth(true.in_frames(first, last, renumber=True), last - first + 1, rules, name, str(truth.path))
    if not judged.identified:
        raise InputError(
            f"{truth.path} has boxes without identities (-1), so tracks on {name} cannot be scored: label "
            "identities, or name the sequences that have them after --only."
        )
    return judged


@dataclass(frozen=True)
class _Ends:
    """Where a film ends (None: nothing states it), and the last frames (0: no row) of its truth and of its results."""

    film: int | None
    truth: int
    results: int


def _seem_halves(ends: Sequence[_Ends]) -> bool:
    """Whether results stay within the first half of every film, though somebody is to be seen in a second half of one
    that has results."""
    if any(one.film is None or one.results > one.film // 2 for one in ends):
        return False
    return any(one.film is not None and one.results > 0 and one.film // 2 < one.truth for one in ends)


def find_truths(directory: Path) -> dict[str, TruthFile]:
    """The ground truth in a folder, by sequence.

    Raises:
        InputError: there is none, or a sequence's seqinfo.ini is faulty.
    """
    known = {}
    if (directory / MANIFEST_FILE).is_file():
        known = {entry.name: (entry.frames, entry.frame_rate) for entry in read_manifest(directory)}
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
        inside = sorted({path.parent for pattern in ("*/*.txt", "*/*/*.txt") for path in results.glob(pattern)})
        hint = f" (but {inside[0]} has files like these)" if inside else ""  # TrackEval's layout: <tracker>/data
        raise InputError(f"{results} has no <sequence>.txt{hint}: expected one for every sequence that is scored.")
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
            "--only."
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


def _scored_frames(name: str, truth: TruthFile, split: str, last_row: int) -> tuple[int, int]:
    """The first and the last frame of the film that are scored; without a stated length it ends with `last_row`."""
    if split != "half":
        return 1, truth.length or last_row
    if truth.length is None:
        raise InputError(
            f"{truth.path}: nothing states how many frames the film has, so it cannot be halved: put its "
            f"{SEQINFO_FILE} beside it."
        )
    frames = second_half(truth.length)
    if frames is None:
        raise InputError(f"{truth.path}: a film of {truth.length} frames has no second half to score.")
    return frames.first, truth.length


def _refuse_far_frames(path: Path, truth: TruthFile, true: AnnotationTable, tracked: AnnotationTable) -> None:
    """Refuse results that go far beyond a film whose length nothing states: a typing error would decide how many
    frames are scored."""
    last, end = _last_frame(tracked), _last_frame(true)
    if truth.length is None and last > _FAR_FRAMES + 2 * end:
        raise InputError(
            f"{path} has a row of frame {last}, but the ground truth {truth.path} ends with frame {end}: correct the "
            f"row, or put the film's {SEQINFO_FILE} beside the ground truth."
        )


def _last_frame(table: AnnotationTable) -> int:
    return int(table.frame.max(initial=0))
