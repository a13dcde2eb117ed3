"""Scoring anybody's results against their ground truth."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clmot.errors import InputError
from clmot.evaluation.clear import Evaluator
from clmot.evaluation.preprocessing import JudgedTruth, judge_truth
from clmot.evaluation.repeats import Repeats, score_again, spread
from clmot.evaluation.result_files import Pair, Pairs, TruthFile, last_frame
from clmot.evaluation.score import Scores, SequenceScores, combine, score_sequence
from clmot.evaluation.table import rounded, scores_table
from clmot.motchallenge.classes import PEDESTRIANS, TrackedKind
from clmot.motchallenge.sequence import SEQINFO_FILE
from clmot.motchallenge.splits import second_half
from clmot.progress import progress

SCORED_SPLITS = ("all", "half")
"""Which frames of a film are scored: all, or those that the half split tracks, renumbered from 1 in the results."""


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
    kind: TrackedKind = PEDESTRIANS
    """Which true boxes were to be found."""
    seem_halves: bool = False
    """Whether all films were scored whole though no result reaches a second half where truth does: results of
    `data.split: half`, whose frames count from 1, look like this, and score near nothing."""

    without_truth: tuple[str, ...] = ()
    """Names of sequences whose ground truth has no box that counts: every tracked box is wrong there, and MOTA says
    nothing."""
    apart: tuple[str, ...] = ()
    """Names of sequences whose results have no frame in which the ground truth has a box."""
    unmatched: tuple[str, ...] = ()
    """Names of other sequences that have both, and of whose true boxes no result meets one."""

    @property
    def combined(self) -> Scores:
        """The scores of all sequences together."""
        return combine(self.sequences)

    def table(self) -> str:
        """A row per sequence, and the last for all of them, as Markdown."""
        rows: dict[str, Scores | None] = {scores.sequence: scores for scores in self.sequences}
        label = f"{self.rules} rules" if self.kind.official else f"Class {self.kind}"
        return scores_table(rows | {"COMBINED": self.combined}, self.iou_threshold, self.evaluator, label)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: fractions 0..1."""
        return {
            "rules": self.rules,
            "classes": list(self.kind.classes),
            "iou_threshold": self.iou_threshold,
            "evaluator": self.evaluator,
            "sequences": {s.sequence: {"frames": s.frames} | rounded(s) for s in self.sequences},
            "combined": {"frames": self.combined.frames} | rounded(self.combined),
        }


def score_folder(
    pairs: Pairs, split: str = "all", iou_threshold: float = 0.5, evaluator: Evaluator = "trackeval"
) -> FolderScores:
    """Score results, each against its ground truth.

    Args:
        pairs: both, as `read_pairs` found them.
        split: one of `SCORED_SPLITS`.
        iou_threshold: IoU from which a tracker box and a true box can match (CLEAR, identity).
        evaluator: whose CLEAR metrics: the official ones, or `motmetrics`'.

    Raises:
        InputError: true boxes have no identities; a film cannot be halved; rows lie outside of the film.
    """
    sequences, ends, without_truth, apart, unmatched = [], [], [], [], []
    for pair in progress(pairs.found, "evaluate", unit="sequence"):
        judged = _judged(pair, split, pairs)
        if not judged.boxes:
            without_truth.append(pair.name)
        sequences.append(score_sequence(judged, pair.tracked, iou_threshold, evaluator, str(pair.path)))
        if judged.boxes and len(pair.tracked) and not np.isin(pair.tracked.frame, judged.table.frame).any():
            apart.append(pair.name)
        elif judged.boxes and len(pair.tracked) and judged.boxes == sequences[-1].FN:
            unmatched.append(pair.name)
        ends.append(_Ends(pair.truth.length, last_frame(pair.true), last_frame(pair.tracked)))
    return FolderScores(
        rules=pairs.rules,
        sequences=tuple(sequences),
        left_out=pairs.left_out,
        iou_threshold=iou_threshold,
        evaluator=evaluator,
        kind=pairs.kind,
        seem_halves=split == "all" and _seem_halves(ends),
        without_truth=tuple(without_truth),
        apart=tuple(apart),
        unmatched=tuple(unmatched),
    )


def repeat_folder(
    results: str | os.PathLike[str],
    pairs: Pairs,
    repeats: Repeats,
    split: str = "all",
    evaluator: Evaluator = "trackeval",
) -> dict[str, float]:
    """Track again from the detections that the pipeline recorded beside its tracks, without some of them.

    Args:
        results: a folder of the pipeline's tracks, `tracks/B`; `tracks/B.detections` holds what the tracker was given.
        pairs: these tracks, each with its ground truth.
        repeats: how often, without how many.
        split, evaluator: as `score_folder`.

    Returns:
        Mean and standard deviation of the runs, see `repeats.spread`.

    Raises:
        InputError: there are no such recordings, or a film's frame rate is not known; or as `score_folder`.
    """
    recorded = Path(f"{Path(results)}.detections")
    if not recorded.is_dir():
        raise InputError(
            f"{recorded} does not exist: runs without some boxes need the detections that the stage track records "
            "beside its tracks."
        )
    again = []
    for pair in progress(pairs.found, "track again", unit="sequence"):
        if pair.truth.frame_rate is None:
            raise InputError(
                f"{pair.truth.path}: nothing states the frame rate: put the film's {SEQINFO_FILE} beside it."
            )
        judged = dataclasses.replace(_judged(pair, split, pairs), frame_rate=pair.truth.frame_rate)
        again.append(score_again(judged, recorded / f"{pair.name}.safetensors", repeats, evaluator=evaluator))
    return spread(again)


def _judged(pair: Pair, split: str, pairs: Pairs) -> JudgedTruth:
    """The true rows in the frames that are scored."""
    first, last = _scored_frames(pair.truth, split, max(1, last_frame(pair.true), last_frame(pair.tracked)))
    true = pair.true.in_frames(first, last, renumber=True)
    judged = judge_truth(true, last - first + 1, pairs.rules, pair.name, str(pair.truth.path), pairs.kind)
    if not judged.identified:
        raise InputError(
            f"{pair.truth.path} has boxes without identities (-1), so tracks on {pair.name} cannot be scored: label "
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
    """Whether results stay within the first half of every film, though someone is visible in the second half of one
    that has results."""
    if any(one.film is None or one.results > one.film // 2 for one in ends):
        return False
    return any(one.film is not None and one.results > 0 and one.film // 2 < one.truth for one in ends)


def _scored_frames(truth: TruthFile, split: str, last_row: int) -> tuple[int, int]:
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
