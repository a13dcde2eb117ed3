"""The judge without labels: what it asks, and that it tells trackers and embeddings apart that differ."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from clmot.evaluation.exam import (
    EXAM_METRICS,
    HIDDEN_SECONDS,
    SEEN_SECONDS,
    Exam,
    ExamScores,
    combine_exams,
    decided_by_looks,
    hidden,
    sit_exam,
)
from clmot.evaluation.repeats import Film
from clmot.inference.recording import RecordedDetections, read_embeddings, read_recording, write_recording
from clmot.params import load_params

RATE = 10.0
TRACK = dataclasses.replace(
    load_params().track,
    association="calibrated",
    embedding="network",
    confidence=0.25,
    new_track_confidence=0.3,
    lost_seconds=1.0,
    refind_seconds=9.0,
)


def recorded(path: Path, frames: int = 400, people: int = 5, looks: str = "people", seed: int = 0) -> Path:
    """People who stroll about, each in a lane of their own, 16-d looks: of `people`, of `one` or `none`."""
    random = np.random.default_rng(seed)
    x, speed = random.uniform(100, 700, people), random.uniform(2, 5, people)
    frame = np.repeat(np.arange(1, frames + 1), people)
    boxes = []
    for _ in range(frames):
        x = x + speed
        speed = np.where((x < 60) | (x > 740), -speed, speed)
        y = 120.0 * np.arange(people)
        boxes.append(np.stack((x, y, x + 40, y + 100), axis=1))
    vectors = np.tile(np.eye(people, 16), (frames, 1)) if looks == "people" else np.ones((frames * people, 16))
    vectors = vectors + 0.1 * random.standard_normal(vectors.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_recording(
        path,
        RecordedDetections(
            frame.astype(np.int32),
            np.concatenate(boxes).astype(np.float32),
            np.full(len(frame), 0.9, np.float32),
            None if looks == "none" else vectors.astype(np.float16),
        ),
    )
    return path


@pytest.mark.parametrize("seed", range(2))
def test_looks_that_tell_people_apart_pass_and_others_do_not(tmp_path: Path, seed: int) -> None:
    found = {
        looks: sit_exam(recorded(tmp_path / looks, looks=looks, seed=seed), Exam(seed, TRACK), 400, RATE).metrics()
        for looks in ("people", "one", "none")
    }
    assert found["people"]["ExamRecall"] > found["none"]["ExamRecall"] + 0.2
    assert found["people"]["ExamPrecision"] > 0.99
    assert abs(found["one"]["Exam"] - found["none"]["Exam"]) < 0.1
    assert list(found["people"]) == list(EXAM_METRICS)


@pytest.mark.parametrize("looks", ["people", "none"])
def test_the_same_exam_twice(tmp_path: Path, looks: str) -> None:
    path = recorded(tmp_path / "film", 120, looks=looks)
    first = sit_exam(path, Exam(3, TRACK), 120, RATE)
    assert sit_exam(path, Exam(3, TRACK), 120, RATE) == first
    assert sit_exam(path, Exam(4, TRACK), 120, RATE) != first


@pytest.mark.parametrize(("frames", "people"), [(0, 3), (1, 3), (15, 2), (400, 0)])
def test_no_one_is_there_for_long_enough(tmp_path: Path, frames: int, people: int) -> None:
    path = tmp_path / "film"
    if frames and people:
        recorded(path, frames, people)
    else:
        nothing = np.zeros(0, np.float32)
        write_recording(path, RecordedDetections(nothing.astype(np.int32), np.zeros((0, 4), np.float32), nothing, None))
    told = sit_exam(path, Exam(0, TRACK), max(frames, 1), RATE).metrics()
    assert not told.keys() & set(EXAM_METRICS[:3])


def test_link_offline_is_examined_too(tmp_path: Path) -> None:
    short = dataclasses.replace(TRACK, refind_seconds=0.0, lost_seconds=0.5)
    path = recorded(tmp_path / "film", 300)
    alone = sit_exam(path, Exam(0, short), 300, RATE).metrics()
    linked = sit_exam(path, Exam(0, dataclasses.replace(short, link="offline")), 300, RATE).metrics()
    assert linked["Exam"] > alone["Exam"] + 0.1


@pytest.mark.parametrize("rate", [7.0, 25.0, 60.0])
def test_three_tenths_of_the_time_is_hidden(rate: float) -> None:
    frames, people = round(120 * rate), 40
    frame, tracklet = np.repeat(np.arange(1, frames + 1), people), np.tile(np.arange(people), frames)
    asked = np.arange(people) % 4 > 0
    result = hidden(frame, tracklet, asked, rate, 0)
    assert not result[~asked[tracklet]].any()
    expected = np.mean(HIDDEN_SECONDS) / (np.mean(HIDDEN_SECONDS) + SEEN_SECONDS)
    assert result[asked[tracklet]].mean() == pytest.approx(expected, abs=0.04)
    one = result[tracklet == 1].astype(int)
    begins, ends = (np.nonzero(np.diff(one, prepend=0, append=0) == step)[0] for step in (1, -1))
    lengths = (ends - begins)[ends < len(one)] / rate
    assert HIDDEN_SECONDS[0] - 1 / rate <= lengths.min()
    # Two may follow each other at once.
    assert np.median(lengths) <= HIDDEN_SECONDS[1] + 1 / rate


def test_a_tracker_that_calls_everyone_one_fails() -> None:
    """Two people of 10 boxes each, under one name: all pairs are found, half of what is said is wrong."""
    assert ExamScores(found=200, asked=200, given=400).metrics() == {
        "Exam": pytest.approx(2 / 3),
        "ExamRecall": 1.0,
        "ExamPrecision": 0.5,
    }


@pytest.mark.parametrize("parts", [(), (ExamScores(1, 2, 3),), (ExamScores(1, 2, 3), ExamScores(10, 20, 30))])
def test_sequences_add_up(parts: tuple[ExamScores, ...]) -> None:
    whole = combine_exams(parts)
    assert (whole.found, whole.asked, whole.given) == tuple(
        sum(getattr(part, name) for part in parts) for name in ("found", "asked", "given")
    )


def without(path: Path, hidden: np.ndarray) -> Path:
    """The recorded film without some of its boxes."""
    kept = ~hidden
    film, looks = read_recording(path), read_embeddings(path, np.nonzero(kept)[0])
    columns = (film.frame[kept], film.boxes[kept], film.scores[kept])
    write_recording(path, RecordedDetections(*columns, None if looks is None else looks.astype(np.float16)))
    return path


@pytest.mark.parametrize(("looks", "decided"), [("people", 4), ("one", 0)])
def test_looks_decide_where_someone_was_gone(tmp_path: Path, looks: str, decided: int) -> None:
    """Two of five people are gone for four seconds, which motion does not bridge; all others boxes alone follow. A new
    track is told from its second box on: a link that is missed is two."""
    path = recorded(tmp_path / "film", 200, looks=looks)
    frame, person = np.divmod(np.arange(1000), 5)
    path = without(path, np.isin(person, (1, 3)) & (frame >= 80) & (frame < 120))
    links, by_looks = decided_by_looks(path, read_recording(path), TRACK, Film(200, RATE))
    assert by_looks == decided
    assert links == 1000 - 80 - (5 + 4) + decided


def test_without_embeddings_nothing_is_decided_by_them(tmp_path: Path) -> None:
    path = recorded(tmp_path / "film", 60, looks="none")
    assert decided_by_looks(path, read_recording(path), TRACK, Film(60, RATE)) == (0, 0)
    assert "LooksDecide" not in sit_exam(path, Exam(0, TRACK), 60, RATE).metrics()
