"""A judge without labels: whether the tracker gives people whom it did not see for a while their identity back.

Boxes that overlap from frame to frame so clearly that nothing else could be meant are one person, no matter who
(`data/tracklets.py`). So a film has its own questions and answers: people are hidden from the tracker for some seconds
now and then, and for each two of their boxes it is asked whether both have one identity. Two tracklets that exist at
the same moment are two people: a track that is on both is wrong. What two tracklets that never met are is not known and
not asked. No identity label is read: a film without labels can choose between embeddings and settings.

It is an exam of the tracker on the detector's terms: people whom the detector misses are not asked for.

Beside it, how often looks decide: the links between one box of a track and its next that the tracker makes with the
embeddings, and not without them.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clmot.data.tracklets import coexistence, link_boxes
from clmot.evaluation.across_tracklets import TRACKLET_IOU, TRACKLET_MARGIN
from clmot.evaluation.repeats import Film, Replay, replay
from clmot.inference.recording import RecordedDetections, read_embeddings, read_recording
from clmot.params import TrackParams

EXAM_METRICS = ("Exam", "ExamRecall", "ExamPrecision", "LooksDecide")
FEWEST_SECONDS = 2.0
"""Of a tracklet that is asked for."""
GAP_SECONDS = 0.2
"""Over which boxes are linked: a detector misses a person now and then."""
HIDDEN_SECONDS = (1.0, 4.0)
"""For how long a person is hidden, evenly drawn."""
SEEN_SECONDS = 6.7
"""Between two such times, on average (exponentially drawn): hidden are three tenths of the time."""


@dataclass(frozen=True)
class Exam:
    """What is hidden, and from which tracker."""

    seed: int
    """Of when people are hidden."""
    track: TrackParams


@dataclass(frozen=True)
class ExamScores:
    """Counts of pairs of boxes of one sequence, or of several."""

    found: int
    """Pairs of a tracklet that have one identity;"""
    asked: int
    """of so many."""
    given: int
    """Pairs of one identity of which is known whether they are one person."""
    links: int = 0
    """Boxes of tracks that have a next, where there are embeddings, nothing being hidden;"""
    decided: int = 0
    """those of them that have another next box, or none, where the tracker is not given the embeddings."""

    def metrics(self) -> dict[str, float]:
        """By name (0..1), in the order of `EXAM_METRICS`; nothing where no one was there for long enough. `Exam` is the
        harmonic mean of `ExamRecall`, the share of a person's pairs that have one identity, and `ExamPrecision`, the
        share of an identity's pairs that are one person. `LooksDecide`: the share of the links made by looks."""
        values: tuple[float, ...] = ()
        if self.asked and self.given:
            values = (2 * self.found / (self.asked + self.given), self.found / self.asked, self.found / self.given)
        decide = {EXAM_METRICS[-1]: self.decided / self.links} if self.links else {}
        return dict(zip(EXAM_METRICS, values, strict=False)) | decide


def combine_exams(exams: Sequence[ExamScores]) -> ExamScores:
    """The counts of several sequences as one."""
    counts = zip(*map(dataclasses.astuple, (ExamScores(0, 0, 0), *exams)), strict=True)
    return ExamScores(*map(sum, counts))


def sit_exam(path: str | os.PathLike[str], exam: Exam, length: int, frame_rate: float) -> ExamScores:
    """Hide people from the tracker, and count.

    Args:
        path: file of the recorded detections.
        exam: seed and tracker.
        length: number of frames.
        frame_rate: frames per second.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    recorded = read_recording(path)
    used = np.nonzero(recorded.scores >= exam.track.confidence)[0]
    frame = recorded.frame[used].astype(np.int64)
    gap = max(1, round(GAP_SECONDS * frame_rate))
    tracklet = link_boxes(frame, recorded.boxes[used].astype(np.float64), TRACKLET_IOU, TRACKLET_MARGIN, gap)
    asked = np.bincount(tracklet) >= FEWEST_SECONDS * frame_rate
    seen = ~hidden(frame, tracklet, asked, frame_rate, exam.seed)
    kept = np.ones(len(recorded), bool)
    kept[used] = seen
    found = replay(path, recorded, kept, exam.track, Film(length, frame_rate))
    # From here on asked tracklets alone are numbered: the others are many.
    number = np.where(asked, np.cumsum(asked) - 1, -1)[tracklet]
    whose = np.full(len(recorded), -1)
    whose[used] = number
    person = whose[found.row]
    names, name = np.unique(found.identity[person >= 0], return_inverse=True)
    together = np.zeros((asked.sum(), len(names)), np.int64)
    np.add.at(together, (person[person >= 0], name), 1)
    others = coexistence(frame[number >= 0], number[number >= 0]).astype(np.int64)
    right = int((together**2).sum())
    wrong = int((together * (others @ together)).sum())
    given = np.bincount(tracklet[seen], minlength=len(asked))[asked]
    links, decided = decided_by_looks(path, recorded, exam.track, Film(length, frame_rate))
    return ExamScores(right, int((given**2).sum()), right + wrong, links, decided)


def decided_by_looks(
    path: str | os.PathLike[str], recorded: RecordedDetections, track: TrackParams, film: Film
) -> tuple[int, int]:
    """How many links there are between one box of a track and its next, and how many of them the tracker does not make
    where it is given the boxes alone; 0 and 0 where no embeddings were recorded.

    Args:
        path: file of the recorded detections.
        recorded: the same without embeddings.
        track: the tracker's params.
        film: that they are of.

    Raises:
        InputError: the file is gone or damaged.
    """
    every = np.ones(len(recorded), bool)
    if read_embeddings(path, np.zeros(0, np.int64)) is None:
        return 0, 0
    found, without = (_links(replay(path, recorded, every, track, film, looks)) for looks in (True, False))
    return len(found), len(found) - len(np.intersect1d(found, without))


def _links(found: Replay) -> NDArray[np.int64]:
    """One number for each pair of a recorded box and the next of its track."""
    order = np.lexsort((found.frame, found.identity))
    same = found.identity[order][1:] == found.identity[order][:-1]
    row = found.row[order]
    return row[:-1][same] * (int(row.max(initial=0)) + 1) + row[1:][same]


def hidden(
    frame: NDArray[np.int64], tracklet: NDArray[np.int64], asked: NDArray[np.bool_], frame_rate: float, seed: int
) -> NDArray[np.bool_]:
    """Which boxes (R,) are hidden from the tracker: those of the `asked` tracklets, some seconds now and then.

    Args:
        frame, tracklet: (R,) of each box.
        asked: (T,) which tracklets.
        frame_rate: frames per second.
        seed: of the choice; a tracklet's own times do not depend on the others.
    """
    result = np.zeros(len(frame), bool)
    order = np.argsort(tracklet, kind="stable")
    starts = np.searchsorted(tracklet[order], np.arange(len(asked) + 1))
    for number in np.nonzero(asked)[0].tolist():
        rows = order[starts[number] : starts[number + 1]]
        random = np.random.default_rng([seed, number])
        at, end = float(frame[rows].min()), int(frame[rows].max())
        while (at := at + random.exponential(SEEN_SECONDS * frame_rate)) < end:
            until = at + random.uniform(*HIDDEN_SECONDS) * frame_rate
            result[rows] |= (frame[rows] >= at) & (frame[rows] < until)
            at = until
    return result
