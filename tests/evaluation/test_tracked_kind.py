"""Scoring another kind of object than the benchmarks' own rules count."""

from __future__ import annotations

import numpy as np
import pytest

from clmot.evaluation.preprocessing import judge_truth
from clmot.evaluation.score import score_sequence
from clmot.motchallenge.annotations import AnnotationTable
from clmot.motchallenge.classes import DISTRACTORS, ObjectClass, TrackedKind

BENCHMARKS = ("MOT15", "MOT17", "MOT20")


def table(rows: np.ndarray) -> AnnotationTable:
    """Rows of frame, identity, x, y, w, h, flag, class."""
    whole = rows[:, [0, 1, 7]].astype(np.int64)
    return AnnotationTable(whole[:, 0], whole[:, 1], rows[:, 2:6], rows[:, 6], whole[:, 2], np.ones(len(rows)))


def street(seed: int, frames: int = 30) -> AnnotationTable:
    """An object of every class, two of some, with flags at random."""
    rng = np.random.default_rng(seed)
    categories = np.concatenate([np.arange(1, 14), rng.integers(1, 14, 8)])
    flags = rng.integers(0, 2, len(categories))
    start, step = rng.uniform(0, 900, (len(categories), 2)), rng.normal(0, 3, (len(categories), 2))
    size = rng.uniform(20, 90, (len(categories), 2))
    rows = [
        [frame, number, *(start[number] + frame * step[number]), *size[number], flags[number], categories[number]]
        for frame in range(1, frames + 1)
        for number in range(len(categories))
    ]
    return table(np.array(rows))


@pytest.mark.parametrize("benchmark", BENCHMARKS)
@pytest.mark.parametrize("seed", range(3))
def test_the_default_is_the_official_rule(benchmark: str, seed: int) -> None:
    truth = street(seed)
    judged = judge_truth(truth, 30, benchmark)
    flagged = truth.confidence != 0
    assert np.array_equal(judged.counted, flagged if benchmark == "MOT15" else flagged & (truth.category == 1))
    assert np.array_equal(judged.distractor, np.isin(truth.category, [int(c) for c in DISTRACTORS[benchmark]]))
    assert TrackedKind().official


@pytest.mark.parametrize("classes", [(1,), (3,), (3, 6), (1, 2), (4, 5)], ids=str)
@pytest.mark.parametrize("benchmark", ["MOT17", "MOT20"])
def test_what_was_asked_for_is_counted_and_perfect_tracks_of_it_are_perfect(
    classes: tuple[int, ...], benchmark: str
) -> None:
    truth = street(7)
    kind = TrackedKind(classes, ())
    judged = judge_truth(truth, 30, benchmark, kind=kind)
    wanted = np.isin(truth.category, classes)
    assert np.array_equal(judged.counted, wanted)
    scores = score_sequence(judged, truth.select(wanted))
    assert (scores.MOTA, scores.IDF1, scores.HOTA) == (1, 1, 1)
    missed = score_sequence(judged, truth.select(wanted & (truth.category != classes[0])))
    assert int((truth.category == classes[0]).sum()) == missed.FN
    assert not kind.official


def test_boxes_on_people_are_wrong_where_cars_are_tracked() -> None:
    """What looks like a person is forgiven where people are tracked, and nowhere else."""
    truth = table(
        np.array([[1.0, 1, 10, 10, 50, 50, 0, 3], [1, 2, 200, 10, 20, 50, 0, 7], [1, 3, 400, 10, 20, 50, 1, 1]])
    )
    found = truth.select(np.array([True, True, False]))
    as_people = score_sequence(judge_truth(truth, 1, "MOT17"), found)
    as_cars = score_sequence(judge_truth(truth, 1, "MOT17", kind=TrackedKind((3,))), found)
    assert (as_people.FP, as_people.FN) == (1, 1)  # the car; the seated one is forgiven
    assert (as_cars.FP, as_cars.FN) == (1, 0)  # the seated one


def test_a_class_that_is_tracked_is_no_distractor() -> None:
    kind = TrackedKind((1, 7))
    assert set(kind.distractors("MOT17")) == set(DISTRACTORS["MOT17"]) - {ObjectClass.STATIC_PERSON}
    assert set(TrackedKind((3,)).distractors("MOT20")) == set()
    assert str(kind) == "pedestrian (1) and static person (7)"
