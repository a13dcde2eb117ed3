"""Tracklets from boxes alone: sure, in any order of rows, and pure on drawn films."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clmot.data.tracklets import coexistence, group_tracklets, link_boxes, merge_relation, pairwise_iou
from clmot.synthetic.film import PEDESTRIAN, Film
from clmot.synthetic.scenes import SCENES

BOX = np.array([0.0, 0, 10, 20])


def boxes_at(*lefts):
    return np.array([BOX + np.array([left, 0, left, 0]) for left in lefts], float).reshape(-1, 4)


def link(rows, **others):
    """Tracklets of (frame, left edge) rows."""
    frame = np.array([frame for frame, _ in rows], int)
    settings = {"min_iou": 0.3, "margin": 0.2, **others}
    return link_boxes(frame, boxes_at(*(left for _, left in rows)), **settings).tolist()


def test_a_person_alone_is_one_tracklet():
    assert link([(1, 0), (2, 2), (3, 4)]) == [0, 0, 0]


def test_a_jump_ends_a_tracklet():
    assert link([(1, 0), (2, 40)]) == [0, 1]


def test_doubt_ends_a_tracklet():
    """Two candidates in the next frame, or two in the one before: no one is joined with anybody of them."""
    assert link([(1, 0), (2, -2), (2, 2)]) == [0, 1, 2]
    assert link([(1, -2), (1, 2), (2, 0)]) == [0, 1, 2]
    assert link([(1, 0), (2, 0), (2, 7)]) == [0, 0, 1]  # the second is clearly worse


def test_a_gap_is_bridged_where_it_may_be():
    rows = [(1, 0), (3, 1)]
    assert link(rows) == [0, 1]
    assert link(rows, max_gap=2) == [0, 0]
    # Who went on in between is not gone on from once more.
    assert link([(1, 0), (2, 1), (3, 60), (3, 1.5)], max_gap=2) == [0, 0, 1, 0]


def test_nobody_and_one():
    assert link([]) == []
    assert link([(7, 0)]) == [0]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 2**31))
def test_order_of_rows_means_nothing(seed):
    random = np.random.default_rng(seed)
    count = 30
    frame = random.integers(1, 6, count)
    low = random.uniform(0, 60, (count, 2))
    boxes = np.concatenate([low, low + random.uniform(15, 30, (count, 2))], 1)
    order = random.permutation(count)
    first = link_boxes(frame, boxes, 0.3, 0.1)
    second = link_boxes(frame[order], boxes[order], 0.3, 0.1)
    np.testing.assert_array_equal(first[order][:, None] == first[order], second[:, None] == second)
    together = coexistence(frame, first)
    for a in range(first.max() + 1):
        mine = frame[first == a]
        assert len(set(mine.tolist())) == len(mine)  # no one is twice in a frame
        for b in range(first.max() + 1):
            others = frame[first == b]
            met = mine.min() <= others.max() and others.min() <= mine.max()
            assert together[a, b] == (a != b and met)


@pytest.mark.parametrize("benchmark", sorted(SCENES))
def test_pure_on_drawn_films(benchmark):
    """Drawn people cross, hide each other and stand in groups; no tracklet may mix two of them."""
    scene = SCENES[benchmark][0]
    frame, boxes, identity = [], [], []
    for number, drawn in enumerate(Film(scene, 0).frames(40), 1):
        for one in drawn.annotations:
            if one.category == PEDESTRIAN and one.visibility >= 0.25:
                x, y, w, h = one.box
                frame.append(number)
                boxes.append([x, y, x + w, y + h])
                identity.append(one.key)
    names = {key: place for place, key in enumerate(dict.fromkeys(identity))}
    who = np.array([names[key] for key in identity])
    tracklet = link_boxes(np.array(frame), np.array(boxes), 0.4, 0.2)
    owners = [len(set(who[tracklet == one].tolist())) for one in range(tracklet.max() + 1)]
    lengths = np.bincount(tracklet)
    assert max(owners) == 1
    assert (lengths[tracklet] >= 5).mean() > 0.5  # and they are no single boxes


def test_groups_respect_who_met():
    similarity = np.array([[1, 0.9, 0.8], [0.9, 1, 0.85], [0.8, 0.85, 1]])
    together = np.zeros((3, 3), bool)
    assert group_tracklets(similarity, together, np.ones(3), 0.5).tolist() == [0, 0, 0]
    assert group_tracklets(similarity, together, np.ones(3), 0.95).tolist() == [0, 1, 2]
    together[0, 2] = together[2, 0] = True
    # 0 and 1 are the most alike; 2 met 0 and so cannot join them.
    assert group_tracklets(similarity, together, np.ones(3), 0.5).tolist() == [0, 0, 1]


def test_groups_link_by_the_average():
    """Weights count: a long tracklet's doubt outweighs a short one's certainty."""
    similarity = np.array([[1, 0.9, 0.8], [0.9, 1, 0.2], [0.8, 0.2, 1]])
    none = np.zeros((3, 3), bool)
    assert group_tracklets(similarity, none, np.array([1, 3, 1]), 0.4).tolist() == [0, 0, 1]
    assert group_tracklets(similarity, none, np.array([3, 1, 1]), 0.4).tolist() == [0, 0, 0]


def test_groups_met_whom_any_member_met():
    together = np.zeros((4, 4), bool)
    together[1, 2] = together[2, 1] = True
    assert merge_relation(together, np.array([0, 0, 1, 2])).tolist() == [
        [False, True, False],
        [True, False, False],
        [False, False, False],
    ]


def test_iou_of_empty_boxes_is_nothing():
    empty = np.zeros((1, 4))
    assert pairwise_iou(empty, empty).tolist() == [[0.0]]
    assert pairwise_iou(np.zeros((0, 4)), empty).shape == (0, 1)
