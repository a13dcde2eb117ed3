"""Who has walked out of the view: never found again with `reentry: new`, while who is hidden inside it still is."""

from __future__ import annotations

import numpy as np
import pytest
from moving_people import fixed_params, person

from clmot.tracking.calibrated import start_tracker
from clmot.tracking.linking import TrackLinker
from clmot.tracking.view import WALKS_SECONDS, View

RATE = 10
FILM = (0, 0, 600, 400)


def seen_boxes(*boxes: tuple[float, float, float, float]) -> View:
    view = View()
    view.see(np.zeros((0, 4)))
    for box in boxes:
        view.see(np.array([box], np.float64))
    return view


def test_before_anyone_was_seen_no_one_is_inside() -> None:
    assert View().left(np.zeros((1, 2)), np.zeros((1, 2)), np.zeros(1), RATE).all()


@pytest.mark.parametrize(
    ("centre", "velocity", "seconds", "left"),
    [
        ((590, 200), (5, 0), 0.1, False),  # 5 pixels in a tenth of a second
        ((590, 200), (5, 0), 0.5, True),
        ((590, 200), (-5, 0), 9, False),
        ((20, 200), (-3, 0), 1, True),
        ((300, 390), (0, 2), 1, True),
        ((300, 10), (0, -2), 1, True),
        ((300, 200), (10, 0), 60, False),  # two seconds on it is 500: how they went on after that is not known
    ],
)
def test_left(centre, velocity, seconds, left) -> None:
    view = seen_boxes((0, 100, 40, 400), (560, 0, 600, 90))
    found = view.left(np.array([centre], float), np.array([velocity], float), np.array([seconds], float), RATE)
    assert found.tolist() == [left]
    assert WALKS_SECONDS == 2


@pytest.mark.parametrize("seed", range(3))
def test_the_view_is_the_hull_of_all_boxes(seed: int) -> None:
    random = np.random.default_rng(seed)
    low = random.uniform(-50, 500, (40, 2))
    boxes = np.concatenate((low, low + random.uniform(1, 200, (40, 2))), axis=1)
    whole, piecewise = View(), View()
    whole.see(boxes)
    for part in np.array_split(boxes, 7):
        piecewise.see(part)
    points = random.uniform(-100, 800, (500, 2))
    inside = ((points >= boxes[:, :2].min(axis=0)) & (points <= boxes[:, 2:].max(axis=0))).all(axis=1)
    for view in (whole, piecewise):
        np.testing.assert_array_equal(view.left(points, np.zeros((500, 2)), np.zeros(500), RATE), ~inside)


def identities(ways, reentry: str, link: str = "none") -> dict[int, list[int]]:
    """By person, who the tracker said that they were, in order, each name once.

    Args:
        ways: of each person, frame -> left edge of the box, or None where there is none.
        reentry, link: params.
    """
    random = np.random.default_rng(5)
    looks = random.standard_normal((len(ways) + 2, 16))
    params = fixed_params(
        association="calibrated", lost_seconds=1.0, refind_seconds=9.0, reentry=reentry, link=link, refind_trust=1.0
    )
    tracker, linker = start_tracker(params, RATE), TrackLinker(params, RATE)
    # Two people at the edges of the film show how far it reaches.
    ways = [*ways, lambda t: FILM[0], lambda t: FILM[2] - 20]
    frames, names, who = [], [], []
    for frame in range(1, 161):
        there = [p for p, way in enumerate(ways) if way(frame) is not None]
        boxes = np.array([person(ways[p](frame), y=50.0 + 130 * p) for p in there])
        vectors = looks[there] + 0.05 * random.standard_normal((len(there), 16))
        tracks = tracker.update(boxes, np.full(len(there), 0.9), vectors)
        linker.see(frame, tracks, vectors.astype(np.float32))
        frames += [frame] * len(tracks)
        names += tracks.identities.tolist()
        who += [there[index] for index in tracks.detections]
    found = np.array(names)
    if link == "offline":
        found, order = linker.joined(np.array(frames), found)
        assert len(order) == len(found)
    return {p: list(dict.fromkeys(found[np.array(who) == p].tolist())) for p in range(len(ways) - 2)}


def out_and_back(edge: float, speed: float, away: int):
    """Walks from the middle over an edge of the film by frame 60, and is back at that edge `away` frames later."""
    return lambda t: edge - speed * (60 - t) if t <= 60 else None if t <= 60 + away else edge - speed * (t - 60 - away)


WAYS_OUT = [(575, 4, 12), (575, 3, 15), (5, -3, 12), (5, -4, 18)]
"""Edge, pixels a frame, frames away."""


@pytest.mark.parametrize(("edge", "speed", "away"), WAYS_OUT)
def test_who_leaves_and_comes_back_is_new_or_the_same(edge: float, speed: float, away: int) -> None:
    way = out_and_back(edge, speed, away)
    assert len(identities([way], "new")[0]) == 2
    assert len(identities([way], "same")[0]) == 1


@pytest.mark.parametrize(("edge", "speed", "away"), WAYS_OUT)
def test_nor_does_linking_join_them(edge: float, speed: float, away: int) -> None:
    way = out_and_back(edge, speed, away)
    assert len(identities([way], "new", "offline")[0]) == 2


@pytest.mark.parametrize("speed", [2, 0, -2])
def test_who_is_hidden_in_the_middle_is_found_again(speed: float) -> None:
    """Behind a wall for two and a half seconds; with either param they are who they were."""
    way = lambda t: None if 60 < t <= 85 else 300 + speed * (t - 60)  # noqa: E731
    for reentry in ("new", "same"):
        assert identities([way], reentry)[0] == [1]
