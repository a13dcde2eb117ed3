"""Scoring a folder of results against the ground truth of a benchmark."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from clmot.errors import InputError
from clmot.evaluation.clear import Evaluator
from clmot.evaluation.exam import Exam, ExamScores, combine_exams, sit_exam
from clmot.evaluation.observations import ObservationScores, combine_observations, score_observations
from clmot.evaluation.preprocessing import JudgedTruth, judge_truth
from clmot.evaluation.repeats import Repeats, score_again, spread
from clmot.evaluation.score import Scores, SequenceScores, combine, score_sequence
from clmot.motchallenge.annotations import read_ground_truth, read_results
from clmot.motchallenge.classes import PEDESTRIANS, TrackedKind
from clmot.motchallenge.sequence import ManifestEntry, read_manifest
from clmot.motchallenge.splits import FrameRange, Split
from clmot.progress import progress


@dataclass(frozen=True, eq=False)
class BenchmarkScores:
    """What is known of one benchmark's tracks."""

    benchmark: str
    """`MOT15`, `MOT17` or `MOT20`."""
    sequences: tuple[SequenceScores, ...]
    """The scored sequences, sorted by name."""
    unscored: tuple[str, ...]
    """Names of the sequences that were tracked but have no ground truth, sorted."""
    spread: Mapping[str, float] = field(default_factory=dict)
    """Mean and standard deviation over repeated runs (see repeats.py); empty without any."""
    unidentified: Mapping[str, ObservationScores | None] = field(default_factory=dict)
    """One's own films with true boxes that have no identities, by name, sorted: their tracks cannot be scored, but
    their detections can."""

    exams: tuple[ExamScores, ...] = ()
    """Of the sequences whose detections were recorded: what needs no identities."""

    @property
    def exam(self) -> ExamScores | None:
        """That of all sequences together; None when there was none."""
        return combine_exams(self.exams) if self.exams else None

    @property
    def combined(self) -> Scores | None:
        """The scores of all sequences together; None when none could be scored."""
        return combine(self.sequences) if self.sequences else None

    @property
    def observations(self) -> ObservationScores | None:
        """The scores of all sequences' detections together; None when none could be scored, or was to be."""
        scored = [*(s.observations for s in self.sequences), *self.unidentified.values()]
        known = [observations for observations in scored if observations is not None]
        return combine_observations(known) if known else None


@dataclass(frozen=True)
class Scoring:
    """How tracks and detections are judged."""

    iou_threshold: float = 0.5
    """IoU from which a tracker box and a true box can match (CLEAR, identity, detections)."""
    evaluator: Evaluator = "trackeval"
    """Whose CLEAR metrics: the official ones, or `motmetrics`'."""
    confidence: float = 0.0
    """Score from which the tracker used a detection."""
    repeats: Repeats | None = None
    """Further runs of the tracker through the recorded detections, with some left out."""
    exam: Exam | None = None
    """A run of the tracker in which people are hidden from it for some seconds (see exam.py)."""
    kind: TrackedKind = PEDESTRIANS
    """Which true boxes are to be found: by default those of the benchmarks' own rules."""


