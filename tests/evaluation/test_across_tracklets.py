"""What an embedding knows beyond moment, place and size: against the definitions spelt out pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from clmot.evaluation import across_tracklets
from clmot.evaluation.across_tracklets import (
    AcrossTracklets,
    area_under_curve,
    combine_across,
    compare_places,
    count_links,
    ranks_of,
    tracklets_of,
)
from clmot.evaluation.embedding import compare_embeddings, similarity_counts
from clmot.evaluation.preprocessing import judge_truth, preprocess
from clmot.evaluation.purity import TrackPurity, combine_purity, count_purity
from clmot.motchallenge.annotations import AnnotationTable


def film(seed: int, people: int = 6, frames: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Identity, frame, boxes and embeddings of people who come and go, in random order."""
    rng = np.random.default_rng(seed)
    seen = np.argwhere(np.repeat(rng.random((people, frames // 6)) < 0.7, 6, axis=1))
    seen = seen[rng.permutation(len(seen))]
    identity, frame = seen[:, 0] + 10, seen[:, 1] + 1
    corner = rng.uniform(0, 60, (people, 2))[seen[:, 0]] + frame[:, None] * rng.uniform(-1, 1, (people, 2))[seen[:, 0]]
    height = rng.uniform(30, 60, people)[seen[:, 0]] + rng.uniform(0, 5, len(seen))
    boxes = np.column_stack([corner, corner[:, 0] + height / 2, corner[:, 1] + height])
    looks = rng.normal(size=(people, 8))[seen[:, 0]] + rng.normal(size=(len(seen), 8))
    return identity, frame, boxes, looks


def similarities(looks: np.ndarray) -> np.ndarray:
    unit = looks / np.linalg.norm(looks, axis=1, keepdims=True)
    return unit @ unit.T


def test_a_tracklet_ends_where_overlap_alone_cannot_link() -> None:
    """Frame 4 is missing for the first person; the second jumps in frame 3; the third takes over the place of the
    fourth in frame 2, which boxes alone would not notice."""
    rows = [(1, 1, 0), (1, 2, 1), (1, 3, 2), (1, 5, 2), (1, 6, 2), (2, 1, 100), (2, 2, 100), (2, 3, 150)]
    rows += [(3, 1, 200), (4, 2, 200)]
    identity, frame, place = np.array(rows).T
    boxes = np.column_stack([place, np.zeros(10), place + 20, np.full(10, 40)]).astype(float)
    found = tracklets_of(identity, frame, boxes)
    groups = {tuple(np.nonzero(found == one)[0].tolist()) for one in np.unique(found)}
    assert groups == {(0, 1, 2), (3, 4), (5, 6), (7,), (8,), (9,)}
    assert len(tracklets_of(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)))) == 0


@pytest.mark.parametrize("seed", range(4))
def test_retrieval_across_tracklets_has_no_answer_in_the_querys_own(seed: int) -> None:
    identity, frame, boxes, looks = film(seed)
    tracklet, similarity = tracklets_of(identity, frame, boxes), similarities(looks)
    precisions = []
    for i in range(len(looks)):
        gallery = [j for j in range(len(looks)) if frame[j] != frame[i] and tracklet[j] != tracklet[i]]
        gallery.sort(key=lambda j: -similarity[i, j])
        hits = [rank for rank, j in enumerate(gallery, 1) if identity[j] == identity[i]]
        if hits:
            precisions.append(np.mean([n / rank for n, rank in enumerate(hits, 1)]))
    compared = compare_embeddings(looks, identity, frame, tracklet)
    assert compared.cross_queries == len(precisions)
    assert compared.cross_precision == pytest.approx(np.mean(precisions), abs=1e-5)
    assert compared.cross_precision < compared.retrieval_precision  # type: ignore[operator]
    without = compare_embeddings(looks, identity, frame)
    assert without.cross_precision is None
    assert without.precision_sum == compared.precision_sum


@pytest.mark.parametrize("seed", range(4))
def test_links_across_a_break(seed: int) -> None:
    identity, frame, boxes, looks = film(seed)
    tracklet, similarity = tracklets_of(identity, frame, boxes), similarities(looks)
    right = total = 0
    for i in range(len(looks)):
        then = np.nonzero(frame == frame[i] + 9)[0]
        own = then[(identity[then] == identity[i]) & (tracklet[then] != tracklet[i])]
        if len(own):
            total += 1
            right += all(similarity[i, own[0]] > similarity[i, j] for j in then if identity[j] != identity[i])
    assert count_links(identity, frame, tracklet, 9, lambda rows: looks[rows]) == (right, total)
    assert 0 < right < total


def test_what_is_equally_similar_is_not_found() -> None:
    identity, frame, tracklet = np.array([1, 2, 1, 2]), np.array([1, 1, 5, 5]), np.arange(4)
    assert count_links(identity, frame, tracklet, 4, lambda rows: np.ones((len(rows), 3))) == (0, 2)
    assert count_links(identity, frame, tracklet, 4, lambda rows: np.eye(3)[identity[rows]]) == (2, 2)
    assert count_links(identity, frame, identity, 4, lambda rows: np.eye(3)[identity[rows]]) == (0, 0)


def test_links_of_a_long_film_are_an_even_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    identity, frame, boxes, looks = film(1, people=5, frames=600)
    tracklet = tracklets_of(identity, frame, boxes)
    whole = count_links(identity, frame, tracklet, 20, lambda rows: looks[rows])
    monkeypatch.setattr(across_tracklets, "MAX_FRAMES", 100)
    asked: list[int] = []

    def read(rows: np.ndarray) -> np.ndarray:
        asked.extend(frame[rows].tolist())
        return looks[rows]

    part = count_links(identity, frame, tracklet, 20, read)
    assert part[1] < whole[1] / 2
    assert part[0] / part[1] == pytest.approx(whole[0] / whole[1], abs=0.1)
    assert (min(asked) < 60, max(asked) > 540) == (True, True)


@pytest.mark.parametrize("seed", range(3))
def test_places_and_correlations(seed: int) -> None:
    identity, frame, boxes, looks = film(seed)
    moved, replaced, rho, pairs = compare_places(identity, frame, boxes, looks, frame_rate=5)
    similarity = similarities(looks)
    elsewhere, instead, alike, far, taller = [], [], [], [], []
    for i in range(len(looks)):
        for j in range(i):
            low, high = np.maximum(boxes[i, :2], boxes[j, :2]), np.minimum(boxes[i, 2:], boxes[j, 2:])
            both = np.maximum(high - low, 0).prod()
            areas = [(boxes[k, 2:] - boxes[k, :2]).prod() for k in (i, j)]
            overlap = both / (sum(areas) - both)
            if abs(frame[i] - frame[j]) >= 10:
                if identity[i] == identity[j] and overlap == 0:
                    elsewhere.append(similarity[i, j])
                elif identity[i] != identity[j] and overlap >= 0.5:
                    instead.append(similarity[i, j])
            if identity[i] != identity[j]:
                heights = [boxes[k, 3] - boxes[k, 1] for k in (i, j)]
                centres = [(boxes[k, :2] + boxes[k, 2:]) / 2 for k in (i, j)]
                alike.append(similarity[i, j])
                far.append(np.linalg.norm(centres[0] - centres[1]) / np.sqrt(heights[0] * heights[1]))
                taller.append(abs(np.log(heights[0] / heights[1])))
    assert (moved.sum(), replaced.sum(), pairs) == (len(elsewhere), len(instead), len(alike))
    assert rho == pytest.approx((spearmanr(alike, far)[0], spearmanr(alike, taller)[0]), abs=1e-4)
    if elsewhere and instead:
        wins = np.sign(np.subtract.outer(elsewhere, instead)).mean() / 2 + 0.5
        assert area_under_curve(moved, replaced) == pytest.approx(wins, abs=1e-3)


def test_an_embedding_of_places_is_found_out() -> None:
    """Two people who change places: what looks at the place alone prefers the other one who now stands there."""
    frame = np.tile(np.arange(1, 41), 2)
    identity = np.repeat([1, 2], 40)
    left = (identity == 1) == (frame <= 20)
    corner = np.where(left, 0.0, 500.0)
    boxes = np.column_stack([corner, np.zeros(80), corner + 20, np.full(80, 40)])
    places, people = np.eye(2)[left.astype(int)], np.eye(2)[identity - 1]
    by_place, by_person = (
        area_under_curve(*compare_places(identity, frame, boxes, looks, 5)[:2]) for looks in (places, people)
    )
    assert (by_place, by_person) == (0.0, 1.0)
    assert compare_places(identity, frame, boxes, places, 5)[2][0] == pytest.approx(-1)


def test_one_value_everywhere_has_no_correlation_and_an_even_chance() -> None:
    identity, frame, boxes, looks = film(0)
    moved, replaced, rho, _ = compare_places(identity, frame, boxes, np.ones_like(looks), 5)
    assert rho == (0.0, 0.0)
    assert area_under_curve(moved, replaced) == 0.5


def test_sequences_are_added_up() -> None:
    one = AcrossTracklets(
        (1, 2, 0), (2, 2, 0), similarity_counts(np.ones(3)), similarity_counts(-np.ones(2)), (4.0, 2.0), 8
    )
    two = AcrossTracklets(
        (0, 0, 0), (2, 0, 0), similarity_counts(-np.ones(3)), similarity_counts(np.ones(2)), (0.0, 0.0), 8
    )
    both = combine_across([one, two]).metrics()
    assert both == {"Link_1s": 0.25, "Link_3s": 1.0, "AUC_place": 0.5, "Rho_distance": 0.25, "Rho_height": 0.125}
    assert combine_across([one]).metrics()["AUC_place"] == 1.0
    nothing = AcrossTracklets((0, 0, 0), (0, 0, 0), np.zeros(5, int), np.zeros(5, int), (0.0, 0.0), 0)
    assert nothing.metrics() == {}


def boxes_of(rows: list[tuple[int, int, int]]) -> AnnotationTable:
    """Rows of frame, identity, place."""
    frame, identity, place = np.array(rows).T
    count = len(rows)
    box = np.column_stack([100.0 * place, np.full(count, 10), np.full(count, 20), np.full(count, 40)])
    return AnnotationTable(frame, identity, box, np.ones(count), np.ones(count, np.int64), np.ones(count))


def test_purity() -> None:
    """Track 1 swaps from person 1 to 2 after three frames; track 2 has person 1 afterwards; track 3 is on no one."""
    truth = boxes_of([(t, person, person) for t in range(1, 5) for person in (1, 2)])
    tracks = boxes_of([(1, 1, 1), (2, 1, 1), (3, 1, 1), (4, 1, 2), (4, 2, 1), (1, 3, 9)])
    found = count_purity(preprocess(judge_truth(truth, 4, "MOT17"), tracks))
    assert found == TrackPurity(boxes=5, majority=4, people=2, pairs=3)
    assert found.metrics() == {"Purity": 0.8, "TracksPerPerson": 1.5}
    assert combine_purity([found, found]).metrics() == found.metrics()
    assert TrackPurity(0, 0, 0, 0).metrics() == {}


@pytest.mark.parametrize("count", [0, 1, 2, 7, 1000])
def test_ranks_are_scipy_s(count: int) -> None:
    rng = np.random.default_rng(count)
    for values in (rng.random(count), rng.integers(0, 4, count).astype(float), np.full(count, 2.0)):
        np.testing.assert_array_equal(ranks_of(values), rankdata(values))
