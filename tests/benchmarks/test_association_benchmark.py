"""The benchmark of association: what it draws, reads, measures, and how its rival behaves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fairmot_profile import fairmot_params
from moving_people import fixed_params

from benchmarks import association, crowds
from benchmarks.association import Case, measure_alone, measure_beside_the_rival, measure_scores
from clmot.errors import InputError


@pytest.fixture(scope="module")
def case():
    return Case(fixed_params(), people=6, dimension=8, frames=40, seed=0, repeats=2)


@pytest.fixture(scope="module")
def written(case, tmp_path_factory):
    """The crowd of `case` as a file."""
    frames = list(crowds.generated_crowd(6, 8, 40, 0))
    numbers = np.repeat(np.arange(1, 41), [len(f.boxes) for f in frames])
    path = tmp_path_factory.mktemp("npz") / "crowd.npz"
    np.savez(
        path,
        frame=numbers,
        boxes=np.concatenate([f.boxes for f in frames]),
        scores=np.concatenate([f.scores for f in frames]),
        embeddings=np.concatenate([f.embeddings for f in frames]),
        gt_frame=np.repeat(np.arange(1, 41), 6),
        gt_identity=np.concatenate([f.true_identities for f in frames]),
        gt_boxes=np.concatenate([f.true_boxes for f in frames]),
    )
    return path


def test_same_seed_same_crowd_and_people_who_leave_are_replaced():
    one, same, other = (list(crowds.generated_crowd(20, 4, 400, seed)) for seed in (0, 0, 1))
    for a, b in zip(one, same, strict=True):
        for column in vars(a):
            np.testing.assert_array_equal(getattr(a, column), getattr(b, column))
    assert not np.array_equal(one[0].boxes, other[0].boxes)
    identities = np.concatenate([frame.true_identities for frame in one])
    assert len(np.unique(identities)) > 25
    for frame in one:
        assert len(np.unique(frame.true_identities)) == 20
        assert len(frame.boxes) == len(frame.scores) == len(frame.embeddings)


def test_time_and_memory_of_the_tracker_alone(case, monkeypatch):
    monkeypatch.setattr(association, "EARLY", 30)
    found = measure_alone(case)
    assert found["frames"] == 40
    assert 4 < found["detections_per_frame"] < 7
    assert found["embedding_dimension"] == 8
    times = found["ms_per_frame"]
    assert 0 < times["fastest_frame"] <= times["median_of_best_run"] <= times["median"] <= times["p95"]
    memory = found["memory_mib"]
    assert list(memory) == ["before", "after_30_frames", "at_the_end", "peak"]
    # The system counts the two in different ways, and rounds.
    assert 0 < memory["before"] <= memory["peak"] + 1


def test_the_rival_is_measured_on_the_same_frames(case):
    found = measure_beside_the_rival(case)
    ratio = found["times_as_long"]
    assert 0 < ratio["p5"] <= ratio["median"] <= ratio["p95"]
    assert len(ratio["median_of_each_run"]) == 2
    assert found["fairmot_ms_per_frame"]["median"] > 0 < found["ours_ms_per_frame"]["median"]


def test_scores_of_both(case):
    found = measure_scores(case, with_rival=True)
    assert list(found) == [
        "ours",
        "fairmot",
        "fairmot_with_its_own_thresholds",
        "ours_with_fairmots_thresholds",
    ]
    for scores in found.values():
        assert list(scores) == ["IDF1", "MOTA", "HOTA", "IDSW"]
        assert scores["IDF1"] > 0.6
    assert list(measure_scores(case, with_rival=False)) == ["ours"]


def test_our_tracks_are_no_worse_than_fairmots():
    """On a small crowd, where a fault may help by chance; the kept results are of larger ones."""
    found = measure_scores(Case(fixed_params(), 25, 16, frames=100, seed=0, repeats=1), with_rival=True)
    for ours, theirs in (
        ("ours", "fairmot"),
        ("ours_with_fairmots_thresholds", "fairmot_with_its_own_thresholds"),
    ):
        assert found[ours]["IDF1"] >= found[theirs]["IDF1"] - 0.002


def test_a_file_of_detections_is_measured_as_the_crowd_it_was(case, written):
    from_file = dataclasses.replace(case, npz=written)
    assert measure_scores(from_file, with_rival=True) == measure_scores(case, with_rival=True)
    alone = measure_alone(from_file)
    assert alone["case"] == "crowd.npz"
    assert alone["detections_per_frame"] == measure_alone(case)["detections_per_frame"]


def test_the_order_of_frames_in_a_file_and_what_is_optional(written, tmp_path):
    with np.load(written) as content:
        arrays = dict(content)
    back = np.argsort(-arrays["frame"], kind="stable")
    few = {name: arrays[name][back] for name in ("frame", "boxes", "scores")}
    np.savez(tmp_path / "few.npz", **few, frame_rate=25, length=50)
    frames, rate = crowds.read_npz(tmp_path / "few.npz")
    whole, usual_rate = crowds.read_npz(written)
    assert (len(frames), rate, len(whole), usual_rate) == (50, 25.0, 40, 30.0)
    for a, b in zip(frames, whole, strict=False):
        np.testing.assert_array_equal(a.boxes, b.boxes)
        assert a.embeddings is None
        assert len(a.true_identities) == 0
    assert len(frames[45].boxes) == 0
    case = Case(fixed_params(), 0, 0, 0, 0, 1, tmp_path / "few.npz")
    assert measure_scores(case, with_rival=False) == {}
    assert measure_alone(case)["embedding_dimension"] == 0


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            {"frame": [1, 1], "boxes": np.zeros((1, 4)), "scores": [0.5, 0.5]},
            "'boxes' has 1 rows, expected 2",
        ),
        ({"frame": [1], "boxes": np.zeros((1, 4))}, "no array 'scores'"),
    ],
)
def test_a_file_laid_out_otherwise_is_refused(arrays, words, tmp_path):
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(InputError, match=words):
        crowds.read_npz(tmp_path / "wrong.npz")


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(InputError, match="cannot be read"):
        crowds.read_npz(tmp_path / "text.npz")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 a download that broke off")
    with pytest.raises(InputError, match="cannot be read"):
        crowds.read_npz(tmp_path / "cut.npz")
    with pytest.raises(InputError, match="cannot be read"):
        crowds.read_npz(tmp_path / "absent.npz")


def test_fairmots_thresholds_are_those_of_the_paper_profiles_comments():
    fairmot = vars(fairmot_params())
    assert {name: fairmot[name] for name in association.FAIRMOT_DEFAULTS} == association.FAIRMOT_DEFAULTS