def score_benchmark(
    tracks: str | os.PathLike[str],
    ground_truth: str | os.PathLike[str],
    benchmark: str,
    split: Split,
    scoring: Scoring = Scoring(),
    detections: str | os.PathLike[str] | None = None,
) -> BenchmarkScores:
    """Score every sequence of a benchmark in the frames that the split tracks.

    A film of one's own whose true boxes have no identities (-1) there gets no score for its tracks, only for its
    detections.

    Args:
        tracks: folder of `<sequence>.txt`, frames numbered from 1 within the tracked range. An empty file
            says that no one was found; an absent one is an error.
        ground_truth: folder of `manifest.json` and `<sequence>/gt.txt`, frames numbered from 1 in the film.
        benchmark: `MOT15`, `MOT17` or `MOT20`: which rules apply.
        split: which frames are tracked.
        scoring: how.
        detections: folder of `<sequence>.safetensors`, what the tracker was given (see inference/recording.py); None:
            detections and embeddings are not scored.

    Raises:
        InputError: results are absent, do not belong to the split, or are not as they should be.
    """
    tracks, ground_truth = Path(tracks), Path(ground_truth)
    if not tracks.is_dir():
        raise InputError(f"{tracks} does not exist: run the track stage first (`dvc repro track`).")
    entries = read_manifest(ground_truth)
    ranges = {entry.name: split.tracking_range(entry) for entry in entries}
    tracked = sorted(path.stem for path in tracks.glob("*.txt"))
    for name in tracked:
        if name in ranges and ranges[name] is None:
            raise InputError(
                f"{tracks / name}.txt holds tracks of a sequence that the split '{split.kind}' does not track: "
                f"run the track stage again (`dvc repro track`)."
            )
    scored: list[SequenceScores] = []
    again: list[list[SequenceScores]] = []
    unidentified: dict[str, ObservationScores | None] = {}
    exams: list[ExamScores] = []
    for entry in progress(entries, f"evaluate {benchmark}", unit="sequence"):
        frames = ranges[entry.name]
        if frames is None:
            continue
        results_file = tracks / f"{entry.name}.txt"
        if not results_file.is_file():
            raise InputError(
                f"{results_file} does not exist, though the split '{split.kind}' tracks {entry.name}: "
                f"run the track stage first (`dvc repro track`)."
            )
        truth = _read_truth(ground_truth, entry, frames, benchmark, scoring.kind)
        recording = None if detections is None else Path(detections) / f"{entry.name}.safetensors"
        scores, observations = _judged(truth, results_file, recording, scoring)
        if recording is not None:
            exams += _exams(recording, scoring, truth)
        if scores is not None:
            scored.append(dataclasses.replace(scores, observations=observations))
            if scoring.repeats is not None and recording is not None:
                again.append(score_again(truth, recording, scoring.repeats, scoring.iou_threshold, scoring.evaluator))
        else:
            unidentified[entry.name] = observations
    return BenchmarkScores(
        benchmark=benchmark,
        sequences=tuple(scored),
        unscored=tuple(name for name in tracked if name not in ranges),
        spread=spread(again),
        unidentified=unidentified,
        exams=tuple(exams),
    )


def _judged(
    truth: JudgedTruth, results_file: Path, recording: Path | None, scoring: Scoring
) -> tuple[SequenceScores | None, ObservationScores | None]:
    """What is to be said of a sequence's tracks, and of its detections; each None where that cannot be said."""
    with ThreadPoolExecutor(1) as beside:  # sorting and products of large arrays leave the interpreter free
        seen = None
        if recording is not None:
            seen = beside.submit(score_observations, truth, recording, scoring.confidence, scoring.iou_threshold)
        results, scores = read_results(results_file), None
        if truth.identified:
            scores = score_sequence(truth, results, scoring.iou_threshold, scoring.evaluator, str(results_file))
        return scores, None if seen is None else seen.result()


def _exams(recording: Path, scoring: Scoring, truth: JudgedTruth) -> list[ExamScores]:
    """The sequence's, if there is to be one; of the truth its length alone is used."""
    return [] if scoring.exam is None else [sit_exam(recording, scoring.exam, truth.length, truth.frame_rate)]


def _read_truth(
    ground_truth: Path, entry: ManifestEntry, frames: FrameRange, benchmark: str, kind: TrackedKind
) -> JudgedTruth:
    """The ground truth of the tracked frames of a sequence, numbered from 1."""
    path = ground_truth / entry.name / "gt.txt"
    table = read_ground_truth(path, length=entry.frames).in_frames(frames.first, frames.last, renumber=True)
    judged = judge_truth(table, len(frames), benchmark, entry.name, str(path), kind)
    return dataclasses.replace(judged, frame_rate=entry.frame_rate)
